package dao

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
)

// NewExecution is what CreateExecutions inserts.
type NewExecution struct {
	WorkflowID uint64
	// VersionID is that of the workflow's version to be run; 0: of its present
	// definition.
	VersionID uint64
	Name      string
	Input     string // JSON
	Actor     string // who starts it, for the event
	// RequestID is the caller's own id of the start; empty: it has none.
	RequestID string
	Priority  int32 // from -MaxPriority to MaxPriority
}

// MaxPriority is the highest priority, and its negative the lowest.
const MaxPriority = 1_000_000

// Start is what CreateExecutions did about a NewExecution.
type Start struct {
	// ID is 0, and nothing was written, if the start was left out, since somebody else
	// may be starting an execution by the same RequestID: CreateExecution waits for them.
	ID uint64
	// Err is ErrDuplicate if the RequestID has started that execution before, with
	// another name, input or priority.
	Err error
}

// CreateExecution is CreateExecutions for one, which waits for whoever is starting an
// execution by the same RequestID. With ErrDuplicate, the id is that of the other one.
func (s *Store) CreateExecution(ctx context.Context, n NewExecution, now time.Time) (uint64, error) {
	starts, err := s.createExecutions(ctx, []NewExecution{n}, true, now)
	if err != nil {
		return 0, translate(err, "start workflow %d", n.WorkflowID)
	}
	return starts[0].ID, starts[0].Err
}

// CreateExecutions schedules executions, one at least and all of one version of a
// workflow, in one transaction, and says of each what its execution is. One whose
// RequestID has started the workflow before is that execution. Those with a RequestID
// are left out if one of them would wait for somebody else, who may stand still.
// ErrNotFound if there is no such workflow. With ErrRefused, which may be because of one
// of them, nothing was written.
func (s *Store) CreateExecutions(ctx context.Context, ns []NewExecution, now time.Time) ([]Start, error) {
	starts, err := s.createExecutions(ctx, ns, false, now)
	if isLocked(err) {
		starts, err = s.createWithoutID(ctx, ns, err, now)
	}
	return starts, translate(err, "start workflow %d", ns[0].WorkflowID)
}

// createWithoutID leaves out those that have a RequestID, one of which may have waited,
// with the error locked.
func (s *Store) createWithoutID(ctx context.Context, ns []NewExecution, locked error, now time.Time) ([]Start, error) {
	var (
		rest []NewExecution
		at   []int
	)
	for i, n := range ns {
		if n.RequestID == "" {
			rest, at = append(rest, n), append(at, i)
		}
	}
	if len(rest) == len(ns) {
		return nil, locked
	}
	starts := make([]Start, len(ns))
	if len(rest) == 0 {
		return starts, nil
	}
	created, err := s.createExecutions(ctx, rest, false, now)
	if err != nil {
		return nil, err
	}
	for i, start := range created {
		starts[at[i]] = start
	}
	return starts, nil
}

func (s *Store) createExecutions(ctx context.Context, ns []NewExecution, wait bool, now time.Time) ([]Start, error) {
	var (
		starts []Start
		err    error
	)
	for range attempts {
		err = s.tx(ctx, func(tx *gorm.DB) (err error) {
			starts, err = createExecutions(tx, ns, wait, micros(now))
			return err
		})
		// Somebody else has started the workflow by the same RequestID since this looked:
		// the next look sees that.
		if !errors.Is(err, gorm.ErrDuplicatedKey) {
			break
		}
	}
	return starts, err
}

func createExecutions(tx *gorm.DB, ns []NewExecution, wait bool, at time.Time) ([]Start, error) {
	versionID := ns[0].VersionID
	if versionID == 0 {
		v, err := lockVersion(tx, ns[0].WorkflowID, at)
		if err != nil {
			return nil, err
		}
		versionID = v.ID
	}
	byRequest, err := startedBefore(tx, ns, wait)
	if err != nil {
		return nil, err
	}
	var fresh []*WorkflowExecution
	var events []ExecutionEvent
	rows := make([]*WorkflowExecution, len(ns))
	for i, n := range ns {
		if rows[i] = byRequest[n.RequestID]; rows[i] != nil {
			continue
		}
		e := &WorkflowExecution{WorkflowID: n.WorkflowID, WorkflowVersionID: &versionID, Name: n.Name, Input: n.Input, Priority: n.Priority}
		if n.RequestID != "" {
			e.RequestID = &n.RequestID
			byRequest[n.RequestID] = e // for those behind it
		}
		rows[i], fresh = e, append(fresh, e)
		events = append(events, ExecutionEvent{At: at, Type: EventExecutionScheduled, Actor: n.Actor})
	}
	if len(fresh) > 0 {
		if err := insertExecutions(tx, fresh, at); err != nil {
			return nil, err
		}
		for i, e := range fresh {
			events[i].WorkflowExecutionID = e.ID
		}
		if err := insertEvents(tx, events); err != nil {
			return nil, err
		}
	}
	starts := make([]Start, len(ns))
	for i, n := range ns {
		starts[i] = n.startedAs(rows[i])
	}
	return starts, nil
}

