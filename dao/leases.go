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
}

// Claim takes at most limit executions that nobody holds, or whose lease has
// run out, longest waiting first, and leases them to owner until that time.
// Several managers may claim at once: each execution goes to one of them.
func (s *Store) Claim(ctx context.Context, owner string, now, until time.Time, limit int) ([]Lease, error) {
	var candidates []struct {
		ID         uint64
		LeaseEpoch uint64
	}
	// One index range, however many executions have ended: those have no wake_at.
	err := s.db.WithContext(ctx).Table("workflow_executions").Select("id, lease_epoch").
		Where("wake_at <= ?", micros(now)).Order("wake_at, id").Limit(limit).Find(&candidates).Error
	if err != nil {
		return nil, translate(err, "look for executions to claim")
	}
	var leases []Lease
	for _, c := range candidates {
		res := s.db.WithContext(ctx).Exec("UPDATE workflow_executions SET lease_owner = ?, lease_epoch = lease_epoch + 1, lease_until = ?, wake_at = ? "+
			"WHERE id = ? AND lease_epoch = ? AND wake_at <= ?", owner, micros(until), micros(until), c.ID, c.LeaseEpoch, micros(now))
		if res.Error != nil {
			return leases, translate(res.Error, "claim execution %d", c.ID)
		}
		if res.RowsAffected == 1 { // else another manager was faster
			leases = append(leases, Lease{ExecutionID: c.ID, Owner: owner, Epoch: c.LeaseEpoch + 1, Until: micros(until)})
		}
	}
	return leases, nil
}

// Renew extends every lease that owner still holds and returns their
// executions' ids. A lease that is not among them is lost.
func (s *Store) Renew(ctx context.Context, owner string, until time.Time) ([]uint64, error) {
	var ids []uint64
	err := s.tx(ctx, func(tx *gorm.DB) error {
		ids = nil
		res := tx.Exec("UPDATE workflow_executions SET lease_until = ?, wake_at = ? WHERE lease_owner = ?", micros(until), micros(until), owner)
		if res.Error != nil {
			return res.Error
		}
		return tx.Table("workflow_executions").Where("lease_owner = ?", owner).Order("id").Pluck("id", &ids).Error
	})
	return ids, translate(err, "renew the leases of %s", owner)
}

// Release gives a lease back: the execution can be claimed from wakeAt on.
// ErrConflict if it is no longer held.
func (s *Store) Release(ctx context.Context, l Lease, wakeAt time.Time) error {
	res := s.db.WithContext(ctx).Exec("UPDATE workflow_executions SET lease_owner = NULL, lease_until = NULL, wake_at = ? "+
		"WHERE id = ? AND lease_owner = ? AND lease_epoch = ?", micros(wakeAt), l.ExecutionID, l.Owner, l.Epoch)
	return translate(one(res), "release execution %d", l.ExecutionID)
}

// ReleaseAll gives every lease of owner back, at shutdown.
func (s *Store) ReleaseAll(ctx context.Context, owner string, now time.Time) error {
	err := s.db.WithContext(ctx).Exec("UPDATE workflow_executions SET lease_owner = NULL, lease_until = NULL, wake_at = ? WHERE lease_owner = ?", micros(now), owner).Error
	return translate(err, "release the leases of %s", owner)
}
