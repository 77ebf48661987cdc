package jobapi

import (
	"context"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
	"github.com/jobnetes/jobnetes/schema"
)

// How long lists are unless the request says otherwise, and at most.
const (
	defaultWorkflows  = 100
	defaultExecutions = 50
	maxListed         = 1000
)

// ApplyWorkflow creates the workflow or gives it a new version.
func (s *Server) ApplyWorkflow(ctx context.Context, req *pb.ApplyWorkflowRequest) (*pb.ApplyWorkflowResponse, error) {
	document := req.GetDefinition()
	definition, err := schema.Parse(document)
	if err != nil {
		return nil, refuseDefinition(errInvalid, "the definition is not valid:", err)
	}
	w, result, err := s.store.ApplyWorkflow(ctx, definition.Name, string(document), dao.DefaultUserID, s.cfg.Now())
	if err != nil {
		return nil, err
	}
	return &pb.ApplyWorkflowResponse{Workflow: workflowToProto(w), Result: resultToProto(result)}, nil
}

// ListWorkflows returns a page of workflows, by name.
func (s *Server) ListWorkflows(ctx context.Context, req *pb.ListWorkflowsRequest) (*pb.ListWorkflowsResponse, error) {
	length, err := pageLength(req.GetLimit(), defaultWorkflows)
	if err != nil {
		return nil, err
	}
	ws, err := s.store.Workflows(ctx, req.GetAfterName(), length)
	if err != nil {
		return nil, err
	}
	res := &pb.ListWorkflowsResponse{Workflows: make([]*pb.Workflow, 0, len(ws))}
	for _, w := range ws {
		res.Workflows = append(res.Workflows, workflowToProto(w))
	}
	return res, nil
}

// GetWorkflow returns a workflow with its present definition.
func (s *Server) GetWorkflow(ctx context.Context, req *pb.GetWorkflowRequest) (*pb.Workflow, error) {
	p, err := s.present(ctx, workflowKey{req.GetId(), req.GetName()})
	if err != nil {
		return nil, err
	}
	w, err := s.store.Workflow(ctx, p.WorkflowID)
	if err != nil {
		return nil, named(err, "workflow %d", p.WorkflowID)
	}
	return workflowToProto(w), nil
}

func pageLength(asked uint32, def int) (int, error) {
	switch {
	case asked == 0:
		return def, nil
	case asked > maxListed:
		return 0, refuse(errInvalid, "limit is %d: at most %d are listed at once, ask for the rest page by page", asked, maxListed)
	default:
		return int(asked), nil
	}
}
