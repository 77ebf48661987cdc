package dao

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"
)

// Of scheduled executions the highest priority goes first, then the oldest.
func TestClaimOrder(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		w := s.workflow(t)
		low, first, second, high := s.execution(t, w), s.execution(t, w), s.execution(t, w), s.execution(t, w)
		s.exec(t, "UPDATE workflow_executions SET priority = ? WHERE id = ?", -1, low)
		s.exec(t, "UPDATE workflow_executions SET priority = ? WHERE id = ?", 7, high)
		var got []uint64
		for range 4 {
			leases, err := s.ClaimScheduled(t.Context(), by("m1"), now, now.Add(time.Minute), 1)
			if err != nil || len(leases) != 1 {
				t.Fatalf("%+v, %v", leases, err)
			}
			got = append(got, leases[0].ExecutionID)
		}
		if want := []uint64{high, first, second, low}; !slices.Equal(got, want) {
			t.Errorf("claimed %v, want %v", got, want)
		}
	})
}

// Running executions are claimed apart from scheduled ones, and count the holders
// that they have lost until they get on.
func TestTakeovers(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		ctx := t.Context()
		l, e := s.claimed(t)
		s.start(t, l, e)
		at := now
		next := func(owner string) Lease {
			t.Helper()
			at = at.Add(time.Hour)
			if none, err := s.ClaimScheduled(ctx, by(owner), at, at.Add(time.Minute), 10); err != nil || len(none) != 0 {
				t.Fatalf("ClaimScheduled: %+v, %v", none, err)
			}
			leases, err := s.ClaimRunning(ctx, by(owner), at, at.Add(time.Minute), 10)
			if err != nil || len(leases) != 1 {
				t.Fatalf("ClaimRunning: %+v, %v", leases, err)
			}
			return leases[0]
		}
		check := func(l Lease, lost string, takeovers, strikes uint32) {
			t.Helper()
			renewed, err := s.Renew(ctx, l.Owner, l.Until)
			if err != nil || len(renewed) != 1 || renewed[0].Takeovers != takeovers || renewed[0].Strikes != strikes || renewed[0].Epoch != l.Epoch {
				t.Errorf("the row has %+v, %v", renewed, err)
			}
			if l.Lost != lost || l.Takeovers != takeovers || l.Strikes != strikes {
				t.Errorf("%+v, want %d takeovers, the last from %q, %d strikes", l, takeovers, lost, strikes)
			}
		}
		check(next("m2"), "m1", 1, 0)
		check(next("m2"), "", 1, 0) // it could not renew, but lives
		l = next("m3")
		check(l, "m2", 2, 0)
		if err := s.SetStrikes(ctx, l, 1); err != nil {
			t.Fatal(err)
		}
		if err := s.Release(ctx, []Lease{l}, at); err != nil {
			t.Fatal(err)
		}
		check(next("m4"), "", 2, 1)
		if err := s.Bury(ctx, "m4", at); err != nil {
			t.Fatal(err)
		}
		l = next("m4")
		check(l, "", 3, 1)
		if err := s.Commit(ctx, l, e, nil, at); err != nil {
			t.Fatal(err)
		}
		check(next("m5"), "m4", 1, 0)
		l = next("m6")
		check(l, "m5", 2, 0)
		if err := s.Acquit(ctx, l, 1); err != nil {
			t.Fatal(err)
		}
		check(next("m6"), "", 0, 1)
		if err := s.Acquit(ctx, l, 0); !errors.Is(err, ErrConflict) {
			t.Errorf("acquitted by a lease that is not in force: %v", err)
		}
	})
}

func TestRelease(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		ctx := t.Context()
		w := s.workflow(t)
		for range 3 {
			s.execution(t, w)
		}
		leases, err := s.ClaimScheduled(ctx, by("m1"), now, now.Add(time.Minute), 10)
		if err != nil || len(leases) != 3 {
			t.Fatalf("%+v, %v", leases, err)
		}
		old := leases[1]
		old.Epoch--
		other := leases[2]
		other.Owner = "m2"
		if err := s.Release(ctx, []Lease{leases[0], old, other}, now); err != nil {
			t.Fatal(err)
		}
		free, err := s.ClaimScheduled(ctx, by("m2"), now, now.Add(time.Minute), 10)
		if err != nil || len(free) != 1 || free[0].ExecutionID != leases[0].ExecutionID || free[0].Epoch != leases[0].Epoch+1 {
			t.Errorf("free are %+v, %v, want the first", free, err)
		}
		if err := s.SetStrikes(ctx, leases[0], 1); err == nil {
			t.Error("strikes are set by a lease that was given back")
		}
		if err := s.Leave(ctx, "m1", []uint64{leases[1].ExecutionID}, now); err != nil {
			t.Fatal(err)
		}
		if held, err := s.Renew(ctx, "m1", now.Add(time.Hour)); err != nil || len(held) != 1 || held[0].ExecutionID != leases[1].ExecutionID {
			t.Errorf("after Leave m1 holds %+v, %v, want the one in hand", held, err)
		}
	})
}

