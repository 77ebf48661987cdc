package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"github.com/jobnetes/jobnetes/test/mariadb"
)

// brief is a test's patience.
var brief = patience{lockWait: time.Second, pause: time.Millisecond, tries: 2}

// cutter dials connections on which so many commands go through in all, then
// they all break: as a process that is killed leaves them.
type cutter struct {
	left      atomic.Int64
	delivered bool // the server gets the last command, but its answer is lost
}

var errCut = errors.New("cut")

type cutConn struct {
	net.Conn
	*cutter
}

func (c cutConn) Write(command []byte) (int, error) {
	if c.left.Add(-1) >= 0 {
		return c.Conn.Write(command)
	}
	if c.delivered {
		_, _ = c.Conn.Write(command)
	}
	_ = c.Close()
	return 0, errCut
}

// A migration that is killed, before any statement or while the server runs it,
// ends as one that is not if it is run again.
func TestMigrateAfterItWasKilled(t *testing.T) {
	t.Parallel()
	whole := Config{Driver: MySQL, DSN: mariadb.Database(t)}
	if _, err := Migrate(t.Context(), open(t, whole)); err != nil {
		t.Fatal(err)
	}
	want := definitionsOf(t, whole)
	for name, delivered := range map[string]bool{"before a statement": false, "during a statement": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{Driver: MySQL, DSN: mariadb.Database(t)}
			runs := migrateInPieces(t, cfg, delivered)
			if runs < 30 {
				t.Errorf("only %d runs: nothing was cut", runs)
			}
			if diff := cmp.Diff(want, definitionsOf(t, cfg)); diff != "" {
				t.Errorf("tables and rows (-whole +in pieces):\n%s", diff)
			}
		})
	}
}

// migrateInPieces kills a run at its first command, the next at its second, and so on;
// a run that gets a version further is followed by one that is killed at the first.
// It returns how many runs there were.
func migrateInPieces(t *testing.T, cfg Config, delivered bool) int {
	t.Helper()
	gdb := open(t, cfg)
	var version int64
	for runs, commands := 1, int64(0); runs < 1000; runs, commands = runs+1, commands+1 {
		cut := &cutter{delivered: delivered}
		cut.left.Store(commands)
		err := migrateThrough(t, cfg, cut)
		if err == nil {
			return runs
		}
		now, err := readVersion(t.Context(), gdb)
		if err != nil {
			t.Fatal(err)
		}
		if now > version {
			version, commands = now, 0
		}
	}
	t.Fatal("it does not end")
	return 0
}

// migrateThrough migrates on connections of cut.
func migrateThrough(t *testing.T, cfg Config, cut *cutter) error {
	t.Helper()
	dsn, err := mysqldriver.ParseDSN(cfg.DSN)
	if err != nil {
		t.Fatal(err)
	}
	dsn.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return cutConn{conn, cut}, nil
	}
	dsn.Logger = driverLog{}
	connector, err := mysqldriver.NewConnector(dsn)
	if err != nil {
		t.Fatal(err)
	}
	pool := sql.OpenDB(connector)
	defer func() { _ = pool.Close() }()
	_, err = migrateMySQL(t.Context(), pool, sourcesOf(t, cfg), brief)
	return err
}

// definitionsOf returns how each table and view is made, and the rows that
// migrations insert.
func definitionsOf(t *testing.T, cfg Config) map[string]string {
	t.Helper()
	gdb := open(t, cfg)
	var tables []string
	if err := gdb.Raw("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()").Scan(&tables).Error; err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, table := range tables {
		row := map[string]any{}
		if err := gdb.Raw("SHOW CREATE TABLE " + table).Scan(&row).Error; err != nil {
			t.Fatal(err)
		}
		for _, column := range []string{"Create Table", "Create View"} {
			if made, ok := row[column].(string); ok {
				made, _, _ = strings.Cut(made, " ENGINE=") // then comes AUTO_INCREMENT
				all[table] = strings.ReplaceAll(made, gdb.Migrator().CurrentDatabase(), "")
			}
		}
	}
	for _, query := range []string{"SELECT GROUP_CONCAT(id, name) FROM users", "SELECT GROUP_CONCAT(name) FROM locks", "SELECT GROUP_CONCAT(version_id ORDER BY id) FROM goose_db_version"} {
		var rows string
		if err := gdb.Raw(query).Scan(&rows).Error; err != nil {
			t.Fatal(err)
		}
		all[query] = rows
	}
	return all
}

