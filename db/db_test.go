package db

import (
	"strings"
	"testing"

	mysqldriver "github.com/go-sql-driver/mysql"

	"github.com/jobnetes/jobnetes/test/mariadb"
)

// A server without the database says what to do.
func TestOpenWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	dsn, err := mysqldriver.ParseDSN(mariadb.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	dsn.DBName = "missing"
	if _, err := Open(t.Context(), Config{Driver: MySQL, DSN: dsn.FormatDSN()}); err == nil || !strings.Contains(err.Error(), "or make it with `jobnetes migrate`") {
		t.Errorf("Open: %v", err)
	}
}
