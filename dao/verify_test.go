package dao

import (
	"cmp"
	"errors"
	"slices"
	"testing"
	"time"

	"gorm.io/gorm"
)

// A history is all there is of an execution, and of no other.
func TestHistories(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		task := s.start(t, l, e)
		other := s.execution(t, e.WorkflowID)
		s.exec(t, "UPDATE task_executions SET slot = 0")
		hs, err := s.Histories(t.Context(), []uint64{e.ID, other, 77})
		if err != nil || len(hs) != 2 {
			t.Fatalf("%v, %v", hs, err)
		}
		h := hs[0]
		if h.Execution.ID != e.ID || h.Execution.Input != "{}" || h.Execution.WorkflowName != "w" || len(h.Tasks) != 1 || h.Tasks[0].ID != task.ID || !h.Tasks[0].Waits() {
			t.Errorf("%+v", h)
		}
		var types []EventType
		for _, ev := range h.Events {
			types = append(types, ev.Type)
		}
		if want := []EventType{EventExecutionScheduled, EventExecutionStarted, EventTaskStarted}; !slices.Equal(types, want) {
			t.Errorf("events %v, want %v", types, want)
		}
		if o := hs[1]; o.Execution.ID != other || len(o.Tasks) != 0 || len(o.Events) != 1 {
			t.Errorf("the other: %+v", o)
		}
	})
}

// An execution whose workflow is missing, as in a database that was restored in part,
// can be read as any other.
func TestWorkflowMissing(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		s.start(t, l, e)
		off, on := "SET foreign_key_checks = 0", "SET foreign_key_checks = 1"
		if s.gdb.Name() == "sqlite" {
			off, on = "PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys = ON"
		}
		err := s.gdb.Connection(func(one *gorm.DB) error {
			return cmp.Or(one.Exec(off).Error, one.Exec("DELETE FROM workflow_versions").Error, one.Exec("DELETE FROM workflows").Error, one.Exec(on).Error)
		})
		if err != nil {
			t.Fatal(err)
		}
		if row, err := s.Execution(t.Context(), e.ID); err != nil || row.ID != e.ID || row.WorkflowName != "" || row.Input != "{}" {
			t.Errorf("%+v, %v", row, err)
		}
		if row, ts, err := s.OpenRows(t.Context(), e.ID); err != nil || row.ID != e.ID || len(ts) != 1 {
			t.Errorf("%+v, %v, %v", row, ts, err)
		}
		if hs, err := s.Histories(t.Context(), []uint64{e.ID}); err != nil || len(hs) != 1 || len(hs[0].Tasks) != 1 {
			t.Errorf("%+v, %v", hs, err)
		}
		if es, err := s.Executions(t.Context(), ExecutionFilter{Limit: 10}); err != nil || len(es) != 1 {
			t.Errorf("%+v, %v", es, err)
		}
		e.Status, e.ErrorMsg, e.EndedAt = ExecutionFailed, "InconsistentRows", &now
		if err := s.Commit(t.Context(), l, e, []Transition{{Type: EventExecutionFailed}}, now); err != nil {
			t.Errorf("it cannot be ended: %v", err)
		}
	})
}

func TestExecutionIDs(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		w := s.workflow(t)
		for range 5 {
			s.execution(t, w)
		}
		s.exec(t, "UPDATE workflow_executions SET status = 3, error_msg = 'x', started_at = ?, ended_at = ?, wake_at = NULL WHERE id IN (2, 3)", now, now)
		for _, tc := range []struct {
			open  bool
			after uint64
			limit int
			want  []uint64
		}{
			{false, 0, 10, []uint64{1, 2, 3, 4, 5}},
			{false, 2, 2, []uint64{3, 4}},
			{true, 0, 2, []uint64{1, 4}},
			{true, 4, 2, []uint64{5}},
			{true, 5, 2, nil},
		} {
			if got, err := s.ExecutionIDs(t.Context(), tc.open, tc.after, tc.limit); err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("%+v: %v, %v", tc, got, err)
			}
		}
	})
}

