package dao

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/jobnetes/jobnetes/dao/gather"
	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

// begun schedules, claims and begins so many executions.
func (s bundle) begun(t *testing.T, n int) ([]Lease, []*WorkflowExecution, []*TaskExecution) {
	t.Helper()
	workflow := s.workflow(t)
	for range n {
		s.execution(t, workflow)
	}
	leases, err := s.ClaimScheduled(t.Context(), by("m1"), now, now.Add(time.Minute), n)
	if err != nil || len(leases) != n {
		t.Fatalf("%d leases, %v", len(leases), err)
	}
	executions, tasks := make([]*WorkflowExecution, n), make([]*TaskExecution, n)
	for i, l := range leases {
		e, err := s.Execution(t.Context(), l.ExecutionID)
		if err != nil {
			t.Fatal(err)
		}
		executions[i], tasks[i] = &e, s.start(t, l, &e)
	}
	return leases, executions, tasks
}

// steps has each task followed by another one, and every third execution end.
func steps(executions []*WorkflowExecution, tasks []*TaskExecution) [][]Transition {
	all := make([][]Transition, len(tasks))
	for i, task := range tasks {
		end := now
		task.Status, task.EndedAt, task.Output = TaskSuccess, &end, fmt.Sprintf(`{"of":%d}`, i)
		all[i] = []Transition{{Type: EventTaskSucceeded, Task: task}}
		if i%3 == 2 {
			e := executions[i]
			e.Status, e.EndedAt, e.Output = ExecutionSuccess, &end, task.Output
			all[i] = append(all[i], Transition{Type: EventExecutionSucceeded})
			continue
		}
		all[i] = append(all[i], Transition{Type: EventTaskStarted, Task: newTask("b", "kube-job"), Prev: task})
	}
	return all
}

// Executions that share a transaction are written as each would be alone, and one that
// must not be written is left out, or has all be written alone.
func TestCommitTogether(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		ctx := t.Context()
		leases, executions, tasks := s.begun(t, 9)
		all := steps(executions, tasks)
		leases[4].Epoch-- // it is another's by now
		commits := make([]*commit, len(all))
		for i, ts := range all {
			commits[i] = newCommit(leases[i], executions[i], ts, now)
		}
		each, err := s.commitTogether(ctx, commits)
		if err != nil {
			t.Fatal(err)
		}
		wantEach(t, each, len(commits), map[int]error{4: ErrConflict})
		for i, e := range executions {
			s.checkStep(t, e, tasks[i], i != 4)
		}
		if err := s.Commit(ctx, leases[4], executions[4], all[4], now); !errors.Is(err, ErrConflict) {
			t.Errorf("the one that was left out: %v, want ErrConflict", err)
		}
	})
}

// wantEach compares the errors of so many calls that were carried out together.
func wantEach(t *testing.T, each []error, calls int, want map[int]error) {
	t.Helper()
	if len(each) != calls {
		t.Fatalf("%d errors of %d calls", len(each), calls)
	}
	for i, err := range each {
		if !errors.Is(err, want[i]) || (err == nil) != (want[i] == nil) {
			t.Errorf("call %d: %v, want %v", i, err, want[i])
		}
	}
}

