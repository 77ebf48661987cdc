package dao

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/jobnetes/jobnetes/dao/gather"
)

// Lease is the right of one manager to move one execution. The epoch grows with
// every claim and fences the writes of whoever held it before.
type Lease struct {
	ExecutionID uint64
	Owner       string
	Epoch       uint64
	Until       time.Time
	// Takeovers is how many holders the execution has lost, one after the other,
	// since it last got on or was acquitted; Strikes is how many of them in the midst
	// of a pass that was noted by SetStrikes.
	Takeovers, Strikes uint32
	// Lost is the holder that this claim took it over from; empty if it was given
	// back or has had none, or if the lease is from Renew.
	Lost string
}

// Renew extends the leases that owner holds, and returns them: one that the caller
// has and is not among them is lost; one that it does not have is from a claim whose
// answer was lost. One whose row somebody else has locked is not extended, and does
// not keep the others from it: its Until is as it was.
func (s *Store) Renew(ctx context.Context, owner string, until time.Time) ([]Lease, error) {
	var held, leases []Lease
	err := s.db.WithContext(ctx).Table("workflow_executions").Select("id AS execution_id").Where("lease_owner = ?", owner).Limit(1).Find(&held).Error
	if err != nil || len(held) == 0 { // as mostly, when there is little to do
		return nil, translate(err, "look for the leases of %s", owner)
	}
	err = s.tx(ctx, func(tx *gorm.DB) error {
		leases = nil
		ids, err := lockHeld(tx, owner, nil)
		if err != nil {
			return err
		}
		for batch := range slices.Chunk(ids, leaseBatch) {
			if err := tx.Exec("UPDATE workflow_executions SET lease_until = ?, wake_at = ? WHERE id IN ?", micros(until), micros(until), batch).Error; err != nil {
				return err
			}
		}
		// Nothing but numbers and times is read, which can always be: one row must not
		// cost all leases.
		return tx.Table("workflow_executions").Select("id AS execution_id, lease_owner AS owner, lease_epoch AS epoch, lease_until AS until, takeovers, strikes").
			Where("lease_owner = ?", owner).Order("id").Find(&leases).Error
	})
	return leases, translate(err, "renew the leases of %s", owner)
}

// inForce is a condition, with the execution, the owner and the epoch as arguments:
// the lease is in force, and stays so until the transaction ends. Without the lock a
// statement that waits for another row would go by what was true when it began.
func inForce(db *gorm.DB) string {
	lock := " LOCK IN SHARE MODE"
	if db.Name() == sqliteDialect { // whose transactions are one at a time
		lock = ""
	}
	return "EXISTS (SELECT 1 FROM workflow_executions e WHERE e.id = ? AND e.lease_owner = ? AND e.lease_epoch = ?" + lock + ")"
}

// leaseKey is what tells a lease from all others.
type leaseKey struct {
	executionID uint64
	owner       string
	epoch       uint64
}

func (l Lease) key() leaseKey { return leaseKey{l.ExecutionID, l.Owner, l.Epoch} }

// lockInForce locks the executions of leases, but for those that somebody else has locked,
// and returns their statuses. Of each that it has not locked it says why: ErrConflict if the
// lease is not in force, else gather.ErrLeft.
func lockInForce(tx *gorm.DB, leases []Lease) (statuses []ExecutionStatus, each []error, err error) {
	statuses, each = make([]ExecutionStatus, len(leases)), make([]error, len(leases))
	ids := make([]uint64, len(leases))
	for i, l := range leases {
		ids[i] = l.ExecutionID
	}
	locked, err := statusesInForce(tx.Clauses(lockFree(tx)...), ids)
	if err != nil {
		return nil, nil, err
	}
	var rest []uint64
	for i, l := range leases {
		status, ok := locked[l.key()]
		if statuses[i] = status; !ok {
			rest = append(rest, l.ExecutionID)
		}
	}
	if len(rest) == 0 {
		return statuses, each, nil
	}
	inForce, err := statusesInForce(tx, rest)
	if err != nil {
		return nil, nil, err
	}
	for i, l := range leases {
		if _, ok := locked[l.key()]; !ok {
			each[i] = ErrConflict
			if _, ok := inForce[l.key()]; ok {
				each[i] = gather.ErrLeft
			}
		}
	}
	return statuses, each, nil
}

// statusesInForce returns the statuses of executions by the leases that are in force.
func statusesInForce(tx *gorm.DB, ids []uint64) (map[leaseKey]ExecutionStatus, error) {
	var rows []WorkflowExecution
	err := tx.Select("id, status, lease_owner, lease_epoch").Where("id IN ? AND lease_owner IS NOT NULL", ids).Order("id").Find(&rows).Error
	inForce := make(map[leaseKey]ExecutionStatus, len(rows))
	for _, row := range rows {
		inForce[leaseKey{row.ID, *row.LeaseOwner, row.LeaseEpoch}] = row.Status
	}
	return inForce, err
}

// lockHeld locks the executions that owner holds, but for those in but and for those
// that somebody else has locked, and returns their ids.
func lockHeld(tx *gorm.DB, owner string, but []uint64) ([]uint64, error) {
	query := tx.Table("workflow_executions").Where("lease_owner = ?", owner)
	if len(but) > 0 {
		query = query.Where("id NOT IN ?", but)
	}
	var ids []uint64
	err := query.Clauses(lockFree(tx)...).Order("id").Pluck("id", &ids).Error
	return ids, err
}

// leaseBatch is how many leases one statement changes.
const leaseBatch = 200

// Release gives leases back, so that others may claim the executions at once.
// One that is no longer in force stays as it is.
func (s *Store) Release(ctx context.Context, leases []Lease, now time.Time) error {
	if len(leases) == 0 {
		return nil
	}
	at := micros(now)
	err := s.tx(ctx, func(tx *gorm.DB) error {
		for rest := leases; len(rest) > 0; rest = rest[min(leaseBatch, len(rest)):] {
			var (
				ids  []uint64
				each [][]any
			)
			for _, l := range rest[:min(leaseBatch, len(rest))] {
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
	err := one(s.exec(ctx, "UPDATE workflow_executions SET strikes = ? WHERE id = ? AND lease_owner = ? AND lease_epoch = ?",
		strikes, l.ExecutionID, l.Owner, l.Epoch))
	return translate(err, "note a pass over execution %d", l.ExecutionID)
}

// Acquit is SetStrikes after a pass that has shown that an execution is not what its
// holders died of, though it has not got on: Takeovers begins anew.
func (s *Store) Acquit(ctx context.Context, l Lease, strikes uint32) error {
	err := one(s.exec(ctx, "UPDATE workflow_executions SET takeovers = 0, strikes = ? WHERE id = ? AND lease_owner = ? AND lease_epoch = ?",
		strikes, l.ExecutionID, l.Owner, l.Epoch))
	return translate(err, "note a harmless pass over execution %d", l.ExecutionID)
}
