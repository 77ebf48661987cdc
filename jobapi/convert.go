package jobapi

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
)

func workflowToProto(w dao.Workflow) *pb.Workflow {
	return &pb.Workflow{
		Id: w.ID, Name: w.Name, Version: w.Version, Definition: []byte(w.Definition),
		CreatedAt: timestamppb.New(w.CreatedAt), UpdatedAt: timestamppb.New(w.UpdatedAt),
	}
}

func resultToProto(r dao.ApplyResult) pb.ApplyResult {
	switch r {
	case dao.Created:
		return pb.ApplyResult_APPLY_RESULT_CREATED
	case dao.Updated:
		return pb.ApplyResult_APPLY_RESULT_UPDATED
	default:
		return pb.ApplyResult_APPLY_RESULT_UNCHANGED
	}
}

func executionToProto(e dao.WorkflowExecution) *pb.Execution {
	return &pb.Execution{
		Id: e.ID, WorkflowId: e.WorkflowID, WorkflowName: e.WorkflowName, WorkflowVersion: e.WorkflowVersion, Name: e.Name,
		Status: pb.ExecutionStatus(e.Status) + 1, Priority: e.Priority, Input: []byte(e.Input), Output: []byte(e.Output), Attempt: e.Attempt, ErrorMsg: e.ErrorMsg,
		CreatedAt: timestamppb.New(e.CreatedAt), StartedAt: timeToProto(e.StartedAt), EndedAt: timeToProto(e.EndedAt),
		CancelRequestedAt: timeToProto(e.CancelRequestedAt), CancelRequestedBy: orZero(e.CancelRequestedBy), CancelReason: orZero(e.CancelReason),
	}
}

func taskToProto(t *dao.TaskExecution, indexesDone int) *pb.TaskExecution {
	set := uint32(0)
	if t.SetIndex != nil {
		set = *t.SetIndex + 1
	}
	return &pb.TaskExecution{
		SetNumber: set, Waiting: t.Waits(), Creating: t.Creating(),
		Id: t.ID, ParentId: orZero(t.ParentTaskExecutionID), PrevId: orZero(t.PrevTaskExecutionID), NextId: orZero(t.NextTaskExecutionID),
		TaskName: t.TaskName, TaskType: t.TaskType, ExecutionName: orZero(t.ExecutionName), Attempt: t.Attempt,
		Status: pb.TaskStatus(t.Status) + 1, Input: []byte(t.Input), Output: []byte(t.Output), ErrorReason: t.ErrorReason, ErrorMsg: t.ErrorMsg,
		StartedAt: timestamppb.New(t.StartedAt), EndedAt: timeToProto(t.EndedAt),
		IndexCount: orZero(t.IndexCount), IndexesDone: uint32(indexesDone),
	}
}

func eventToProto(e dao.ExecutionEvent) *pb.ExecutionEvent {
	return &pb.ExecutionEvent{
		Id: e.ID, At: timestamppb.New(e.At), Type: string(e.Type), TaskId: orZero(e.TaskExecutionID), TaskName: e.TaskName,
		Actor: e.Actor, Reason: e.Reason, Message: e.Message,
	}
}

func timeToProto(t *time.Time) *timestamppb.Timestamp {
	if t == nil {
		return nil
	}
	return timestamppb.New(*t)
}

func orZero[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
