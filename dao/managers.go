package dao

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Manager is a row of managers: one that runs, or did.
type Manager struct {
	Owner string // as in leases
	Build string
	Held  int // executions
	// Address is where it can be woken, as host:port; empty: nowhere.
	Address string
	// StartedAt and SeenAt are by its own clock.
	StartedAt, SeenAt time.Time
}

// TableName tells gorm.
func (Manager) TableName() string { return "managers" }

// managerMemory is how long a manager is remembered that was not seen any more.
const managerMemory = time.Hour

// Heartbeat notes that a manager lives. The first one of each forgets those that were
// not seen for an hour.
func (s *Store) Heartbeat(ctx context.Context, m Manager) error {
	m.StartedAt, m.SeenAt = micros(m.StartedAt), micros(m.SeenAt)
	known := s.db.WithContext(ctx).Exec("UPDATE managers SET build = ?, held = ?, address = ?, started_at = ?, seen_at = ? WHERE owner = ?",
		m.Build, m.Held, m.Address, m.StartedAt, m.SeenAt, m.Owner)
	if known.Error != nil || known.RowsAffected == 1 {
		return translate(known.Error, "note that manager %s lives", m.Owner)
	}
	err := s.tx(ctx, func(tx *gorm.DB) error {
		known := clause.OnConflict{Columns: []clause.Column{{Name: "owner"}}, DoUpdates: clause.AssignmentColumns([]string{"build", "held", "address", "started_at", "seen_at"})}
		if err := tx.Clauses(known).Create(&m).Error; err != nil {
			return err
		}
		return tx.Exec("DELETE FROM managers WHERE seen_at < ?", m.SeenAt.Add(-managerMemory)).Error
	})
	return translate(err, "note that manager %s lives", m.Owner)
}

// Addresses returns where managers can be woken that were seen after alive, those
// that hold the least first, limit at the most.
func (s *Store) Addresses(ctx context.Context, alive time.Time, limit int) ([]string, error) {
	var addresses []string
	err := s.db.WithContext(ctx).Model(&Manager{}).Where("seen_at > ? AND address <> ''", micros(alive)).
		Order("held, owner").Limit(limit).Pluck("address", &addresses).Error
	return addresses, translate(err, "look where managers can be woken")
}

// Leave takes a manager that stops from the list, and gives back all of its
// leases but those of the executions in but, which it still works on, and of those
// that somebody else has locked: these run out.
func (s *Store) Leave(ctx context.Context, owner string, but []uint64, now time.Time) error {
	err := s.tx(ctx, func(tx *gorm.DB) error {
		if err := tx.Exec("DELETE FROM managers WHERE owner = ?", owner).Error; err != nil {
			return err
		}
		ids, err := lockHeld(tx, owner, but)
		for batch := range slices.Chunk(ids, leaseBatch) {
			if err == nil {
				err = tx.Exec("UPDATE workflow_executions SET lease_owner = NULL, lease_until = NULL, wake_at = ? WHERE id IN ?", micros(now), batch).Error
			}
		}
		return err
	})
	return translate(err, "release the leases of %s", owner)
}

// Bury ends the leases of a manager that is known to have died, so that nobody
// needs to wait for them to run out. Its executions count it as a lost holder.
func (s *Store) Bury(ctx context.Context, owner string, now time.Time) error {
	err := s.tx(ctx, func(tx *gorm.DB) error {
		if err := tx.Exec("DELETE FROM managers WHERE owner = ?", owner).Error; err != nil {
			return err
		}
		return tx.Exec("UPDATE workflow_executions SET lease_owner = NULL, lease_until = NULL, wake_at = ?, takeovers = takeovers + 1 WHERE lease_owner = ?",
			micros(now), owner).Error
	})
	return translate(err, "end the leases of %s", owner)
}
