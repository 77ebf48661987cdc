package dao

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"
)

// Due is what a manager is to know before it claims.
type Due struct {
	// Running and Scheduled are how many executions there are for ClaimRunning and
	// ClaimScheduled, DueLimit each at the most.
	Running, Scheduled int
	// Cancelled says that there may be some for ClaimCancelled.
	Cancelled bool
	// Others is how many other managers live, and OthersHeld how many executions
	// they held when they last said so.
	Others, OthersHeld int
}

// DueLimit bounds what Due counts, and so what it costs.
const DueLimit = 200

// Due looks, in one statement that reads entries of indexes, for executions that
// by may claim and that wait since now or before, for those that are to be cancelled,
// and for managers that were seen after alive. It asks all that Ping asks, too.
func (s *Store) Due(ctx context.Context, by Claimant, now, alive time.Time) (Due, error) {
	db := s.db.WithContext(ctx)
	var d struct {
		Due
		ReadOnly, InnodbReadOnly string
	}
	err := db.Raw("SELECT "+variables(db)+", "+
		"(SELECT COUNT(*) FROM (SELECT 1 FROM workflow_executions e"+notElsewhere(s.db)+" WHERE e.status = 1 AND e.wake_at <= @now AND x.id IS NULL LIMIT @limit) r) AS running, "+
		"(SELECT COUNT(*) FROM (SELECT 1 FROM workflow_executions WHERE status = 0 AND wake_at <= @now LIMIT @limit) s) AS scheduled, "+
		"EXISTS (SELECT 1 FROM workflow_executions WHERE cancel_requested_at IS NOT NULL AND (lease_owner = @owner OR wake_at <= @now)) AS cancelled, "+
		"(SELECT COUNT(*) FROM managers WHERE seen_at > @alive AND owner <> @owner) AS others, "+
		"(SELECT COALESCE(SUM(held), 0) FROM managers WHERE seen_at > @alive AND owner <> @owner) AS others_held",
		map[string]any{"now": micros(now), "alive": micros(alive), "owner": by.Owner, "namespace": by.Namespace, "limit": DueLimit}).Scan(&d).Error
	if err == nil {
		err = takesWrites(d.ReadOnly, d.InnodbReadOnly)
	}
	return d.Due, translate(err, "look for executions to claim")
}

// queue is an order in which executions are claimed.
type queue struct{ what, status, index, order string }

var (
	runningQueue   = queue{"running", "1", "workflow_executions_takeover", "e.wake_at, e.id"}
	scheduledQueue = queue{"scheduled", "0", "workflow_executions_queue", "e.queue_rank, e.id"}
)

// ClaimRunning takes at most limit executions that have begun, that by may claim, and
// that nobody holds, or whose lease has run out, since due or before: the longest
// waiting first. It leases them until that time. Several managers may claim at
// once: each execution goes to one of them, and nobody waits for another.
func (s *Store) ClaimRunning(ctx context.Context, by Claimant, due, until time.Time, limit int) ([]Lease, error) {
	return s.claim(ctx, runningQueue, by, due, until, limit)
}

// ClaimScheduled is ClaimRunning for executions that have not begun: those of the
// highest priority first, then the oldest.
func (s *Store) ClaimScheduled(ctx context.Context, by Claimant, due, until time.Time, limit int) ([]Lease, error) {
	return s.claim(ctx, scheduledQueue, by, due, until, limit)
}

// claim selects a batch and takes it. What another manager's claim, or any other
// transaction, has locked it skips: there is a next look.
func (s *Store) claim(ctx context.Context, q queue, by Claimant, due, until time.Time, limit int) ([]Lease, error) {
	// The index is named: by its statistics the database may think that it is
	// cheaper to sort all that wait.
	look, lock := claimed+" FORCE INDEX ("+q.index+")", " FOR UPDATE SKIP LOCKED"
	if s.db.Name() == sqliteDialect {
		look, lock = claimed+" INDEXED BY "+q.index, "" // whose transactions are one at a time
	}
	where := " WHERE e.status = " + q.status + " AND e.wake_at <= @due"
	if q == runningQueue { // else no task runs: one that has not begun has none
		look += notElsewhere(s.db) // else what waits for others would fill the batch
		where += " AND x.id IS NULL"
	}
	look += where + " ORDER BY " + q.order + " LIMIT @limit" + lock
	leases, err := s.take(ctx, by, until, q == runningQueue, look, map[string]any{"due": micros(due), "limit": limit, "namespace": by.Namespace})
	return leases, translate(err, "claim %s executions", q.what)
}

// claimThese takes those of the executions with these ids that by may claim and that
// are free since due, or before, in the order of their priority and age.
func (s *Store) claimThese(ctx context.Context, by Claimant, ids []uint64, due, until time.Time) ([]Lease, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	lock := " FOR UPDATE SKIP LOCKED"
	if s.db.Name() == sqliteDialect {
		lock = ""
	}
	look := claimed + " WHERE e.id IN @ids AND e.wake_at <= @due ORDER BY e.queue_rank, e.id" + lock
	leases, err := s.take(ctx, by, until, true, look, map[string]any{"ids": ids, "due": micros(due)})
	return leases, translate(err, "claim executions %v", ids)
}

// claimed reads the executions to take as their leases were.
const claimed = "SELECT e.id AS execution_id, e.lease_epoch AS epoch, COALESCE(e.lease_owner, '') AS lost, e.takeovers, e.strikes FROM workflow_executions e"

// take leases the executions that look finds, and locks, until that time. Tasks of
// other namespaces are looked for if some of the executions may have begun.
func (s *Store) take(ctx context.Context, by Claimant, until time.Time, begun bool, look string, args map[string]any) ([]Lease, error) {
	var leases []Lease
	err := s.tx(ctx, func(tx *gorm.DB) error {
		leases = nil
		if err := tx.Raw(look, args).Scan(&leases).Error; err != nil {
			return err
		}
		if begun {
			var err error
			if leases, err = keepClaimable(tx, by, leases); err != nil {
				return err
			}
		}
		if len(leases) == 0 {
			return nil
		}
		ids := make([]uint64, len(leases))
		for i := range leases {
			ids[i] = leases[i].ExecutionID
			leases[i].take(by.Owner, micros(until))
		}
		// takeovers comes first: MySQL reads columns as this statement has set them.
		return tx.Exec("UPDATE workflow_executions SET takeovers = takeovers + COALESCE(lease_owner <> ?, 0), "+
			"lease_owner = ?, lease_epoch = lease_epoch + 1, lease_until = ?, wake_at = ? WHERE id IN ?",
			by.Owner, by.Owner, micros(until), micros(until), ids).Error
	})
	if err != nil {
		return nil, err
	}
	return leases, nil
}

// keepClaimable returns those of the leases, whose executions are locked, that by may
// have. The statement that locked them is not enough: it sees a locked row as it is
// now, and the tasks as they were when it began. Nobody starts a task while its
// execution is locked.
func keepClaimable(tx *gorm.DB, by Claimant, leases []Lease) ([]Lease, error) {
	if len(leases) == 0 {
		return nil, nil
	}
	ids := make([]uint64, len(leases))
	for i, l := range leases {
		ids[i] = l.ExecutionID
	}
	var others []uint64
	err := tx.Raw(elsewhere(tx, " AND workflow_execution_id IN @ids"), map[string]any{"namespace": by.Namespace, "ids": ids}).Scan(&others).Error
	return slices.DeleteFunc(leases, func(l Lease) bool { return slices.Contains(others, l.ExecutionID) }), err
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
