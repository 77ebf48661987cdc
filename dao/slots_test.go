package dao

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// waitingFor schedules an execution of that priority, and starts n tasks of it that
// wait for slots in the namespace.
func (s bundle) waitingFor(t *testing.T, workflowID uint64, priority int32, namespace string, n int) (Lease, []*TaskExecution) {
	t.Helper()
	id, err := s.CreateExecution(t.Context(), NewExecution{WorkflowID: workflowID, Name: "run", Input: "{}", Actor: "test", Priority: priority}, now)
	if err != nil {
		t.Fatal(err)
	}
	leases, err := s.ClaimScheduled(t.Context(), by("m1"), now, now.Add(time.Minute), 10)
	if err != nil || len(leases) != 1 {
		t.Fatalf("Claim: %v, %v", leases, err)
	}
	e, err := s.Execution(t.Context(), id)
	if err != nil || e.Priority != priority {
		t.Fatalf("priority %d, %v; want %d", e.Priority, err, priority)
	}
	at := now
	e.Status, e.StartedAt = ExecutionRunning, &at
	ts := []Transition{{Type: EventExecutionStarted}}
	var tasks []*TaskExecution
	for i := range n {
		task := newTask(string(rune('a'+i)), "kube-job")
		slot := SlotWaiting
		task.Slot, task.Namespace, task.QueueRank = &slot, namespace, -priority
		tasks = append(tasks, task)
		ts = append(ts, Transition{Type: EventTaskStarted, Task: task})
	}
	if err := s.Commit(t.Context(), leases[0], &e, ts, now); err != nil {
		t.Fatal(err)
	}
	return leases[0], tasks
}

func TestWaitingTasks(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		w := s.workflow(t)
		one, _ := s.waitingFor(t, w, 0, "ns", 1)
		four, tasks := s.waitingFor(t, w, 0, "ns", 4)
		none, granted := s.waitingFor(t, w, 0, "ns", 1)
		s.end(t, tasks[0])
		s.exec(t, "UPDATE task_executions SET slot = ? WHERE id IN (?, ?)", SlotGranted, tasks[1].ID, granted[0].ID)
		got, err := s.WaitingTasks(t.Context(), []uint64{one.ExecutionID, four.ExecutionID, none.ExecutionID})
		if want := map[uint64]int{one.ExecutionID: 1, four.ExecutionID: 2}; err != nil || !maps.Equal(got, want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	})
}

// slots returns the tasks' slots as they are stored, -1 for NULL.
func (s bundle) slots(t *testing.T, tasks []*TaskExecution) []int {
	t.Helper()
	var slots []int
	for _, task := range tasks {
		row, err := s.Task(t.Context(), task.ID)
		if err != nil {
			t.Fatal(err)
		}
		if row.Slot == nil {
			slots = append(slots, -1)
		} else {
			slots = append(slots, int(*row.Slot))
		}
	}
	return slots
}

func (s bundle) grant(t *testing.T, limits JobLimits, want int) {
	t.Helper()
	if n, err := s.GrantSlots(t.Context(), limits, now); err != nil || n != want {
		t.Fatalf("GrantSlots(%+v) = %d, %v; want %d", limits, n, err, want)
	}
}

// end ends a task, and nothing else.
func (s bundle) end(t *testing.T, task *TaskExecution) {
	t.Helper()
	s.exec(t, "UPDATE task_executions SET status = 1, ended_at = ? WHERE id = ?", now, task.ID)
}

func TestGrantSlots(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		w := s.workflow(t)
		_, low := s.waitingFor(t, w, -5, "ns", 1)
		_, old := s.waitingFor(t, w, 0, "ns", 2)
		_, high := s.waitingFor(t, w, 7, "ns", 1)
		_, young := s.waitingFor(t, w, 0, "ns", 1)
		_, other := s.waitingFor(t, w, 9, "other", 2)
		tasks := slices.Concat(low, old, high, young, other)
		want := func(what string, want ...int) {
			t.Helper()
			if got := s.slots(t, tasks); !slices.Equal(got, want) {
				t.Errorf("%s: slots %v of low, old, old, high, young, other, other; want %v", what, got, want)
			}
		}
		s.grant(t, JobLimits{Namespace: "ns", All: 2}, 2)
		want("two slots go to the highest priority, and the oldest of the next", 0, 1, 0, 1, 0, 0, 0)
		s.grant(t, JobLimits{Namespace: "other", All: 2}, 0)
		s.grant(t, JobLimits{Namespace: "other", All: 5, InNamespace: 1}, 1)
		want("one in another namespace", 0, 1, 0, 1, 0, 1, 0)
		s.grant(t, JobLimits{Namespace: "ns", InNamespace: 2}, 0)
		s.grant(t, JobLimits{Namespace: "ns", All: 4, InNamespace: 9}, 1)
		want("the old one's second task goes before a younger execution", 0, 1, 1, 1, 0, 1, 0)
		s.end(t, high[0])
		s.end(t, other[0])
		s.grant(t, JobLimits{Namespace: "ns", All: 3}, 1)
		want("a task that ends gives its slot back", 0, 1, 1, 1, 1, 1, 0)

		_, loose := s.waitingFor(t, w, 0, "", 1)
		s.exec(t, "UPDATE task_executions SET slot = NULL, job_uid = 'loose' WHERE id = ?", loose[0].ID)
		s.grant(t, JobLimits{Namespace: "ns", All: 4}, 0)
		s.grant(t, JobLimits{Namespace: "ns", All: 5}, 1)
		want("what no limit has counted so far counts, too", 1, 1, 1, 1, 1, 1, 0)
		s.end(t, low[0])

		grants, err := s.GrantedTasks(t.Context(), "ns")
		if err != nil || !slices.Equal(grants, []Grant{{old[0].ID, old[0].WorkflowExecutionID}, {old[1].ID, old[1].WorkflowExecutionID}, {young[0].ID, young[0].WorkflowExecutionID}}) {
			t.Errorf("granted %+v, %v; want old, old, young", grants, err)
		}
		s.exec(t, "UPDATE task_executions SET job_uid = 'u' WHERE id = ?", old[0].ID)
		if grants, err := s.GrantedTasks(t.Context(), "ns"); err != nil || len(grants) != 2 {
			t.Errorf("granted %+v, %v; want two: the third has its Job", grants, err)
		}
	})
}

