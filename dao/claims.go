package dao

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// Due is what a manager is to know before it claims.
type Due struct {
	// Running and Scheduled are how many executions there are for ClaimRunning and
	// ClaimScheduled, DueLimit each at the most.
	Running, Scheduled int
	// Others is how many other managers live, and OthersHeld how many executions
	// they held when they last said so.
	Others, OthersHeld int
}

// DueLimit bounds what Due counts, and so what it costs.
const DueLimit = 200

// Due looks, in one statement that reads entries of indexes, for executions that
// wait since now or before, and for managers that were seen after alive.
func (s *Store) Due(ctx context.Context, owner string, now, alive time.Time) (Due, error) {
	var d Due
	err := s.db.WithContext(ctx).Raw("SELECT "+
		"(SELECT COUNT(*) FROM (SELECT 1 FROM workflow_executions WHERE status = 1 AND wake_at <= @now LIMIT @limit) r) AS running, "+
		"(SELECT COUNT(*) FROM (SELECT 1 FROM workflow_executions WHERE status = 0 AND wake_at <= @now LIMIT @limit) s) AS scheduled, "+
		"(SELECT COUNT(*) FROM managers WHERE seen_at > @alive AND owner <> @owner) AS others, "+
		"(SELECT COALESCE(SUM(held), 0) FROM managers WHERE seen_at > @alive AND owner <> @owner) AS others_held",
		map[string]any{"now": micros(now), "alive": micros(alive), "owner": owner, "limit": DueLimit}).Scan(&d).Error
	return d, translate(err, "look for executions to claim")
}

// queue is an order in which executions are claimed.
type queue struct{ what, status, index, order string }

var (
	runningQueue   = queue{"running", "1", "workflow_executions_takeover", "wake_at, id"}
	scheduledQueue = queue{"scheduled", "0", "workflow_executions_queue", "queue_rank, id"}
)

// ClaimRunning takes at most limit executions that have begun and that nobody
// holds, or whose lease has run out, since due or before: the longest waiting
// first. It leases them to owner until that time. Several managers may claim at
// once: each execution goes to one of them, and nobody waits for another.
func (s *Store) ClaimRunning(ctx context.Context, owner string, due, until time.Time, limit int) ([]Lease, error) {
	return s.claim(ctx, runningQueue, owner, due, until, limit)
}

// ClaimScheduled is ClaimRunning for executions that have not begun: those of the
// highest priority first, then the oldest.
func (s *Store) ClaimScheduled(ctx context.Context, owner string, due, until time.Time, limit int) ([]Lease, error) {
	return s.claim(ctx, scheduledQueue, owner, due, until, limit)
}

// claim selects a batch and takes it. What another manager's claim, or any other
// transaction, has locked it skips: there is a next look.
func (s *Store) claim(ctx context.Context, q queue, owner string, due, until time.Time, limit int) ([]Lease, error) {
	// The index is named: by its statistics the database may think that it is
	// cheaper to sort all that wait.
	index, lock := " FORCE INDEX ("+q.index+")", " FOR UPDATE SKIP LOCKED"
	if s.db.Name() == "sqlite" {
		index, lock = " INDEXED BY "+q.index, "" // whose transactions are one at a time
	}
	look := claimed + index + " WHERE status = " + q.status + " AND wake_at <= ? ORDER BY " + q.order + " LIMIT ?" + lock
	leases, err := s.take(ctx, owner, until, look, micros(due), limit)
	return leases, translate(err, "claim %s executions", q.what)
}

// claimThese takes those of the executions with these ids that are free since due,
// or before, in the order of their priority and age.
func (s *Store) claimThese(ctx context.Context, owner string, ids []uint64, due, until time.Time) ([]Lease, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	lock := " FOR UPDATE SKIP LOCKED"
	if s.db.Name() == "sqlite" {
		lock = ""
	}
	look := claimed + " WHERE id IN ? AND wake_at <= ? ORDER BY queue_rank, id" + lock
	leases, err := s.take(ctx, owner, until, look, ids, micros(due))
	return leases, translate(err, "claim executions %v", ids)
}

// claimed reads the executions to take as their leases were.
const claimed = "SELECT id AS execution_id, lease_epoch AS epoch, COALESCE(lease_owner, '') AS lost, takeovers, strikes FROM workflow_executions"

// take leases the executions that look finds, and locks, to owner until that time.
func (s *Store) take(ctx context.Context, owner string, until time.Time, look string, args ...any) ([]Lease, error) {
	var leases []Lease
	err := s.tx(ctx, func(tx *gorm.DB) error {
		leases = nil
		if err := tx.Raw(look, args...).Scan(&leases).Error; err != nil || len(leases) == 0 {
			return err
		}
		ids := make([]uint64, len(leases))
		for i := range leases {
			ids[i] = leases[i].ExecutionID
			leases[i].take(owner, micros(until))
		}
		// takeovers comes first: MySQL reads columns as this statement has set them.
		return tx.Exec("UPDATE workflow_executions SET takeovers = takeovers + COALESCE(lease_owner <> ?, 0), "+
			"lease_owner = ?, lease_epoch = lease_epoch + 1, lease_until = ?, wake_at = ? WHERE id IN ?",
			owner, owner, micros(until), micros(until), ids).Error
	})
	if err != nil {
		return nil, err
	}
	return leases, nil
}

// take makes of a lease as it was read what its claim makes of it. A holder that
// takes up again what it could not renew in time has not been lost.
func (l *Lease) take(owner string, until time.Time) {
	if l.Lost == owner {
		l.Lost = ""
	}
	if l.Lost != "" {
		l.Takeovers++
	}
	l.Owner, l.Until = owner, until
	l.Epoch++
}