// lockVersion returns the version that holds the workflow's definition, made if need be.
func lockVersion(tx *gorm.DB, workflowID uint64, at time.Time) (WorkflowVersion, error) {
	var w Workflow
	if err := tx.Clauses(lockRow(tx)...).Select(workflowColumns+workflowDefinition).Where("id = ?", workflowID).Take(&w).Error; err != nil {
		return WorkflowVersion{}, err
	}
	return ensureVersion(tx, w, at)
}

// startedBefore returns the executions that the ns' RequestIDs have started before.
// Unless the inserts may wait, it is an error, at once, if somebody has locked one, or has
// inserted it and not committed: only a read that locks finds out.
func startedBefore(tx *gorm.DB, ns []NewExecution, wait bool) (map[string]*WorkflowExecution, error) {
	byRequest := map[string]*WorkflowExecution{}
	var ids []string
	for _, n := range ns {
		if n.RequestID != "" {
			ids = append(ids, n.RequestID)
		}
	}
	if len(ids) == 0 {
		return byRequest, nil
	}
	var es []*WorkflowExecution
	index, lock := " FORCE INDEX (workflow_executions_once)", " FOR UPDATE NOWAIT"
	if wait || tx.Name() == sqliteDialect { // whose transactions are one at a time
		index, lock = "", ""
	}
	err := tx.Raw("SELECT id, request_id, name, input, priority FROM workflow_executions"+index+" WHERE workflow_id = ? AND request_id IN ?"+lock, ns[0].WorkflowID, ids).Scan(&es).Error
	for _, e := range es {
		byRequest[*e.RequestID] = e
	}
	return byRequest, err
}

// insertExecutions inserts rows by one statement, scheduled, and gives them their ids.
func insertExecutions(tx *gorm.DB, rows []*WorkflowExecution, at time.Time) error {
	args := make([]any, 0, 9*len(rows))
	for _, e := range rows {
		args = append(args, e.WorkflowID, e.WorkflowVersionID, e.Name, e.Input, e.RequestID, e.Priority, at, at, at)
	}
	inserted := gorm.WithResult()
	err := tx.Clauses(inserted).Exec("INSERT INTO workflow_executions (workflow_id, workflow_version_id, name, input, request_id, priority, wake_at, created_at, updated_at) VALUES "+
		strings.Repeat("(?, ?, ?, ?, ?, ?, ?, ?, ?), ", len(rows)-1)+"(?, ?, ?, ?, ?, ?, ?, ?, ?)", args...).Error
	if err != nil {
		return fmt.Errorf("insert %d executions: %w", len(rows), err)
	}
	id, err := inserted.Result.LastInsertId()
	if err != nil {
		return fmt.Errorf("read the ids of %d executions: %w", len(rows), err)
	}
	first, step, err := idsOf(tx, uint64(id), len(rows))
	for i, e := range rows {
		e.ID = first + uint64(i)*step
	}
	return err
}

// idsOf returns the first id of rows that the last statement inserted, and the step from
// each to the next, by what the driver says is the last id. A statement that names its
// rows gets their ids at one go: the servers of MySQL and MariaDB then say the first one,
// and the step is another than 1 where several take writes. SQLite, which has one writer
// at a time, says the last one.
func idsOf(tx *gorm.DB, last uint64, rows int) (first, step uint64, err error) {
	switch {
	case rows == 1:
		return last, 1, nil
	case tx.Name() == sqliteDialect:
		return last - uint64(rows) + 1, 1, nil
	}
	err = tx.Raw("SELECT @@auto_increment_increment").Scan(&step).Error
	return last, step, err
}

// startedAs says what n is told, whose execution is e.
func (n NewExecution) startedAs(e *WorkflowExecution) Start {
	if e.Name != n.Name || e.Input != n.Input || e.Priority != n.Priority {
		return Start{e.ID, fmt.Errorf("start workflow %d: request id %q has started execution %d, with another name, input or priority: %w", n.WorkflowID, n.RequestID, e.ID, ErrDuplicate)}
	}
	return Start{ID: e.ID}
}
