package db

import (
	"context"
	"database/sql/driver"
	"fmt"
	"maps"
	"slices"
	"strings"

	mysqldriver "github.com/go-sql-driver/mysql"
)

// sessions makes connections whose sessions are as dao relies on, whatever is the
// server's default, and whatever the user's DSN says: the driver has sent its parameters
// by then, whose names may be spelled in many ways (AUTOCOMMIT, @@autocommit).
type sessions struct {
	driver.Connector
	statements []string
}

// newConnector returns a connector to the database of dsn.
func newConnector(dsn *mysqldriver.Config) (driver.Connector, error) {
	connector, err := mysqldriver.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("database DSN: %w", err)
	}
	settings := []string{
		"NAMES utf8mb4 COLLATE utf8mb4_bin", // the driver quotes what it interpolates for UTF-8
		"autocommit = 1",                    // a single statement is a transaction
		"completion_type = 'NO_CHAIN'",      // a COMMIT ends its transaction: it begins none, and does not end the session
		"time_zone = '+00:00'",
		"sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
		fmt.Sprintf("innodb_lock_wait_timeout = %d", int(lockWait.Seconds())),
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(dsn.Params)), isWaitTimeout) {
		settings = append(settings, fmt.Sprintf("wait_timeout = %d", int(silence.Seconds())))
	}
	return sessions{connector, []string{
		"SET " + strings.Join(settings, ", "),
		// Every write of dao is conditional on what was read, so that nothing would be gained by
		// REPEATABLE READ but its gap locks. MySQL and MariaDB have different names for the
		// variable; the statement is the same.
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
	}}, nil
}

// isWaitTimeout says whether a parameter of a DSN is that variable, which is the user's to set.
func isWaitTimeout(param string) bool { return strings.EqualFold(param, "wait_timeout") }

// Connect returns a new connection.
func (s sessions) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := s.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	for _, statement := range s.statements {
		if _, err := conn.(driver.ExecerContext).ExecContext(ctx, statement, nil); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return conn, nil
}
