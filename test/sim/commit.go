package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/schema"
)

// commit is what dao.Commit is given, in memory of its own: it may be carried out
// when the manager has long given up and thrown its rows away.
type commit struct {
	lease       dao.Lease
	execution   *dao.WorkflowExecution
	transitions []dao.Transition
	copies      map[*dao.TaskExecution]*dao.TaskExecution // by the manager's rows
	at          time.Time
}

func newCommit(l dao.Lease, e *dao.WorkflowExecution, ts []dao.Transition, now time.Time) *commit {
	c := &commit{lease: l, execution: copyExecution(e), at: micros(now), copies: map[*dao.TaskExecution]*dao.TaskExecution{}}
	for _, t := range ts {
		t.Task, t.Parent, t.Prev = c.copy(t.Task), c.copy(t.Parent), c.copy(t.Prev)
		c.transitions = append(c.transitions, t)
	}
	return c
}

func (c *commit) copy(row *dao.TaskExecution) *dao.TaskExecution {
	if row != nil && c.copies[row] == nil {
		c.copies[row] = copyTask(row)
	}
	return c.copies[row]
}

// giveBack writes into the manager's rows what dao.Commit writes into them.
func (c *commit) giveBack() {
	for row, c := range c.copies {
		*row = *c
	}
}

// write does what dao.Commit does, statement by statement.
func (c *commit) write(t *tx) error {
	if err := c.writeExecution(t); err != nil {
		return err
	}
	inserted, err := c.insertTasks(t)
	if err != nil {
		return err
	}
	if err := c.endTasks(t, inserted); err != nil {
		return err
	}
	for _, tr := range c.transitions {
		e := dao.ExecutionEvent{WorkflowExecutionID: c.execution.ID, At: c.at, Type: tr.Type, Actor: "manager " + c.lease.Owner, Reason: tr.Reason, Message: tr.Message}
		if tr.Task != nil {
			e.TaskExecutionID = fresh(&tr.Task.ID)
		}
		t.events = append(t.events, e)
	}
	return nil
}

func (c *commit) writeExecution(t *tx) error {
	row, e := t.execution(c.execution.ID), c.execution
	if row == nil || !t.db.unfenced && !holds(row, c.lease) || !c.isAsDecided(t) {
		return conflicting("move execution %d", c.lease.ExecutionID)
	}
	row.Status, row.Output, row.ErrorMsg, row.StartedAt, row.EndedAt, row.UpdatedAt = e.Status, e.Output, e.ErrorMsg, fresh(e.StartedAt), fresh(e.EndedAt), c.at
	if e.Status.Ended() {
		row.LeaseOwner, row.LeaseUntil, row.WakeAt = nil, nil, nil
		row.CancelRequestedAt, row.CancelRequestedBy, row.CancelReason = nil, nil, nil
	}
	t.lost[row.ID] = losses{}
	return t.saveExecution(row)
}

// isAsDecided says whether the execution's status is one that this was decided on.
func (c *commit) isAsDecided(t *tx) bool {
	if t.db.unconditional {
		return true
	}
	unbegun := slices.ContainsFunc(c.transitions, func(tr dao.Transition) bool {
		return tr.Type == dao.EventExecutionStarted || tr.Unbegun && !t.db.unasked
	})
	row := t.execution(c.execution.ID)
	return row != nil && !row.Status.Ended() && (!unbegun || row.Status == dao.ExecutionScheduled)
}

func (c *commit) insertTasks(t *tx) (map[*dao.TaskExecution]bool, error) {
	inserted := map[*dao.TaskExecution]bool{}
	for _, tr := range c.transitions {
		if tr.Type != dao.EventTaskStarted {
			continue
		}
		row := tr.Task
		row.WorkflowExecutionID, row.CreatedAt, row.UpdatedAt = c.execution.ID, c.at, c.at
		if tr.Parent != nil {
			row.ParentTaskExecutionID = fresh(&tr.Parent.ID)
		}
		if tr.Prev != nil {
			row.PrevTaskExecutionID = fresh(&tr.Prev.ID)
		}
		if err := t.insertTask(row); err != nil {
			return nil, fmt.Errorf("start task %q: %w", row.TaskName, err)
		}
		inserted[row] = true
		if tr.Prev != nil {
			tr.Prev.NextTaskExecutionID = fresh(&row.ID)
		}
		if schema.Type(row.TaskType) == schema.KubeJob {
			name := schema.JobName(c.execution.WorkflowName, row.TaskName, row.ID, int(row.Attempt))
			row.ExecutionName = &name
		}
		if err := t.saveTask(copyTask(row)); err != nil {
			return nil, err
		}
	}
	return inserted, nil
}

func (c *commit) endTasks(t *tx, inserted map[*dao.TaskExecution]bool) error {
	linked := map[*dao.TaskExecution]bool{}
	for _, tr := range c.transitions {
		if (tr.Type != dao.EventTaskSucceeded && tr.Type != dao.EventTaskFailed) || inserted[tr.Task] {
			continue
		}
		linked[tr.Task] = true
		tr.Task.UpdatedAt = c.at
		row := t.task(tr.Task.ID)
		if row == nil || !t.db.unconditional && (row.Status != dao.TaskRunning || row.RecordedRev != tr.Task.RecordedRev) {
			return conflicting("end task %d", tr.Task.ID)
		}
		row.Status, row.Output, row.ErrorReason, row.ErrorMsg, row.EndedAt, row.ElapsedSec, row.UpdatedAt =
			tr.Task.Status, tr.Task.Output, tr.Task.ErrorReason, tr.Task.ErrorMsg, fresh(tr.Task.EndedAt), tr.Task.ElapsedSec, c.at
		row.NextTaskExecutionID = fresh(tr.Task.NextTaskExecutionID)
		if err := t.saveTask(row); err != nil {
			return err
		}
	}
	for _, tr := range c.transitions {
		if tr.Type != dao.EventTaskStarted || tr.Prev == nil || linked[tr.Prev] {
			continue
		}
		row := t.task(tr.Prev.ID)
		if row == nil {
			return conflicting("link task %d", tr.Prev.ID)
		}
		row.NextTaskExecutionID = fresh(&tr.Task.ID)
		if err := t.saveTask(row); err != nil {
			return err
		}
	}
	return nil
}

func conflicting(format string, args ...any) error {
	return fmt.Errorf("simulated: %s: %w", fmt.Sprintf(format, args...), dao.ErrConflict)
}

// micros cuts t to what a database keeps.
func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
