package db

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	mysqldriver "github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
	"gorm.io/gorm"
)

//go:embed migrations
var migrations embed.FS

// ErrVersion says that the schema is not the one this build knows.
var ErrVersion = errors.New("database schema version")

// CreateDatabase makes the MySQL database that cfg names if it is missing. With
// SQLite there is nothing to do: its file is made when it is opened.
func CreateDatabase(ctx context.Context, cfg Config) error {
	if cfg.Driver != MySQL {
		return nil
	}
	c, err := mysqlConfig(cfg)
	if err != nil {
		return err
	}
	name := c.DBName
	c.DBName = ""
	connector, err := mysqldriver.NewConnector(c)
	if err != nil {
		return fmt.Errorf("database DSN: %w", err)
	}
	pool := sql.OpenDB(connector)
	defer func() { _ = pool.Close() }()
	var found int
	if err := pool.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ?", name).Scan(&found); err != nil {
		return fmt.Errorf("look for database %s on %s: %w", name, c.Addr, err)
	}
	if found > 0 {
		return nil
	}
	quoted := "`" + strings.ReplaceAll(name, "`", "``") + "`"
	if _, err := pool.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS "+quoted+" CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"); err != nil {
		return fmt.Errorf("create database %s on %s: %w", name, c.Addr, err)
	}
	return nil
}

// Migrate brings the schema to the version of this build and returns the names
// of the migrations it applied. Several may run at once: one works, the others
// wait for it. One that was cut short is run again.
func Migrate(ctx context.Context, gdb *gorm.DB) ([]string, error) {
	provider, pool, err := newProvider(gdb)
	if err != nil {
		return nil, err
	}
	if gdb.Name() != SQLite {
		return migrateMySQL(ctx, pool, provider.ListSources(), usual)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the schema version: %w", err)
	}
	if current > target {
		return nil, versionError(current, target)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate the database: %w", err)
	}
	var applied []string
	for _, r := range results {
		applied = append(applied, r.Source.Path)
	}
	return applied, nil
}

// newerSteps is by how many versions the schema may be ahead of a build. One
// step: then a service of the build before goes on, and can be started again,
// while its successors take over. Migrations only add to what builds before rely
// on (docs/operations.md), so that it may.
const newerSteps = 1

// CheckVersion returns an error that wraps ErrVersion and names the remedy
// unless the schema is the one that this build knows, or the next.
func CheckVersion(ctx context.Context, gdb *gorm.DB) error {
	provider, _, err := newProvider(gdb)
	if err != nil {
		return err
	}
	target := lastVersion(provider)
	current, err := readVersion(ctx, gdb)
	if err != nil {
		return err
	}
	if current < target || current > target+newerSteps {
		return versionError(current, target)
	}
	return nil
}

func versionError(current, target int64) error {
	if current < target {
		return fmt.Errorf("%w: the database has version %d, this build needs %d: run `jobnetes migrate` with this build", ErrVersion, current, target)
	}
	return fmt.Errorf("%w: the database has version %d, this build knows only up to %d: run the build that migrated it, or a newer one (`jobnetes version` tells a build's schema version); a service also runs on a schema that is one version newer", ErrVersion, current, target)
}

// Version returns the schema version that this build knows for that driver.
func Version(driver string) (int64, error) {
	files, err := fs.Glob(migrations, "migrations/"+driver+"/*.sql")
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("no migrations for db.driver %q", driver)
	}
	return goose.NumericComponent(files[len(files)-1])
}

// readVersion reads goose's table without creating it: a service that only
// looks must not write.
func readVersion(ctx context.Context, gdb *gorm.DB) (int64, error) {
	if !gdb.WithContext(ctx).Migrator().HasTable(goose.DefaultTablename) {
		// It says so of a database that has gone away, too.
		if err := gdb.WithContext(ctx).Exec("SELECT 1").Error; err != nil {
			return 0, fmt.Errorf("read the schema version: %w", err)
		}
		return 0, nil
	}
	var version sql.NullInt64
	err := gdb.WithContext(ctx).Raw("SELECT MAX(version_id) FROM " + goose.DefaultTablename + " WHERE is_applied").Scan(&version).Error
	if err != nil {
		return 0, fmt.Errorf("read the schema version: %w", err)
	}
	return version.Int64, nil
}

func lastVersion(p *goose.Provider) int64 {
	sources := p.ListSources()
	return sources[len(sources)-1].Version
}

func newProvider(gdb *gorm.DB) (*goose.Provider, *sql.DB, error) {
	pool, err := gdb.DB()
	if err != nil {
		return nil, nil, err
	}
	dialect, dir := goose.DialectMySQL, MySQL
	if gdb.Name() == SQLite {
		dialect, dir = goose.DialectSQLite3, SQLite
	}
	sub, err := fs.Sub(migrations, "migrations/"+dir)
	if err != nil {
		return nil, nil, err
	}
	provider, err := goose.NewProvider(dialect, pool, sub)
	if err != nil {
		return nil, nil, fmt.Errorf("load the migrations: %w", err)
	}
	return provider, pool, nil
}
