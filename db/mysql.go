package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// patience is how a migration waits for the locks of tables. While a statement waits
// for one, whatever others ask of that table waits behind it. So it gives up soon,
// and leaves the table to the others before it tries again.
type patience struct {
	lockWait time.Duration // whole seconds; shorter than any call of a service may take
	pause    time.Duration
	tries    int
}

// usual gives a transaction that somebody has left open 6 minutes.
var usual = patience{lockWait: 5 * time.Second, pause: 15 * time.Second, tries: 20}

// mysqlMigration migrates a MySQL database. Each statement there commits by itself, so
// one that was cut short is run again from its start, and passes over what is done.
//
// All is done on one connection, which has the lock: whatever a migration that was
// killed has left running on the server is waited for.
type mysqlMigration struct {
	conn  *sql.Conn
	store database.Store
	patience
}

// migrateMySQL applies those of the migrations that the database has not got, and
// returns their names.
func migrateMySQL(ctx context.Context, pool *sql.DB, sources []*goose.Source, p patience) (applied []string, err error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to migrate: %w", err)
	}
	defer func() {
		// It is not used again: with it go the lock and its settings.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		_ = conn.Close()
	}()
	store, err := database.NewStore(database.DialectMySQL, goose.DefaultTablename)
	if err != nil {
		return nil, err
	}
	m := mysqlMigration{conn, store, p}
	if err := m.lock(ctx); err != nil {
		return nil, fmt.Errorf("lock the migrations: %w", err)
	}
	current, err := m.version(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the schema version: %w", err)
	}
	if target := sources[len(sources)-1].Version; current > target {
		return nil, versionError(current, target)
	}
	for _, s := range sources {
		if s.Version <= current {
			continue
		}
		if err := m.apply(ctx, s); err != nil {
			return applied, fmt.Errorf("migrate the database: %s: %w (run `jobnetes migrate` again: it goes on where this one ended)", s.Path, err)
		}
		applied = append(applied, s.Path)
	}
	return applied, nil
}

// lock keeps two migrations of one database apart, for as long as the connection lasts.
func (m mysqlMigration) lock(ctx context.Context) error {
	seconds := int(m.lockWait.Seconds())
	// Between two tries it says nothing for longer than a service's sessions may.
	if _, err := m.conn.ExecContext(ctx, "SET SESSION lock_wait_timeout = ?, wait_timeout = 600", seconds); err != nil {
		return err
	}
	for {
		var got, holder sql.NullInt64
		row := m.conn.QueryRowContext(ctx, "SELECT GET_LOCK(CONCAT('jobnetes.', MD5(DATABASE())), ?), IS_USED_LOCK(CONCAT('jobnetes.', MD5(DATABASE())))", seconds)
		if err := row.Scan(&got, &holder); err != nil {
			return err
		}
		if got.Int64 == 1 {
			return nil
		}
		slog.WarnContext(ctx, "another migration runs, or its last statement does: waiting for its end (SHOW PROCESSLIST tells what it does)", "connection", holder.Int64)
	}
}

// version returns the schema's. It makes the table of the versions.
func (m mysqlMigration) version(ctx context.Context) (int64, error) {
	if err := m.store.CreateVersionTable(ctx, m.conn); err != nil && !isDone(err) {
		return 0, err
	}
	current, err := m.store.GetLatestVersion(ctx, m.conn)
	if errors.Is(err, database.ErrVersionNotFound) {
		return 0, m.store.Insert(ctx, m.conn, database.InsertRequest{Version: 0})
	}
	return current, err
}

// apply applies a migration and notes that it has.
func (m mysqlMigration) apply(ctx context.Context, s *goose.Source) error {
	file, err := migrations.ReadFile("migrations/" + MySQL + "/" + s.Path)
	if err != nil {
		return err
	}
	for _, statement := range statements(string(file)) {
		if err := m.execute(ctx, statement); err != nil {
			first, _, _ := strings.Cut(statement, "\n")
			return fmt.Errorf("%s …: %w", first, err)
		}
	}
	return m.store.Insert(ctx, m.conn, database.InsertRequest{Version: s.Version})
}

// statements returns those of a migration's Up. Each ends with a line.
func statements(file string) []string {
	_, up, _ := strings.Cut(file, "-- +goose Up\n")
	up, _, _ = strings.Cut(up, "-- +goose Down\n")
	lines := slices.DeleteFunc(strings.SplitAfter(up, "\n"), func(line string) bool {
		return strings.HasPrefix(strings.TrimSpace(line), "--")
	})
	var all []string
	for s := range strings.SplitSeq(strings.Join(lines, ""), ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// execute runs a statement, if it has not been run, and tries again while somebody
// has the lock of its table.
func (m mysqlMigration) execute(ctx context.Context, statement string) error {
	for try := 1; ; try++ {
		_, err := m.conn.ExecContext(ctx, statement)
		if isDone(err) {
			return nil
		}
		if !isLocked(err) {
			return err
		}
		holders := m.holders(ctx)
		if try == m.tries {
			return fmt.Errorf("in %d tries of %s each an open transaction had the table: end it. %s: %w", try, m.lockWait, holders, err)
		}
		first, _, _ := strings.Cut(statement, "\n")
		slog.WarnContext(ctx, "the migration waits: a transaction that is open has a table that it needs for a moment: end it, or wait",
			"statement", first, "transactions", holders, "next_try_in", m.pause)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(m.pause):
		}
	}
}

const openTransactions = `SELECT p.id, p.user, p.host, p.command, p.time, COALESCE(LEFT(p.info, 100), '')
FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
WHERE p.id <> CONNECTION_ID() ORDER BY t.trx_started LIMIT 3`

// holders says which transactions have been open for longest: one of them has the
// table.
func (m mysqlMigration) holders(ctx context.Context) string {
	rows, err := m.conn.QueryContext(ctx, openTransactions)
	if err != nil {
		return fmt.Sprintf("SHOW PROCESSLIST and information_schema.innodb_trx, read by an administrator, tell which (this user cannot: %v)", err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var id, seconds int64
		var user, host, command, info string
		if err := rows.Scan(&id, &user, &host, &command, &seconds, &info); err != nil {
			return err.Error()
		}
		all = append(all, strings.TrimSpace(fmt.Sprintf("connection %d of %s@%s, %s for %d s %s", id, user, host, command, seconds, info)))
	}
	if err := rows.Err(); err != nil {
		return err.Error()
	}
	return "The oldest that are open: " + strings.Join(all, "; ")
}

// isDone says whether a statement failed because it has been run before. Each is one
// step of the database, done wholly or not at all: what it makes, or drops, first tells.
func isDone(err error) bool {
	return hasNumber(err,
		1050, // the table or view exists
		1060, // the column does
		1061, // the index does
		1091, // what is to be dropped is gone
		1826, // the constraint does
		3822, // MySQL's of a CHECK
	)
}

// isLocked says whether a statement failed because somebody has the lock it needs.
func isLocked(err error) bool {
	return hasNumber(err, 1205, 1213) // it has waited too long; a deadlock
}

func hasNumber(err error, numbers ...uint16) bool {
	var e *mysqldriver.MySQLError
	return errors.As(err, &e) && slices.Contains(numbers, e.Number)
}