// Whoever waits for a migration is not blocked for long by a transaction that somebody
// has left open, and is told who it is.
func TestMigrateWaitsForATransaction(t *testing.T) {
	t.Parallel()
	cfg := Config{Driver: MySQL, DSN: mariadb.Database(t), ForMigration: true}
	pool, sources := poolOf(t, cfg), sourcesOf(t, cfg)
	if _, err := migrateMySQL(t.Context(), pool, sources[:3], brief); err != nil {
		t.Fatal(err)
	}
	reader, err := pool.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Rollback() }()
	var id, rows int64
	if err := reader.QueryRow("SELECT CONNECTION_ID(), COUNT(*) FROM workflow_executions").Scan(&id, &rows); err != nil {
		t.Fatal(err)
	}

	began := time.Now()
	_, err = migrateMySQL(t.Context(), pool, sources, brief)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("connection %d of ", id)) || !strings.Contains(err.Error(), "ALTER TABLE workflow_executions") {
		t.Errorf("a transaction that stays open: %v; want its connection %d", err, id)
	}
	if took := time.Since(began); took < 2*brief.lockWait {
		t.Errorf("it gave up after %s, want %d tries of %s", took, brief.tries, brief.lockWait)
	}

	var wg sync.WaitGroup
	wg.Go(func() {
		patient := patience{lockWait: time.Second, pause: time.Millisecond, tries: 100}
		if _, err := migrateMySQL(context.WithoutCancel(t.Context()), pool, sources, patient); err != nil {
			t.Errorf("a transaction that ends: %v", err)
		}
	})
	waitFor(t, pool, "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND state LIKE 'Waiting for table metadata lock%'")
	if err := reader.Rollback(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

func poolOf(t *testing.T, cfg Config) *sql.DB {
	t.Helper()
	pool, err := open(t, cfg).DB()
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

func sourcesOf(t *testing.T, cfg Config) []*goose.Source {
	t.Helper()
	p, _, err := newProvider(open(t, cfg))
	if err != nil {
		t.Fatal(err)
	}
	return p.ListSources()
}

// waitFor waits until a query has a result that is not 0.
func waitFor(t *testing.T, pool *sql.DB, query string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		var n int
		if err := pool.QueryRow(query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing has come of %s", query)
		}
	}
}

// A statement may take as long as it may wait for a lock, whatever the user's DSN says,
// and one of a migration longer than any other.
func TestReadTimeout(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cfg  Config
		want time.Duration
	}{
		"a service":             {Config{Host: "db"}, time.Minute},
		"a short one":           {Config{DSN: "u@tcp(db)/n?readTimeout=4s"}, lockWait + 5*time.Second},
		"a long one":            {Config{DSN: "u@tcp(db)/n?readTimeout=40s"}, 40 * time.Second},
		"a migration":           {Config{Host: "db", ForMigration: true}, 0},
		"a migration, by a DSN": {Config{DSN: "u@tcp(db)/n?readTimeout=2s", ForMigration: true}, 0},
	} {
		c, err := mysqlConfig(tc.cfg)
		if err != nil || c.ReadTimeout != tc.want {
			t.Errorf("%s: %s, %v; want %s", name, c.ReadTimeout, err, tc.want)
		}
	}
}

// What changes a table that may be large does not copy it, and others may write
// meanwhile. Until the fourth, migrations did not heed this.
func TestMigrationsAreOnline(t *testing.T) {
	t.Parallel()
	cfg := Config{Driver: MySQL, DSN: mariadb.Database(t)}
	pool, sources := poolOf(t, cfg), sourcesOf(t, cfg)
	if _, err := migrateMySQL(t.Context(), pool, sources[:3], brief); err != nil {
		t.Fatal(err)
	}
	altered := 0
	for _, s := range sources[3:] {
		file, err := migrations.ReadFile("migrations/mysql/" + s.Path)
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range statements(string(file)) {
			if strings.HasPrefix(statement, "ALTER TABLE") {
				altered++
				statement += ", ALGORITHM=NOCOPY, LOCK=NONE"
			}
			if _, err := pool.ExecContext(t.Context(), statement); err != nil {
				t.Errorf("%s: %v: %s", s.Path, err, statement)
			}
		}
	}
	if altered == 0 {
		t.Error("no ALTER TABLE was found")
	}
}
