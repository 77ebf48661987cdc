package dao

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm/clause"
)

type secret struct {
	Name      string
	Value     []byte
	CreatedAt time.Time
}

// TableName tells gorm.
func (secret) TableName() string { return "secrets" }

// The secrets there are.
const (
	// TokenKey is what task tokens are signed with.
	TokenKey = "task-token-key"
	// Installation is the random name of this database, for the labels of Jobs.
	Installation = "installation"
)

// Secret returns the secret of that name; the first who asks for it, of all
// services, makes it what fresh is.
func (s *Store) Secret(ctx context.Context, name string, fresh []byte, now time.Time) ([]byte, error) {
	kept, err := s.readSecret(ctx, name) // first: a database that takes no write may have it
	if !errors.Is(err, ErrNotFound) {
		return kept, err
	}
	err = s.db.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).
		Create(&secret{Name: name, Value: fresh, CreatedAt: micros(now)}).Error
	if err != nil {
		return nil, translate(err, "make secret %s", name)
	}
	return s.readSecret(ctx, name)
}

func (s *Store) readSecret(ctx context.Context, name string) ([]byte, error) {
	var kept secret
	err := s.db.WithContext(ctx).Select("name, value, created_at").Where("name = ?", name).Take(&kept).Error
	return kept.Value, translate(err, "read secret %s", name)
}
