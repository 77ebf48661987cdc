package dao

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/jobnetes/jobnetes/dao/gather"
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
	// Unbegun, with EventExecutionFailed, says that the execution had not begun, and so
	// had no tasks to end, when this was decided.
	Unbegun bool
}

// commit is a call of Commit.
type commit struct {
	lease       Lease
	execution   *WorkflowExecution
	transitions []Transition
	starts      map[*TaskExecution]bool // tasks that have no row yet
	at          time.Time
}

// Commit writes what the engine decided on, in one transaction: the
// execution's row e as it is to be, the tasks' rows, and an event for each
// transition. ErrConflict, and nothing written, if l is no longer the lease in
// force or a row is not what was decided on; the rows in memory are then worth
// nothing: read them again. Small ones that come at the same time may share a
// transaction, which is of no consequence for any of them.
func (s *Store) Commit(ctx context.Context, l Lease, e *WorkflowExecution, ts []Transition, now time.Time) error {
	do := s.commits.Do
	if len(ts) > smallCommit {
		do = s.commitAlone
	}
	return translate(do(ctx, newCommit(l, e, ts, now)), "move execution %d", l.ExecutionID)
}

func newCommit(l Lease, e *WorkflowExecution, ts []Transition, now time.Time) *commit {
	c := &commit{lease: l, execution: e, transitions: ts, starts: map[*TaskExecution]bool{}, at: micros(now)}
	for _, t := range ts {
		if t.Type == EventTaskStarted {
			c.starts[t.Task] = true
		}
	}
	return c
}

// smallCommit is how many transitions a commit may have that shares a transaction with
// others: none of them is to wait for a large one.
const smallCommit = 16

func (s *Store) commitAlone(ctx context.Context, c *commit) error {
	return s.tx(ctx, func(tx *gorm.DB) error {
		fence := ""
		if c.changesExecution() {
			if err := c.writeExecution(tx); err != nil {
				return err
			}
		} else {
			fence = inForce(tx)
		}
		return writeTasks(tx, []*commit{c}, fence)
	})
}

// writeTasks writes all but the executions' rows. The lease, if it is not known to be
// in force, is asked for by fence with the rows of tasks.
func writeTasks(tx *gorm.DB, cs []*commit, fence string) error {
	if err := insertTasks(tx, cs); err != nil {
		return err
	}
	if err := updateTasks(tx, cs, fence); err != nil {
		return err
	}
	var events []ExecutionEvent
	for _, c := range cs {
		events = append(events, c.events()...)
	}
	return insertEvents(tx, events)
}

// changesExecution says whether the execution's own row is to change. If not, only
// its lease has to be in force, as the rows of tasks that end ask.
func (c *commit) changesExecution() bool {
	ends := false
	for _, t := range c.transitions {
		if t.Task == nil {
			return true
		}
		ends = ends || c.ends(t)
	}
	return !ends || c.lease.Takeovers > 0 || c.lease.Strikes > 0
}

// ends says whether a transition ends a task that has a row.
func (c *commit) ends(t Transition) bool {
	return (t.Type == EventTaskSucceeded || t.Type == EventTaskFailed) && !c.starts[t.Task]
}

// touches are the tasks with rows that the commit changes, or that foreign keys of what
// it inserts refer to: both wait for whoever has them locked.
func (c *commit) touches() []uint64 {
	var ids []uint64
	for _, t := range c.transitions {
		for _, row := range []*TaskExecution{t.Task, t.Parent, t.Prev} {
			if row != nil && !c.starts[row] {
				ids = append(ids, row.ID)
			}
		}
	}
	return ids
}

// from are the statuses that an execution may have before. An execution begins once, or
// ends without: an earlier commit under the same lease, whose answer was lost, may have
// been carried out after the rows were read again, and has started tasks.
func (c *commit) from() []ExecutionStatus {
	if slices.ContainsFunc(c.transitions, func(t Transition) bool { return t.Type == EventExecutionStarted || t.Unbegun }) {
		return []ExecutionStatus{ExecutionScheduled}
	}
	return openStatuses
}

// writeExecution comes first: it fences the whole transaction, and its row lock keeps
// a claim waiting until this has ended.
func (c *commit) writeExecution(tx *gorm.DB) error {
	return changeRows(tx, "workflow_executions", []change{{c.execution.ID, c.executionColumns()}},
		"lease_owner = ? AND lease_epoch = ? AND status IN ?", c.lease.Owner, c.lease.Epoch, c.from())
}

// executionColumns are those of the execution's row as it is to be. It gets on, so
// whatever its holders have died of, it was not this.
func (c *commit) executionColumns() map[string]any {
	e := c.execution
	columns := map[string]any{
		"status": e.Status, "output": e.Output, "error_msg": e.ErrorMsg, "started_at": e.StartedAt, "ended_at": e.EndedAt, "updated_at": c.at,
		"takeovers": 0, "strikes": 0,
	}
	if e.Status.Ended() {
		for _, name := range []string{"lease_owner", "lease_until", "wake_at", "cancel_requested_at", "cancel_requested_by", "cancel_reason"} {
			columns[name] = nil
		}
	}
	return columns
}

// commitTogether writes what is small in one transaction. It leaves out executions and
// tasks that somebody has locked, so that nobody waits for them.
func (s *Store) commitTogether(ctx context.Context, cs []*commit) (each []error, err error) {
	leases := make([]Lease, len(cs))
	var ids []uint64
	for i, c := range cs {
		leases[i] = c.lease
		ids = append(ids, c.touches()...)
	}
	err = s.tx(ctx, func(tx *gorm.DB) error {
		var statuses []ExecutionStatus
		statuses, each, err = lockInForce(tx, leases)
		if err != nil {
			return err
		}
		tasks, locked, err := lockTasks(tx, ids)
		if err != nil {
			return err
		}
		var (
			all     []*commit
			changes []change
		)
		for i, c := range cs {
			if each[i] == nil {
				each[i] = c.mayBeWritten(statuses[i], tasks, locked)
			}
			if each[i] != nil {
				continue
			}
			all = append(all, c)
			if c.changesExecution() {
				changes = append(changes, change{c.execution.ID, c.executionColumns()})
			}
		}
		if err := changeRows(tx, "workflow_executions", changes, "TRUE"); err != nil {
			return err
		}
		return writeTasks(tx, all, "")
	})
	return each, translate(err, "move %d executions", len(cs))
}

// mayBeWritten says why a commit, whose execution is locked and has that status, must not
// be written, or not yet: these tasks there are, and those are locked.
func (c *commit) mayBeWritten(status ExecutionStatus, tasks map[uint64]TaskExecution, locked map[uint64]bool) error {
	if !slices.Contains(c.from(), status) {
		return ErrConflict
	}
	for _, id := range c.touches() {
		if _, ok := tasks[id]; !ok {
			return ErrConflict
		}
		if !locked[id] {
			return gather.ErrLeft
		}
	}
	return nil
}

// events are those of the transitions.
func (c *commit) events() []ExecutionEvent {
	events := make([]ExecutionEvent, 0, len(c.transitions))
	for _, t := range c.transitions {
		e := ExecutionEvent{WorkflowExecutionID: c.execution.ID, At: c.at, Type: t.Type, Actor: "manager " + c.lease.Owner, Reason: t.Reason, Message: t.Message}
		if t.Task != nil {
			e.TaskExecutionID = &t.Task.ID
		}
		events = append(events, e)
	}
	return events
}
