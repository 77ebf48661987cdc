package jobapi

import (
	"context"
	"errors"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
	"github.com/jobnetes/jobnetes/schema"
)

// RecordTaskOutput keeps what a job reports as its task's output. The manager
// takes it up when the job has ended.
func (s *Server) RecordTaskOutput(ctx context.Context, req *pb.TaskOutputRecordRequest) (*pb.TaskOutputRecordResponse, error) {
	taskID := req.GetTaskId()
	if c := callerOf(ctx); c.taskID != 0 && c.taskID != taskID {
		return nil, refuse(errDenied, "this token is for task %d, not for task %d", c.taskID, taskID)
	}
	if err := checkJSON("output", req.GetData(), limit{s.cfg.MaxOutputBytes, "jobapi.max-output-bytes"}); err != nil {
		return nil, err
	}
	recorded, err := s.outputs.do(ctx, struct{}{}, dao.TaskOutput{TaskID: taskID, Data: string(req.GetData())}, len(req.GetData()))
	if err == nil && !recorded {
		err = s.recordAlone(ctx, taskID, req.GetData())
	}
	if err != nil {
		return nil, err
	}
	return &pb.TaskOutputRecordResponse{TaskId: taskID}, nil
}

// writeOutputs records outputs, and says of each whether it was.
func (s *Server) writeOutputs(ctx context.Context, outputs []dao.TaskOutput) ([]answer[bool], error) {
	recorded, err := s.store.RecordOutputs(ctx, outputs, s.cfg.Now())
	answers := make([]answer[bool], len(recorded))
	for i := range recorded {
		answers[i].value = recorded[i]
	}
	return answers, err
}

// recordAlone records an output that could not be with others, or says why it cannot be
// at all.
func (s *Server) recordAlone(ctx context.Context, taskID uint64, data []byte) error {
	task, err := s.store.Task(ctx, taskID)
	if err != nil {
		return named(err, "task %d", taskID)
	}
	if schema.Type(task.TaskType) != schema.KubeJob {
		return refuse(errPrecondition, "task %d (%s) is a %s: only a kube-job's output is recorded", taskID, task.TaskName, task.TaskType)
	}
	err = s.store.RecordOutput(ctx, taskID, string(data), s.cfg.Now())
	if errors.Is(err, dao.ErrConflict) {
		return refuse(errPrecondition, "task %d (%s) has ended: its output can no longer be recorded", taskID, task.TaskName)
	}
	return named(err, "task %d", taskID)
}
