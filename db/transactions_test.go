package db

import (
	"context"
	"database/sql"
	"errors"
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

// Both kinds of connections are as many as may be, and closed when nobody needs them.
func TestPoolsAreBounded(t *testing.T) {
	t.Parallel()
	for _, conns := range []int{2, 3, 8, 31} {
		gdb := open(t, Config{Driver: MySQL, DSN: mariadb.Database(t), MaxConns: conns})
		p := gdb.ConnPool.(*pools)
		if n := p.Stats().MaxOpenConnections + p.transactions.Stats().MaxOpenConnections; n != conns {
			t.Errorf("%d connections, want %d", n, conns)
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
