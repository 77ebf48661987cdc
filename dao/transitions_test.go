package dao

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

func TestCommitWritesRowsAndEvents(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		ctx := t.Context()
		l, e := s.claimed(t)
		a := s.start(t, l, e)
		if a.ID == 0 || a.ExecutionName == nil || *a.ExecutionName != "w-a-1-1" {
			t.Fatalf("a is %+v", a)
		}

		// a ends; a branch follows and ends at once; then a parallel with a job.
		end := now.Add(time.Second)
		a.Status, a.EndedAt, a.ElapsedSec, a.Output = TaskSuccess, &end, 1, `{"n":1}`
		check := newTask("check", "branch")
		check.Status, check.EndedAt = TaskSuccess, &end
		fan, b := newTask("fan", "parallel"), newTask("b", "kube-job")
		zero := uint32(0)
		b.SetIndex = &zero
		err := s.Commit(ctx, l, e, []Transition{
			{Type: EventTaskSucceeded, Task: a},
			{Type: EventTaskStarted, Task: check, Prev: a}, {Type: EventTaskSucceeded, Task: check},
			{Type: EventTaskStarted, Task: fan, Prev: check},
			{Type: EventTaskStarted, Task: b, Parent: fan},
		}, end)
		if err != nil {
			t.Fatal(err)
		}
		// Then all fails.
		b.Status, b.EndedAt, b.ErrorReason, b.ErrorMsg = TaskFailed, &end, "Boom", "it broke"
		fan.Status, fan.EndedAt, fan.ErrorReason = TaskFailed, &end, "SetFailed"
		e.Status, e.EndedAt, e.ErrorMsg = ExecutionFailed, &end, "task fan failed"
		err = s.Commit(ctx, l, e, []Transition{
			{Type: EventTaskFailed, Task: b, Reason: "Boom", Message: "it broke"},
			{Type: EventTaskFailed, Task: fan, Reason: "SetFailed"},
			{Type: EventExecutionFailed, Reason: "SetFailed", Message: "task fan failed"},
		}, end)
		if err != nil {
			t.Fatal(err)
		}

		rows, err := s.Tasks(ctx, e.ID)
		if err != nil || len(rows) != 4 {
			t.Fatalf("%d tasks, %v", len(rows), err)
		}
		want := []*TaskExecution{a, check, fan, b}
		for i, r := range rows {
			r.CreatedAt, r.UpdatedAt = want[i].CreatedAt, want[i].UpdatedAt
			if diff := cmp.Diff(want[i], r); diff != "" {
				t.Errorf("task %s (-in memory +in the database):\n%s", r.TaskName, diff)
			}
		}
		if *a.NextTaskExecutionID != check.ID || *check.NextTaskExecutionID != fan.ID || *b.ParentTaskExecutionID != fan.ID {
			t.Error("the tasks are not linked")
		}
		kept, err := s.Execution(ctx, e.ID)
		if err != nil || kept.Status != ExecutionFailed || kept.LeaseOwner != nil || kept.WakeAt != nil {
			t.Errorf("execution %+v, %v", kept, err)
		}
		events, err := s.Events(ctx, e.ID, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, ev := range events {
			got = append(got, string(ev.Type)+" "+ev.TaskName+" "+ev.Reason+" "+ev.Actor)
		}
		if diff := cmp.Diff([]string{
			"ExecutionScheduled   test", "ExecutionStarted   manager m1", "TaskStarted a  manager m1", "TaskSucceeded a  manager m1",
			"TaskStarted check  manager m1", "TaskSucceeded check  manager m1", "TaskStarted fan  manager m1", "TaskStarted b  manager m1",
			"TaskFailed b Boom manager m1", "TaskFailed fan SetFailed manager m1", "ExecutionFailed  SetFailed manager m1",
		}, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// A manager that lost its lease must not write, whatever it believes.
func TestCommitIsFenced(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		ctx := t.Context()
		old, e := s.claimed(t)
		if _, err := s.ClaimScheduled(ctx, by("m2"), now.Add(time.Hour), now.Add(2*time.Hour), 1); err != nil {
			t.Fatal(err)
		}
		at := now
		e.Status, e.StartedAt = ExecutionRunning, &at
		err := s.Commit(ctx, old, e, []Transition{{Type: EventExecutionStarted}, {Type: EventTaskStarted, Task: newTask("a", "kube-job")}}, now)
		if !errors.Is(err, ErrConflict) {
			t.Errorf("Commit: %v, want ErrConflict", err)
		}
		if n := count(t, s, "task_executions"); n != 0 {
			t.Errorf("%d tasks were written", n)
		}
		if n := count(t, s, "execution_events"); n != 1 { // ExecutionScheduled
			t.Errorf("%d events were written", n-1)
		}
	})
}

// What a job records between the decision and its commit must not get lost.
func TestCommitSeesALateRecording(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		ctx := t.Context()
		l, e := s.claimed(t)
		a := s.start(t, l, e)
		if err := s.RecordOutput(ctx, a.ID, `{"late":true}`, now); err != nil {
			t.Fatal(err)
		}
		end := now
		a.Status, a.EndedAt = TaskSuccess, &end
		if err := s.Commit(ctx, l, e, []Transition{{Type: EventTaskSucceeded, Task: a}}, now); !errors.Is(err, ErrConflict) {
			t.Errorf("Commit: %v, want ErrConflict", err)
		}
		all, err := s.RecordedOutputs(ctx, []uint64{a.ID, 999})
		recorded := all[a.ID]
		if err != nil || len(all) != 1 || recorded.Output == nil || *recorded.Output != `{"late":true}` || recorded.Rev != 1 {
			t.Fatalf("RecordedOutputs: %v, %v", all, err)
		}
		a.RecordedRev = recorded.Rev
		if err := s.Commit(ctx, l, e, []Transition{{Type: EventTaskSucceeded, Task: a}}, now); err != nil {
			t.Errorf("Commit with the recording seen: %v", err)
		}
		if err := s.RecordOutput(ctx, a.ID, "{}", now); !errors.Is(err, ErrConflict) {
			t.Errorf("RecordOutput after the end: %v, want ErrConflict", err)
		}
	})
}

