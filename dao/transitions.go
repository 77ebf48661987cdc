package dao

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/jobnetes/jobnetes/schema"
)

// Transition is one step of an execution or of one of its tasks, as the engine
// decided it. It becomes changed rows and one event.
type Transition struct {
	Type EventType
	// Task is the row as it is to be; nil for the execution's own transitions.
	// A task that started in this very batch has no ID yet: Commit sets it,
	// and those that rows have of each other.
	Task *TaskExecution
	// Parent and Prev are set with EventTaskStarted: the rows that Task is to
	// refer to. They may be new in this batch, before Task.
	Parent, Prev    *TaskExecution
	Reason, Message string
}

// Commit writes what the engine decided on, in one transaction: the
// execution's row e as it is to be, the tasks' rows, and an event for each
// transition. ErrConflict, and nothing written, if l is no longer the lease in
// force or a row is not what was decided on; the rows in memory are then worth
// nothing: read them again.
func (s *Store) Commit(ctx context.Context, l Lease, e *WorkflowExecution, ts []Transition, now time.Time) error {
	at := micros(now)
	err := s.tx(ctx, func(tx *gorm.DB) error {
		forgetIDs(ts)
		if err := commitExecution(tx, l, e, ts, at); err != nil {
			return err
		}
		fresh, err := insertTasks(tx, e, ts, at)
		if err != nil {
			return err
		}
		if err := endTasks(tx, ts, fresh, at); err != nil {
			return err
		}
		return insertEvents(tx, eventsOf(e.ID, l, ts, at))
	})
	return translate(err, "move execution %d", l.ExecutionID)
}

// forgetIDs makes the rows of tasks that start what they were before a transaction
// that was rolled back gave them ids.
func forgetIDs(ts []Transition) {
	for _, t := range ts {
		if t.Type == EventTaskStarted {
			t.Task.ID, t.Task.ExecutionName = 0, nil
		}
	}
}

// commitExecution comes first: it fences the whole transaction, and its row
// lock keeps a claim waiting until this has ended. An execution begins once: an
// earlier commit under the same lease, whose answer was lost, may have been
// carried out after the rows were read again.
func commitExecution(tx *gorm.DB, l Lease, e *WorkflowExecution, ts []Transition, at time.Time) error {
	from := []ExecutionStatus{ExecutionScheduled, ExecutionRunning}
	if slices.ContainsFunc(ts, func(t Transition) bool { return t.Type == EventExecutionStarted }) {
		from = from[:1]
	}
	// It gets on, so whatever its holders have died of, it was not this.
	set := "status = ?, output = ?, error_msg = ?, started_at = ?, ended_at = ?, updated_at = ?, takeovers = 0, strikes = 0"
	if e.Status.Ended() {
		set += ", lease_owner = NULL, lease_until = NULL, wake_at = NULL, cancel_requested_at = NULL, cancel_requested_by = NULL, cancel_reason = NULL"
	}
	return one(tx.Exec("UPDATE workflow_executions SET "+set+" WHERE id = ? AND lease_owner = ? AND lease_epoch = ? AND status IN ?",
		e.Status, e.Output, e.ErrorMsg, e.StartedAt, e.EndedAt, at, e.ID, l.Owner, l.Epoch, from))
}

// insertTasks inserts the tasks that started, in order, and returns them. Those
// that refer to a task before them wait until that has its id.
func insertTasks(tx *gorm.DB, e *WorkflowExecution, ts []Transition, at time.Time) (map[*TaskExecution]bool, error) {
	fresh := map[*TaskExecution]bool{}
	var batch, jobs []*TaskExecution
	size := 0
	for _, t := range ts {
		if t.Type != EventTaskStarted {
			continue
		}
		row := t.Task
		size += len(row.Input) + len(row.Output)
		if slices.Contains(batch, t.Parent) || slices.Contains(batch, t.Prev) || len(batch) == insertRows || size > insertBytes {
			if err := insertBatch(tx, batch); err != nil {
				return nil, err
			}
			batch, size = nil, len(row.Input)+len(row.Output)
		}
		row.WorkflowExecutionID, row.CreatedAt, row.UpdatedAt = e.ID, at, at
		if t.Parent != nil {
			row.ParentTaskExecutionID = &t.Parent.ID
		}
		if t.Prev != nil {
			row.PrevTaskExecutionID, t.Prev.NextTaskExecutionID = &t.Prev.ID, &row.ID
		}
		batch, fresh[row] = append(batch, row), true
		if schema.Type(row.TaskType) == schema.KubeJob {
			jobs = append(jobs, row)
		}
	}
	if err := insertBatch(tx, batch); err != nil {
		return nil, err
	}
	for _, row := range jobs {
		name := schema.JobName(e.WorkflowName, row.TaskName, row.ID, int(row.Attempt))
		row.ExecutionName = &name
	}
	return fresh, nameJobs(tx, jobs)
}

