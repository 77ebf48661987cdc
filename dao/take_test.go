package dao

import (
	"errors"
	"fmt"
	"testing"
)

// taken are the rows of running kube-jobs before a manager of the namespace "ns" takes
// them up, and what becomes of their slot and namespace.
var taken = map[string]struct {
	slot      *uint8
	namespace string
	jobUID    *string
	// with and without a limit on running Jobs
	limited, unlimited string
}{
	"begun here without a limit":                {nil, "ns", nil, "1 ns", "NULL ns"},
	"begun by the build before":                 {nil, "", nil, "1 ns", "NULL ns"},
	"begun by the build before, with its Job":   {nil, "", new("u"), "1 ns", "NULL ns"},
	"begun elsewhere without a limit":           {nil, "other", nil, "NULL other", "NULL other"},
	"waits here":                                {new(SlotWaiting), "ns", nil, "0 ns", "1 ns"},
	"waits elsewhere":                           {new(SlotWaiting), "other", nil, "0 ns", "1 ns"},
	"waited here, launched by the build before": {new(SlotWaiting), "ns", new("u"), "1 ns", "1 ns"},
	"waited elsewhere, launched there":          {new(SlotWaiting), "other", new("u"), "0 other", "0 other"},
	"has a slot here":                           {new(SlotGranted), "ns", nil, "1 ns", "1 ns"},
	"has a slot elsewhere":                      {new(SlotGranted), "other", nil, "1 other", "1 other"},
}

// What is decided in memory and what is written are the same, and it takes the lease.
func TestTakeTasks(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		w := s.workflow(t)
		for name, tc := range taken {
			for limited, want := range map[bool]string{true: tc.limited, false: tc.unlimited} {
				t.Run(fmt.Sprintf("%s, limited %t", name, limited), func(t *testing.T) {
					l, tasks := s.waitingFor(t, w, 3, "any", 2)
					task, ended := tasks[0], tasks[1]
					s.end(t, ended)
					s.exec(t, "UPDATE task_executions SET slot = ?, namespace = ?, job_uid = ?, queue_rank = 0 WHERE id = ?", tc.slot, tc.namespace, tc.jobUID, task.ID)
					s.take(t, l, task.ID, limited, want)
					if got := s.state(t, ended.ID); got != "0 any" {
						t.Errorf("one that has ended is %q", got)
					}
				})
			}
		}
	})
}

// take takes up the only task of an execution that runs.
func (s bundle) take(t *testing.T, l Lease, taskID uint64, limited bool, want string) {
	t.Helper()
	row, err := s.Task(t.Context(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	before, changes := state(&row), 0
	if !row.Elsewhere("ns") && row.Take("ns", limited) {
		changes++
	}
	if state(&row) != want || (changes > 0) != (before != want) {
		t.Errorf("in memory it is %q, with %d changes; want %q", state(&row), changes, want)
	}
	stale := l
	stale.Epoch++
	if err := s.TakeTasks(t.Context(), stale, "ns", limited, max(changes, 1), now); !errors.Is(err, ErrConflict) {
		t.Errorf("without the lease: %v, want ErrConflict", err)
	}
	if err := s.TakeTasks(t.Context(), l, "ns", limited, changes+1, now); !errors.Is(err, ErrConflict) {
		t.Errorf("with another number of changes: %v, want ErrConflict", err)
	}
	if got := s.state(t, taskID); got != before {
		t.Errorf("after conflicts it is %q, want %q", got, before)
	}
	if err := s.TakeTasks(t.Context(), l, "ns", limited, changes, now); err != nil {
		t.Error(err)
	}
	row, err = s.Task(t.Context(), taskID)
	if err != nil || state(&row) != want || changes > 0 && row.QueueRank != -3 {
		t.Errorf("stored is %q, rank %d, %v; want %q", state(&row), row.QueueRank, err, want)
	}
}

func (s bundle) state(t *testing.T, taskID uint64) string {
	t.Helper()
	row, err := s.Task(t.Context(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	return state(&row)
}

func state(t *TaskExecution) string {
	if t.Slot == nil {
		return "NULL " + t.Namespace
	}
	return fmt.Sprintf("%d %s", *t.Slot, t.Namespace)
}
