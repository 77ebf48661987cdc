package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/jobapi"
	"github.com/jobnetes/jobnetes/manager/kube"
	pb "github.com/jobnetes/jobnetes/proto"
)

// recordKey is what there is an output of: a task, or one of its indexes.
type recordKey struct {
	task  uint64
	index int // whole: of the task as a whole
}

const whole = -1

// newRecord has a job record an output.
func (w *world) newRecord(key string, of recordKey, output string, due time.Time) *errand {
	req := &pb.TaskOutputRecordRequest{TaskId: of.task, Data: []byte(output)}
	if of.index != whole {
		req.Index = new(uint32(of.index))
	}
	e := &errand{
		key: key, index: of.index, due: due,
		send: func(ctx context.Context, s *jobapi.Server) (uint64, error) {
			res, err := s.RecordTaskOutput(ctx, req)
			return res.GetTaskId(), err
		},
		sent: func(t *try) { t.before = len(w.db.recorded[of]) },
		acknowledged: func(t *try) {
			w.acknowledged[of] = true
			if t.id != of.task || !slices.Contains(w.db.recorded[of][t.before:], output) {
				w.violate("%s is acknowledged, and its output has not been recorded since it was sent: %s", key, output)
			}
		},
		refused: func(err error) bool { return w.isTooLate(key, of, err) },
	}
	w.errands = append(w.errands, e)
	return e
}

// isTooLate says whether an error is that a task's output is not recorded any more: by its
// text, since it has not become a gRPC status here.
func (w *world) isTooLate(key string, of recordKey, err error) bool {
	if errors.Is(err, dao.ErrNotFound) {
		if w.db.tasks[of.task] != nil {
			w.violate("%s is told that its task is not there, and it is", key)
		}
		return true
	}
	if !strings.Contains(err.Error(), "has ended") {
		return false
	}
	if row := w.db.tasks[of.task]; row != nil && row.Status == dao.TaskRunning && (of.index == whole || !row.IndexesClosed) {
		w.violate("%s is told that its task has ended, and it has not", key)
	}
	return true
}

// checkAcknowledged says whether a task that succeeds has all outputs of which its job was
// told that they are recorded; whatever trouble there was.
func (w *world) checkAcknowledged(t *dao.TaskExecution) {
	if w.acknowledged[recordKey{t.ID, whole}] && (t.RecordedOutput == nil || t.Output != *t.RecordedOutput) {
		w.violate("task %d succeeds with the output %s, which is not the one that it has recorded: that was acknowledged", t.ID, t.Output)
	}
	var outputs [indexCount]json.RawMessage
	_ = json.Unmarshal([]byte(t.Output), &outputs) // an object, if it is not indexed
	for i, output := range outputs {
		row := w.db.indexes[indexKey{t.ID, uint32(i)}]
		if w.acknowledged[recordKey{t.ID, i}] && (!row.recorded || string(output) != row.output) {
			w.violate("task %d succeeds with the output %s, without what its index %d has recorded: that was acknowledged", t.ID, t.Output, i)
		}
	}
}

// beginRecord has a job record its output, or that of an index. It waits for jobapi's
// answer. If its task has ended, it was deleted or given up before.
func (c *cluster) beginRecord(j *job, index int, output string) {
	key := "record for " + j.obj.Name
	if index != whole {
		key += fmt.Sprintf(" %d", index)
	}
	j.record = c.w.newRecord(key, recordKey{idOf(j.obj, kube.LabelTaskID), index}, output, c.w.now())
}

// record is dao.RecordOutput.
func (db *database) record(taskID uint64, data string, now time.Time) error {
	return db.transaction(func(t *tx) error {
		switch row := t.task(taskID); {
		case row == nil:
			return noTask(taskID)
		case row.Status != dao.TaskRunning:
			return conflicting("record the output of task %d: it has ended", taskID)
		default:
			return t.record(row, data, now)
		}
	})
}

// record records the output of a task.
func (t *tx) record(row *dao.TaskExecution, data string, now time.Time) error {
	row.RecordedOutput, row.UpdatedAt = &data, micros(now)
	row.RecordedRev++
	t.recorded[recordKey{row.ID, whole}] = data
	return t.saveTask(row)
}
