package dao

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// running begins one kube-job for each name, in an execution of its own, and gives the
// tasks.
func (s bundle) running(t *testing.T, names ...string) []*TaskExecution {
	t.Helper()
	l, e := s.claimed(t)
	tasks := []*TaskExecution{s.start(t, l, e)}
	for _, name := range names[1:] {
		task := newTask(name, "kube-job")
		if err := s.Commit(t.Context(), l, e, []Transition{{Type: EventTaskStarted, Task: task}}, now); err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, task)
	}
	return tasks
}

// wantRecorded checks what a task has recorded, and how often.
func (s bundle) wantRecorded(t *testing.T, taskID uint64, output string, rev uint32) {
	t.Helper()
	row, err := s.Task(t.Context(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	if row.RecordedOutput != nil {
		got = *row.RecordedOutput
	}
	if got != output || row.RecordedRev != rev {
		t.Errorf("task %d has recorded %q, %d times; want %q, %d times", taskID, got, row.RecordedRev, output, rev)
	}
}

// Of outputs that come together each is its task's, and those that cannot be recorded
// are told from the others.
func TestRecordOutputs(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		tasks := s.running(t, "a", "b", "c", "d")
		a, b, branch, ended := tasks[0].ID, tasks[1].ID, tasks[2].ID, tasks[3].ID
		s.exec(t, "UPDATE task_executions SET task_type = 'branch', execution_name = NULL WHERE id = ?", branch)
		s.exec(t, "UPDATE task_executions SET status = 1, ended_at = ? WHERE id = ?", now, ended)
		later := now.Add(time.Minute)
		outputs := []TaskOutput{{b, "1"}, {branch, "2"}, {a, "3"}, {ended, "4"}, {b, "5"}, {99, "6"}}
		for round := range uint32(2) {
			got, err := s.RecordOutputs(t.Context(), outputs, later)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]bool{true, false, true, false, false, false}, got); diff != "" {
				t.Errorf("recorded (-want +got):\n%s", diff)
			}
			s.wantRecorded(t, b, "1", round+1)
			s.wantRecorded(t, a, "3", round+1)
			s.wantRecorded(t, branch, "", 0)
			s.wantRecorded(t, ended, "", 0)
		}
		if row, err := s.Task(t.Context(), a); err != nil || !row.UpdatedAt.Equal(later) {
			t.Errorf("the row is of %s (%v), want %s", row.UpdatedAt, err, later)
		}
	})
}

// A task that somebody has locked holds up no other one's output.
func TestLockedTaskHoldsUpNoOutputs(t *testing.T) {
	s := onMariaDB(t)
	tasks := s.running(t, "a", "b", "c")
	s.lock(t, "SELECT id FROM task_executions WHERE id = ?", tasks[1].ID)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second) // less than anybody waits for a lock
	defer cancel()
	got, err := s.RecordOutputs(ctx, []TaskOutput{{tasks[0].ID, "0"}, {tasks[1].ID, "1"}, {tasks[2].ID, "2"}}, now)
	if diff := cmp.Diff([]bool{true, false, true}, got); err != nil || diff != "" {
		t.Errorf("%v; recorded (-want +got):\n%s", err, diff)
	}
	s.wantRecorded(t, tasks[0].ID, "0", 1)
	s.wantRecorded(t, tasks[2].ID, "2", 1)
}
