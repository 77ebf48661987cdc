package db

import (
	"context"
	"fmt"

	"gorm.io/gorm"
)

// OpenWithPing is Open for a service. ping is the same database by a connection of its
// own, to ask whether it answers: one of the pool's may have to be waited for, for long,
// while the database is well. It is one of cfg.MaxConns, or one more if those are few, and
// is made when it is first used. The caller closes both.
func OpenWithPing(ctx context.Context, cfg Config) (pool, ping *gorm.DB, err error) {
	if cfg.MaxConns == 0 {
		cfg.MaxConns = defaultMaxConns
	}
	dialector, where, err := dialectorOf(cfg)
	if err != nil {
		return nil, nil, err
	}
	if ping, err = newPool(dialector, 1); err != nil {
		return nil, nil, fmt.Errorf("open database %s: %w", where, err)
	}
	cfg.MaxConns = max(1, cfg.MaxConns-1)
	if pool, err = Open(ctx, cfg); err != nil {
		_ = Close(ping)
		return nil, nil, err
	}
	return pool, ping, nil
}
