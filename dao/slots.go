package dao

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// The values of a task's slot; NULL: no limit on running Jobs counts the task.
const (
	SlotWaiting uint8 = 0 // its Job waits for its turn
	SlotGranted uint8 = 1 // its Job may run
)

// JobLimits bounds how many Jobs run at once. 0: no bound.
type JobLimits struct {
	All         int // of the whole database
	Namespace   string
	InNamespace int // in Namespace
}

// Grant is a task whose Job may run.
type Grant struct{ TaskID, ExecutionID uint64 }

// GrantSlots gives slots to tasks of the limits' namespace that wait for one, as
// many as are free: first those of the highest priority, then of the oldest
// execution. It returns how many. However many managers do this at once, they do
// it one after the other: the limits are never exceeded.
func (s *Store) GrantSlots(ctx context.Context, limits JobLimits, now time.Time) (int, error) {
	granted := 0
	err := s.tx(ctx, func(tx *gorm.DB) error {
		granted = 0
		var name string
		if err := tx.Clauses(lockRow(tx)...).Table("locks").Select("name").Where("name = ?", "job-slots").Take(&name).Error; err != nil {
			return err
		}
		free, err := freeSlots(tx, limits)
		if err != nil || free == 0 {
			return err
		}
		var ids []uint64
		if err := waitingTasks(tx, limits.Namespace).Select("id").Limit(free).Find(&ids).Error; err != nil || len(ids) == 0 {
			return err
		}
		res := tx.Exec("UPDATE task_executions SET slot = ?, updated_at = ? WHERE id IN ? AND slot = ? AND status = ?",
			SlotGranted, micros(now), ids, SlotWaiting, TaskRunning)
		granted = int(res.RowsAffected)
		return res.Error
	})
	return granted, translate(err, "grant slots to tasks in namespace %q", limits.Namespace)
}

// freeSlots returns how many more Jobs may run. Tasks that end give their slots
// back by that alone. Jobs that a manager without a limit has created count for the
// whole database at once, and for a namespace when CountTasks says which it is.
func freeSlots(tx *gorm.DB, limits JobLimits) (int, error) {
	var used struct{ Everywhere, Here int }
	err := tx.Raw("SELECT COUNT(*) AS everywhere, COUNT(CASE WHEN namespace = ? THEN 1 END) AS here FROM task_executions WHERE slot = ? AND status = ?",
		limits.Namespace, SlotGranted, TaskRunning).Scan(&used).Error
	if err == nil && limits.All > 0 {
		var uncounted int
		err = tx.Raw("SELECT COUNT(*) FROM task_executions WHERE slot IS NULL AND status = ? AND job_uid IS NOT NULL", TaskRunning).Scan(&uncounted).Error
		used.Everywhere += uncounted
	}
	var free int
	switch {
	case limits.InNamespace == 0:
		free = limits.All - used.Everywhere
	case limits.All == 0:
		free = limits.InNamespace - used.Here
	default:
		free = min(limits.All-used.Everywhere, limits.InNamespace-used.Here)
	}
	return max(free, 0), err
}

// waitingTasks are the tasks of a namespace that wait for a slot, in the order in
// which they get one.
func waitingTasks(tx *gorm.DB, namespace string) *gorm.DB {
	return tx.Table("task_executions").Where("slot = ? AND status = ? AND namespace = ?", SlotWaiting, TaskRunning, namespace).
		Order("queue_rank, workflow_execution_id, id")
}

// GrantedTasks returns the tasks of a namespace that have a slot, and no Job yet as
// far as is noted.
func (s *Store) GrantedTasks(ctx context.Context, namespace string) ([]Grant, error) {
	var grants []Grant
	err := s.db.WithContext(ctx).Table("task_executions").Select("id AS task_id, workflow_execution_id AS execution_id").
		Where("slot = ? AND status = ? AND namespace = ? AND job_uid IS NULL", SlotGranted, TaskRunning, namespace).
		Order("queue_rank, workflow_execution_id, id").Find(&grants).Error
	return grants, translate(err, "list the tasks with slots in namespace %q", namespace)
}

// CountTasks has the limits on running Jobs count an execution's running tasks
// that were started, or whose Jobs were created, by a manager that knew no limits:
// those with a Job get a slot, free or not, and the others wait for one, in
// namespace. ErrConflict if l is no longer in force, or there are no such tasks.
func (s *Store) CountTasks(ctx context.Context, l Lease, namespace string, now time.Time) error {
	res := s.db.WithContext(ctx).Exec("UPDATE task_executions SET slot = CASE WHEN job_uid IS NULL THEN 0 ELSE 1 END, namespace = ?, updated_at = ?, "+
		"queue_rank = (SELECT e.queue_rank FROM workflow_executions e WHERE e.id = ?) "+
		"WHERE workflow_execution_id = ? AND task_type = 'kube-job' AND status = ? AND (slot IS NULL OR slot = 0 AND (job_uid IS NOT NULL OR namespace <> ?)) "+
		"AND EXISTS (SELECT 1 FROM workflow_executions e WHERE e.id = ? AND e.lease_owner = ? AND e.lease_epoch = ?)",
		namespace, micros(now), l.ExecutionID, l.ExecutionID, TaskRunning, namespace, l.ExecutionID, l.Owner, l.Epoch)
	if res.Error == nil && res.RowsAffected == 0 {
		res.Error = ErrConflict
	}
	return translate(res.Error, "count the running tasks of execution %d", l.ExecutionID)
}
