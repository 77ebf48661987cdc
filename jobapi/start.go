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
	id, err := s.starts.do(ctx, workflowKey{req.GetWorkflowId(), req.GetWorkflowName()}, dao.NewExecution{
		Name: req.GetExecName(), Input: string(input), Actor: callerOf(ctx).actor(), RequestID: req.GetRequestId(), Priority: req.GetPriority(),
	}, len(input))
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

// writeStarts schedules executions of one workflow, and gives their ids. Each has its
// name, or is to have the workflow's.
func (s *Server) writeStarts(ctx context.Context, key workflowKey, ns []dao.NewExecution) ([]answer[uint64], error) {
	p, err := s.present(ctx, key)
	if err != nil {
		return nil, err
	}
	if err := s.checkDefinition(ctx, p); err != nil {
		return nil, err
	}
	for i := range ns {
		ns[i].WorkflowID, ns[i].VersionID = p.WorkflowID, p.VersionID
		ns[i].Name = cmp.Or(ns[i].Name, p.WorkflowName)
	}
	now := s.cfg.Now()
	starts, err := s.store.CreateExecutions(ctx, ns, now)
	if err != nil {
		return nil, named(err, "workflow %d", p.WorkflowID)
	}
	s.cfg.Managers.Started(now)
	answers := make([]answer[uint64], len(ns))
	for i, started := range starts {
		answers[i] = answer[uint64]{started.ID, started.Err}
		if errors.Is(started.Err, dao.ErrDuplicate) {
			answers[i].err = refuse(dao.ErrDuplicate, "request_id %q has started workflow %q (id %d) before, as execution %d, with another name, input or priority: use a new id for each start", ns[i].RequestID, p.WorkflowName, p.WorkflowID, started.ID)
		}
	}
	return answers, nil
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
