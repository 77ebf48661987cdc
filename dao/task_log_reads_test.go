package dao

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Names come in order, and whatever the texts are: they are not read.
func TestTaskLogNames(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		id := s.task(t)
		names := func() []TaskLogName {
			t.Helper()
			names, err := s.TaskLogNames(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return names
		}
		if got := names(); len(got) != 0 {
			t.Errorf("before any is kept: %v", got)
		}
		s.keep(t, TaskLog{TaskExecutionID: id, Pod: "a", Container: "main", Position: 2},
			TaskLog{TaskExecutionID: id, Pod: "z", Container: "main", Position: 1, Truncated: true, Text: []byte("end\n")},
			TaskLog{TaskExecutionID: id, Pod: "z", Container: "init"})
		s.exec(t, "UPDATE task_logs SET content = ?", []byte{1, 2}) // which nobody can uncompress
		want := []TaskLogName{{"z", "init", 0, false}, {"z", "main", 1, true}, {"a", "main", 2, false}}
		if diff := cmp.Diff(want, names()); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
		for i := range maxTaskLogs {
			s.keep(t, TaskLog{TaskExecutionID: id, Pod: fmt.Sprintf("p%d", i), Container: "c", Position: 3 + i})
		}
		if n := len(names()); n != maxTaskLogs {
			t.Errorf("%d names were read, want %d", n, maxTaskLogs)
		}
	})
}

// One log is read whatever the others are.
func TestTaskLog(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		id := s.task(t)
		want := TaskLog{TaskExecutionID: id, Pod: "p", Container: "main", Position: 1, Truncated: true, Text: []byte("no UTF-8: \xff\n")}
		s.keep(t, TaskLog{TaskExecutionID: id, Pod: "p", Container: "init"}, want, TaskLog{TaskExecutionID: id, Pod: "q", Container: "main", Position: 2})
		s.exec(t, "UPDATE task_logs SET content = ? WHERE position <> 1", []byte{1, 2})
		got, err := s.TaskLog(t.Context(), id, "p", "main")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if l, err := s.TaskLog(t.Context(), id, "p", "init"); err == nil {
			t.Errorf("what nobody can uncompress was read as %q", l.Text)
		}
		missing := map[string]struct {
			taskID         uint64
			pod, container string
		}{
			"task": {id + 1, "p", "main"}, "pod": {id, "P", "main"}, "container": {id, "p", "mai"},
		}
		for name, tc := range missing {
			if _, err := s.TaskLog(t.Context(), tc.taskID, tc.pod, tc.container); !errors.Is(err, ErrNotFound) {
				t.Errorf("no such %s: %v, want ErrNotFound", name, err)
			}
		}
	})
}
