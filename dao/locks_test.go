package dao

import (
	"context"
	"errors"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

// onMariaDB opens a database of the only kind that locks rows.
func onMariaDB(t *testing.T) bundle {
	t.Helper()
	t.Parallel()
	return open(t, db.Config{Driver: db.MySQL, DSN: mariadb.Database(t)})
}

// lock has another session lock what a query finds until the test, or the caller,
// ends it.
func (s bundle) lock(t *testing.T, query string, args ...any) (end func()) {
	t.Helper()
	tx := s.gdb.WithContext(t.Context()).Begin()
	var ids []uint64
	if err := tx.Raw(query+" FOR UPDATE", args...).Scan(&ids).Error; err != nil || len(ids) == 0 {
		t.Fatalf("%s locks %v: %v", query, ids, err)
	}
	end = func() { tx.Rollback() }
	t.Cleanup(end)
	return end
}

// An execution that somebody else has locked costs a manager no lease but its own.
func TestOneLockedRowCostsNoOtherLease(t *testing.T) {
	s := onMariaDB(t)
	workflow := s.workflow(t)
	for range 5 {
		s.execution(t, workflow)
	}
	by := Claimant{Owner: "m1"}
	leases, err := s.ClaimScheduled(t.Context(), by, now, now.Add(time.Minute), 10)
	if err != nil || len(leases) != 5 {
		t.Fatalf("%d leases, %v", len(leases), err)
	}
	locked := leases[2].ExecutionID
	s.lock(t, "SELECT id FROM workflow_executions WHERE id = ?", locked)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second) // less than anybody waits for a lock
	defer cancel()
	later := now.Add(2 * time.Minute)
	renewed, err := s.Renew(ctx, "m1", later)
	if err != nil || len(renewed) != 5 {
		t.Fatalf("Renew: %d leases, %v", len(renewed), err)
	}
	for i, l := range renewed {
		want := later
		if l.ExecutionID == locked {
			want = leases[2].Until
		}
		if !l.Until.Equal(micros(want)) || l.Owner != "m1" || l.Epoch != leases[i].Epoch {
			t.Errorf("the lease is %+v, want one until %s", l, want)
		}
	}
	if err := s.Leave(ctx, "m1", nil, now); err != nil {
		t.Fatal(err)
	}
	if free, err := s.ClaimScheduled(ctx, Claimant{Owner: "m2"}, now, later, 10); err != nil || len(free) != 4 {
		t.Errorf("%d of 4 are free (%v)", len(free), err)
	}
}

// A note that waits for a lock is not written once the lease is another's.
func TestNoteOfAFormerHolder(t *testing.T) {
	s := onMariaDB(t)
	l, e := s.claimed(t)
	task := s.start(t, l, e)
	end := s.lock(t, "SELECT id FROM task_executions WHERE id = ?", task.ID)
	noted := make(chan error, 1)
	go func() { noted <- s.MarkLaunched(t.Context(), l, task.ID, "u1", now) }()
	s.awaitWaiting(t, "UPDATE task_executions SET job_uid%")
	after := l.Until.Add(time.Second)
	taken, err := s.ClaimRunning(t.Context(), Claimant{Owner: "m2"}, after, after.Add(time.Minute), 1)
	if err != nil {
		t.Fatal(err)
	}
	end()
	err = <-noted
	if len(taken) > 0 && !errors.Is(err, ErrConflict) {
		t.Errorf("the lease is another's, and the note gives %v, want ErrConflict", err)
	}
	if len(taken) == 0 && err != nil {
		t.Errorf("the lease is in force, and the note gives %v", err)
	}
}

// awaitWaiting waits until a statement is under way.
func (s bundle) awaitWaiting(t *testing.T, like string) {
	t.Helper()
	for n := 0; n == 0; {
		if err := s.gdb.WithContext(t.Context()).Raw("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND INFO LIKE ?", like).Scan(&n).Error; err != nil {
			t.Fatal(err)
		}
	}
}

// What a process has locked that was stopped in the midst of a transaction is free
// soon: the server ends its session.
func TestLocksOfAStoppedProcess(t *testing.T) {
	t.Parallel()
	s := open(t, db.Config{Driver: db.MySQL, DSN: mariadb.Database(t)})
	var silence int
	if err := s.gdb.Raw("SELECT @@wait_timeout").Scan(&silence).Error; err != nil || silence > 30 {
		t.Fatalf("a session may say nothing for %d s (%v)", silence, err)
	}
	s.claimed(t)
	tx := s.gdb.WithContext(t.Context()).Begin() // of a process that then stands still
	t.Cleanup(func() { tx.Rollback() })
	var id uint64
	err := tx.Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec("SET SESSION wait_timeout = 1").Error; err != nil {
			return err
		}
		return tx.Raw("SELECT id FROM workflow_executions FOR UPDATE").Scan(&id).Error
	})
	if err != nil {
		t.Fatal(err)
	}
	after := now.Add(time.Hour)
	for taken := []Lease(nil); len(taken) == 0; {
		if taken, err = s.ClaimScheduled(t.Context(), Claimant{Owner: "m2"}, after, after.Add(time.Minute), 1); err != nil {
			t.Fatal(err)
		}
	}
}

// A waiting task that somebody has locked keeps no slot from those behind it.
func TestLockedTaskHoldsUpNoSlots(t *testing.T) {
	s := onMariaDB(t)
	var tasks []*TaskExecution
	workflow := s.workflow(t)
	for range 3 {
		s.execution(t, workflow)
	}
	leases, err := s.ClaimScheduled(t.Context(), Claimant{Owner: "m1"}, now, now.Add(time.Minute), 3)
	if err != nil || len(leases) != 3 {
		t.Fatalf("%d leases, %v", len(leases), err)
	}
	for _, l := range leases {
		e, err := s.Execution(t.Context(), l.ExecutionID)
		if err != nil {
			t.Fatal(err)
		}
		e.Status, e.StartedAt = ExecutionRunning, &now
		task := newTask("a", "kube-job")
		slot := SlotWaiting
		task.Slot, task.Namespace = &slot, "ns"
		if err := s.Commit(t.Context(), l, &e, []Transition{{Type: EventExecutionStarted}, {Type: EventTaskStarted, Task: task}}, now); err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, task)
	}
	s.lock(t, "SELECT id FROM task_executions WHERE id = ?", tasks[0].ID)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second) // less than anybody waits for a lock
	defer cancel()
	if n, err := s.GrantSlots(ctx, JobLimits{All: 2, Namespace: "ns"}, now); err != nil || n != 2 {
		t.Errorf("%d slots are granted (%v), want 2", n, err)
	}
}

// Executions that a clock that is ahead has put into the future are in nobody's way.
func TestTurnsBehindOnesOfTheFuture(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		workflow := s.workflow(t)
		for range 3 {
			id := s.execution(t, workflow)
			s.exec(t, "UPDATE workflow_executions SET wake_at = ? WHERE id = ?", now.Add(10*time.Minute), id)
		}
		due := s.execution(t, workflow)
		leases, err := s.ClaimInTurn(t.Context(), Claimant{Owner: "m1", Namespace: "ns"}, now, now.Add(time.Minute), 2, 2)
		if err != nil || len(leases) != 1 || leases[0].ExecutionID != due {
			t.Errorf("claimed %+v (%v), want execution %d", leases, err, due)
		}
	})
}