func (s bundle) checkStep(t *testing.T, e *WorkflowExecution, task *TaskExecution, written bool) {
	t.Helper()
	rows, err := s.Tasks(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !written {
		if len(rows) != 1 || rows[0].Status != TaskRunning {
			t.Errorf("execution %d has been moved: %d tasks, %s", e.ID, len(rows), rows[0].Status)
		}
		return
	}
	row, err := s.Execution(t.Context(), e.ID)
	if err != nil || row.Status != e.Status || row.Output != e.Output || (row.LeaseOwner == nil) != e.Status.Ended() || (row.WakeAt == nil) != e.Status.Ended() {
		t.Errorf("execution %d is %+v (%v)", e.ID, row, err)
	}
	rows[0].CreatedAt, rows[0].UpdatedAt = task.CreatedAt, task.UpdatedAt
	if diff := cmp.Diff(task, rows[0]); diff != "" {
		t.Errorf("task %d (-in memory +in the database):\n%s", task.ID, diff)
	}
	if e.Status.Ended() {
		return
	}
	if len(rows) != 2 || *rows[1].ExecutionName != fmt.Sprintf("w-b-%d-1", rows[1].ID) || *rows[1].PrevTaskExecutionID != task.ID || *task.NextTaskExecutionID != rows[1].ID {
		t.Errorf("execution %d has %d tasks, the last one %+v", e.ID, len(rows), rows[len(rows)-1])
	}
}

// However calls come together, each has the answer that is its own.
func TestCommitsAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		ctx := t.Context()
		leases, executions, tasks := s.begun(t, 30)
		all := steps(executions, tasks)
		if err := s.RecordOutput(ctx, tasks[10].ID, `{"late":true}`, now); err != nil {
			t.Fatal(err)
		}
		leases[20].Owner = "another"
		errs, marked := make([]error, len(all)), make([]error, len(all))
		var g sync.WaitGroup
		for i, ts := range all {
			g.Go(func() {
				marked[i] = s.MarkLaunched(ctx, leases[i], tasks[i].ID, fmt.Sprint("u", i), now)
				errs[i] = s.Commit(ctx, leases[i], executions[i], ts, now)
			})
		}
		g.Wait()
		for i, err := range errs {
			if ok := i != 10 && i != 20; ok != (err == nil) || !ok && !errors.Is(err, ErrConflict) {
				t.Errorf("commit %d: %v", i, err)
			}
			if ok := i != 20; ok != (marked[i] == nil) || !ok && !errors.Is(marked[i], ErrConflict) {
				t.Errorf("mark %d: %v", i, marked[i])
			}
			tasks[i].JobUID = new(fmt.Sprint("u", i))
			s.checkStep(t, executions[i], tasks[i], err == nil)
		}
	})
}

func TestMarkTogether(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		ctx := t.Context()
		leases, _, tasks := s.begun(t, 4)
		stale := leases[1]
		stale.Epoch--
		ms := []mark{{leases[0], tasks[0].ID, "u0", now}, {stale, tasks[1].ID, "u1", now}, {leases[2], tasks[2].ID, "u2", now}}
		each, err := s.markTogether(ctx, ms)
		if err != nil {
			t.Fatal(err)
		}
		wantEach(t, each, len(ms), map[int]error{1: ErrConflict})
		// One that is another Job, or of no task, is no other's matter.
		ms = []mark{{leases[0], tasks[0].ID, "u0", now}, {leases[2], tasks[2].ID, "another", now}, {leases[3], tasks[3].ID, "u3", now}, {leases[3], 1 << 40, "none", now}}
		if each, err = s.markTogether(ctx, ms); err != nil {
			t.Fatal(err)
		}
		wantEach(t, each, len(ms), map[int]error{1: ErrConflict, 3: ErrConflict})
		for i, want := range []string{"u0", "", "u2", "u3"} {
			row, err := s.Task(ctx, tasks[i].ID)
			if got := row.JobUID; err != nil || (got == nil) != (want == "") || got != nil && *got != want {
				t.Errorf("task %d: %v (%v), want %q", i, got, err, want)
			}
		}
	})
}

// An execution or a task that somebody has locked holds up no other execution.
func TestOneLockedRowHoldsUpNoOtherCommit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		lock   string
		starts bool // the commit starts a task after the locked one, and does not end that
	}{
		"an execution":                    {lock: "SELECT id FROM workflow_executions WHERE id = ?"},
		"a task that ends":                {lock: "SELECT id FROM task_executions WHERE workflow_execution_id = ?"},
		"a task that a new one refers to": {lock: "SELECT id FROM task_executions WHERE workflow_execution_id = ?", starts: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := onMariaDB(t)
			leases, executions, tasks := s.begun(t, 3)
			all := steps(executions, tasks)
			if tc.starts {
				all[1] = []Transition{{Type: EventTaskStarted, Task: newTask("b", "kube-job"), Parent: tasks[1]}}
			}
			s.lock(t, tc.lock, leases[1].ExecutionID)
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second) // less than anybody waits for a lock
			defer cancel()
			commits, ms := make([]*commit, len(all)), make([]mark, len(all))
			for i, ts := range all {
				commits[i] = newCommit(leases[i], executions[i], ts, now)
				ms[i] = mark{leases[i], tasks[i].ID, fmt.Sprint("u", i), now}
			}
			want := map[int]error{1: gather.ErrLeft}
			each, err := s.markTogether(ctx, ms)
			if err != nil {
				t.Fatal(err)
			}
			wantEach(t, each, len(all), want)
			if each, err = s.commitTogether(ctx, commits); err != nil {
				t.Fatal(err)
			}
			wantEach(t, each, len(all), want)
		})
	}
}

