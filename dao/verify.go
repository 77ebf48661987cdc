package dao

import (
	"context"
	"database/sql"
	"time"

	"gorm.io/gorm"
)

// What `jobnetes verify` reads and, if it is asked to repair, writes.

// History is an execution with all that there is of it, as of one moment.
type History struct {
	Execution WorkflowExecution
	Tasks     []*TaskExecution // in the order of their ids
	Events    []ExecutionEvent // oldest first; without actor, message and the task's name
}

// snapshot has all reads of a transaction see the same moment.
var snapshot = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}

// ExecutionIDs returns at most limit ids of executions above afterID, in order;
// if open, only of those that have not ended.
func (s *Store) ExecutionIDs(ctx context.Context, open bool, afterID uint64, limit int) ([]uint64, error) {
	q := s.db.WithContext(ctx).Table("workflow_executions").Where("id > ?", afterID)
	if open {
		q = q.Where("status IN ?", openStatuses)
	}
	var ids []uint64
	err := q.Order("id").Limit(limit).Pluck("id", &ids).Error
	return ids, translate(err, "list the ids of executions")
}

// Histories returns the executions with those ids, in order; of one that does not
// exist, nothing.
func (s *Store) Histories(ctx context.Context, ids []uint64) ([]*History, error) {
	var hs []*History
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var (
			executions []WorkflowExecution
			tasks      []*TaskExecution
			events     []ExecutionEvent
		)
		if err := tx.Select(executionSummary+executionData).Joins(executionJoins).Where("workflow_executions.id IN ?", ids).
			Order("workflow_executions.id").Find(&executions).Error; err != nil {
			return err
		}
		if err := tx.Select(taskColumns).Where("workflow_execution_id IN ?", ids).Order("id").Find(&tasks).Error; err != nil {
			return err
		}
		if err := tx.Select("id, workflow_execution_id, task_execution_id, at, type, reason").Where("workflow_execution_id IN ?", ids).Order("id").
			Find(&events).Error; err != nil {
			return err
		}
		hs = histories(executions, tasks, events)
		return nil
	}, snapshot)
	return hs, translate(err, "read the histories of %d executions", len(ids))
}

func histories(executions []WorkflowExecution, tasks []*TaskExecution, events []ExecutionEvent) []*History {
	hs, byID := make([]*History, 0, len(executions)), make(map[uint64]*History, len(executions))
	for _, e := range executions {
		h := &History{Execution: e}
		hs, byID[e.ID] = append(hs, h), h
	}
	// An execution is always there, unless somebody has switched off foreign keys.
	for _, t := range tasks {
		if h := byID[t.WorkflowExecutionID]; h != nil {
			h.Tasks = append(h.Tasks, t)
		}
	}
	for _, e := range events {
		if h := byID[e.WorkflowExecutionID]; h != nil {
			h.Events = append(h.Events, e)
		}
	}
	return hs
}

// TasksOfJobs returns the tasks whose Jobs have one of those names, and those with
// one of those ids, without inputs and outputs.
func (s *Store) TasksOfJobs(ctx context.Context, names []string, ids []uint64) ([]*TaskExecution, error) {
	var tasks []*TaskExecution
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		const columns = "id, workflow_execution_id, execution_name, task_name, task_type, attempt, status, job_uid, started_at, ended_at"
		tasks = nil
		var more []*TaskExecution
		if err := tx.Select(columns).Where("execution_name IN ?", names).Find(&tasks).Error; err != nil {
			return err
		}
		if err := tx.Select(columns).Where("id IN ?", ids).Find(&more).Error; err != nil {
			return err
		}
		tasks = append(tasks, more...)
		return nil
	}, snapshot)
	return tasks, translate(err, "look for the tasks of %d Jobs", len(names))
}

// ManagerSeen returns when a manager was last seen; the zero time if none is
// registered: one that ends in good order takes its row away.
func (s *Store) ManagerSeen(ctx context.Context) (time.Time, error) {
	var last struct{ SeenAt time.Time }
	err := notFoundIsNil(s.db.WithContext(ctx).Table("managers").Select("seen_at").Order("seen_at DESC").Limit(1).Take(&last).Error)
	return last.SeenAt, translate(err, "look when a manager was last seen")
}

// InstallationName returns this database's name in the labels of Jobs; ErrNotFound
// if no service has run on it yet. Unlike Secret it makes none.
func (s *Store) InstallationName(ctx context.Context) (string, error) {
	var kept secret
	err := s.db.WithContext(ctx).Select("value").Where("name = ?", Installation).Take(&kept).Error
	return string(kept.Value), translate(err, "read the installation's name")
}

// Wake has managers look at an open execution now that nobody holds and nobody
// would look at for long, and notes who did it. ErrConflict if it is not so (any
// more).
func (s *Store) Wake(ctx context.Context, executionID uint64, actor, message string, now time.Time) error {
	at := micros(now)
	err := s.tx(ctx, func(tx *gorm.DB) error {
		if err := one(tx.Exec("UPDATE workflow_executions SET wake_at = ? WHERE id = ? AND status IN ? AND lease_owner IS NULL AND wake_at > ?",
			at, executionID, openStatuses, at)); err != nil {
			return err
		}
		return insertEvents(tx, []ExecutionEvent{{WorkflowExecutionID: executionID, At: at, Type: EventExecutionWoken, Actor: actor, Message: message}})
	})
	return translate(err, "wake execution %d", executionID)
}

// NoteJobDeleted adds to the history of an execution that somebody deleted a Job
// of that task.
func (s *Store) NoteJobDeleted(ctx context.Context, executionID, taskID uint64, actor, message string, now time.Time) error {
	err := insertEvents(s.db.WithContext(ctx), []ExecutionEvent{{
		WorkflowExecutionID: executionID, TaskExecutionID: &taskID, At: micros(now), Type: EventJobDeleted, Actor: actor, Message: message,
	}})
	return translate(err, "note that a Job of task %d was deleted", taskID)
}
