package dao

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// Elsewhere says whether the task's Job may be in another namespace than this one. One
// that waits for a slot has none, and a row of the build before does not say where it is.
func (t *TaskExecution) Elsewhere(namespace string) bool {
	return t.Namespace != "" && t.Namespace != namespace && !t.Waits()
}

// Take makes of a running kube-job that is not elsewhere what a manager of the
// namespace, with or without a limit on running Jobs, has in its row before it looks
// for its Job, and says whether that is a change. One that began without a slot gets
// one from a manager with a limit, free or not: its Job may exist. One that waits for
// a slot gets one from a manager without, which is about to create its Job. So what
// waits has no Job, and may go on in any namespace.
func (t *TaskExecution) Take(namespace string, limited bool) (changed bool) {
	if t.Slot == nil && limited || t.Slot != nil && *t.Slot == SlotWaiting && (!limited || !t.Waits()) {
		slot := SlotGranted
		t.Slot, changed = &slot, true
	}
	changed = changed || t.Namespace != namespace
	t.Namespace = namespace
	return changed
}

// TakeTasks writes what Take makes of an execution's running kube-jobs, so many of
// which it changes. ErrConflict if l is no longer in force, or there are not so many:
// a manager of another namespace has given one its slot just now, and may create its
// Job; read the rows again.
func (s *Store) TakeTasks(ctx context.Context, l Lease, namespace string, limited bool, tasks int, now time.Time) error {
	slot, changes := "CASE WHEN slot IS NOT NULL THEN 1 END", "slot = 0"
	if limited {
		slot, changes = "CASE WHEN slot = 0 AND job_uid IS NULL THEN 0 ELSE 1 END", "slot IS NULL OR slot = 0 AND job_uid IS NOT NULL"
	}
	err := s.tx(ctx, func(tx *gorm.DB) error {
		res := tx.Exec("UPDATE task_executions SET slot = "+slot+", namespace = ?, updated_at = ?, "+
			"queue_rank = (SELECT e.queue_rank FROM workflow_executions e WHERE e.id = ?) "+
			"WHERE workflow_execution_id = ? AND task_type = 'kube-job' AND status = ? "+
			"AND (namespace IN ('', ?) OR slot = 0 AND job_uid IS NULL) AND (namespace <> ? OR "+changes+") "+
			"AND "+inForce(tx),
			namespace, micros(now), l.ExecutionID, l.ExecutionID, TaskRunning, namespace, namespace, l.ExecutionID, l.Owner, l.Epoch)
		if res.Error == nil && res.RowsAffected != int64(tasks) {
			return ErrConflict
		}
		return res.Error
	})
	return translate(err, "take up %d running tasks of execution %d", tasks, l.ExecutionID)
}
