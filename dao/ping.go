package dao

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"
)

// ErrReadOnly is that of a database which answers and takes no write. It is an
// ErrUnavailable.
var ErrReadOnly = fmt.Errorf("%w: the database is read-only: a failover is under way, or db.host names a replica", ErrUnavailable)

// Ping asks the database whether it answers and would take a write; by a connection
// of its own (PingBy), else one of those that all use. If not, the connections that
// wait for use are closed: behind them may be a server that is gone, and each would
// cost a timeout of its own; new ones go to where the database is by then. The error is
// ErrUnavailable where waiting helps.
func (s *Store) Ping(ctx context.Context) error {
	db := s.ping.WithContext(ctx)
	var is struct{ ReadOnly, InnodbReadOnly string }
	err := db.Raw("SELECT " + variables(db)).Scan(&is).Error
	if err == nil {
		err = takesWrites(is.ReadOnly, is.InnodbReadOnly)
	}
	if err != nil {
		closeIdle(s.ping)
		closeIdle(s.db)
	}
	return translate(err, "ping the database")
}

// The names of the databases, as gorm has them.
const (
	mysqlDialect  = "mysql"
	sqliteDialect = "sqlite"
)

// variables selects, as read_only and innodb_read_only, what makes a server refuse
// writes, also those of users who have the right to write all the same: what they wrote
// to a replica would be lost. innodb_read_only is what readers of Amazon Aurora have.
func variables(db *gorm.DB) string {
	if db.Name() == mysqlDialect {
		return "@@global.read_only AS read_only, @@global.innodb_read_only AS innodb_read_only"
	}
	return "'0' AS read_only, '0' AS innodb_read_only"
}

// takesWrites returns ErrReadOnly if one of those variables is on.
func takesWrites(variables ...string) error {
	if slices.ContainsFunc(variables, isOn) {
		return ErrReadOnly
	}
	return nil
}

// isOn reads a variable that is a number, or from MariaDB 12 on one of several
// words.
func isOn(value string) bool { return value != "0" && value != "OFF" }

// closeIdle closes the connections that nobody uses right now.
func closeIdle(db *gorm.DB) {
	if pools, ok := db.ConnPool.(interface{ CloseIdle() }); ok { // of db.Open
		pools.CloseIdle()
		return
	}
	pool, err := db.DB()
	if err != nil {
		return // this is no pool of connections
	}
	pool.SetMaxIdleConns(-1)
	pool.SetMaxIdleConns(pool.Stats().MaxOpenConnections) // as db.Open has it
}
