package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"gorm.io/gorm"

	"github.com/jobnetes/jobnetes/test/mariadb"
)

// A transaction begins without a statement, and is one all the same.
func TestTransactionsBeginByThemselves(t *testing.T) {
	t.Parallel()
	gdb := open(t, Config{Driver: MySQL, DSN: mariadb.Database(t), MaxConns: 1}) // of each kind one: all use the same
	exec := func(db *gorm.DB, statement string) {
		t.Helper()
		if err := db.Exec(statement).Error; err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	rows := func() (n int) {
		t.Helper()
		if err := gdb.Raw("SELECT COUNT(*) FROM kept").Scan(&n).Error; err != nil {
			t.Error(err)
		}
		return n
	}
	exec(gdb, "CREATE TABLE kept (id INT PRIMARY KEY)")
	errUndo := errors.New("undo")
	if err := gdb.Transaction(func(tx *gorm.DB) error { exec(tx, "INSERT INTO kept VALUES (1)"); return errUndo }); !errors.Is(err, errUndo) {
		t.Errorf("%v, want %v", err, errUndo)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := gdb.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		exec(tx, "INSERT INTO kept VALUES (2)")
		cancel()
		return nil
	})
	if err == nil {
		t.Error("a transaction whose caller has left was committed")
	}
	if n := rows(); n != 0 {
		t.Fatalf("%d rows of transactions that were not committed", n)
	}
	var begun string
	err = gdb.Transaction(func(tx *gorm.DB) error {
		exec(tx, "INSERT INTO kept VALUES (3)")
		if n := rows(); n != 0 { // by the other connection
			t.Error("a row is there before it was committed")
		}
		return tx.Raw("SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'COM_BEGIN'").Scan(&begun).Error
	})
	if err != nil || begun != "0" {
		t.Errorf("%s statements to begin a transaction (%v), want none", begun, err)
	}
	if n := rows(); n != 1 {
		t.Errorf("%d rows, want the one that was committed", n)
	}
	exec(gdb, "INSERT INTO kept VALUES (4)") // outside of a transaction
	err = gdb.Transaction(func(tx *gorm.DB) error {
		var n int
		if err := tx.Raw("SELECT COUNT(*) FROM kept").Scan(&n).Error; err != nil || n != 2 {
			t.Errorf("%d rows (%v), want the one that needed no commit, too", n, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	err = gdb.Transaction(func(tx *gorm.DB) error { return tx.Exec("INSERT INTO kept VALUES (5)").Error }, &sql.TxOptions{ReadOnly: true})
	if err == nil {
		t.Error("a transaction that is to read has written")
	}
}

// failing makes connections that the server refuses a statement, as long as it is told so.
type failing struct {
	driver.Connector
	statement string
	armed     atomic.Bool
}

type failingConn struct {
	mysqlConn
	f *failing
}

func (f *failing) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := f.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return failingConn{conn.(mysqlConn), f}, nil
}

var errRefused = errors.New("refused")

func (c failingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if query == c.f.statement && c.f.armed.Load() {
		return nil, errRefused
	}
	return c.mysqlConn.ExecContext(ctx, query, args)
}

// A transaction whose end is refused is no part of the next one, and is not committed.
func TestTransactionsThatDoNotEnd(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		statement string
		end       func(*sql.Tx) error
	}{
		"commit refused":   {"COMMIT", (*sql.Tx).Commit},
		"rollback refused": {"ROLLBACK", (*sql.Tx).Rollback},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn, err := mysqlConfig(Config{DSN: mariadb.Database(t)})
			if err != nil {
				t.Fatal(err)
			}
			connector, err := newConnector(dsn)
			if err != nil {
				t.Fatal(err)
			}
			f := &failing{Connector: connector, statement: tc.statement}
			p := newPools(f)
			t.Cleanup(func() { _ = p.Close() })
			p.bound(1)
			insert := func(n int, end func(*sql.Tx) error) error {
				t.Helper()
				tx, err := p.BeginTx(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := tx.ExecContext(t.Context(), "INSERT INTO kept VALUES (?)", n); err != nil {
					t.Fatal(err)
				}
				return end(tx)
			}
			if _, err := p.ExecContext(t.Context(), "CREATE TABLE kept (id INT PRIMARY KEY)"); err != nil {
				t.Fatal(err)
			}
			f.armed.Store(true)
			err = insert(1, tc.end)
			f.armed.Store(false)
			if !errors.Is(err, errRefused) {
				t.Errorf("%v, want %v", err, errRefused)
			}
			if n := p.transactions.Stats().OpenConnections; n != 0 {
				t.Errorf("%d connections are kept whose transaction has not ended", n)
			}
			if err := insert(2, (*sql.Tx).Commit); err != nil {
				t.Fatal(err)
			}
			var ids string
			if err := p.QueryRowContext(t.Context(), "SELECT GROUP_CONCAT(id) FROM kept").Scan(&ids); err != nil || ids != "2" {
				t.Errorf("rows %s (%v), want that of the second transaction alone", ids, err)
			}
		})
	}
}

// Both kinds of connections are as many as may be, and closed when nobody needs them.
func TestPoolsAreBounded(t *testing.T) {
	t.Parallel()
	cases := map[int]struct{ single, transactions int }{1: {1, 1}, 2: {1, 1}, 3: {1, 2}, 8: {3, 5}, 31: {11, 20}}
	for conns, want := range cases {
		gdb := open(t, Config{Driver: MySQL, DSN: mariadb.Database(t), MaxConns: conns})
		p := gdb.ConnPool.(*pools)
		if single, transactions := p.Stats().MaxOpenConnections, p.transactions.Stats().MaxOpenConnections; single != want.single || transactions != want.transactions {
			t.Errorf("of %d connections %d are for single statements and %d for transactions, want %+v", conns, single, transactions, want)
		}
		if err := gdb.Transaction(func(tx *gorm.DB) error { return tx.Exec("DO 1").Error }); err != nil {
			t.Fatal(err)
		}
		p.CloseIdle()
		if n := p.Stats().OpenConnections + p.transactions.Stats().OpenConnections; n != 0 {
			t.Errorf("%d connections are open that nobody uses", n)
		}
	}
}

// Nothing is left of a database that was closed.
func TestPoolsAreClosed(t *testing.T) {
	t.Parallel()
	gdb := open(t, Config{Driver: MySQL, DSN: mariadb.Database(t)})
	p := gdb.ConnPool.(*pools)
	if err := Close(gdb); err != nil {
		t.Fatal(err)
	}
	for name, pool := range map[string]*sql.DB{"single statements": p.DB, "transactions": p.transactions} {
		if err := pool.PingContext(t.Context()); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("%s: %v, want a pool that is closed", name, err)
		}
	}
}
