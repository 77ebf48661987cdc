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
	task, err := s.store.Task(ctx, taskID)
	if err != nil {
		return nil, named(err, "task %d", taskID)
	}
	if schema.Type(task.TaskType) != schema.KubeJob {
		return nil, refuse(errPrecondition, "task %d (%s) is a %s: only a kube-job's output is recorded", taskID, task.TaskName, task.TaskType)
	}
	err = s.store.RecordOutput(ctx, taskID, string(req.GetData()), s.cfg.Now())
	if errors.Is(err, dao.ErrConflict) {
		return nil, refuse(errPrecondition, "task %d (%s) has ended: its output can no longer be recorded", taskID, task.TaskName)
	}
	if err != nil {
		return nil, named(err, "task %d", taskID)
	}
	return &pb.TaskOutputRecordResponse{TaskId: taskID}, nil
}
