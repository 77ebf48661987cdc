package dao

import (
	"context"
	"testing"
	"time"

	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

// Whoever waits for a connection of the pool has no part in whether the database is
// there.
func TestPingWaitsForNobody(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(t *testing.T) db.Config{
		"sqlite": func(t *testing.T) db.Config { return db.Config{Driver: db.SQLite, Path: t.TempDir() + "/jobnetes.db"} },
		"mariadb": func(t *testing.T) db.Config {
			return db.Config{Driver: db.MySQL, DSN: mariadb.Database(t), MaxConns: 2}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gdb, ping, err := db.OpenWithPing(t.Context(), config(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _, _ = db.Close(gdb), db.Close(ping) })
			pool, err := gdb.DB()
			if err != nil {
				t.Fatal(err)
			}
			if n := pool.Stats().MaxOpenConnections; n != 1 {
				t.Errorf("the pool has %d connections, want one beside that of Ping", n)
			}
			if name != "sqlite" { // which has one connection for all
				transaction := gdb.Begin()
				if transaction.Error != nil {
					t.Fatal(transaction.Error)
				}
				t.Cleanup(func() { transaction.Rollback() })
			}
			held, err := pool.BeginTx(t.Context(), nil) // with it, all that there are
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = held.Rollback() })
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := New(gdb).PingBy(ping).Ping(ctx); err != nil {
				t.Errorf("all connections are in use: %v", err)
			}
		})
	}
}
