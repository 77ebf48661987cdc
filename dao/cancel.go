package dao

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// Cancelled is why an execution failed, and its tasks that ran, that was cancelled:
// the reason of their events, and error_reason of the tasks.
const Cancelled = "Cancelled"

// RequestCancel notes that actor wants an execution to be cancelled; reason may be
// empty. Whoever holds its lease takes it up, and its end takes the note away. If it
// is to be cancelled already, or has been, nothing happens. ErrNotFound if there is
// no such execution, ErrConflict if it has ended otherwise.
func (s *Store) RequestCancel(ctx context.Context, executionID uint64, actor, reason string, now time.Time) error {
	at := micros(now)
	err := s.tx(ctx, func(tx *gorm.DB) error {
		res := tx.Exec("UPDATE workflow_executions SET cancel_requested_at = ?, cancel_requested_by = ?, cancel_reason = ? "+
			"WHERE id = ? AND status IN ? AND cancel_requested_at IS NULL", at, actor, nullable(reason), executionID, openStatuses)
		if res.Error != nil {
			return res.Error
		}
		if res.RowsAffected == 0 {
			return cancelled(tx, executionID)
		}
		return insertEvents(tx, []ExecutionEvent{{WorkflowExecutionID: executionID, At: at, Type: EventCancelRequested, Actor: actor, Message: reason}})
	})
	return translate(err, "cancel execution %d", executionID)
}

// nullable returns nil for an empty text.
func nullable(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// openStatuses are those of executions that have not ended.
var openStatuses = []ExecutionStatus{ExecutionScheduled, ExecutionRunning}

// cancelled returns nil if an execution is to be cancelled, or has been.
func cancelled(tx *gorm.DB, executionID uint64) error {
	var e WorkflowExecution
	if err := tx.Select("id, status").Where("id = ?", executionID).Take(&e).Error; err != nil {
		return err
	}
	if !e.Status.Ended() {
		return nil
	}
	var events []ExecutionEvent
	err := tx.Select("id").Where("workflow_execution_id = ? AND type = ? AND reason = ?", executionID, EventExecutionFailed, Cancelled).Limit(1).Find(&events).Error
	if err == nil && len(events) == 0 {
		err = ErrConflict
	}
	return err
}

// ClaimCancelled returns leases of executions that are to be cancelled, at most
// limit, the first that were asked for first: those that by holds, and those that
// nobody holds, or whose lease has run out, and that by may claim, which it leases
// until that time. What it costs does not depend on how many have ended: no request
// is left of those.
func (s *Store) ClaimCancelled(ctx context.Context, by Claimant, now, until time.Time, limit int) ([]Lease, error) {
	var found []WorkflowExecution
	err := s.db.WithContext(ctx).Raw("SELECT e.id, e.lease_owner, e.lease_epoch, e.lease_until FROM workflow_executions e"+notElsewhere(s.db)+
		" WHERE e.cancel_requested_at IS NOT NULL AND (e.lease_owner = @owner OR e.wake_at <= @now AND x.id IS NULL) ORDER BY e.cancel_requested_at LIMIT @limit",
		map[string]any{"owner": by.Owner, "namespace": by.Namespace, "now": micros(now), "limit": limit}).Scan(&found).Error
	if err != nil {
		return nil, translate(err, "look for executions to cancel")
	}
	var (
		leases []Lease
		free   []uint64
	)
	for _, e := range found {
		if e.LeaseOwner != nil && *e.LeaseOwner == by.Owner {
			leases = append(leases, Lease{ExecutionID: e.ID, Owner: by.Owner, Epoch: e.LeaseEpoch, Until: *e.LeaseUntil})
		} else {
			free = append(free, e.ID)
		}
	}
	taken, err := s.claimThese(ctx, by, free, now, until)
	return append(leases, taken...), err
}