func TestTaskCannotStartTwice(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		s.start(t, l, e)
		err := s.Commit(t.Context(), l, e, []Transition{{Type: EventTaskStarted, Task: newTask("a", "kube-job")}}, now)
		if !errors.Is(err, ErrDuplicate) {
			t.Errorf("Commit: %v, want ErrDuplicate", err)
		}
	})
}

// A commit whose answer was lost may be carried out after the rows were read again,
// under the same lease: then the execution has begun, and does not once more, nor does it
// end as if it had no tasks.
func TestAnExecutionBeginsOnce(t *testing.T) {
	cases := map[string]Transition{
		"begin":             {Type: EventExecutionStarted},
		"end before it has": {Type: EventExecutionFailed, Unbegun: true},
	}
	onEach(t, func(t *testing.T, s bundle) {
		for name, tc := range cases {
			t.Run(name, func(t *testing.T) {
				l, e := s.claimed(t)
				s.start(t, l, e)
				later := now.Add(time.Minute)
				e.StartedAt = &later
				if tc.Unbegun {
					e.Status, e.ErrorMsg, e.EndedAt = ExecutionFailed, "Cancelled", &later
				}
				err := s.Commit(t.Context(), l, e, []Transition{tc}, later)
				if !errors.Is(err, ErrConflict) {
					t.Errorf("Commit: %v, want ErrConflict", err)
				}
				each, err := s.commitTogether(t.Context(), []*commit{newCommit(l, e, []Transition{tc}, later)})
				if err != nil || !errors.Is(each[0], ErrConflict) {
					t.Errorf("together with others: %v, %v, want ErrConflict", each, err)
				}
				got, err := s.Execution(t.Context(), e.ID)
				if err != nil || !got.StartedAt.Equal(now) || got.Status != ExecutionRunning {
					t.Errorf("%s, started at %v, %v; want it to run since %v", got.Status, got.StartedAt, err, now)
				}
			})
		}
	})
}

