// Package dao reads and writes the rows of jobnetes: one file per table. Each
// exported method is one statement or one transaction, which calls of the same kind
// may share (package gather); it returns ErrNotFound, ErrDuplicate or ErrConflict where
// that is what happened, whatever the database. It alone, with db, knows gorm.
//
// Who writes what: the manager that holds an execution's lease moves the
// execution and its tasks (Commit, MarkLaunched); any manager gives a task its turn
// (GrantSlots); jobapi inserts executions, records outputs and asks for cancels
// (CreateExecution, RecordOutput, RequestCancel), in columns of its own. Both write the
// output of a row of task_indexes, and one rule says whose it is: what jobapi records
// (RecordIndexOutput) replaces what is there, until the manager closes the indexes; what
// the manager has found (KeepIndexes) never does.
package dao

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/jobnetes/jobnetes/dao/gather"
)

// The errors that callers tell apart. Every other error is the database's own.
var (
	ErrNotFound  = errors.New("not found")
	ErrDuplicate = errors.New("already exists")
	// ErrConflict says that a row is no longer what the caller decided on:
	// read again and decide again.
	ErrConflict = errors.New("changed in between")
	// ErrUnavailable says that the database could not be reached or gave up;
	// the same call may succeed later.
	ErrUnavailable = errors.New("database unavailable")
	// ErrRefused says that the database will refuse the same statement again,
	// because of what is in it: a value is too large, or breaks a constraint.
	ErrRefused = errors.New("refused by the database")
)

// Store is the way to the tables. It is safe for concurrent use.
type Store struct {
	db   *gorm.DB
	ping *gorm.DB // what Ping asks
	// What is small, and comes at the same time, shares a transaction.
	commits gather.Group[*commit]
	marks   gather.Group[mark]
	// lone has room for the single statements that may wait for locks.
	lone chan struct{}
}

// New returns a Store on an open database whose schema is up to date.
func New(db *gorm.DB) *Store { return newStore(db, db) }

// PingBy returns s with a connection of its own for Ping, as db.OpenWithPing returns it.
func (s *Store) PingBy(ping *gorm.DB) *Store { return newStore(s.db, ping) }

func newStore(db, ping *gorm.DB) *Store {
	s := &Store{db: db, ping: ping, lone: make(chan struct{}, loneOf(db))}
	s.commits.Together, s.commits.Alone, s.commits.Away = s.commitTogether, s.commitAlone, isAway
	s.marks.Together, s.marks.Alone, s.marks.Away = s.markTogether, s.markAlone, isAway
	s.commits.Pause = func(_ *commit, times int) time.Duration { return pause(times) }
	s.marks.Pause = func(_ mark, times int) time.Duration { return pause(times) }
	return s
}

// loneOf returns how many of the connections for single statements may wait for locks at
// the same time: half, so that whoever reads, or says that he lives, has the others.
func loneOf(db *gorm.DB) int {
	pool, err := db.DB()
	if err != nil {
		return 1
	}
	return max(1, pool.Stats().MaxOpenConnections/2)
}

// exec runs a single statement that may wait for a lock, for which it waits, too, until
// few enough others do.
func (s *Store) exec(ctx context.Context, sql string, args ...any) *gorm.DB {
	db := s.db.WithContext(ctx)
	select {
	case s.lone <- struct{}{}:
		defer func() { <-s.lone }()
		return db.Exec(sql, args...)
	case <-ctx.Done():
		_ = db.AddError(ctx.Err())
		return db
	}
}

// pause is how long what is locked waits for its next try: mostly it is another
// transaction's for some milliseconds; what somebody locks by hand is his for longer.
func pause(times int) time.Duration { return min(10*time.Millisecond<<min(times, 10), time.Second/2) }

// attempts is how often a transaction that lost a deadlock is run in all.
const attempts = 4

// tx runs fn in one transaction, again if the database asks for that, so fn
// must not keep what an earlier run left in the caller's variables.
func (s *Store) tx(ctx context.Context, fn func(tx *gorm.DB) error) error {
	var err error
	for range attempts {
		err = s.db.WithContext(ctx).Transaction(fn)
		if mysqlNumber(err) != mysqlDeadlock || ctx.Err() != nil {
			break
		}
	}
	return err
}

// translate gives a driver's error its meaning and says what was being done.
func translate(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	doing := fmt.Sprintf(format, args...)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrConflict), errors.Is(err, ErrDuplicate):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.Is(err, gorm.ErrRecordNotFound), errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%s: %w", doing, ErrNotFound)
	case errors.Is(err, gorm.ErrDuplicatedKey):
		return fmt.Errorf("%s: %w: %w", doing, ErrDuplicate, err)
	case isUnavailable(err):
		return fmt.Errorf("%s: %w: %w", doing, ErrUnavailable, err)
	case isRefused(err):
		return fmt.Errorf("%s: %w: %w", doing, ErrRefused, err)
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}

// one wants exactly one row to have been matched by a conditional write.
func one(res *gorm.DB) error {
	if res.Error != nil {
		return res.Error
	}
	if res.RowsAffected != 1 {
		return ErrConflict
	}
	return nil
}

// micros cuts t to what the database keeps.
func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
