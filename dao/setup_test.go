package dao

import (
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)

const definition = `{"name": "w", "tasks": [{"name": "a", "type": "kube-job", "job": {}}]}`

// bundle is a migrated, empty database.
type bundle struct {
	*Store
	gdb *gorm.DB
}

// onEach runs a test on SQLite and on MariaDB.
func onEach(t *testing.T, test func(t *testing.T, s bundle)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, open(t, db.Config{Driver: db.SQLite, Path: t.TempDir() + "/jobnetes.db"}))
	})
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		test(t, open(t, db.Config{Driver: db.MySQL, DSN: mariadb.Database(t)}))
	})
}

func open(t *testing.T, cfg db.Config) bundle {
	t.Helper()
	gdb, err := db.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(gdb) })
	if _, err := db.Migrate(t.Context(), gdb); err != nil {
		t.Fatal(err)
	}
	return bundle{New(gdb), gdb}
}

// workflow applies a workflow and returns its id.
func (s bundle) workflow(t *testing.T) uint64 {
	t.Helper()
	w, _, err := s.ApplyWorkflow(t.Context(), "w", definition, DefaultUserID, now)
	if err != nil {
		t.Fatal(err)
	}
	return w.ID
}

// execution schedules an execution and returns its id.
func (s bundle) execution(t *testing.T, workflowID uint64) uint64 {
	t.Helper()
	id, err := s.CreateExecution(t.Context(), NewExecution{WorkflowID: workflowID, Name: "run", Input: "{}", Actor: "test"}, now)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// claimed schedules an execution and claims it.
func (s bundle) claimed(t *testing.T) (Lease, *WorkflowExecution) {
	t.Helper()
	id := s.execution(t, s.workflow(t))
	leases, err := s.ClaimScheduled(t.Context(), by("m1"), now, now.Add(time.Minute), 10)
	if err != nil || len(leases) != 1 {
		t.Fatalf("Claim: %v, %v", leases, err)
	}
	e, err := s.Execution(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return leases[0], &e
}

// start moves e to running, with one task "a".
func (s bundle) start(t *testing.T, l Lease, e *WorkflowExecution) *TaskExecution {
	t.Helper()
	at := now
	e.Status, e.StartedAt = ExecutionRunning, &at
	task := newTask("a", "kube-job")
	err := s.Commit(t.Context(), l, e, []Transition{{Type: EventExecutionStarted}, {Type: EventTaskStarted, Task: task}}, now)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func newTask(name, kind string) *TaskExecution {
	return &TaskExecution{TaskName: name, TaskType: kind, Attempt: 1, Input: "{}", Output: "{}", StartedAt: now}
}

func (s bundle) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if err := s.gdb.Exec(sql, args...).Error; err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// plan says how the database carries a query out.
func (s bundle) plan(t *testing.T, query string) string {
	t.Helper()
	explain := "EXPLAIN " + query
	if s.gdb.Name() == "sqlite" {
		explain = "EXPLAIN QUERY PLAN " + query
	}
	var plan []map[string]any
	if err := s.gdb.Raw(explain).Scan(&plan).Error; err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, line := range plan {
		for _, v := range line {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			if v, ok := v.(string); ok {
				text.WriteString(v + " ")
			}
		}
	}
	return text.String()
}

func count(t *testing.T, s bundle, table string) int64 {
	t.Helper()
	var n int64
	if err := s.gdb.Table(table).Count(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

// by is a claimant of the namespace "ns".
func by(owner string) Claimant { return Claimant{Owner: owner, Namespace: "ns"} }
