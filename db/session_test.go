package db

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/jobnetes/jobnetes/test/mariadb"
)

// wantSession are the variables of a session for single statements.
var wantSession = map[string]string{
	"autocommit":               "ON",
	"completion_type":          "NO_CHAIN",
	"time_zone":                "+00:00",
	"sql_mode":                 "STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION",
	"innodb_lock_wait_timeout": "10",
	"wait_timeout":             "20",
	"character_set_client":     "utf8mb4",
	"character_set_connection": "utf8mb4",
	"character_set_results":    "utf8mb4",
	"collation_connection":     "utf8mb4_bin",
	"transaction_isolation":    "READ-COMMITTED",
}

// Sessions are the same whatever the user's DSN and the server's defaults say, but for what
// is the user's to say.
func TestSessions(t *testing.T) {
	t.Parallel()
	dsn := mariadb.Database(t)
	cases := map[string]struct {
		param string
		own   map[string]string // what the user has set
	}{
		"nothing":                      {},
		"autocommit":                   {param: "autocommit=0"},
		"autocommit, in capitals":      {param: "AUTOCOMMIT=0"},
		"autocommit, as a variable":    {param: "@@autocommit=0"},
		"autocommit, of the session":   {param: "SESSION autocommit=0"},
		"autocommit, in backquotes":    {param: "`autocommit`=0"},
		"completion type":              {param: "completion_type=2"},
		"time zone":                    {param: "TIME_ZONE='%2B05:00'"},
		"SQL mode":                     {param: "SQL_MODE=''"},
		"lock wait":                    {param: "INNODB_LOCK_WAIT_TIMEOUT=77"},
		"character set":                {param: "charset=latin1"},
		"character set, as a variable": {param: "character_set_client=gbk"},
		"collation":                    {param: "collation_connection=utf8mb4_general_ci"},
		"silence":                      {param: "wait_timeout=33", own: map[string]string{"wait_timeout": "33"}},
		"silence, in capitals":         {param: "WAIT_TIMEOUT=33", own: map[string]string{"wait_timeout": "33"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkSessions(t, withParam(dsn, tc.param), tc.own)
		})
	}
	t.Run("another server", func(t *testing.T) {
		t.Parallel()
		server := mariadb.Start(t, "--autocommit=0", "--completion-type=RELEASE", "--default-time-zone=+05:00", "--sql-mode=",
			"--innodb-lock-wait-timeout=77", "--wait-timeout=77", "--character-set-server=latin1", "--transaction-isolation=SERIALIZABLE")
		checkSessions(t, server.Database(t), nil)
	})
}

func withParam(dsn, param string) string {
	if strings.Contains(dsn, "?") {
		return dsn + "&" + param
	}
	return dsn + "?" + param
}

// checkSessions checks both kinds of sessions.
func checkSessions(t *testing.T, dsn string, own map[string]string) {
	t.Helper()
	gdb := open(t, Config{Driver: MySQL, DSN: dsn})
	want := maps.Clone(wantSession)
	maps.Copy(want, own)
	if diff := cmp.Diff(want, sessionOf(t, gdb)); diff != "" {
		t.Errorf("single statements (-want +got):\n%s", diff)
	}
	want["autocommit"] = "OFF" // a transaction begins by itself
	err := gdb.Transaction(func(tx *gorm.DB) error {
		if diff := cmp.Diff(want, sessionOf(t, tx)); diff != "" {
			t.Errorf("transactions (-want +got):\n%s", diff)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// sessionOf returns the variables that wantSession has.
func sessionOf(t *testing.T, session *gorm.DB) map[string]string {
	t.Helper()
	var rows []struct {
		Name  string `gorm:"column:Variable_name"`
		Value string `gorm:"column:Value"`
	}
	if err := session.Raw("SHOW SESSION VARIABLES").Scan(&rows).Error; err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, row := range rows {
		if row.Name == "tx_isolation" { // MariaDB's, before 11.1
			row.Name = "transaction_isolation"
		}
		if _, ok := wantSession[row.Name]; ok {
			all[row.Name] = row.Value
		}
	}
	return all
}

// A connection that the server has closed while it was idle fails no transaction, though
// none begins with a statement; nor does a DSN that would not have it looked at.
func TestTransactionsOnDeadConnections(t *testing.T) {
	t.Parallel()
	gdb := open(t, Config{Driver: MySQL, DSN: withParam(mariadb.Database(t), "checkConnLiveness=false"), MaxConns: 1})
	id := func() (id int64) {
		t.Helper()
		err := gdb.Transaction(func(tx *gorm.DB) error { return tx.Raw("SELECT CONNECTION_ID()").Scan(&id).Error })
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	dead := id()
	if err := gdb.Exec("KILL ?", dead).Error; err != nil {
		t.Fatal(err)
	}
	single, err := gdb.DB()
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, single, fmt.Sprintf("SELECT COUNT(*) = 0 FROM information_schema.processlist WHERE id = %d", dead))
	if now := id(); now == dead {
		t.Errorf("connection %d was not closed", dead)
	}
}
