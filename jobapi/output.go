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
	var err error
	if req.Index != nil {
		err = s.recordIndex(ctx, req)
	} else {
		var recorded bool
		recorded, err = s.outputs.do(ctx, struct{}{}, dao.TaskOutput{TaskID: taskID, Data: string(req.GetData())}, len(req.GetData()))
		if err == nil && !recorded {
			err = s.recordAlone(ctx, req)
		}
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
func (s *Server) recordAlone(ctx context.Context, req *pb.TaskOutputRecordRequest) error {
	task, err := s.recordable(ctx, req)
	if err != nil {
		return err
	}
	return recordedAs(task, s.store.RecordOutput(ctx, task.ID, string(req.GetData()), s.cfg.Now()))
}

// recordIndex records the output of one index of a task.
func (s *Server) recordIndex(ctx context.Context, req *pb.TaskOutputRecordRequest) error {
	task, err := s.recordable(ctx, req)
	if err != nil {
		return err
	}
	return recordedAs(task, s.store.RecordIndexOutput(ctx, task.ID, req.GetIndex(), string(req.GetData()), s.cfg.Now()))
}

// recordable returns the task whose output, or whose index's, is to be recorded, or why
// it has none.
func (s *Server) recordable(ctx context.Context, req *pb.TaskOutputRecordRequest) (dao.TaskKind, error) {
	task, err := s.store.TaskKind(ctx, req.GetTaskId())
	if err != nil {
		return task, named(err, "task %d", req.GetTaskId())
	}
	if schema.Type(task.TaskType) != schema.KubeJob {
		return task, refuse(errPrecondition, "task %d (%s) is a %s: only a kube-job's output is recorded", task.ID, task.TaskName, task.TaskType)
	}
	return task, checkIndex(req, task)
}

// recordedAs says what became of an output, by what the store said.
func recordedAs(task dao.TaskKind, err error) error {
	if errors.Is(err, dao.ErrConflict) {
		return refuse(errPrecondition, "task %d (%s) has ended: its output can no longer be recorded", task.ID, task.TaskName)
	}
	return named(err, "task %d", task.ID)
}

// checkIndex refuses an output of an index that the task does not have, and one of an
// indexed task as a whole.
func checkIndex(req *pb.TaskOutputRecordRequest, task dao.TaskKind) error {
	switch count := task.IndexCount; {
	case count == nil && req.Index != nil:
		return refuse(errInvalid, "task %d (%s) is not indexed: leave out index", task.ID, task.TaskName)
	case count != nil && req.Index == nil:
		return refuse(errInvalid, "task %d (%s) is indexed: say by index, from 0 to %d, which one's output it is; its job has it as JOBNETES_INDEX", task.ID, task.TaskName, *count-1)
	case count != nil && req.GetIndex() >= *count:
		return refuse(errInvalid, "task %d (%s) has no index %d: they go from 0 to %d", task.ID, task.TaskName, req.GetIndex(), *count-1)
	default:
		return nil
	}
}