func TestMarkLaunched(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		a := s.start(t, l, e)
		if err := s.MarkLaunched(t.Context(), l, a.ID, "u1", now); err != nil {
			t.Errorf("MarkLaunched: %v", err)
		}
		if err := s.MarkLaunched(t.Context(), l, a.ID, "u1", now); err != nil {
			t.Errorf("the same once more: %v", err)
		}
		if err := s.MarkLaunched(t.Context(), l, a.ID, "u2", now); !errors.Is(err, ErrConflict) {
			t.Errorf("another one: %v, want ErrConflict", err)
		}
		stale := l
		stale.Epoch--
		if err := s.MarkLaunched(t.Context(), stale, a.ID, "u1", now); !errors.Is(err, ErrConflict) {
			t.Errorf("by a lease that is over: %v, want ErrConflict", err)
		}
		if ended, err := s.EndedTasks(t.Context(), []uint64{a.ID}); err != nil || len(ended) != 0 {
			t.Errorf("EndedTasks: %v, %v", ended, err)
		}
	})
}

// Many tasks that start at once are inserted by few statements, and each gets the
// id, the name and the neighbours that are its own; also where ids do not go up by
// one, as with several servers that take writes.
func TestManyTasksStartAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) { startManyTasks(t, s) })
	t.Run("ids in steps of 3", func(t *testing.T) {
		t.Parallel()
		dsn := mariadb.Database(t)
		separator := "?"
		if strings.Contains(dsn, "?") {
			separator = "&"
		}
		startManyTasks(t, open(t, db.Config{Driver: db.MySQL, DSN: dsn + separator + "auto_increment_increment=3&auto_increment_offset=2"}))
	})
}

func startManyTasks(t *testing.T, s bundle) {
	t.Helper()
	l, e := s.claimed(t)
	s.start(t, l, e)
	const sets = 3*insertRows + 7
	fan := newTask("fan", "parallel")
	ts := []Transition{{Type: EventTaskStarted, Task: fan}}
	for i := range uint32(sets) {
		job := newTask(fmt.Sprint("job", i), "kube-job")
		job.SetIndex = &i
		if i%50 == 0 {
			job.Input = `"` + strings.Repeat("x", insertBytes/2) + `"`
		}
		ts = append(ts, Transition{Type: EventTaskStarted, Task: job, Parent: fan})
	}
	check, again, next := newTask("check", "branch"), newTask("again", "branch"), newTask("next", "kube-job")
	for _, branch := range []*TaskExecution{check, again} {
		branch.Status, branch.EndedAt = TaskSuccess, &now
	}
	ts = append(ts, Transition{Type: EventTaskStarted, Task: check}, Transition{Type: EventTaskStarted, Task: again, Prev: check}, Transition{Type: EventTaskStarted, Task: next, Prev: again})
	if err := s.Commit(t.Context(), l, e, ts, now); err != nil {
		t.Fatal(err)
	}
	rows, err := s.Tasks(t.Context(), e.ID)
	if err != nil || len(rows) != len(ts)+1 {
		t.Fatalf("%d tasks (%v), want %d", len(rows), err, len(ts)+1)
	}
	for i, r := range rows[1:] { // but for the one that has started before
		want := ts[i].Task
		r.CreatedAt, r.UpdatedAt = want.CreatedAt, want.UpdatedAt
		if diff := cmp.Diff(want, r); diff != "" {
			t.Fatalf("task %d (-in memory +in the database):\n%s", i, diff)
		}
		if r.TaskType == "kube-job" && *r.ExecutionName != fmt.Sprintf("w-%s-%d-1", r.TaskName, r.ID) {
			t.Errorf("task %d has the Job's name %s", r.ID, *r.ExecutionName)
		}
	}
	if *next.PrevTaskExecutionID != again.ID || *again.NextTaskExecutionID != next.ID || *check.NextTaskExecutionID != again.ID || *rows[2].ParentTaskExecutionID != fan.ID {
		t.Error("the tasks are not linked")
	}
}
