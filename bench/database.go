package bench

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/jobnetes/jobnetes/test/machine"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

// serverOptions make MariaDB what it is where data count: each commit is on the
// disk before it is answered.
var serverOptions = []string{
	"--innodb-flush-log-at-trx-commit=1", "--innodb-flush-method=O_DIRECT",
	"--innodb-log-file-size=1G", "--innodb-buffer-pool-size=1G",
}

// database is a MariaDB with the tables of jobnetes.
type database struct {
	*sql.DB
	server *mariadb.Server
	access *mysql.Config
	asked  atomic.Int64 // statements of the bench itself
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	d := &database{server: mariadb.Start(t, serverOptions...)}
	dsn := d.server.Database(t)
	var err error
	if d.access, err = mysql.ParseDSN(dsn); err != nil {
		t.Fatal(err)
	}
	d.access.InterpolateParams = true // one statement each, as the services do
	connector, err := mysql.NewConnector(d.access)
	if err != nil {
		t.Fatal(err)
	}
	d.DB = sql.OpenDB(connector)
	d.SetMaxIdleConns(clients)
	t.Cleanup(func() { _ = d.Close() })
	migrate := exec.CommandContext(t.Context(), binary(t), "migrate")
	migrate.Env = d.settings()
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v: %s", err, out)
	}
	return d
}

// binary gives the path of what is measured, which `make bench` has built.
func binary(t *testing.T) string {
	t.Helper()
	root, err := machine.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "bin", "jobnetes")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("nothing to measure: %v: run `make build`", err)
	}
	return path
}

// settings gives the environment by which services reach the database. It has the
// caller's own JOBNETES_ variables, such as JOBNETES_MANAGER_WORKERS=64: they are
// settings to be measured.
func (d *database) settings() []string {
	var env []string // no HOME, which may have a config.yaml
	for _, variable := range os.Environ() {
		if strings.HasPrefix(variable, "JOBNETES_") && !strings.HasPrefix(variable, "JOBNETES_TEST_") {
			env = append(env, variable)
		}
	}
	host, port, _ := net.SplitHostPort(d.access.Addr)
	return append(env,
		"JOBNETES_DB_HOST="+host, "JOBNETES_DB_PORT="+port,
		"JOBNETES_DB_USER="+d.access.User, "JOBNETES_DB_PASSWORD="+d.access.Passwd, "JOBNETES_DB_NAME="+d.access.DBName)
}

// row reads the only row that a query gives.
func (d *database) row(ctx context.Context, query string, args []any, into ...any) error {
	d.asked.Add(1)
	if err := d.QueryRowContext(ctx, query, args...).Scan(into...); err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	return nil
}

// do runs a statement.
func (d *database) do(ctx context.Context, statement string, args ...any) error {
	d.asked.Add(1)
	if _, err := d.ExecContext(ctx, statement, args...); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// each calls read for each row that a query gives.
func (d *database) each(ctx context.Context, query string, args []any, read func(*sql.Rows) error) error {
	d.asked.Add(1)
	rows, err := d.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := read(rows); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
	}
	return rows.Err()
}

// statements gives how many statements the server has run for others than the bench,
// and how many of them were commits.
func (d *database) statements(ctx context.Context) (all, commits float64, err error) {
	values := map[string]float64{}
	err = d.each(ctx, "SHOW GLOBAL STATUS WHERE Variable_name IN ('Questions', 'Com_commit')", nil, func(rows *sql.Rows) error {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return err
		}
		value, err := strconv.ParseFloat(text, 64)
		values[name] = value
		return err
	})
	return values["Questions"] - float64(d.asked.Load()), values["Com_commit"], err
}
