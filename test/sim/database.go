package sim

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/schema"
)

// database is the tables, with the constraints of db/migrations.
type database struct {
	executions map[uint64]*dao.WorkflowExecution
	tasks      map[uint64]*dao.TaskExecution
	tasksOf    map[uint64][]uint64
	eventsOf   map[uint64][]dao.ExecutionEvent
	versions   map[uint64]dao.WorkflowVersion
	logs       map[logKey]dao.TaskLog
	indexes    map[indexKey]indexRow
	names      map[string]uint64 // execution_name -> task
	lost       map[uint64]losses // by execution
	managers   map[string]dao.Manager
	lastTask   uint64
	recorded   map[recordKey][]string // all that was ever recorded

	// The safeguards that a mutation may switch off.
	unfenced, unconditional, sameEpoch, unclosed, unlooked, unasked bool
	// committed is told of each transaction that is about to be committed.
	committed func(t *tx)
}

type logKey struct {
	task           uint64
	pod, container string
}

func newDatabase() *database {
	return &database{
		executions: map[uint64]*dao.WorkflowExecution{}, tasks: map[uint64]*dao.TaskExecution{}, tasksOf: map[uint64][]uint64{},
		eventsOf: map[uint64][]dao.ExecutionEvent{}, versions: map[uint64]dao.WorkflowVersion{}, logs: map[logKey]dao.TaskLog{}, indexes: map[indexKey]indexRow{}, names: map[string]uint64{},
		lost: map[uint64]losses{}, managers: map[string]dao.Manager{}, recorded: map[recordKey][]string{},
	}
}

// tx is a transaction: rows as they are to be, and events to be added.
type tx struct {
	db         *database
	leases     map[uint64]dao.Lease // by execution, of those that a manager writes as their holder
	executions map[uint64]*dao.WorkflowExecution
	tasks      map[uint64]*dao.TaskExecution
	indexes    map[indexKey]indexRow
	lost       map[uint64]losses
	recorded   map[recordKey]string
	events     []dao.ExecutionEvent
}

// transaction runs fn, and commits what it wrote unless it returns an error.
func (db *database) transaction(fn func(t *tx) error) error {
	t := &tx{db: db, leases: map[uint64]dao.Lease{}, executions: map[uint64]*dao.WorkflowExecution{}, tasks: map[uint64]*dao.TaskExecution{}, indexes: map[indexKey]indexRow{}, lost: map[uint64]losses{}, recorded: map[recordKey]string{}}
	if err := fn(t); err != nil {
		return err
	}
	if len(t.executions)+len(t.tasks)+len(t.indexes)+len(t.lost)+len(t.events) == 0 {
		return nil
	}
	db.committed(t)
	for id, e := range t.executions {
		db.executions[id] = e
	}
	for k, row := range t.indexes {
		db.indexes[k] = row
	}
	for k, data := range t.recorded {
		db.recorded[k] = append(db.recorded[k], data)
	}
	for id, count := range t.lost {
		db.lost[id] = count
	}
	for id, row := range t.tasks {
		if db.tasks[id] == nil {
			db.tasksOf[row.WorkflowExecutionID] = append(db.tasksOf[row.WorkflowExecutionID], id)
			slices.Sort(db.tasksOf[row.WorkflowExecutionID])
		}
		db.tasks[id] = row
		if row.ExecutionName != nil {
			db.names[*row.ExecutionName] = id
		}
	}
	for _, e := range t.events {
		db.eventsOf[e.WorkflowExecutionID] = append(db.eventsOf[e.WorkflowExecutionID], e)
	}
	return nil
}

// by says that what is written of an execution is written by its lease.
func (t *tx) by(l dao.Lease) { t.leases[l.ExecutionID] = l }

// held says whether an execution is written by its lease.
func (t *tx) held(execution uint64) bool {
	_, held := t.leases[execution]
	return held
}

// execution returns a row to read or to change and save; nil if there is none.
func (t *tx) execution(id uint64) *dao.WorkflowExecution {
	if e := t.executions[id]; e != nil {
		return copyExecution(e)
	}
	return copyExecution(t.db.executions[id])
}

// losses returns the counts of an execution.
func (t *tx) losses(id uint64) losses {
	if count, ok := t.lost[id]; ok {
		return count
	}
	return t.db.lost[id]
}

func (t *tx) task(id uint64) *dao.TaskExecution {
	if row := t.tasks[id]; row != nil {
		return copyTask(row)
	}
	return copyTask(t.db.tasks[id])
}

// saveExecution writes a row; ErrRefused if a constraint is broken.
func (t *tx) saveExecution(e *dao.WorkflowExecution) error {
	open := e.Status == dao.ExecutionScheduled || e.Status == dao.ExecutionRunning
	switch {
	case (e.Status == dao.ExecutionScheduled) != (e.StartedAt == nil), open != (e.EndedAt == nil):
		return refused("workflow_executions_times")
	case e.WorkflowVersionID == nil && (e.Status == dao.ExecutionRunning || e.Status == dao.ExecutionSuccess):
		return refused("workflow_executions_pinned")
	case e.Status == dao.ExecutionFailed && e.ErrorMsg == "":
		return refused("workflow_executions_reason")
	case open != (e.WakeAt != nil):
		return refused("workflow_executions_woken")
	case (e.LeaseOwner == nil) != (e.LeaseUntil == nil):
		return refused("workflow_executions_leased")
	case !open && e.LeaseOwner != nil:
		return refused("workflow_executions_released")
	}
	t.executions[e.ID] = e
	return nil
}

