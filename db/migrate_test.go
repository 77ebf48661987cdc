package db

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/jobnetes/jobnetes/test/mariadb"
)

// onEach runs a test on an empty SQLite and on an empty MariaDB database.
func onEach(t *testing.T, test func(t *testing.T, cfg Config)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, Config{Driver: SQLite, Path: t.TempDir() + "/jobnetes.db"})
	})
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		test(t, Config{Driver: MySQL, DSN: mariadb.Database(t)})
	})
}

func open(t *testing.T, cfg Config) *gorm.DB {
	t.Helper()
	gdb, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = Close(gdb) })
	return gdb
}

func TestMigrate(t *testing.T) {
	onEach(t, func(t *testing.T, cfg Config) {
		gdb := open(t, cfg)
		if err := CheckVersion(t.Context(), gdb); !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "run `jobnetes migrate`") {
			t.Errorf("an empty database: %v", err)
		}
		if gdb.Migrator().HasTable("goose_db_version") {
			t.Error("looking at the version has written to the database")
		}
		applied, err := Migrate(t.Context(), gdb)
		if err != nil || len(applied) == 0 {
			t.Fatalf("Migrate: %v, %v", applied, err)
		}
		if applied, err = Migrate(t.Context(), gdb); err != nil || len(applied) != 0 {
			t.Errorf("a second Migrate: %v, %v", applied, err)
		}
		if err := CheckVersion(t.Context(), gdb); err != nil {
			t.Errorf("after Migrate: %v", err)
		}
		own, err := Version(cfg.Driver)
		if err != nil {
			t.Fatal(err)
		}
		noteVersion := func(v int64) {
			if err := gdb.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, 1)", v).Error; err != nil {
				t.Fatal(err)
			}
		}
		noteVersion(own + 1)
		if err := CheckVersion(t.Context(), gdb); err != nil {
			t.Errorf("a schema one step newer, as in a rolling upgrade: %v", err)
		}
		if _, err := Migrate(t.Context(), gdb); !errors.Is(err, ErrVersion) {
			t.Errorf("Migrate by the older build: %v", err)
		}
		noteVersion(own + 2)
		for name, err := range map[string]error{"CheckVersion": CheckVersion(t.Context(), gdb), "Migrate": second(Migrate(t.Context(), gdb))} {
			if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "knows only up to") {
				t.Errorf("%s of a schema two steps newer: %v", name, err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	cfg := Config{Driver: MySQL, DSN: mariadb.Database(t)}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := Migrate(context.WithoutCancel(t.Context()), open(t, cfg)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// The two dialects must have the same tables, views and columns.
func TestDialectsAgree(t *testing.T) {
	t.Parallel()
	columns := map[string]map[string][]string{}
	for _, cfg := range []Config{{Driver: SQLite, Path: t.TempDir() + "/jobnetes.db"}, {Driver: MySQL, DSN: mariadb.Database(t)}} {
		gdb := open(t, cfg)
		if _, err := Migrate(t.Context(), gdb); err != nil {
			t.Fatal(err)
		}
		columns[cfg.Driver] = map[string][]string{}
		for _, table := range []string{
			"users", "workflows", "workflow_versions", "workflow_executions", "task_executions", "execution_events", "secrets", "task_logs", "managers", "locks", "task_indexes", "v_executions", "v_tasks", "v_task_logs", "v_indexes",
		} {
			columns[cfg.Driver][table] = columnsOf(t, gdb, table)
		}
	}
	columns[SQLite]["v_task_logs"] = append(columns[SQLite]["v_task_logs"], "log") // it has no UNCOMPRESS
	if diff := cmp.Diff(columns[MySQL], columns[SQLite]); diff != "" {
		t.Errorf("columns (-mysql +sqlite):\n%s", diff)
	}
}

func columnsOf(t *testing.T, gdb *gorm.DB, table string) []string {
	t.Helper()
	rows, err := gdb.Raw("SELECT * FROM " + table + " WHERE 1 = 0").Rows()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err := errors.Join(err, rows.Err()); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(names)
}

func TestCreateDatabase(t *testing.T) {
	t.Parallel()
	cfg := Config{Driver: MySQL, DSN: mariadb.Database(t)}
	name := open(t, cfg).Migrator().CurrentDatabase()
	cfg.DSN = strings.Replace(cfg.DSN, name, name+"_new", 1)
	for range 2 {
		if err := CreateDatabase(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	gdb := open(t, cfg)
	if err := gdb.Exec("DROP DATABASE " + name + "_new").Error; err != nil {
		t.Error(err)
	}
}

func TestOpenSaysWhereItFailed(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		cfg  Config
		want string
	}{
		"an unknown driver":  {Config{Driver: "oracle"}, `db.driver: unknown driver "oracle"`},
		"no path":            {Config{Driver: SQLite}, "db.path"},
		"nobody listens":     {Config{Driver: MySQL, User: "u", Password: "hidden", Host: "127.0.0.1", Port: 1, Name: "n"}, "u@127.0.0.1:1/n"},
		"a DSN that is none": {Config{Driver: MySQL, DSN: "nonsense"}, "database DSN"},
	}
	for name, tc := range cases {
		_, err := Open(t.Context(), tc.cfg)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A service of the build before runs on the schema of this one, so a migration may
// only add to what was there: no column goes, moves or changes, and no INSERT
// needs to name a new one.
func TestMigrationsOnlyAdd(t *testing.T) {
	onEach(t, func(t *testing.T, cfg Config) {
		gdb := open(t, cfg)
		p, pool, err := newProvider(gdb)
		if err != nil {
			t.Fatal(err)
		}
		var before map[string][]column
		for i, step := range p.ListSources() {
			if cfg.Driver == MySQL {
				_, err = migrateMySQL(t.Context(), pool, p.ListSources()[:i+1], usual)
			} else {
				_, err = p.UpByOne(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			after := schemaOf(t, gdb)
			for table, columns := range before {
				now := after[table]
				if len(now) < len(columns) || !slices.Equal(now[:len(columns)], columns) {
					t.Errorf("%s changes %s\nfrom %+v\nto   %+v", step.Path, table, columns, now)
					continue
				}
				for _, added := range now[len(columns):] {
					if added.Required {
						t.Errorf("%s: %s.%s is NOT NULL and has no default: the build before cannot insert", step.Path, table, added.Name)
					}
				}
			}
			before = after
		}
	})
}

// column is what an older build may rely on.
type column struct {
	Name, Type string
	Required   bool // an INSERT has to name it; nobody inserts into views, v_…
}

// schemaOf returns the columns, in their order, of all tables and views.
func schemaOf(t *testing.T, gdb *gorm.DB) map[string][]column {
	t.Helper()
	query := `SELECT table_name AS tab, column_name AS name, column_type AS type,
		table_name NOT LIKE 'v\\_%' AND is_nullable = 'NO' AND column_default IS NULL AND extra NOT LIKE '%auto_increment%' AS required
		FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position`
	if gdb.Name() == SQLite {
		query = `SELECT m.name AS tab, c.name AS name, c.type AS type, c."notnull" = 1 AND c.dflt_value IS NULL AS required
			FROM sqlite_master m JOIN pragma_table_xinfo(m.name) c WHERE m.type IN ('table', 'view') ORDER BY m.name, c.cid`
	}
	var rows []struct {
		Tab, Name, Type string
		Required        bool
	}
	if err := gdb.Raw(query).Scan(&rows).Error; err != nil {
		t.Fatal(err)
	}
	tables := map[string][]column{}
	for _, r := range rows {
		tables[r.Tab] = append(tables[r.Tab], column{r.Name, r.Type, r.Required})
	}
	if len(tables["workflows"]) == 0 || tables["workflows"][1].Name != "name" {
		t.Fatal("the columns cannot be read")
	}
	return tables
}
