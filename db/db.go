// Package db opens the database that the services share, MySQL (or MariaDB) or
// SQLite, and brings its schema up to date.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/glebarez/sqlite"
	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// The drivers: values of Config.Driver.
const (
	MySQL  = "mysql"
	SQLite = "sqlite"
)

// Config says where the database is.
type Config struct {
	Driver string
	// User, Password, Host, Port and Name are MySQL's.
	User, Password, Host string
	Port                 int
	Name                 string
	// DSN, in go-sql-driver's format, replaces those five if it is not empty.
	DSN string
	// Path is SQLite's file.
	Path string
	// MaxConns bounds the open connections; 0 means 32. A MySQL database has two at the
	// least: one for transactions, and one for all else.
	MaxConns int
	// ForMigration lets a statement take as long as it takes.
	ForMigration bool
}

const (
	defaultMaxConns = 32
	// lockWait is how long a statement waits for a lock before it gives up; the
	// caller tries again.
	lockWait = 10 * time.Second
	// silence is after how long a MySQL server ends a session that says nothing, and
	// with it the transaction and the locks of a process that was stopped, or cut off,
	// in the midst of it: others wait for those, though its leases have run out.
	// Connections that are idle are closed before.
	silence = 20 * time.Second
	maxIdle = 10 * time.Second
)

// unknownDatabase is the number of an error of MySQL and MariaDB: the server has none
// of that name.
const unknownDatabase = 1049

// Open connects and pings; it does not look at the schema: see CheckVersion.
func Open(ctx context.Context, cfg Config) (*gorm.DB, error) {
	dialector, where, err := dialectorOf(cfg)
	if err != nil {
		return nil, err
	}
	conns := cfg.MaxConns
	if cfg.Driver == SQLite {
		// One writer at a time is all that SQLite has, and it lets those who wait
		// try again by chance; the pool's queue is fair.
		conns = 1
	}
	if conns == 0 {
		conns = defaultMaxConns
	}
	gdb, err := newPool(dialector, conns)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", where, err)
	}
	pool, err := gdb.DB()
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", where, err)
	}
	if err := pool.PingContext(ctx); err != nil {
		_ = Close(gdb)
		if my, ok := errors.AsType[*mysqldriver.MySQLError](err); ok && my.Number == unknownDatabase {
			err = fmt.Errorf("%w: correct its name, or make it with `jobnetes migrate`", err)
		}
		return nil, fmt.Errorf("connect to database %s: %w", where, err)
	}
	slog.DebugContext(ctx, "database opened", "database", where)
	return gdb, nil
}

// newPool makes a pool of so many connections at the most. None is made yet.
func newPool(dialector gorm.Dialector, conns int) (*gorm.DB, error) {
	gdb, err := gorm.Open(dialector, &gorm.Config{
		SkipDefaultTransaction: true, // dao opens its transactions itself
		TranslateError:         true, // ErrDuplicatedKey, whatever the dialect
		DisableAutomaticPing:   true,
		NowFunc:                func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) },
		Logger:                 logger.Discard, // errors are returned, and logged once by who asked
	})
	if err != nil {
		return nil, err
	}
	if both, ok := gdb.ConnPool.(*pools); ok {
		both.bound(conns)
		return gdb, nil
	}
	pool, err := gdb.DB()
	if err != nil {
		return nil, err
	}
	bound(pool, conns)
	return gdb, nil
}

// bound bounds the open connections of a pool.
func bound(pool *sql.DB, conns int) {
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	pool.SetConnMaxIdleTime(maxIdle)
}

// Address returns the network and address that the database is at, as of net.Dial:
// for SQLite, "unix" and its file.
func Address(cfg Config) (network, address string, err error) {
	if cfg.Driver == SQLite {
		return "unix", cfg.Path, nil
	}
	c, err := mysqlConfig(cfg)
	if err != nil {
		return "", "", err
	}
	return c.Net, c.Addr, nil
}

// Close closes the connections of a database that Open or OpenWithPing returned.
func Close(gdb *gorm.DB) error {
	if both, ok := gdb.ConnPool.(*pools); ok {
		return both.Close()
	}
	pool, err := gdb.DB()
	if err != nil {
		return err
	}
	return pool.Close()
}

// dialectorOf returns gorm's dialector, and where the database is, without a
// password, for messages.
func dialectorOf(cfg Config) (gorm.Dialector, string, error) {
	switch cfg.Driver {
	case MySQL:
		dsn, err := mysqlConfig(cfg)
		if err != nil {
			return nil, "", err
		}
		where := fmt.Sprintf("%s@%s/%s", dsn.User, dsn.Addr, dsn.DBName)
		connector, err := newConnector(dsn)
		if err != nil {
			return nil, "", err
		}
		return mysql.New(mysql.Config{Conn: newPools(connector), SkipInitializeWithVersion: true}), where, nil
	case SQLite:
		if cfg.Path == "" {
			return nil, "", fmt.Errorf("db.path: a SQLite database needs the path of its file")
		}
		if err := os.MkdirAll(filepath.Dir(cfg.Path), 0o700); err != nil {
			return nil, "", fmt.Errorf("make the folder of the database: %w", err)
		}
		return sqlite.Open(sqliteDSN(cfg.Path)), cfg.Path, nil
	default:
		return nil, "", fmt.Errorf("db.driver: unknown driver %q: use %s or %s", cfg.Driver, MySQL, SQLite)
	}
}

func mysqlConfig(cfg Config) (*mysqldriver.Config, error) {
	c := mysqldriver.NewConfig()
	if cfg.DSN != "" {
		var err error
		if c, err = mysqldriver.ParseDSN(cfg.DSN); err != nil {
			return nil, fmt.Errorf("database DSN: %w", err)
		}
	} else {
		c.User, c.Passwd, c.DBName = cfg.User, cfg.Password, cfg.Name
		c.Net, c.Addr = "tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port))
	}
	c.Logger = driverLog{}
	c.ParseTime = true         // DATETIME as time.Time ...
	c.Loc = time.UTC           // ... in UTC
	c.ClientFoundRows = true   // RowsAffected counts matches: a compare-and-set that changes nothing has still won
	c.RejectReadOnly = true    // a primary that became a replica is left at once
	c.InterpolateParams = true // one round trip a statement
	c.CheckConnLiveness = true // a transaction begins without a word: nothing else finds that its connection is dead
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = 60 * time.Second
	}
	c.ReadTimeout = max(c.ReadTimeout, lockWait+5*time.Second) // a server that waits for a lock is not dead
	if cfg.ForMigration {
		c.ReadTimeout = 0 // an index of a large table takes minutes; keepalive finds a dead server
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 60 * time.Second
	}
	if err := c.Apply(mysqldriver.Charset("utf8mb4", "utf8mb4_bin")); err != nil {
		return nil, fmt.Errorf("database DSN: %w", err)
	}
	return c, nil
}

// driverLog is the driver's logger, which is slog's default.
type driverLog struct{}

// Print logs what the driver says. The error that follows says more, and in an outage
// the driver says the same of each connection, and of each try to make one.
func (driverLog) Print(v ...any) { slog.Debug("database driver", "message", fmt.Sprint(v...)) }

func sqliteDSN(path string) string {
	v := url.Values{}
	v.Add("_pragma", "journal_mode(WAL)")
	v.Add("_pragma", "synchronous(NORMAL)")
	v.Add("_pragma", "foreign_keys(1)")
	v.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", lockWait.Milliseconds()))
	// A transaction takes the write lock when it begins: upgrading a read
	// lock later fails at once where it should wait.
	v.Add("_txlock", "immediate")
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: v.Encode()}).String()
}