// However many grant at once, and while tasks end, there are never more than the
// limit; and none is granted twice or forgotten.
func TestGrantSlotsAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		const limit, granters = 5, 8
		w := s.workflow(t)
		var tasks []*TaskExecution
		for range 6 {
			_, more := s.waitingFor(t, w, 0, "ns", 10)
			tasks = append(tasks, more...)
		}
		var wg sync.WaitGroup
		var granted, ended atomic.Int64
		for range granters {
			wg.Go(func() {
				for int(ended.Load()) < len(tasks) {
					n, err := s.GrantSlots(t.Context(), JobLimits{Namespace: "ns", All: limit}, now)
					if err != nil {
						t.Error(err)
						return
					}
					granted.Add(int64(n))
					var running int64
					if err := s.gdb.Table("task_executions").Where("slot = 1 AND status = 0").Count(&running).Error; err != nil || running > limit {
						t.Errorf("%d tasks run, %v; the limit is %d", running, err, limit)
						return
					}
					grants, err := s.GrantedTasks(t.Context(), "ns")
					if err != nil || len(grants) == 0 {
						continue
					}
					res := s.gdb.Exec("UPDATE task_executions SET status = 1, ended_at = ? WHERE id = ? AND status = 0", now, grants[0].TaskID)
					if res.Error == nil {
						ended.Add(res.RowsAffected)
					}
				}
			})
		}
		wg.Wait()
		if int(granted.Load()) != len(tasks) {
			t.Errorf("granted %d slots to %d tasks", granted.Load(), len(tasks))
		}
	})
}

func TestClaimInTurn(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		w := s.workflow(t)
		s.waitingFor(t, w, 0, "ns", 2)
		s.waitingFor(t, w, 9, "other", 3)
		scheduled := map[string]uint64{}
		for _, e := range []struct {
			name     string
			priority int32
		}{{"old", 0}, {"young", 0}, {"low", -1}, {"high", 4}, {"higher", 5}} {
			id, err := s.CreateExecution(t.Context(), NewExecution{WorkflowID: w, Name: e.name, Input: "{}", Actor: "test", Priority: e.priority}, now)
			if err != nil {
				t.Fatal(err)
			}
			scheduled[e.name] = id
		}
		claim := func(ahead, limit int, want ...string) {
			t.Helper()
			leases, err := s.ClaimInTurn(t.Context(), by("m1"), now, now.Add(time.Minute), ahead, limit)
			var got, ids []uint64
			for _, l := range leases {
				got = append(got, l.ExecutionID)
			}
			for _, name := range want {
				ids = append(ids, scheduled[name])
			}
			if err != nil || !slices.Equal(got, ids) {
				t.Errorf("ClaimInTurn(ahead %d, limit %d) = %v, %v; want %v", ahead, limit, got, err, ids)
			}
		}
		claim(1, 10, "higher")
		claim(1, 10)          // it is about to begin
		claim(4, 10, "high")  // higher, high, and the two tasks of an older one
		claim(5, 0)           // no room
		claim(100, 1, "old")  // the first only
		claim(6, 10, "young") // higher, high, two tasks, old, young
		claim(100, 10, "low") // fewer wait
		if leases, err := s.ClaimRunning(t.Context(), by("m2"), now, now.Add(time.Minute), 10); err != nil || len(leases) != 0 {
			t.Errorf("ClaimRunning before a lease's end: %v, %v", leases, err)
		}
		later := now.Add(2 * time.Minute)
		if leases, err := s.ClaimRunning(t.Context(), by("m2"), later, later.Add(time.Minute), 10); err != nil || len(leases) != 2 {
			t.Errorf("ClaimRunning after their leases' end: %v, %v; want the two that run", leases, err)
		}
	})
}