// One statement inserts at most so many rows, with so many bytes of JSON between
// them: a database refuses statements over its max_allowed_packet.
const (
	insertRows  = 100
	insertBytes = 1 << 20
)

// insertBatch inserts the rows by one statement, and gives them their ids.
func insertBatch(tx *gorm.DB, rows []*TaskExecution) error {
	if len(rows) == 0 {
		return nil
	}
	if err := tx.Omit("NextTaskExecutionID").Create(&rows).Error; err != nil {
		return fmt.Errorf("start %d tasks, the first %q: %w", len(rows), rows[0].TaskName, err)
	}
	if len(rows) == 1 {
		return nil
	}
	// What the driver says of more than one goes by the first id and a step of 1,
	// which is another one where several servers take writes. Nobody else inserts
	// tasks of this execution, whose row is locked.
	var ids []uint64
	err := tx.Raw("SELECT id FROM task_executions WHERE workflow_execution_id = ? AND id >= ? ORDER BY id", rows[0].WorkflowExecutionID, rows[0].ID).Scan(&ids).Error
	if err != nil {
		return fmt.Errorf("read the ids of %d tasks: %w", len(rows), err)
	}
	if len(ids) != len(rows) {
		return fmt.Errorf("%d tasks have got %d ids", len(rows), len(ids))
	}
	for i, row := range rows {
		row.ID = ids[i]
	}
	return nil
}

// nameBatch is how many rows one statement names.
const nameBatch = 200

// nameJobs writes the Jobs' names, which contain the ids that the inserts gave.
func nameJobs(tx *gorm.DB, rows []*TaskExecution) error {
	for batch := range slices.Chunk(rows, nameBatch) {
		var (
			cases strings.Builder
			args  []any
			ids   []uint64
		)
		for _, row := range batch {
			cases.WriteString(" WHEN ? THEN ?")
			args = append(args, row.ID, *row.ExecutionName)
			ids = append(ids, row.ID)
		}
		if err := tx.Exec("UPDATE task_executions SET execution_name = CASE id"+cases.String()+" END WHERE id IN ?", append(args, ids)...).Error; err != nil {
			return fmt.Errorf("name the Jobs: %w", err)
		}
	}
	return nil
}

// endTasks writes the tasks that ended, with who follows them, and links what
// started to a predecessor that this batch does not end: one inserted just now
// (a branch), or one that had ended before.
func endTasks(tx *gorm.DB, ts []Transition, fresh map[*TaskExecution]bool, at time.Time) error {
	linked := map[*TaskExecution]bool{}
	for _, t := range ts {
		if (t.Type != EventTaskSucceeded && t.Type != EventTaskFailed) || fresh[t.Task] {
			continue
		}
		row := t.Task
		row.UpdatedAt = at
		linked[row] = true
		if err := one(tx.Exec("UPDATE task_executions SET status = ?, output = ?, error_reason = ?, error_msg = ?, ended_at = ?, elapsed_sec = ?, next_task_execution_id = ?, updated_at = ? "+
			"WHERE id = ? AND status = ? AND recorded_rev = ?",
			row.Status, row.Output, row.ErrorReason, row.ErrorMsg, row.EndedAt, row.ElapsedSec, row.NextTaskExecutionID, at,
			row.ID, TaskRunning, row.RecordedRev)); err != nil {
			return fmt.Errorf("end task %d: %w", row.ID, err)
		}
	}
	for _, t := range ts {
		if t.Type != EventTaskStarted || t.Prev == nil || linked[t.Prev] {
			continue
		}
		if err := one(tx.Exec("UPDATE task_executions SET next_task_execution_id = ? WHERE id = ?", t.Task.ID, t.Prev.ID)); err != nil {
			return fmt.Errorf("link task %d to %d: %w", t.Prev.ID, t.Task.ID, err)
		}
	}
	return nil
}

func eventsOf(executionID uint64, l Lease, ts []Transition, at time.Time) []ExecutionEvent {
	events := make([]ExecutionEvent, 0, len(ts))
	for _, t := range ts {
		e := ExecutionEvent{WorkflowExecutionID: executionID, At: at, Type: t.Type, Actor: "manager " + l.Owner, Reason: t.Reason, Message: t.Message}
		if t.Task != nil {
			e.TaskExecutionID = &t.Task.ID
		}
		events = append(events, e)
	}
	return events
}
