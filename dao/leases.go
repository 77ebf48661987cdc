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
	var candidates []candidate
	// One index range, however many executions have ended: those have no wake_at.
	err := s.db.WithContext(ctx).Table("workflow_executions").Select("id, lease_epoch").
		Where("wake_at <= ?", micros(now)).Order("wake_at, id").Limit(limit).Find(&candidates).Error
	if err != nil {
		return nil, translate(err, "look for executions to claim")
	}
	return s.take(ctx, candidates, owner, now, until)
}

// candidate is an execution to be claimed, as it was seen.
type candidate struct {
	ID         uint64
	LeaseEpoch uint64
}

// take claims those candidates that are still to be had.
func (s *Store) take(ctx context.Context, candidates []candidate, owner string, now, until time.Time) ([]Lease, error) {
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
		return tx.Table("workflow_executions").Select("id AS execution_id, lease_owner AS owner, lease_epoch AS epoch, lease_until AS until").
			Where("lease_owner = ?", owner).Order("id").Find(&leases).Error
	})
	return leases, translate(err, "renew the leases of %s", owner)
}

// ReleaseAll gives every lease of owner back, at shutdown.
func (s *Store) ReleaseAll(ctx context.Context, owner string, now time.Time) error {
	err := s.db.WithContext(ctx).Exec("UPDATE workflow_executions SET lease_owner = NULL, lease_until = NULL, wake_at = ? WHERE lease_owner = ?", micros(now), owner).Error
	return translate(err, "release the leases of %s", owner)
}