// insertTask gives a row an id, unless it has one, and writes it. The id is used
// up even if the transaction fails.
func (t *tx) insertTask(row *dao.TaskExecution) error {
	for _, id := range t.siblings(row.WorkflowExecutionID) {
		if o := t.task(id); o.TaskName == row.TaskName && o.Scope == row.Scope && o.Attempt == row.Attempt {
			return fmt.Errorf("simulated: task_executions_once: %w", dao.ErrDuplicate)
		}
	}
	if row.ID == 0 {
		t.db.lastTask++
		row.ID = t.db.lastTask
	}
	return t.saveTask(row)
}

// siblings returns the ids of an execution's tasks.
func (t *tx) siblings(execution uint64) []uint64 {
	ids := slices.Clone(t.db.tasksOf[execution])
	for id, row := range t.tasks {
		if t.db.tasks[id] == nil && row.WorkflowExecutionID == execution {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// saveTask writes a row; ErrRefused if a constraint is broken.
func (t *tx) saveTask(row *dao.TaskExecution) error {
	job := row.TaskType == string(schema.KubeJob)
	switch {
	case t.execution(row.WorkflowExecutionID) == nil:
		return refused("task_executions_of_execution")
	case !job && row.TaskType != string(schema.Parallel) && row.TaskType != string(schema.Branch):
		return refused("task_executions_type")
	case row.Attempt == 0:
		return refused("task_executions_attempt")
	case (row.Status == dao.TaskRunning) != (row.EndedAt == nil):
		return refused("task_executions_times")
	case (row.Status == dao.TaskFailed) != (row.ErrorReason != ""):
		return refused("task_executions_reason")
	case (row.ParentTaskExecutionID == nil) != (row.SetIndex == nil):
		return refused("task_executions_in_set")
	case row.NextTaskExecutionID != nil && row.Status != dao.TaskSuccess:
		return refused("task_executions_successor")
	case !job && (row.ExecutionName != nil || row.JobUID != nil):
		return refused("task_executions_has_job")
	case (row.RecordedRev == 0) != (row.RecordedOutput == nil):
		return refused("task_executions_recorded")
	}
	for _, id := range []*uint64{row.ParentTaskExecutionID, row.PrevTaskExecutionID, row.NextTaskExecutionID} {
		if id != nil && *id != row.ID && t.task(*id) == nil {
			return refused("a foreign key of task_executions")
		}
	}
	if row.ExecutionName != nil {
		if id, ok := t.db.names[*row.ExecutionName]; ok && id != row.ID {
			return fmt.Errorf("simulated: task_executions_job: %w", dao.ErrDuplicate)
		}
	}
	t.tasks[row.ID] = row
	return nil
}

func refused(constraint string) error {
	return fmt.Errorf("simulated: %s: %w", constraint, dao.ErrRefused)
}

// waiting returns the ids of the executions of that status that may be claimed
// since then, in the order in which they are.
func (db *database) waiting(status dao.ExecutionStatus, since time.Time) []uint64 {
	var found []*dao.WorkflowExecution
	for _, e := range db.executions {
		if e.Status == status && e.WakeAt != nil && !e.WakeAt.After(since) {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b *dao.WorkflowExecution) int {
		if status == dao.ExecutionScheduled { // all have the same priority
			return cmp.Compare(a.ID, b.ID)
		}
		return cmp.Or(a.WakeAt.Compare(*b.WakeAt), cmp.Compare(a.ID, b.ID))
	})
	ids := make([]uint64, len(found))
	for i, e := range found {
		ids[i] = e.ID
	}
	return ids
}

// ofOwner returns the ids of the executions whose lease is owner's, in order.
func (db *database) ofOwner(owner string) []uint64 {
	var ids []uint64
	for id, e := range db.executions {
		if e.LeaseOwner != nil && *e.LeaseOwner == owner {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// holds says whether l is the lease in force.
func holds(e *dao.WorkflowExecution, l dao.Lease) bool {
	return e != nil && e.LeaseOwner != nil && *e.LeaseOwner == l.Owner && e.LeaseEpoch == l.Epoch
}

// copyExecution and copyTask return rows that share no memory with theirs.
func copyExecution(e *dao.WorkflowExecution) *dao.WorkflowExecution {
	if e == nil {
		return nil
	}
	c := *e
	c.WorkflowVersionID, c.LeaseOwner, c.RequestID = fresh(e.WorkflowVersionID), fresh(e.LeaseOwner), fresh(e.RequestID)
	c.CancelRequestedAt, c.CancelRequestedBy, c.CancelReason = fresh(e.CancelRequestedAt), fresh(e.CancelRequestedBy), fresh(e.CancelReason)
	c.StartedAt, c.EndedAt, c.LeaseUntil, c.WakeAt = fresh(e.StartedAt), fresh(e.EndedAt), fresh(e.LeaseUntil), fresh(e.WakeAt)
	return &c
}

func copyTask(row *dao.TaskExecution) *dao.TaskExecution {
	if row == nil {
		return nil
	}
	c := *row
	c.ParentTaskExecutionID, c.PrevTaskExecutionID, c.NextTaskExecutionID = fresh(row.ParentTaskExecutionID), fresh(row.PrevTaskExecutionID), fresh(row.NextTaskExecutionID)
	c.Slot, c.IndexCount = fresh(row.Slot), fresh(row.IndexCount)
	c.SetIndex, c.ExecutionName, c.RecordedOutput, c.JobUID, c.EndedAt = fresh(row.SetIndex), fresh(row.ExecutionName), fresh(row.RecordedOutput), fresh(row.JobUID), fresh(row.EndedAt)
	return &c
}

func fresh[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