// However many writes wait for what somebody has locked, whoever reads, and whoever writes
// something else, waits for none of them.
func TestLockedRowsKeepNoConnections(t *testing.T) {
	t.Parallel()
	s := open(t, db.Config{Driver: db.MySQL, DSN: mariadb.Database(t), MaxConns: 8}) // 3 of them for single statements
	leases, _, tasks := s.begun(t, 3)
	s.lock(t, "SELECT id FROM task_executions WHERE workflow_execution_id IN ?", []uint64{leases[1].ExecutionID, leases[2].ExecutionID})
	pool, err := s.gdb.DB()
	if err != nil {
		t.Fatal(err)
	}
	patient, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	s.marks.Pause = func(mark, int) time.Duration { // that caller gives up when it is left out
		giveUp()
		return time.Hour
	}
	var waiting sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	waiting.Go(func() { _ = s.MarkLaunched(ctx, leases[1], tasks[1].ID, "u1", now) })
	s.awaitWaiting(t, "UPDATE task_executions SET job_uid%")
	before := pool.Stats().WaitCount
	if err := s.MarkLaunched(patient, leases[1], tasks[1].ID, "u1", now); !errors.Is(err, gather.ErrLeft) {
		t.Errorf("another mark that waits: %v, want that it is left out", err)
	}
	soon, expire := context.WithTimeout(t.Context(), time.Second)
	defer expire()
	var records sync.WaitGroup
	for range 5 {
		for _, locked := range tasks[1:] {
			records.Go(func() {
				if err := s.RecordOutput(soon, locked.ID, "{}", now); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("a record of a locked task: %v", err)
				}
			})
		}
	}
	records.Wait()
	if n := pool.Stats().WaitCount - before; n > 0 {
		t.Errorf("%d calls have waited for a connection", n)
	}
	if err := s.MarkLaunched(t.Context(), leases[0], tasks[0].ID, "u0", now); err != nil {
		t.Errorf("a mark of another execution: %v", err)
	}
	cancel()
	waiting.Wait()
}

// What a step of a chain costs, alone and with others, counted by the server.
func TestStatementsOfAStep(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ together, most int }{
		// The task that starts, its name and the end of the one before, events, COMMIT.
		"alone": {1, 4},
		// The leases, the tasks, the ids of what was inserted, and executions that end,
		// beside these.
		"together": {20, 8},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, db.Config{Driver: db.MySQL, DSN: mariadb.Database(t), MaxConns: 1}) // all by two connections
			leases, executions, tasks := s.begun(t, tc.together)
			all := steps(executions, tasks)
			questions := func() int {
				t.Helper()
				const ask = "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'QUESTIONS'"
				var single, ofTransactions int
				err := errors.Join(s.gdb.Raw(ask).Scan(&single).Error, s.gdb.Transaction(func(tx *gorm.DB) error { return tx.Raw(ask).Scan(&ofTransactions).Error }))
				if err != nil {
					t.Fatal(err)
				}
				return single + ofTransactions
			}
			before := questions()
			if tc.together == 1 {
				if err := s.Commit(t.Context(), leases[0], executions[0], all[0], now); err != nil {
					t.Fatal(err)
				}
			} else {
				commits := make([]*commit, len(all))
				for i, ts := range all {
					commits[i] = newCommit(leases[i], executions[i], ts, now)
				}
				each, err := s.commitTogether(t.Context(), commits)
				if err := errors.Join(append(each, err)...); err != nil {
					t.Fatal(err)
				}
			}
			n := questions() - before - 3 // the end of the first question's transaction, and two questions
			if t.Logf("%d statements", n); n > tc.most || n < 4 {
				t.Errorf("%d statements, want %d at the most", n, tc.most)
			}
		})
	}
}
