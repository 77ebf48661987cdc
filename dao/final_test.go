package dao

import (
	"errors"
	"testing"
	"time"
)

// What has ended stays as it ended, even for the lease in force.
func TestEndsAreFinal(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		ctx := t.Context()
		l, e := s.claimed(t)
		a := s.start(t, l, e)
		later := now.Add(time.Second)
		end := func(status TaskStatus, reason string) error {
			task := *a
			task.Status, task.ErrorReason, task.EndedAt = status, reason, &later
			return s.Commit(ctx, l, e, []Transition{{Type: EventTaskSucceeded, Task: &task}}, later)
		}
		if err := end(TaskSuccess, ""); err != nil {
			t.Fatal(err)
		}
		if err := end(TaskFailed, "Why"); !errors.Is(err, ErrConflict) {
			t.Errorf("a second end of the task: %v, want ErrConflict", err)
		}
		if err := s.MarkLaunched(ctx, l, a.ID, "u1", later); !errors.Is(err, ErrConflict) {
			t.Errorf("a Job for a task that has ended: %v, want ErrConflict", err)
		}
		e.Status, e.EndedAt = ExecutionSuccess, &later
		if err := s.Commit(ctx, l, e, []Transition{{Type: EventExecutionSucceeded}}, later); err != nil {
			t.Fatal(err)
		}
		e.Status, e.ErrorMsg = ExecutionFailed, "why"
		if err := s.Commit(ctx, l, e, []Transition{{Type: EventExecutionFailed}}, later); !errors.Is(err, ErrConflict) {
			t.Errorf("a second end of the execution: %v, want ErrConflict", err)
		}
		got, err := s.Execution(ctx, e.ID)
		if err != nil || got.Status != ExecutionSuccess {
			t.Errorf("the execution is %s, %v", got.Status, err)
		}
		if task, err := s.Task(ctx, a.ID); err != nil || task.Status != TaskSuccess || task.JobUID != nil {
			t.Errorf("the task is %+v, %v", task, err)
		}
	})
}
