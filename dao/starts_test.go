package dao

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

// present returns a workflow's version.
func (s bundle) present(t *testing.T, workflowID uint64) PresentVersion {
	t.Helper()
	p, err := s.PresentVersion(t.Context(), workflowID, "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wantStart checks that an execution is the one that n asked for.
func (s bundle) wantStart(t *testing.T, n NewExecution, got Start) {
	t.Helper()
	e, err := s.Execution(t.Context(), got.ID)
	if err != nil || got.Err != nil {
		t.Errorf("%q is execution %d: %v, %v", n.Name, got.ID, got.Err, err)
		return
	}
	if e.Name != n.Name || e.Input != n.Input || e.Priority != n.Priority || e.WorkflowID != n.WorkflowID || e.WorkflowVersion != 1 ||
		e.Status != ExecutionScheduled || e.Attempt != 1 || e.Output != "{}" || e.WakeAt == nil || !e.WakeAt.Equal(now) || !e.CreatedAt.Equal(now) {
		t.Errorf("%+v has become %+v", n, e)
	}
	events, err := s.Events(t.Context(), got.ID, 0, 10)
	if err != nil || len(events) != 1 || events[0].Actor != n.Actor || events[0].Type != EventExecutionScheduled || !events[0].At.Equal(now) {
		t.Errorf("%q has events %+v, %v; want one by %s", n.Name, events, err, n.Actor)
	}
}

// Each of those that are started together gets its own execution.
func TestCreateExecutions(t *testing.T) {
	onEach(t, testCreateExecutions)
}

// It does also where ids are not one apart, as where several servers take writes.
func TestCreateExecutionsWithIDsApart(t *testing.T) {
	t.Parallel()
	access, err := mysql.ParseDSN(mariadb.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	access.Params = map[string]string{"auto_increment_increment": "3", "auto_increment_offset": "2"}
	testCreateExecutions(t, open(t, db.Config{Driver: db.MySQL, DSN: access.FormatDSN()}))
}

func testCreateExecutions(t *testing.T, s bundle) {
	p := s.present(t, s.workflow(t))
	n := func(name, requestID string) NewExecution {
		return NewExecution{
			WorkflowID: p.WorkflowID, VersionID: p.VersionID, Name: name, Input: `"` + name + `"`, Actor: "user " + name,
			RequestID: requestID, Priority: int32(len(name)),
		}
	}
	before := n("before", "before")
	first, err := s.CreateExecution(t.Context(), before, now)
	if err != nil {
		t.Fatal(err)
	}
	ns := []NewExecution{
		n("a", ""), n("bb", "new"), before, n("ccc", ""), n("bb", "new"), n("other", "new"), n("other", "before"), n("a", ""),
	}
	got, err := s.CreateExecutions(t.Context(), ns, now)
	if err != nil || len(got) != len(ns) {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, i := range []int{0, 1, 2, 3, 4, 7} {
		s.wantStart(t, ns[i], got[i])
	}
	if got[2].ID != first || got[4].ID != got[1].ID || got[7].ID == got[0].ID {
		t.Errorf("the executions are %+v: want the third to be %d, the fifth the second, and the last one of its own", got, first)
	}
	for i, want := range map[int]uint64{5: got[1].ID, 6: first} {
		if !errors.Is(got[i].Err, ErrDuplicate) || got[i].ID != want {
			t.Errorf("%+v, whose request id is another's, gets %+v", ns[i], got[i])
		}
	}
	if n := count(t, s, "workflow_executions"); n != 5 {
		t.Errorf("there are %d executions, want 5", n)
	}
}

// However many start the same requests at once, each is one execution, and whoever asks
// is told that one.
func TestCreateExecutionsAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		p := s.present(t, s.workflow(t))
		const requests, callers = 20, 8
		var got [callers]map[string]uint64
		var calls sync.WaitGroup
		for c := range callers {
			calls.Go(func() {
				var ns []NewExecution
				for _, i := range rand.Perm(requests) {
					name := fmt.Sprint("run ", i)
					ns = append(ns, NewExecution{WorkflowID: p.WorkflowID, VersionID: p.VersionID, Name: name, Input: "{}", Actor: "test", RequestID: name})
				}
				starts, err := s.CreateExecutions(t.Context(), ns, now)
				if err != nil {
					t.Error(err)
					return
				}
				got[c] = map[string]uint64{}
				for i, n := range ns {
					if got[c][n.Name] = starts[i].ID; starts[i].ID != 0 {
						continue
					}
					if got[c][n.Name], err = s.CreateExecution(t.Context(), n, now); err != nil {
						t.Error(err)
					}
				}
			})
		}
		calls.Wait()
		for c := range callers {
			for name, id := range got[c] {
				if id != got[0][name] {
					t.Errorf("%s is execution %d to one, and %d to another", name, got[0][name], id)
				}
				if c == 0 {
					s.wantStart(t, NewExecution{WorkflowID: p.WorkflowID, Name: name, Input: "{}", Actor: "test"}, Start{ID: id})
				}
			}
		}
		if n := count(t, s, "workflow_executions"); n != requests {
			t.Errorf("there are %d executions, want %d", n, requests)
		}
	})
}

// A start whose request id somebody else has inserted, and not committed, holds up no
// other one.
func TestOneStartHoldsUpNoOther(t *testing.T) {
	s := onMariaDB(t)
	p := s.present(t, s.workflow(t))
	start := func(name, requestID string) NewExecution {
		return NewExecution{WorkflowID: p.WorkflowID, VersionID: p.VersionID, Name: name, Input: "{}", Actor: "test", RequestID: requestID}
	}
	other := s.gdb.WithContext(t.Context()).Begin()
	t.Cleanup(func() { other.Rollback() })
	theirs, err := createExecutions(other, []NewExecution{start("r", "r")}, false, now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second) // less than anybody waits for a lock
	defer cancel()
	ns := []NewExecution{start("a", ""), start("r", "r"), start("q", "q"), start("b", "")}
	got, err := s.CreateExecutions(ctx, ns, now)
	if err != nil || len(got) != len(ns) || got[1] != (Start{}) || got[2] != (Start{}) {
		t.Fatalf("started %+v (%v), want the first and the last", got, err)
	}
	s.wantStart(t, ns[0], got[0])
	s.wantStart(t, ns[3], got[3])
	if got, err = s.CreateExecutions(ctx, ns[1:2], now); err != nil || got[0] != (Start{}) {
		t.Errorf("alone: %+v (%v), want it to be left out", got, err)
	}
	id, err := s.CreateExecution(ctx, ns[2], now)
	s.wantStart(t, ns[2], Start{id, err})
	waited := make(chan Start, 1)
	go func() {
		id, err := s.CreateExecution(t.Context(), ns[1], now)
		waited <- Start{id, err}
	}()
	s.awaitWaiting(t, "INSERT INTO workflow_executions%'r'%")
	if err := other.Commit().Error; err != nil {
		t.Fatal(err)
	}
	if start := <-waited; start != theirs[0] {
		t.Errorf("the one that waited is %+v, want %+v", start, theirs[0])
	}
}

// One that the database refuses has nothing written, so that the others can be tried.
func TestCreateExecutionsRefused(t *testing.T) {
	s := onMariaDB(t)
	p := s.present(t, s.workflow(t))
	good := NewExecution{WorkflowID: p.WorkflowID, VersionID: p.VersionID, Name: "good", Input: "{}", Actor: "test"}
	bad := good
	bad.Name = strings.Repeat("x", 256)
	if _, err := s.CreateExecutions(t.Context(), []NewExecution{good, bad, good}, now); !errors.Is(err, ErrRefused) {
		t.Errorf("got %v, want ErrRefused", err)
	}
	if n, events := count(t, s, "workflow_executions"), count(t, s, "execution_events"); n != 0 || events != 0 {
		t.Errorf("%d executions and %d events were left behind", n, events)
	}
}

// A version is present only while it holds the definition, byte for byte.
func TestPresentVersion(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		s.exec(t, "INSERT INTO workflows (name, definition, user_id) VALUES ('by-sql', 'd', 1)")
		p, err := s.PresentVersion(t.Context(), 0, "by-sql")
		if err != nil || p.WorkflowID == 0 || p.WorkflowName != "by-sql" || p.VersionID != 0 {
			t.Errorf("of what was inserted by SQL: %+v, %v; want no version", p, err)
		}
		for _, text := range []string{"d", "D", "D ", "d"} { // the last one is back, as a version of its own
			w, _, err := s.ApplyWorkflow(t.Context(), "by-sql", text, DefaultUserID, now)
			if err != nil {
				t.Fatal(err)
			}
			p := s.present(t, w.ID)
			if v, err := s.WorkflowVersion(t.Context(), p.VersionID); err != nil || v.Definition != text || v.Version != w.Version {
				t.Errorf("of %q: %+v, version %+v, %v", text, p, v, err)
			}
			s.exec(t, "UPDATE workflows SET definition = ? WHERE id = ?", text+" ", w.ID)
			if p := s.present(t, w.ID); p.VersionID != 0 {
				t.Errorf("of %q with a space more: %+v, want no version", text, p)
			}
		}
		if _, err := s.PresentVersion(t.Context(), 99, "by-sql"); !errors.Is(err, ErrNotFound) {
			t.Errorf("of no workflow: %v", err)
		}
	})
}
