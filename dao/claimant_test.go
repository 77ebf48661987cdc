package dao

import (
	"context"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"
)

// An execution whose task may have its Job in another namespace waits for a manager
// of that one, also if it is to be cancelled.
func TestClaimsOfTwoNamespaces(t *testing.T) {
	tests := map[string]struct {
		set  string // of its one task, in the namespace "ns"
		free bool   // for managers of any namespace
	}{
		"its Job may be there":               {"slot = NULL", false},
		"its Job is there":                   {"slot = NULL, job_uid = 'u'", false},
		"it has a slot":                      {"slot = 1", false},
		"it waits for a slot":                {"slot = 0", true},
		"it has ended":                       {"slot = 1, status = 1, ended_at = started_at", true},
		"the build before does not say":      {"slot = NULL, namespace = '', job_uid = 'u'", true},
		"it is no kube-job":                  {"slot = NULL, namespace = '', execution_name = NULL, task_type = 'parallel'", true},
		"a build before launched what waits": {"slot = 0, job_uid = 'u'", true}, // it minds no namespace anyway
	}
	onEach(t, func(t *testing.T, s bundle) {
		w := s.workflow(t)
		for name, tc := range tests {
			t.Run(name, func(t *testing.T) {
				l, _ := s.waitingFor(t, w, 0, "ns", 1)
				s.exec(t, "UPDATE task_executions SET "+tc.set+" WHERE workflow_execution_id = ?", l.ExecutionID)
				if err := s.RequestCancel(t.Context(), l.ExecutionID, "user ann", "", now); err != nil {
					t.Fatal(err)
				}
				for _, namespace := range []string{"a", "ns", "z"} {
					s.claimable(t, l.ExecutionID, Claimant{Owner: "m2", Namespace: namespace}, tc.free || namespace == "ns")
				}
				s.exec(t, "UPDATE workflow_executions SET status = 3, error_msg = 'over', ended_at = started_at, wake_at = NULL, lease_owner = NULL, lease_until = NULL, "+
					"cancel_requested_at = NULL, cancel_requested_by = NULL WHERE id = ?", l.ExecutionID)
			})
		}
	})
}

// claimable wants that c claims the only open execution in any way there is, or none.
func (s bundle) claimable(t *testing.T, id uint64, c Claimant, so bool) {
	t.Helper()
	ctx := t.Context()
	release := func() {
		t.Helper()
		s.exec(t, "UPDATE workflow_executions SET lease_owner = NULL, lease_until = NULL, wake_at = ? WHERE id = ?", now, id)
	}
	release()
	want := 0
	if so {
		want = 1
	}
	if d, err := s.Due(ctx, c, now, now); err != nil || d.Running != want {
		t.Errorf("%+v: %+v, %v; want %d due", c, d, err, want)
	}
	for what, claim := range map[string]func() ([]Lease, error){
		"running":   func() ([]Lease, error) { return s.ClaimRunning(ctx, c, now, now.Add(time.Minute), 5) },
		"cancelled": func() ([]Lease, error) { return s.ClaimCancelled(ctx, c, now, now.Add(time.Minute), 5) },
		// It was free when that was looked up.
		"these": func() ([]Lease, error) { return s.claimThese(ctx, c, []uint64{id}, now, now.Add(time.Minute)) },
	} {
		if leases, err := claim(); err != nil || len(leases) != want {
			t.Errorf("%+v, %s: %+v, %v; want %d", c, what, leases, err, want)
		}
		release()
	}
}