func TestTasksOfJobs(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		task := s.start(t, l, e)
		for name, tc := range map[string]struct {
			names []string
			ids   []uint64
			want  int
		}{
			"by name": {[]string{*task.ExecutionName, "x"}, nil, 1},
			"by id":   {nil, []uint64{task.ID, 77}, 1},
			"by both": {[]string{*task.ExecutionName}, []uint64{task.ID}, 2},
			"none":    {[]string{"x"}, []uint64{77}, 0},
			"nothing": {nil, nil, 0},
		} {
			got, err := s.TasksOfJobs(t.Context(), tc.names, tc.ids)
			if err != nil || len(got) != tc.want {
				t.Errorf("%s: %v, %v", name, got, err)
			}
			for _, row := range got {
				if row.ID != task.ID || *row.ExecutionName != *task.ExecutionName || row.WorkflowExecutionID != e.ID || row.Attempt != 1 {
					t.Errorf("%s: %+v", name, row)
				}
			}
		}
	})
}

func TestManagerSeen(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		if at, err := s.ManagerSeen(t.Context()); err != nil || !at.IsZero() {
			t.Errorf("none yet: %v, %v", at, err)
		}
		s.exec(t, "INSERT INTO managers (owner, seen_at) VALUES ('m1', ?), ('m2', ?)", now, now.Add(-time.Hour))
		if at, err := s.ManagerSeen(t.Context()); err != nil || !at.Equal(now) {
			t.Errorf("%v, %v", at, err)
		}
	})
}

// Who only looks makes no name.
func TestInstallationName(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		if _, err := s.InstallationName(t.Context()); !errors.Is(err, ErrNotFound) || count(t, s, "secrets") != 0 {
			t.Errorf("none yet: %v", err)
		}
		if _, err := s.Secret(t.Context(), Installation, []byte("i1"), now); err != nil {
			t.Fatal(err)
		}
		if name, err := s.InstallationName(t.Context()); err != nil || name != "i1" {
			t.Errorf("%q, %v", name, err)
		}
	})
}

// Only what nobody holds, has not ended, and is not due yet is woken.
func TestWake(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		id := s.execution(t, s.workflow(t))
		at := now.Add(time.Minute)
		wake := func() error { return s.Wake(t.Context(), id, "verify by test", "late", at) }
		if err := wake(); !errors.Is(err, ErrConflict) {
			t.Errorf("one that is due: %v", err)
		}
		s.exec(t, "UPDATE workflow_executions SET wake_at = ?, lease_owner = 'm1', lease_until = ?", now.Add(time.Hour), now.Add(time.Hour))
		if err := wake(); !errors.Is(err, ErrConflict) {
			t.Errorf("one that is held: %v", err)
		}
		s.exec(t, "UPDATE workflow_executions SET lease_owner = NULL, lease_until = NULL")
		if err := wake(); err != nil {
			t.Fatal(err)
		}
		e, err := s.Execution(t.Context(), id)
		if err != nil || !e.WakeAt.Equal(at) {
			t.Errorf("it wakes at %v: %v", e.WakeAt, err)
		}
		events, err := s.Events(t.Context(), id, 0, 10)
		if err != nil || len(events) != 2 || events[1].Type != EventExecutionWoken || events[1].Actor != "verify by test" || events[1].Message != "late" {
			t.Errorf("%+v, %v", events, err)
		}
	})
}

func TestNoteJobDeleted(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		task := s.start(t, l, e)
		if err := s.NoteJobDeleted(t.Context(), e.ID, task.ID, "verify by test", "copied", now); err != nil {
			t.Fatal(err)
		}
		events, err := s.Events(t.Context(), e.ID, 0, 10)
		if err != nil || len(events) != 4 {
			t.Fatalf("%+v, %v", events, err)
		}
		if ev := events[3]; ev.Type != EventJobDeleted || ev.TaskName != "a" || ev.Message != "copied" {
			t.Errorf("%+v", ev)
		}
	})
}
