package dao

import (
	"errors"
	"sync"
	"testing"
	"time"
)

func TestApplyWorkflow(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		steps := []struct {
			definition  string
			wantResult  ApplyResult
			wantVersion uint32
		}{
			{"one", Created, 1},
			{"one", Unchanged, 1},
			{"two", Updated, 2},
			{"one", Updated, 3},
		}
		for i, step := range steps {
			w, result, err := s.ApplyWorkflow(t.Context(), "w", step.definition, DefaultUserID, now)
			if err != nil || result != step.wantResult || w.Version != step.wantVersion {
				t.Fatalf("step %d: %v, version %d, %v; want %v, version %d", i, result, w.Version, err, step.wantResult, step.wantVersion)
			}
		}
		w, err := s.WorkflowByName(t.Context(), "w")
		if err != nil || w.Definition != "one" || w.Version != 3 {
			t.Errorf("kept: %+v, %v", w, err)
		}
		vs, err := s.WorkflowVersions(t.Context(), w.ID, 10)
		if err != nil || len(vs) != 3 || vs[0].Version != 3 {
			t.Errorf("versions: %+v, %v", vs, err)
		}
	})
}

func TestApplyWorkflowAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if _, _, err := s.ApplyWorkflow(t.Context(), "w", string(rune('a'+i)), DefaultUserID, now); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		w, err := s.WorkflowByName(t.Context(), "w")
		if err != nil || w.Version != 8 {
			t.Errorf("version %d, %v; want 8", w.Version, err)
		}
	})
}

func TestWorkflowsAreListedByName(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		for _, name := range []string{"b", "c", "a"} {
			if _, _, err := s.ApplyWorkflow(t.Context(), name, "d", DefaultUserID, now); err != nil {
				t.Fatal(err)
			}
		}
		var got string
		for after := ""; ; {
			page, err := s.Workflows(t.Context(), after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range page {
				got += w.Name
				after = w.Name
			}
			if len(page) < 2 {
				break
			}
		}
		if got != "abc" {
			t.Errorf("listed %q", got)
		}
	})
}

func TestNotFound(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		ctx := t.Context()
		_, workflow := s.Workflow(ctx, 9)
		_, byName := s.WorkflowByName(ctx, "nobody")
		_, execution := s.Execution(ctx, 9)
		_, task := s.Task(ctx, 9)
		_, create := s.CreateExecution(ctx, NewExecution{WorkflowID: 9, Input: "{}"}, now)
		record := s.RecordOutput(ctx, 9, "{}", now)
		for name, err := range map[string]error{"Workflow": workflow, "WorkflowByName": byName, "Execution": execution, "Task": task, "CreateExecution": create, "RecordOutput": record} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: %v, want ErrNotFound", name, err)
			}
		}
		if n := count(t, s, "workflow_executions"); n != 0 {
			t.Errorf("%d executions were left behind", n)
		}
	})
}

func TestWorkflowInsertedBySQL(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		s.exec(t, "INSERT INTO workflows (name, definition, user_id) VALUES ('by-sql', ?, 1)", definition)
		w, err := s.WorkflowByName(t.Context(), "by-sql")
		if err != nil || w.Version != 0 {
			t.Fatalf("%+v, %v", w, err)
		}
		if time.Since(w.CreatedAt).Abs() > time.Minute {
			t.Errorf("created_at is %s: not UTC?", w.CreatedAt)
		}
		e, err := s.Execution(t.Context(), s.execution(t, w.ID))
		if err != nil || e.WorkflowVersion != 1 {
			t.Errorf("execution has version %d, %v; want 1", e.WorkflowVersion, err)
		}
		s.exec(t, "UPDATE workflows SET definition = 'other' WHERE id = ?", w.ID)
		if e, err = s.Execution(t.Context(), s.execution(t, w.ID)); err != nil || e.WorkflowVersion != 2 {
			t.Errorf("after an UPDATE the execution has version %d, %v; want 2", e.WorkflowVersion, err)
		}
	})
}

func TestExecutionInsertedBySQL(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		id := s.workflow(t)
		s.exec(t, "INSERT INTO workflow_executions (workflow_id, name) VALUES (?, 'by-sql')", id)
		at := time.Now()
		leases, err := s.ClaimScheduled(t.Context(), by("m1"), at, at.Add(time.Minute), 10)
		if err != nil || len(leases) != 1 {
			t.Fatalf("Claim: %v, %v", leases, err)
		}
		v, err := s.PinVersion(t.Context(), leases[0], at)
		if err != nil || v.Version != 1 || v.Definition != definition {
			t.Fatalf("PinVersion: %+v, %v", v, err)
		}
		if _, err := s.PinVersion(t.Context(), leases[0], at); !errors.Is(err, ErrConflict) {
			t.Errorf("a second PinVersion: %v, want ErrConflict", err)
		}
	})
}

// However often, and by however many at once, a start is repeated with its id, it
// is one execution.
func TestStartsWithARequestID(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		w, _, err := s.ApplyWorkflow(t.Context(), "w", "d", DefaultUserID, now)
		if err != nil {
			t.Fatal(err)
		}
		other, _, err := s.ApplyWorkflow(t.Context(), "other", "d", DefaultUserID, now)
		if err != nil {
			t.Fatal(err)
		}
		start := NewExecution{WorkflowID: w.ID, Name: "run", Input: "{}", Actor: "test", RequestID: "2026-03-01"}
		ids := make([]uint64, 8)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				var err error
				if ids[i], err = s.CreateExecution(t.Context(), start, now); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, id := range ids {
			if id == 0 || id != ids[0] {
				t.Errorf("started executions %v, want one", ids)
				break
			}
		}
		if events, err := s.Events(t.Context(), ids[0], 0, 10); err != nil || len(events) != 1 {
			t.Errorf("events %+v, %v; want one", events, err)
		}
		cases := map[string]struct {
			change    func(*NewExecution)
			wantError error
		}{
			"another input":    {func(n *NewExecution) { n.Input = "[]" }, ErrDuplicate},
			"another name":     {func(n *NewExecution) { n.Name = "walk" }, ErrDuplicate},
			"another priority": {func(n *NewExecution) { n.Priority = 1 }, ErrDuplicate},
			"another id":       {func(n *NewExecution) { n.RequestID = "2026-03-02" }, nil},
			"another workflow": {func(n *NewExecution) { n.WorkflowID = other.ID }, nil},
			"no id":            {func(n *NewExecution) { n.RequestID = "" }, nil},
			"no id, again":     {func(n *NewExecution) { n.RequestID = "" }, nil},
		}
		for name, tc := range cases {
			n := start
			tc.change(&n)
			id, err := s.CreateExecution(t.Context(), n, now)
			if !errors.Is(err, tc.wantError) || (err == nil) != (tc.wantError == nil) || (id == ids[0]) != (err != nil) {
				t.Errorf("%s: execution %d, %v; want another execution, or the same and %v", name, id, err, tc.wantError)
			}
		}
	})
}