func TestDue(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		ctx := t.Context()
		look := func(want Due) {
			t.Helper()
			if d, err := s.Due(ctx, by("m1"), now, now.Add(-time.Minute)); err != nil || d != want {
				t.Errorf("%+v, %v, want %+v", d, err, want)
			}
		}
		beat := func(owner string, held int, seen time.Time) {
			t.Helper()
			if err := s.Heartbeat(ctx, Manager{Owner: owner, Build: "test", Held: held, StartedAt: now, SeenAt: seen}); err != nil {
				t.Fatal(err)
			}
		}
		look(Due{})
		beat("m1", 1, now)
		beat("m2", 3, now.Add(-time.Second))
		beat("m2", 2, now)
		beat("m3", 4, now.Add(-59*time.Second))
		beat("m4", 8, now.Add(-time.Minute))
		look(Due{Others: 2, OthersHeld: 6})
		if err := s.Leave(ctx, "m3", nil, now); err != nil {
			t.Fatal(err)
		}
		l, e := s.claimed(t)
		s.start(t, l, e)
		look(Due{Others: 1, OthersHeld: 2})
		s.execution(t, e.WorkflowID)
		look(Due{Scheduled: 1, Others: 1, OthersHeld: 2})
		if err := s.Release(ctx, []Lease{l}, now); err != nil {
			t.Fatal(err)
		}
		look(Due{Running: 1, Scheduled: 1, Others: 1, OthersHeld: 2})
		if err := s.RequestCancel(ctx, e.ID, "test", "", now); err != nil {
			t.Fatal(err)
		}
		look(Due{Running: 1, Scheduled: 1, Cancelled: true, Others: 1, OthersHeld: 2})
		leases, err := s.ClaimRunning(ctx, by("m2"), now, now.Add(time.Minute), 1)
		if err != nil || len(leases) != 1 {
			t.Fatalf("%v, %v", leases, err)
		}
		look(Due{Scheduled: 1, Others: 1, OthersHeld: 2}) // its holder cancels it
		later := now.Add(time.Hour - time.Second)
		beat("m1", 1, later)
		if n := count(t, s, "managers"); n != 3 {
			t.Errorf("%d managers are remembered, want m1, m2 and m4", n)
		}
		beat("m5", 1, later) // who begins forgets the dead
		if n := count(t, s, "managers"); n != 3 {
			t.Errorf("%d managers are remembered, want m1, m2 and m5", n)
		}
	})
}

// An execution is failed without what may be too large to read.
func TestOpenRows(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		task := s.start(t, l, e)
		s.exec(t, "UPDATE workflow_executions SET input = '[1]' WHERE id = ?", e.ID)
		if err := s.RecordOutput(t.Context(), task.ID, "[2]", now); err != nil {
			t.Fatal(err)
		}
		row, tasks, err := s.OpenRows(t.Context(), e.ID)
		if err != nil || row.Input != "" || len(tasks) != 1 || tasks[0].Input != "" || tasks[0].RecordedOutput != nil {
			t.Fatalf("%+v, %+v, %v", row, tasks, err)
		}
		at := now
		row.Status, row.ErrorMsg, row.EndedAt = ExecutionFailed, "why", &at
		tasks[0].Status, tasks[0].ErrorReason, tasks[0].EndedAt = TaskFailed, "Why", &at
		if err := s.Commit(t.Context(), l, &row, []Transition{{Type: EventTaskFailed, Task: tasks[0]}, {Type: EventExecutionFailed}}, now); err != nil {
			t.Fatal(err)
		}
		after, err := s.Execution(t.Context(), e.ID)
		if err != nil || after.Status != ExecutionFailed || after.Input != "[1]" || after.Output != "{}" {
			t.Errorf("%+v, %v", after, err)
		}
		if done, err := s.Task(t.Context(), task.ID); err != nil || done.Input != "{}" || done.Output != "{}" || *done.RecordedOutput != "[2]" {
			t.Errorf("%+v, %v", done, err)
		}
	})
}

