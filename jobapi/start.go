package jobapi

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
)

// maxExecutionName is how long an execution's name may be, in characters: the
// width of its column.
const maxExecutionName = 255

// maxRequestID is how long a request's id may be, likewise.
const maxRequestID = 255

// emptyInput is the input of whoever sends none.
const emptyInput = "{}"

// StartWorkflow schedules an execution; a manager takes it up.
func (s *Server) StartWorkflow(ctx context.Context, req *pb.WorkflowStartRequest) (*pb.WorkflowStartResponse, error) {
	input := req.GetInput()
	if len(input) == 0 {
		input = []byte(emptyInput)
	}
	if err := checkJSON("input", input, limit{s.cfg.MaxInputBytes, "jobapi.max-input-bytes"}); err != nil {
		return nil, err
	}
	if err := checkText("exec_name", req.GetExecName(), maxExecutionName); err != nil {
		return nil, err
	}
	if err := checkRequestID(req.GetRequestId()); err != nil {
		return nil, err
	}
	if p := req.GetPriority(); p < -dao.MaxPriority || p > dao.MaxPriority {
		return nil, refuse(errInvalid, "priority %d is not from %d to %d", p, -dao.MaxPriority, dao.MaxPriority)
	}
	key := workflowKey{req.GetWorkflowId(), req.GetWorkflowName()}
	n := dao.NewExecution{
		Name: req.GetExecName(), Input: string(input), Actor: callerOf(ctx).actor(), RequestID: req.GetRequestId(), Priority: req.GetPriority(),
	}
	id, err := s.starts.do(ctx, key, n, len(input))
	if err == nil && id == 0 {
		id, err = s.startAlone(ctx, key, n)
	}
	if err != nil {
		return nil, err
	}
	return &pb.WorkflowStartResponse{Id: id}, nil
}

// workflowKey is what requests name a workflow by: its id, its name, or both.
type workflowKey struct {
	id   uint64
	name string
}

// writeStarts schedules executions of one workflow, and gives their ids: 0 is that of one
// that is to be started alone.
func (s *Server) writeStarts(ctx context.Context, key workflowKey, ns []dao.NewExecution) ([]answer[uint64], error) {
	p, err := s.startable(ctx, key, ns)
	if err != nil {
		return nil, err
	}
	starts, err := s.store.CreateExecutions(ctx, ns, s.cfg.Now())
	if err != nil {
		return nil, named(err, "workflow %d", p.WorkflowID)
	}
	answers := make([]answer[uint64], len(ns))
	for i, started := range starts {
		answers[i] = answer[uint64]{started.ID, startedAs(p, ns[i], started.ID, started.Err)}
	}
	return answers, nil
}

// startAlone schedules an execution that could not be with others, as it may have to wait
// for somebody else's start.
func (s *Server) startAlone(ctx context.Context, key workflowKey, n dao.NewExecution) (uint64, error) {
	ns := []dao.NewExecution{n}
	p, err := s.startable(ctx, key, ns)
	if err != nil {
		return 0, err
	}
	id, err := s.store.CreateExecution(ctx, ns[0], s.cfg.Now())
	if err != nil {
		return 0, startedAs(p, n, id, err)
	}
	s.tellStarted()
	return id, nil
}

// tellStarted tells managers that executions were started until now.
func (s *Server) tellStarted() { s.cfg.Managers.Started(s.cfg.Now()) }

// startable returns which version of a workflow executions are to be of, and sets it.
// Each has its name, or is to have the workflow's.
func (s *Server) startable(ctx context.Context, key workflowKey, ns []dao.NewExecution) (dao.PresentVersion, error) {
	p, err := s.present(ctx, key)
	if err != nil {
		return p, err
	}
	for i := range ns {
		ns[i].WorkflowID, ns[i].VersionID = p.WorkflowID, p.VersionID
		ns[i].Name = cmp.Or(ns[i].Name, p.WorkflowName)
	}
	return p, s.checkDefinition(ctx, p)
}

// startedAs says what became of a start, by what the store said.
func startedAs(p dao.PresentVersion, n dao.NewExecution, id uint64, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, dao.ErrDuplicate) && id != 0:
		return refuse(dao.ErrDuplicate, "request_id %q has started workflow %q (id %d) before, as execution %d, with another name, input or priority: use a new id for each start", n.RequestID, p.WorkflowName, p.WorkflowID, id)
	default:
		return named(err, "workflow %d", p.WorkflowID)
	}
}

// checkText checks a field that people read.
func checkText(field, text string, limit int) error {
	if n := utf8.RuneCountInString(text); n > limit {
		return refuse(errInvalid, "%s has %d characters: at most %d are allowed", field, n, limit)
	}
	if strings.ContainsFunc(text, misleads) {
		return refuse(errInvalid, "%s %q has control characters, or such that turn the direction of text: leave them out", field, text)
	}
	return nil
}

func checkRequestID(id string) error {
	if strings.TrimSpace(id) != id {
		return refuse(errInvalid, "request_id %q begins or ends with space, which databases compare differently: leave it out", id)
	}
	return checkText("request_id", id, maxRequestID)
}

// misleads tells characters that make a name look like what it is not.
func misleads(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

// present returns which version the workflow has that a request names by its id, its
// name, or both.
func (s *Server) present(ctx context.Context, key workflowKey) (dao.PresentVersion, error) {
	if key == (workflowKey{}) {
		return dao.PresentVersion{}, refuse(errInvalid, "which workflow? give its id or its name")
	}
	p, err := s.store.PresentVersion(ctx, key.id, key.name)
	switch {
	case err != nil && key.id == 0:
		return p, named(err, "workflow %q", key.name)
	case err != nil:
		return p, named(err, "workflow %d", key.id)
	case key.name != "" && key.name != p.WorkflowName:
		return p, refuse(errInvalid, "workflow %d is named %q, not %q: give the id or the name", key.id, p.WorkflowName, key.name)
	}
	return p, nil
}
