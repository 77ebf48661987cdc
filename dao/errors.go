package dao

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/glebarez/go-sqlite"
	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/gorm"

	"github.com/jobnetes/jobnetes/dao/gather"
)

// Error numbers of MySQL and MariaDB.
const (
	mysqlTooManyConn    = 1040
	mysqlNotReady       = 1047 // a node of a Galera cluster that has lost the others
	mysqlShutdown       = 1053
	mysqlHostBlocked    = 1129 // after too many connections that broke
	mysqlPacketTooLarge = 1153
	mysqlTooManyOfUser  = 1203
	mysqlLockWait       = 1205
	mysqlDeadlock       = 1213
	mysqlOutOfRange     = 1264
	mysqlReadOnly       = 1290
	mysqlInterrupted    = 1317 // KILL QUERY
	mysqlWrongValue     = 1366
	mysqlDataTooLong    = 1406
	mysqlNoParentRow    = 1452
	mariadbKilled       = 1927 // KILL CONNECTION
	mariadbTooLong      = 1969 // max_statement_time
	mysqlTooLong        = 3024 // max_execution_time
	mysqlNoWait         = 3572
	mysqlCheck          = 3819
	mariadbCheck        = 4025
)

// Result codes of SQLite, without the extended bits.
const (
	sqliteBusy       = 5
	sqliteLocked     = 6
	sqliteTooBig     = 18
	sqliteConstraint = 19
)

// IsUnavailable says whether err, of a database that db or dao was asked about,
// passes by itself: it is away, or too busy. A wrong password does not.
func IsUnavailable(err error) bool { return errors.Is(err, ErrUnavailable) || isUnavailable(err) }

// isUnavailable tells a database that is away, or too busy, from one that
// refuses a statement.
func isUnavailable(err error) bool {
	switch mysqlNumber(err) {
	case mysqlTooManyConn, mysqlTooManyOfUser, mysqlHostBlocked, mysqlNotReady, mysqlShutdown, mysqlReadOnly,
		mysqlLockWait, mysqlNoWait, mysqlDeadlock, mysqlInterrupted, mariadbKilled, mariadbTooLong, mysqlTooLong:
		return true
	}
	switch sqliteCode(err) {
	case sqliteBusy, sqliteLocked:
		return true
	}
	netErr, ofNet := errors.AsType[net.Error](err)
	if _, bare := netErr.(syscall.Errno); bare { // has the methods, too, also where it is of a file
		ofNet = false
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysqldriver.ErrInvalidConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, gather.ErrLeft) || ofNet
}

// isLocked tells a statement that has waited for somebody's lock in vain, or was not to.
func isLocked(err error) bool {
	number := mysqlNumber(err)
	return number == mysqlLockWait || number == mysqlNoWait
}

// isAway tells a database that is away from one that has given up on some statement, for
// the rows that it waited for or the time that it took: others may fare better.
func isAway(err error) bool {
	switch mysqlNumber(err) {
	case mysqlLockWait, mysqlNoWait, mysqlDeadlock, mysqlInterrupted, mariadbTooLong, mysqlTooLong:
		return false
	}
	return IsUnavailable(err) && !errors.Is(err, gather.ErrLeft)
}

// isRefused tells an error that the same statement will give again.
func isRefused(err error) bool {
	switch mysqlNumber(err) {
	case mysqlPacketTooLarge, mysqlOutOfRange, mysqlWrongValue, mysqlDataTooLong, mysqlNoParentRow, mysqlCheck, mariadbCheck:
		return true
	}
	switch sqliteCode(err) {
	case sqliteTooBig, sqliteConstraint:
		return true
	}
	return errors.Is(err, mysqldriver.ErrPktTooLarge) || errors.Is(err, gorm.ErrForeignKeyViolated)
}

func mysqlNumber(err error) uint16 {
	if my, ok := errors.AsType[*mysqldriver.MySQLError](err); ok {
		return my.Number
	}
	return 0
}

func sqliteCode(err error) int {
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code() & 0xff
	}
	return 0
}
