package chaos

import (
	"io"
	"testing"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

// What the holder of the lease writes is not noted, and what another manager does is.
func TestVerifyLeases(t *testing.T) {
	t.Parallel()
	gdb, err := db.Open(t.Context(), db.Config{Driver: db.MySQL, DSN: mariadb.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(gdb) })
	if _, err := db.Migrate(t.Context(), gdb); err != nil {
		t.Fatal(err)
	}
	pool, err := gdb.DB() // of other sessions than those of the store's transactions
	if err != nil {
		t.Fatal(err)
	}
	if err := noteUnleased(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	store, now := dao.New(gdb), time.Now()
	w, _, err := store.ApplyWorkflow(t.Context(), "chain", string(shapes[0].definition()), dao.DefaultUserID, now)
	if err != nil {
		t.Fatal(err)
	}
	id, err := store.CreateExecution(t.Context(), dao.NewExecution{WorkflowID: w.ID, Input: "{}", Actor: "test"}, now)
	if err != nil {
		t.Fatal(err)
	}
	leases, err := store.ClaimScheduled(t.Context(), dao.Claimant{Owner: "holder", Namespace: "chaos"}, now, now.Add(time.Minute), 1)
	if err != nil || len(leases) != 1 {
		t.Fatalf("leases %v: %v", leases, err)
	}
	row, err := store.Execution(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	commit := func(ts ...dao.Transition) {
		t.Helper()
		if err := store.Commit(t.Context(), leases[0], &row, ts, now); err != nil {
			t.Fatal(err)
		}
	}
	row.Status, row.StartedAt = dao.ExecutionRunning, &now
	task := &dao.TaskExecution{TaskName: "a", TaskType: "kube-job", Attempt: 1, Input: "{}", Output: "{}", StartedAt: now}
	commit(dao.Transition{Type: dao.EventExecutionStarted}, dao.Transition{Type: dao.EventTaskStarted, Task: task})
	task.Status, task.EndedAt = dao.TaskSuccess, &now
	commit(dao.Transition{Type: dao.EventTaskSucceeded, Task: task}) // which leaves the execution's row alone
	row.Status, row.EndedAt = dao.ExecutionSuccess, &now
	commit(dao.Transition{Type: dao.EventExecutionSucceeded})
	unleased := func() int {
		r := newReport(silent{t}, io.Discard, 1, 1)
		if err := verifyLeases(t.Context(), pool, r); err != nil {
			t.Fatal(err)
		}
		return r.Unleased
	}
	if n := unleased(); n != 0 {
		t.Errorf("the holder's writes are noted: %d", n)
	}
	// As Commit would without its fence.
	tx, err := pool.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"UPDATE workflow_executions SET updated_at = UTC_TIMESTAMP(6)",
		"INSERT INTO execution_events (workflow_execution_id, at, type, actor) VALUES (1, UTC_TIMESTAMP(6), 'ExecutionFailed', 'manager zombie')",
	} {
		if _, err := tx.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if n := unleased(); n != 1 {
		t.Errorf("a zombie's write is noted %d times", n)
	}
}
