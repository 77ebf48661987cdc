package mariadb

import (
	"database/sql"
	"testing"

	"github.com/go-sql-driver/mysql"
)

func TestDatabaseIsEmptyAndUTF8(t *testing.T) {
	t.Parallel()
	db := open(t, Database(t))
	var tables int
	var charset string
	err := db.QueryRow(`SELECT (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()), @@character_set_database`).Scan(&tables, &charset)
	if err != nil {
		t.Fatal(err)
	}
	if tables != 0 || charset != "utf8mb4" {
		t.Errorf("got %d tables in %s, want none in utf8mb4", tables, charset)
	}
}

func TestDatabasesAreApart(t *testing.T) {
	t.Parallel()
	first, second := open(t, Database(t)), open(t, Database(t))
	for _, db := range []*sql.DB{first, second} {
		if _, err := db.Exec("CREATE TABLE users (id INT)"); err != nil {
			t.Errorf("create a table of the same name in each database: %v", err)
		}
	}
}

func TestDatabaseIsDroppedWithItsTest(t *testing.T) {
	t.Parallel()
	var dsn string
	t.Run("inner", func(t *testing.T) { dsn = Database(t) })
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	name := config.DBName
	var left int
	err = open(t, Database(t)).QueryRow("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ?", name).Scan(&left)
	if err != nil {
		t.Fatal(err)
	}
	if left != 0 {
		t.Errorf("database %s is still there, want it dropped", name)
	}
}

func TestServerKeepsCommittedRowsWhenKilled(t *testing.T) {
	t.Parallel()
	server := Start(t)
	db := open(t, server.Database(t))
	if _, err := db.Exec("CREATE TABLE users (id INT) AS SELECT 7 AS id"); err != nil {
		t.Fatal(err)
	}

	server.Kill()
	if err := db.Ping(); err == nil {
		t.Error("the killed server answers, want it to be away")
	}
	server.Restart(t)
	var id int
	if err := db.QueryRow("SELECT id FROM users").Scan(&id); err != nil {
		t.Fatal(err)
	}
	if id != 7 {
		t.Errorf("got id %d, want 7", id)
	}
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