// The cost of a look and a claim depends neither on how much has ended nor on how
// much is held or waits.
func TestClaimReadsFewRows(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		w := s.workflow(t)
		_, e := s.claimed(t)
		// 20,000 of them.
		numbers := "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200), m (i) AS (SELECT a.i * 100 + b.i FROM n a, n b WHERE b.i <= 100) SELECT"
		// A third waits, a third runs and is held, a third has ended.
		insert := "INSERT INTO workflow_executions (workflow_id, workflow_version_id, status, started_at, ended_at, lease_owner, lease_until, wake_at) "
		s.exec(t, insert+numbers+" ?, ?, i % 3, CASE i % 3 WHEN 0 THEN NULL ELSE ? END, CASE i % 3 WHEN 2 THEN ? END, CASE i % 3 WHEN 1 THEN 'm9' END, "+
			"CASE i % 3 WHEN 1 THEN ? END, CASE i % 3 WHEN 0 THEN ? WHEN 1 THEN ? END FROM m",
			w, e.WorkflowVersionID, now, now, now.Add(time.Hour), now, now.Add(time.Hour))
		s.exec(t, "UPDATE workflow_executions SET lease_owner = 'm8' WHERE status = 1 AND id % 100 = 0")
		s.exec(t, "UPDATE workflow_executions SET wake_at = ? WHERE lease_owner = 'm8'", now)
		cases := map[string]struct {
			index string
			most  int
			run   func(s *Store) error
		}{
			"Due": {"", 4 * DueLimit, func(s *Store) error {
				d, err := s.Due(t.Context(), by("m1"), now, now)
				if d.Running < 10 || d.Scheduled != DueLimit {
					t.Errorf("%+v is due", d)
				}
				return err
			}},
			"ClaimRunning": {"workflow_executions_takeover", 40, func(s *Store) error { return claims(s.ClaimRunning(t.Context(), by("m1"), now, now.Add(time.Hour), 5)) }},
			"ClaimScheduled": {"workflow_executions_queue", 20, func(s *Store) error {
				return claims(s.ClaimScheduled(t.Context(), by("m1"), now, now.Add(time.Hour), 5))
			}},
		}
		for name, tc := range cases {
			n := rowsRead(t, s, tc.run)
			if n > tc.most {
				t.Errorf("%s reads %d rows", name, n)
			}
			if plan := planOf(t, s, tc.run); !strings.Contains(plan, tc.index) || strings.Contains(plan, "filesort") || strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("%s: plan: %s", name, plan)
			}
		}
	})
}

func claims(leases []Lease, err error) error {
	if err == nil && len(leases) != 5 {
		return fmt.Errorf("%d claims, want 5", len(leases))
	}
	return err
}

// rowsRead returns how many rows and index entries MariaDB reads for what run does: the
// fewest of some times, since the server may also read statistics of the tables, if those
// of other tests have had it forget them.
func rowsRead(t *testing.T, s bundle, run func(s *Store) error) (least int) {
	t.Helper()
	if s.gdb.Name() == "sqlite" {
		return 0 // which does not tell
	}
	err := s.gdb.Connection(func(conn *gorm.DB) error {
		for i := range 3 {
			if err := conn.Exec("FLUSH STATUS").Error; err != nil {
				return err
			}
			if err := run(New(conn)); err != nil {
				return err
			}
			var n int
			if err := conn.Raw("SELECT SUM(variable_value) FROM information_schema.session_status WHERE variable_name LIKE 'Handler_read%'").Scan(&n).Error; err != nil {
				return err
			}
			if i == 0 || n < least {
				least = n
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return least
}

// planOf returns how the database carries out the first statement of what run does.
func planOf(t *testing.T, s bundle, run func(s *Store) error) string {
	t.Helper()
	var first string
	spy := s.gdb.Session(&gorm.Session{Context: context.Background()})
	name := "spy " + t.Name()
	if err := spy.Callback().Row().After("gorm:row").Register(name, func(tx *gorm.DB) {
		if first == "" {
			first = tx.Explain(tx.Statement.SQL.String(), tx.Statement.Vars...)
		}
	}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = spy.Callback().Row().Remove(name) }()
	if err := run(New(spy)); err != nil {
		t.Fatal(err)
	}
	explain := "EXPLAIN "
	if s.gdb.Name() == "sqlite" {
		explain = "EXPLAIN QUERY PLAN "
	}
	var plan []map[string]any
	if err := s.gdb.Raw(explain + first).Scan(&plan).Error; err != nil {
		t.Fatalf("%s: %v", first, err)
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

// Managers are woken where they say, those first that hold the least.
func TestAddresses(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		for _, m := range []Manager{
			{Owner: "m1", Address: "a:1", Held: 7, SeenAt: now},
			{Owner: "m2", Address: "b:1", Held: 3, SeenAt: now},
			{Owner: "dead", Address: "c:1", SeenAt: now.Add(-time.Minute)},
			{Owner: "nowhere", SeenAt: now},
			{Owner: "m3", Address: "old:1", Held: 5, SeenAt: now},
			{Owner: "m3", Address: "d:1", Held: 5, SeenAt: now},
		} {
			m.StartedAt = now
			if err := s.Heartbeat(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		for limit, want := range map[int]string{10: "[b:1 d:1 a:1]", 2: "[b:1 d:1]"} {
			got, err := s.Addresses(t.Context(), now.Add(-time.Second), limit)
			if err != nil || fmt.Sprint(got) != want {
				t.Errorf("limit %d: %v, %v, want %s", limit, got, err, want)
			}
		}
	})
}
