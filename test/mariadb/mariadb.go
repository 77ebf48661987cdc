// Package mariadb gives tests empty databases on a real MariaDB server.
//
// If JOBNETES_TEST_DSN is set (in go-sql-driver's format, such as
// "root:secret@tcp(127.0.0.1:3306)/"), its server is used; its user must be
// allowed to create and drop databases. Otherwise each test process starts a
// private server on a free port, with its own data in a temporary folder, that
// ends with the process. For that Debian's packages mariadb-server-core and
// mariadb-client-core are installed if they are missing, which needs root; no
// service of the distribution's is started or touched.
package mariadb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/jobnetes/jobnetes/test/machine"
)

// Variable is the environment variable that names a running server.
const Variable = "JOBNETES_TEST_DSN"

const timeout = 2 * time.Minute // of a start or a statement, on a machine whose cores are all in use

// Database makes an empty database (utf8mb4) with a random name, and gives its
// DSN in go-sql-driver's format. The test's end drops it. The server is that of
// Variable, else the one that all tests of the process share.
func Database(t testing.TB) (dsn string) {
	t.Helper()
	config, err := shared()
	if errors.Is(err, machine.ErrMissing) && os.Getenv(machine.AllTests) == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return create(t, config)
}

// shared gives access, without a database, to the server of this process.
var shared = sync.OnceValues(func() (*mysql.Config, error) {
	if dsn := os.Getenv(Variable); dsn != "" {
		config, err := mysql.ParseDSN(dsn)
		if err != nil {
			return nil, fmt.Errorf("parse %s, which must be like user:password@tcp(host:port)/: %w", Variable, err)
		}
		return config, nil
	}
	server, err := start(context.Background())
	if err != nil {
		return nil, err
	}
	return server.config, nil
})

// create makes a database of t on the server that config gives access to.
func create(t testing.TB, config *mysql.Config) (dsn string) {
	t.Helper()
	server := config.Clone()
	server.DBName = ""
	database := config.Clone()
	database.DBName = "jobnetes_test_" + strings.ToLower(rand.Text())
	if err := execute(t.Context(), server, "CREATE DATABASE "+database.DBName+" CHARACTER SET utf8mb4"); err != nil {
		t.Fatalf("create database %s: %v", database.DBName, err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := execute(ctx, server, "DROP DATABASE "+database.DBName); err != nil {
			t.Logf("drop database %s: %v", database.DBName, err) // a test may have killed the server
		}
	})
	return database.FormatDSN()
}

// execute runs one statement on a connection of its own.
func execute(ctx context.Context, config *mysql.Config, statement string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", config.Addr, err)
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("on %s: %w", config.Addr, err)
	}
	return nil
}
