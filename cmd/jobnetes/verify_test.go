package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/manager/verify"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "jobnetes.db")
	gdb, err := db.Open(t.Context(), db.Config{Driver: db.SQLite, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(gdb) })
	if _, err := db.Migrate(t.Context(), gdb); err != nil {
		t.Fatal(err)
	}
	store := dao.New(gdb)
	w, _, err := store.ApplyWorkflow(t.Context(), "nightly", nightly, dao.DefaultUserID, began)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.CreateExecution(t.Context(), dao.NewExecution{WorkflowID: w.ID, Name: "x", Input: "{}", Actor: "test"}, time.Now().Add(time.Hour/2)); err != nil {
		t.Fatal(err)
	}
	config := file(t, "config.yaml", fmt.Sprintf("db:\n  driver: sqlite\n  path: %s\n", path))
	log := file(t, "audit.log", "")
	run := func(args ...string) (string, error) {
		stdout, _, err := runCommand(t.Context(), "", append([]string{"verify", "--config", config, "--rows-only"}, args...)...)
		return stdout, err
	}

	out, err := run("--all", "--audit-log", log)
	if err != nil || !strings.Contains(out, "verified: ") || !strings.Contains(out, "not checked: the cluster's Jobs\n") || !strings.HasSuffix(out, "nothing found\n") {
		t.Errorf("%v: %s", err, out)
	}
	if exitCode(err) != 0 {
		t.Errorf("exit code %d, want 0", exitCode(err))
	}
	if _, err := run("--audit-log", "/nowhere.log"); err == nil || exitCode(err) != 1 || !strings.Contains(err.Error(), "--audit-log: open /nowhere.log") {
		t.Errorf("a log that is not there: %v", err)
	}
	if _, err := run("--execution", "77"); err == nil || exitCode(err) != 1 || errors.Is(err, errFindings) {
		t.Errorf("an execution that is not there: %v", err)
	}

	if err := gdb.Exec("UPDATE workflow_executions SET wake_at = ?", time.Now().AddDate(1, 0, 0).UTC()).Error; err != nil {
		t.Fatal(err)
	}
	out, err = run("--execution", "1")
	if exitCode(err) != 2 || !strings.HasPrefix(out, "WakesLate  execution 1\n  what:   ") || !strings.Contains(out, "found: 1, repaired: 0\n") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = run("--repair", "-o", "json")
	var r verify.Report
	if json.Unmarshal([]byte(out), &r) != nil || err != nil || len(r.Findings) != 1 || !r.Findings[0].Repaired || r.Counts.Executions != 1 {
		t.Errorf("%v: %s", err, out)
	}
	if out, err = run(); err != nil {
		t.Errorf("after the repair: %v: %s", err, out)
	}
}
