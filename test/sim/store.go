package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/dao/gather"
)

// store is the database as one process reaches it: what *dao.Store is to a
// manager.
type store struct {
	p       *process
	commits gather.Group[commitCall]
	marks   gather.Group[mark]
	// trusting: see NoAgain; careless: see NoApart.
	trusting, careless bool
}

func newStore(p *process) *store {
	s := &store{p: p}
	s.commits.Together, s.commits.Alone, s.commits.Away = s.commitTogether, s.commitAlone, isAway
	s.marks.Together, s.marks.Alone, s.marks.Away = s.markTogether, s.markAlone, isAway
	s.commits.Pause = func(c commitCall, times int) time.Duration { return pause(c.execution.ID, times) }
	s.marks.Pause = func(m mark, times int) time.Duration { return pause(m.taskID, times) }
	return s
}

func (s *store) read(ctx context.Context, format string, args ...any) *call {
	return &call{ctx: ctx, side: toDatabase, key: fmt.Sprintf(format, args...)}
}

func (s *store) write(ctx context.Context, format string, args ...any) *call {
	c := s.read(ctx, format, args...)
	c.write = true
	return c
}

// hold is a write that only the holder of an execution's lease may do.
func (s *store) hold(ctx context.Context, execution uint64, format string, args ...any) *call {
	c := s.write(ctx, format, args...)
	c.execution = execution
	return c
}

func (s *store) db() *database { return s.p.w.db }

func (s *store) Ping(ctx context.Context) error {
	_, err := ask(s.p, s.read(ctx, "Ping"), func() (struct{}, error) { return struct{}{}, nil })
	return err
}

// change is a call that writes in one transaction, by a lease if it takes one.
func (s *store) change(c *call, l *dao.Lease, fn func(t *tx) error) error {
	_, err := ask(s.p, c, func() (struct{}, error) {
		return struct{}{}, s.db().transaction(func(t *tx) error {
			if l != nil {
				t.by(*l)
			}
			return fn(t)
		})
	})
	return err
}

func (s *store) Execution(ctx context.Context, id uint64) (dao.WorkflowExecution, error) {
	return ask(s.p, s.read(ctx, "Execution %d", id), func() (dao.WorkflowExecution, error) {
		e := s.db().executions[id]
		if e == nil {
			return dao.WorkflowExecution{}, fmt.Errorf("simulated: execution %d: %w", id, dao.ErrNotFound)
		}
		return *copyExecution(e), nil
	})
}

// PinVersion finds the version of the workflow's definition there: workflows do
// not change in a schedule.
func (s *store) PinVersion(ctx context.Context, l dao.Lease, now time.Time) (dao.WorkflowVersion, error) {
	return ask(s.p, s.hold(ctx, l.ExecutionID, "PinVersion %d", l.ExecutionID), func() (v dao.WorkflowVersion, _ error) {
		err := s.db().transaction(func(t *tx) error {
			t.by(l)
			e := t.execution(l.ExecutionID)
			v = s.db().versions[e.WorkflowID] // the only one has the workflow's id
			if !s.db().unfenced && !holds(e, l) || e.WorkflowVersionID != nil {
				return conflicting("pin the version of execution %d", l.ExecutionID)
			}
			e.WorkflowVersionID, e.UpdatedAt = fresh(&v.ID), micros(now)
			return t.saveExecution(e)
		})
		return v, err
	})
}

func (s *store) WorkflowVersion(ctx context.Context, id uint64) (dao.WorkflowVersion, error) {
	return ask(s.p, s.read(ctx, "WorkflowVersion %d", id), func() (dao.WorkflowVersion, error) { return s.db().versions[id], nil })
}

func (s *store) Tasks(ctx context.Context, executionID uint64) ([]*dao.TaskExecution, error) {
	return ask(s.p, s.read(ctx, "Tasks %d", executionID), func() (rows []*dao.TaskExecution, _ error) {
		for _, id := range s.db().tasksOf[executionID] {
			rows = append(rows, copyTask(s.db().tasks[id]))
		}
		return rows, nil
	})
}

func (s *store) RecordedOutputs(ctx context.Context, taskIDs []uint64) (map[uint64]dao.Recorded, error) {
	return ask(s.p, s.read(ctx, "RecordedOutputs %v", taskIDs), func() (map[uint64]dao.Recorded, error) {
		recorded := map[uint64]dao.Recorded{}
		for _, id := range taskIDs {
			if row := s.db().tasks[id]; row != nil {
				row = copyTask(row)
				recorded[id] = dao.Recorded{Output: row.RecordedOutput, Rev: row.RecordedRev}
			}
		}
		return recorded, nil
	})
}

func (s *store) EndedTasks(ctx context.Context, taskIDs []uint64) (map[uint64]dao.EndedTask, error) {
	return ask(s.p, s.read(ctx, "EndedTasks"), func() (map[uint64]dao.EndedTask, error) {
		ended := map[uint64]dao.EndedTask{}
		for _, id := range taskIDs {
			if row := s.db().tasks[id]; row != nil && row.Status.Ended() && row.ExecutionName != nil {
				ended[id] = dao.EndedTask{JobName: *row.ExecutionName, Succeeded: row.Status == dao.TaskSuccess}
			}
		}
		return ended, nil
	})
}

func (s *store) KeepLogs(ctx context.Context, logs []dao.TaskLog, _ time.Time) error {
	logs = slices.Clone(logs)
	_, err := ask(s.p, s.write(ctx, "KeepLogs %d", logs[0].TaskExecutionID), func() (struct{}, error) {
		for _, l := range logs {
			if s.db().tasks[l.TaskExecutionID] == nil {
				return struct{}{}, refused("task_logs_of_task")
			}
		}
		for _, l := range logs {
			s.db().logs[logKey{l.TaskExecutionID, l.Pod, l.Container}] = l
		}
		return struct{}{}, nil
	})
	return err
}

func (s *store) TaskLogs(ctx context.Context, taskID uint64) ([]dao.TaskLog, error) {
	return ask(s.p, s.read(ctx, "TaskLogs %d", taskID), func() (logs []dao.TaskLog, _ error) {
		for k, l := range s.db().logs {
			if k.task == taskID {
				logs = append(logs, l)
			}
		}
		slices.SortFunc(logs, func(a, b dao.TaskLog) int {
			return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Container, b.Container))
		})
		return logs, nil
	})
}

func (s *store) TasksWithLogs(ctx context.Context, taskIDs []uint64) (map[uint64]bool, error) {
	return ask(s.p, s.read(ctx, "TasksWithLogs"), func() (map[uint64]bool, error) {
		with := map[uint64]bool{}
		for k := range s.db().logs {
			if slices.Contains(taskIDs, k.task) {
				with[k.task] = true
			}
		}
		return with, nil
	})
}

// insertWorkflow inserts a workflow, whose only version has its id.
func (db *database) insertWorkflow(id uint64, definition string, now time.Time) {
	db.versions[id] = dao.WorkflowVersion{ID: id, WorkflowID: id, Version: 1, Definition: definition, CreatedAt: now}
}

// newExecution returns the row of an execution, as SQL inserts it: without what jobapi
// alone does.
func newExecution(id, workflow uint64, input string, priority int32, now time.Time) *dao.WorkflowExecution {
	return &dao.WorkflowExecution{
		ID: id, Name: fmt.Sprint(id), WorkflowID: workflow, Status: dao.ExecutionScheduled, Priority: priority, Input: input, Output: "{}", Attempt: 1,
		WakeAt: &now, CreatedAt: now, UpdatedAt: now, WorkflowName: workflowName, WorkflowVersion: 1,
	}
}