// What a manager holds it ends, wherever it is; and what it may not claim is not in
// the way of what it may.
func TestOtherNamespacesAreNotInTheWay(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		ctx := t.Context()
		w := s.workflow(t)
		var ids []uint64
		for _, namespace := range []string{"other", "other", "ns"} {
			l, _ := s.waitingFor(t, w, 0, namespace, 1)
			ids = append(ids, l.ExecutionID)
			if err := s.RequestCancel(ctx, l.ExecutionID, "user ann", "", now.Add(time.Duration(l.ExecutionID)*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		s.exec(t, "UPDATE task_executions SET slot = 1")
		if leases, err := s.ClaimCancelled(ctx, by("m1"), now, now.Add(time.Minute), 5); err != nil || len(leases) != 3 {
			t.Errorf("of its own: %+v, %v; want three", leases, err)
		}
		if err := s.Leave(ctx, "m1", nil, now); err != nil {
			t.Fatal(err)
		}
		for what, claim := range map[string]func(context.Context, Claimant, time.Time, time.Time, int) ([]Lease, error){"running": s.ClaimRunning, "cancelled": s.ClaimCancelled} {
			if leases, err := claim(ctx, by("m2"), now, now.Add(time.Minute), 1); err != nil || len(leases) != 1 || leases[0].ExecutionID != ids[2] {
				t.Errorf("%s: %+v, %v; want the third", what, leases, err)
			}
			if err := s.Leave(ctx, "m2", nil, now); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A claim locks executions, and neither locks their tasks nor waits for who has.
func TestClaimLocksNoTasks(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		if s.gdb.Name() == "sqlite" {
			t.Skip("whose transactions are one at a time")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // lock waits end after 50 s
		defer cancel()
		w := s.workflow(t)
		_, other := s.waitingFor(t, w, 0, "other", 1)
		_, own := s.waitingFor(t, w, 0, "ns", 1)
		s.exec(t, "UPDATE task_executions SET slot = 1")
		if err := s.Leave(ctx, "m1", nil, now); err != nil {
			t.Fatal(err)
		}
		locked := s.gdb.WithContext(ctx).Begin()
		if err := locked.Exec("UPDATE task_executions SET updated_at = ?, slot = 1, recorded_rev = recorded_rev", now.Add(time.Second)).Error; err != nil {
			t.Fatal(err)
		}
		leases, err := s.ClaimRunning(ctx, by("m2"), now, now.Add(time.Minute), 5)
		if err != nil || len(leases) != 1 || leases[0].ExecutionID != own[0].WorkflowExecutionID {
			t.Errorf("while all tasks are locked: %+v, %v; want the second", leases, err)
		}
		if err := locked.Rollback().Error; err != nil {
			t.Fatal(err)
		}
		if err := s.Leave(ctx, "m2", nil, now); err != nil {
			t.Fatal(err)
		}
		recorded := 0
		spy := s.gdb.Session(&gorm.Session{Context: ctx})
		name := "record " + t.Name()
		if err := spy.Callback().Row().After("gorm:row").Register(name, func(tx *gorm.DB) {
			if !strings.Contains(tx.Statement.SQL.String(), "FOR UPDATE") {
				return
			}
			for _, task := range []*TaskExecution{other[0], own[0]} {
				if err := s.RecordOutput(ctx, task.ID, "{}", now); err != nil {
					t.Errorf("while a claim is under way: %v", err)
				}
				recorded++
			}
		}); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = spy.Callback().Row().Remove(name) }()
		if leases, err := New(spy).ClaimRunning(ctx, by("m2"), now, now.Add(time.Minute), 5); err != nil || len(leases) != 1 || recorded != 2 {
			t.Errorf("%+v, %v, %d outputs recorded", leases, err, recorded)
		}
	})
}

// What a claim costs does not depend on how many tasks the executions have that it
// takes, nor on how many wait for a slot elsewhere.
func TestClaimReadsNoTasksOfItsOwn(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		w := s.workflow(t)
		for range 15 {
			l, _ := s.waitingFor(t, w, 0, "ns", 1)
			// 2,000 tasks run, 2,000 have ended elsewhere, and 2,000 wait there.
			s.exec(t, "INSERT INTO task_executions (workflow_execution_id, task_name, task_type, input, status, started_at, ended_at, slot, namespace) "+
				"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60), m (i) AS (SELECT a.i * 100 + b.i FROM n a, n b UNION ALL SELECT -i FROM n) "+
				"SELECT ?, i, 'kube-job', '{}', CASE i % 3 WHEN 1 THEN 1 ELSE 0 END, ?, CASE i % 3 WHEN 1 THEN ? END, CASE i % 3 WHEN 2 THEN 0 END, CASE i % 3 WHEN 0 THEN 'ns' ELSE 'other' END FROM m WHERE i > 0",
				l.ExecutionID, now, now)
		}
		if err := s.Leave(t.Context(), "m1", nil, now); err != nil {
			t.Fatal(err)
		}
		run := func(s *Store) error { return claims(s.ClaimRunning(t.Context(), by("m2"), now, now.Add(time.Hour), 5)) }
		if n := rowsRead(t, s, run); n > 100 {
			t.Errorf("it reads %d rows", n)
		}
		if n := rowsRead(t, s, func(s *Store) error {
			_, err := s.Due(t.Context(), by("m3"), now, now)
			return err
		}); n > 100 {
			t.Errorf("Due reads %d rows", n)
		}
	})
}
