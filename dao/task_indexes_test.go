package dao

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// startIndexed moves e to running, with one indexed task "a".
func (s bundle) startIndexed(t *testing.T, l Lease, e *WorkflowExecution, n uint32) *TaskExecution {
	t.Helper()
	at := now
	e.Status, e.StartedAt = ExecutionRunning, &at
	task := newTask("a", "kube-job")
	task.IndexCount = &n
	if err := s.Commit(t.Context(), l, e, []Transition{{Type: EventExecutionStarted}, {Type: EventTaskStarted, Task: task}}, now); err != nil {
		t.Fatal(err)
	}
	return task
}

func (s bundle) wantIndexes(t *testing.T, taskID uint64, want Indexes, outputs ...IndexOutput) {
	t.Helper()
	got, err := s.Indexes(t.Context(), taskID)
	if err != nil || got != want {
		t.Errorf("Indexes = %+v, %v; want %+v", got, err, want)
	}
	all, err := s.IndexOutputs(t.Context(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(outputs, all); diff != "" {
		t.Errorf("IndexOutputs (-want +got):\n%s", diff)
	}
}

func TestIndexes(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		a := s.startIndexed(t, l, e, 5)
		if read, err := s.Task(t.Context(), a.ID); err != nil || read.IndexCount == nil || *read.IndexCount != 5 || read.IndexesClosed {
			t.Fatalf("Task = %+v, %v", read, err)
		}
		record := func(index uint32, data string) {
			t.Helper()
			if err := s.RecordIndexOutput(t.Context(), a.ID, index, data, now); err != nil {
				t.Fatal(err)
			}
		}
		keep := func(last bool, outputs ...IndexOutput) {
			t.Helper()
			if err := s.KeepIndexes(t.Context(), l, a.ID, outputs, last, now); err != nil {
				t.Fatal(err)
			}
		}
		record(3, `"first"`)
		record(3, `"é"`) // the last one counts
		keep(false, IndexOutput{0, `{"a":1}`}, IndexOutput{3, "{}"})
		record(0, "7") // late, and yet it counts
		keep(false, IndexOutput{0, `{"a":1}`}, IndexOutput{1, "{}"})
		s.wantIndexes(t, a.ID, Indexes{Succeeded: 3, Outputs: 3, Bytes: 1 + 2 + 4}, IndexOutput{0, "7"}, IndexOutput{1, "{}"}, IndexOutput{3, `"é"`})
		record(4, "[]")
		keep(true)
		if err := s.RecordIndexOutput(t.Context(), a.ID, 4, "8", now); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "its Job has ended") {
			t.Errorf("RecordIndexOutput after the Job's end: %v", err)
		}
		keep(false, IndexOutput{2, "2"}) // what a list has found
		s.wantIndexes(t, a.ID, Indexes{Succeeded: 4, Outputs: 5, Bytes: 1 + 2 + 1 + 4 + 2},
			IndexOutput{0, "7"}, IndexOutput{1, "{}"}, IndexOutput{2, "2"}, IndexOutput{3, `"é"`}, IndexOutput{4, "[]"})
		var view struct {
			ExecutionID, TaskID uint64
			Task, Output        string
			Idx                 int
			SucceededAt         *time.Time
		}
		if err := s.gdb.Raw("SELECT * FROM v_indexes WHERE idx = 4").Scan(&view).Error; err != nil {
			t.Fatal(err)
		}
		if view.ExecutionID != e.ID || view.TaskID != a.ID || view.Task != "a" || view.Output != "[]" || view.SucceededAt != nil {
			t.Errorf("v_indexes: %+v", view)
		}
	})
}

func TestKeepIndexesIsFenced(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		a := s.startIndexed(t, l, e, 2)
		former, other := l, l
		former.Epoch--
		other.Owner = "m2"
		for _, l := range []Lease{former, other} {
			if err := s.KeepIndexes(t.Context(), l, a.ID, []IndexOutput{{0, "1"}}, true, now); !errors.Is(err, ErrConflict) {
				t.Errorf("KeepIndexes by %+v: %v", l, err)
			}
		}
		s.wantIndexes(t, a.ID, Indexes{})
		if err := s.RecordIndexOutput(t.Context(), a.ID, 0, "1", now); err != nil {
			t.Errorf("it was closed by another one: %v", err)
		}
		at := now
		a.Status, a.EndedAt, e.Status, e.EndedAt = TaskSuccess, &at, ExecutionSuccess, &at
		if err := s.Commit(t.Context(), l, e, []Transition{{Type: EventTaskSucceeded, Task: a}, {Type: EventExecutionSucceeded}}, now); err != nil {
			t.Fatal(err)
		}
		if err := s.KeepIndexes(t.Context(), l, a.ID, []IndexOutput{{1, "1"}}, false, now); !errors.Is(err, ErrConflict) {
			t.Errorf("KeepIndexes of a task that has ended: %v", err)
		}
		if err := s.RecordIndexOutput(t.Context(), a.ID, 0, "2", now); !errors.Is(err, ErrConflict) {
			t.Errorf("RecordIndexOutput of a task that has ended: %v", err)
		}
		if err := s.RecordIndexOutput(t.Context(), a.ID+1, 0, "2", now); !errors.Is(err, ErrNotFound) {
			t.Errorf("RecordIndexOutput of no task: %v", err)
		}
	})
}

