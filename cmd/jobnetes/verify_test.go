package main

import (
	"encoding/json"
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

	out, _, err := runCommand(t.Context(), "", "verify", "--data", filepath.Dir(path), "--all")
	if err != nil || !strings.Contains(out, "not checked: the cluster's Jobs\n") {
		t.Errorf("a folder of dev: %v: %s", err, out)
	}
	if _, _, err := runCommand(t.Context(), "", "verify", "--data", t.TempDir()); exitCode(err) != 1 || !strings.Contains(fmt.Sprint(err), "no folder of `jobnetes dev`") {
		t.Errorf("a folder that is not dev's: %v", err)
	}
	out, err = run("--all", "--audit-log", log)
	if err != nil || !strings.Contains(out, "verified: ") || !strings.Contains(out, "not checked: the cluster's Jobs\n") || !strings.HasSuffix(out, "nothing found\n") {
		t.Errorf("%v: %s", err, out)
	}
	if exitCode(err) != 0 {
		t.Errorf("exit code %d, want 0", exitCode(err))
	}
	if _, err := run("--audit-log", "/nowhere.log"); err == nil || exitCode(err) != 1 || !strings.Contains(err.Error(), "--audit-log: open /nowhere.log") {
		t.Errorf("a log that is not there: %v", err)
	}
	for id, want := range map[string]string{"77": "there is no execution 77", "abc": `"abc" is no execution id`, "": `"" is no execution id`, "0": `"0" is no execution id`} {
		if _, err := run("--execution", id); exitCode(err) != 1 || !strings.Contains(fmt.Sprint(err), want) || strings.Contains(fmt.Sprint(err), "strconv") {
			t.Errorf("--execution %q: %v, want %s", id, err, want)
		}
	}

	if err := gdb.Exec("UPDATE workflow_executions SET wake_at = ?", time.Now().AddDate(1, 0, 0).UTC()).Error; err != nil {
		t.Fatal(err)
	}
	out, err = run("--execution", "1")
	if exitCode(err) != 2 || !strings.HasPrefix(out, "WakesLate  execution 1\n  what:   ") || !strings.Contains(out, "found: 1 in 1 execution; repaired: 0, 1 can be repaired by --repair\n") {
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

func TestFoundLine(t *testing.T) {
	t.Parallel()
	missing, orphan, gone := verify.Finding{Kind: verify.EventMissing, ExecutionID: 1}, verify.Finding{Kind: verify.JobOrphan}, verify.Finding{Kind: verify.JobOrphan, Repaired: true}
	for want, found := range map[string][]verify.Finding{
		"found: 3 in 2 executions; repaired: 0, none can be repaired by --repair": {missing, missing, {Kind: verify.JobGone, ExecutionID: 2}},
		"found: 2 in 1 execution; repaired: 0, 1 can be repaired by --repair":     {missing, orphan},
		"found: 1; repaired: 1": {gone},
		"found: 2 in 1 execution; repaired: 1, none of the others can be repaired by --repair": {missing, gone},
	} {
		if got := foundLine(&verify.Report{Findings: found}); got != want+"\n" {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
