package jobapi

import (
	"context"
	"slices"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
)

// ListExecutions returns a page of executions, newest first.
func (s *Server) ListExecutions(ctx context.Context, req *pb.ListExecutionsRequest) (*pb.ListExecutionsResponse, error) {
	filter, err := s.executionFilter(ctx, req)
	if err != nil {
		return nil, err
	}
	es, err := s.store.Executions(ctx, filter)
	if err != nil {
		return nil, err
	}
	res := &pb.ListExecutionsResponse{Executions: make([]*pb.Execution, 0, len(es))}
	for _, e := range es {
		res.Executions = append(res.Executions, executionToProto(e))
	}
	return res, nil
}

func (s *Server) executionFilter(ctx context.Context, req *pb.ListExecutionsRequest) (dao.ExecutionFilter, error) {
	length, err := pageLength(req.GetLimit(), defaultExecutions)
	if err != nil {
		return dao.ExecutionFilter{}, err
	}
	f := dao.ExecutionFilter{BeforeID: req.GetBeforeId(), Limit: length}
	for _, asked := range req.GetStatuses() {
		if asked < 1 || int(asked) > len(dao.ExecutionStatuses) {
			return f, refuse(errInvalid, "there is no status %d: see ExecutionStatus in jobapi.proto", asked)
		}
		f.Statuses = append(f.Statuses, dao.ExecutionStatuses[asked-1])
	}
	if name := req.GetWorkflowName(); name != "" {
		p, err := s.present(ctx, workflowKey{name: name})
		if err != nil {
			return f, err
		}
		f.WorkflowID = p.WorkflowID
	}
	return f, nil
}

// GetExecution returns an execution with its tasks.
func (s *Server) GetExecution(ctx context.Context, req *pb.GetExecutionRequest) (*pb.Execution, error) {
	e, err := s.store.Execution(ctx, req.GetId())
	if err != nil {
		return nil, named(err, "execution %d", req.GetId())
	}
	tasks, err := s.store.Tasks(ctx, e.ID)
	if err != nil {
		return nil, err
	}
	var done map[uint64]int
	if slices.ContainsFunc(tasks, func(t *dao.TaskExecution) bool { return t.IndexCount != nil }) {
		if done, err = s.store.IndexesDone(ctx, e.ID); err != nil {
			return nil, err
		}
	}
	res := executionToProto(e)
	for _, t := range tasks {
		res.Tasks = append(res.Tasks, taskToProto(t, done[t.ID]))
	}
	return res, nil
}