// Whatever RecordIndexOutput has said is kept is there once the indexes are closed.
func TestRecordIndexOutputsAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		const n = 40
		l, e := s.claimed(t)
		a := s.startIndexed(t, l, e, n)
		var (
			wg      sync.WaitGroup
			mu      sync.Mutex
			answers int
		)
		for i := range uint32(n) {
			wg.Go(func() {
				err := s.RecordIndexOutput(t.Context(), a.ID, i, "1", now)
				if err != nil && !errors.Is(err, ErrConflict) {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					answers++
				}
			})
		}
		if err := s.KeepIndexes(t.Context(), l, a.ID, nil, true, now); err != nil {
			t.Fatal(err)
		}
		closed, err := s.Indexes(t.Context(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if after, err := s.Indexes(t.Context(), a.ID); err != nil || after != closed || after.Outputs != answers {
			t.Errorf("%+v when it was closed, then %+v, %v; %d were told that theirs is kept", closed, after, err, answers)
		}
	})
}

func TestKeepManyIndexes(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		a := s.startIndexed(t, l, e, 2*indexRows+1)
		var outputs []IndexOutput
		for i := range uint32(2*indexRows + 1) {
			outputs = append(outputs, IndexOutput{i, fmt.Sprint(i)})
		}
		if err := s.KeepIndexes(t.Context(), l, a.ID, outputs, false, now); err != nil {
			t.Fatal(err)
		}
		got, err := s.IndexOutputs(t.Context(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(outputs, got); diff != "" {
			t.Errorf("IndexOutputs (-want +got):\n%s", diff)
		}
	})
}

func TestBatches(t *testing.T) {
	t.Parallel()
	large := IndexOutput{Output: strings.Repeat("x", insertBytes/2+1)}
	cases := map[string]struct {
		outputs []IndexOutput
		want    []int
	}{
		"none":                   {nil, nil},
		"few":                    {make([]IndexOutput, 3), []int{3}},
		"too many for one":       {make([]IndexOutput, 2*indexRows+1), []int{indexRows, indexRows, 1}},
		"two large":              {[]IndexOutput{large, {}, large, {}}, []int{2, 2}},
		"one that is over alone": {[]IndexOutput{{Output: large.Output + large.Output}, {}}, []int{1, 1}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []int
			for b := range batches(tc.outputs, indexRows, IndexOutput.size) {
				got = append(got, len(b))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("batches (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIndexesDone(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		a := s.startIndexed(t, l, e, 3)
		check := func(want map[uint64]int) {
			t.Helper()
			got, err := s.IndexesDone(t.Context(), e.ID)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v, done (-want +got):\n%s", err, diff)
			}
		}
		if err := s.RecordIndexOutput(t.Context(), a.ID, 2, "7", now); err != nil {
			t.Fatal(err)
		}
		check(map[uint64]int{}) // it has an output, and runs on
		if err := s.KeepIndexes(t.Context(), l, a.ID, []IndexOutput{{0, "{}"}, {1, "{}"}}, false, now); err != nil {
			t.Fatal(err)
		}
		check(map[uint64]int{a.ID: 2})
	})
}

// A manager that takes over may write what the last one has, and is no witness of when.
func TestKeepIndexesAgainKeepsWhen(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		a := s.startIndexed(t, l, e, 2)
		for i := range 2 {
			if err := s.KeepIndexes(t.Context(), l, a.ID, []IndexOutput{{0, "{}"}}, false, now.Add(time.Duration(i)*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		var row taskIndex
		if err := s.gdb.Take(&row).Error; err != nil {
			t.Fatal(err)
		}
		if row.SucceededAt == nil || !row.SucceededAt.Equal(micros(now)) {
			t.Errorf("index 0 has succeeded at %v, want %v", row.SucceededAt, micros(now))
		}
	})
}

func TestTaskKind(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		task := s.start(t, l, e)
		s.exec(t, "UPDATE task_executions SET index_count = 3 WHERE id = ?", task.ID)
		got, err := s.TaskKind(t.Context(), task.ID)
		want := TaskKind{ID: task.ID, TaskName: "a", TaskType: "kube-job", IndexCount: new(uint32(3))}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("(%v, -want +got):\n%s", err, diff)
		}
		if _, err := s.TaskKind(t.Context(), task.ID+1); !errors.Is(err, ErrNotFound) {
			t.Errorf("of no task: %v, want ErrNotFound", err)
		}
	})
}
