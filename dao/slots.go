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
		// One that somebody has locked holds up no others.
		if err := waitingTasks(tx, limits.Namespace).Clauses(lockFree(tx)...).Select("id").Limit(free).Find(&ids).Error; err != nil || len(ids) == 0 {
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
// whole database at once, and for a namespace when a manager with one has taken them up.
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
