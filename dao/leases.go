package dao

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// Lease is the right of one manager to move one execution. The epoch grows with
// every claim and fences the writes of whoever held it before.
type Lease struct {
	ExecutionID uint64
	Owner       string
	Epoch       uint64
	Until       time.Time
	// Takeovers is how many holders the execution has lost, one after the other,
	// since it last got on; Strikes is how many of them in the midst of a pass that
	// was noted by SetStrikes.
	Takeovers, Strikes uint32
	// Lost is the holder that this claim took it over from; empty if it was given
	// back or has had none, or if the lease is from Renew.
	Lost string
}

// Renew extends every lease that owner holds, and returns them: one that the
// caller has and is not among them is lost; one that it does not have is from a
// claim whose answer was lost.
func (s *Store) Renew(ctx context.Context, owner string, until time.Time) ([]Lease, error) {
	var leases []Lease
	err := s.tx(ctx, func(tx *gorm.DB) error {
		leases = nil
		res := tx.Exec("UPDATE workflow_executions SET lease_until = ?, wake_at = ? WHERE lease_owner = ?", micros(until), micros(until), owner)
		if res.Error != nil {
			return res.Error
		}
		// Nothing but numbers is read, which can always be: one row must not cost
		// all leases.
		return tx.Table("workflow_executions").Select("id AS execution_id, lease_epoch AS epoch, takeovers, strikes").
			Where("lease_owner = ?", owner).Order("id").Find(&leases).Error
	})
	for i := range leases {
		leases[i].Owner, leases[i].Until = owner, micros(until)
	}
	return leases, translate(err, "renew the leases of %s", owner)
}

// releaseBatch is how many leases one statement gives back.
const releaseBatch = 200

// Release gives leases back, so that others may claim the executions at once.
// One that is no longer in force stays as it is.
func (s *Store) Release(ctx context.Context, leases []Lease, now time.Time) error {
	if len(leases) == 0 {
		return nil
	}
	at := micros(now)
	err := s.tx(ctx, func(tx *gorm.DB) error {
		for rest := leases; len(rest) > 0; rest = rest[min(releaseBatch, len(rest)):] {
			var (
				ids  []uint64
				each [][]any
			)
			for _, l := range rest[:min(releaseBatch, len(rest))] {
				ids, each = append(ids, l.ExecutionID), append(each, []any{l.ExecutionID, l.Owner, l.Epoch})
			}
			err := tx.Exec("UPDATE workflow_executions SET lease_owner = NULL, lease_until = NULL, wake_at = ? "+
				"WHERE id IN ? AND (id, lease_owner, lease_epoch) IN ?", at, ids, each).Error
			if err != nil {
				return err
			}
		}
		return nil
	})
	return translate(err, "give back %d leases of %s", len(leases), leases[0].Owner)
}

// SetStrikes notes how many holders an execution has lost in the midst of a pass.
// ErrConflict if l is no longer in force.
func (s *Store) SetStrikes(ctx context.Context, l Lease, strikes uint32) error {
	err := one(s.db.WithContext(ctx).Exec("UPDATE workflow_executions SET strikes = ? WHERE id = ? AND lease_owner = ? AND lease_epoch = ?",
		strikes, l.ExecutionID, l.Owner, l.Epoch))
	return translate(err, "note a pass over execution %d", l.ExecutionID)
}
