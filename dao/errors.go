package dao

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/glebarez/go-sqlite"
	mysqldriver "github.com/go-sql-driver/mysql"
)

// SQLite's result codes SQLITE_BUSY and SQLITE_LOCKED, without the extended bits.
const (
	sqliteBusy   = 5
	sqliteLocked = 6
)

func isConnectionError(err error) bool {
	var netErr net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysqldriver.ErrInvalidConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr)
}

func isBusySQLite(err error) bool {
	var lite *sqlite.Error
	if !errors.As(err, &lite) {
		return false
	}
	code := lite.Code() & 0xff
	return code == sqliteBusy || code == sqliteLocked
}
