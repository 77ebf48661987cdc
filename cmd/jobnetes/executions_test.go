package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
)

func TestExecutions(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly), "-f", file(t, "w.json", strings.Replace(nightly, "nightly", "weekly", 1)))
	for _, name := range []string{"nightly", "weekly", "nightly"} {
		s.mustRun("start", name)
	}
	m := claim(s)
	m.end(m.begin("extract", "kube-job"), dao.TaskFailed)
	m.finish(dao.ExecutionFailed)

	tests := map[string]struct {
		args []string
		want []uint64
	}{
		"all":              {nil, []uint64{3, 2, 1}},
		"of a workflow":    {[]string{"--workflow", "nightly"}, []uint64{3, 1}},
		"of a status":      {[]string{"--status", "failed"}, []uint64{1}},
		"of two statuses":  {[]string{"--status", "failed,scheduled"}, []uint64{3, 2, 1}},
		"a few":            {[]string{"--limit", "2"}, []uint64{3, 2}},
		"the next few":     {[]string{"--limit", "2", "--before", "2"}, []uint64{1}},
		"more than a page": {[]string{"--limit", "5000"}, []uint64{3, 2, 1}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var views []executionView
			if err := json.Unmarshal([]byte(s.mustRun(append([]string{"executions", "-o", "json"}, tc.args...)...)), &views); err != nil {
				t.Fatal(err)
			}
			var got []uint64
			for _, v := range views {
				got = append(got, v.ID)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
	lines := strings.Split(s.mustRun("executions"), "\n")
	if strings.Join(strings.Fields(lines[1]), " ") != "3 nightly nightly scheduled - -" || !strings.HasPrefix(lines[3], "1   nightly   nightly  failed     ") || !strings.HasSuffix(lines[3], "  2m0s") {
		t.Errorf("table:\n%s", strings.Join(lines, "\n"))
	}

	for _, args := range [][]string{{"--status", "done"}, {"--status", "unspecified"}, {"--limit", "0"}, {"--workflow", "yearly"}} {
		_, _, err := s.run(append([]string{"executions"}, args...)...)
		wantError(t, err, args[1])
	}
}

func TestExecution(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
	s.mustRun("start", "nightly", "-i", `{"n": 12345678901234567890}`)
	m := claim(s)
	task := m.begin("extract", "kube-job")
	m.end(task, dao.TaskFailed)
	m.finish(dao.ExecutionFailed)

	lines := strings.Split(s.mustRun("execution", "1"), "\n")
	if lines[0] != "execution 1: failed" || lines[1] != "error:    task extract failed: exit code 1" {
		t.Errorf("it begins with\n%s\n%s", lines[0], lines[1])
	}
	last := lines[len(lines)-2]
	if strings.Join(strings.Fields(last), " ") != "extract 1 kube-job failed 1m30s JobFailed: exit code 1 | near [31mthe end" {
		t.Errorf("task %q", last)
	}

	text := s.mustRun("execution", "1", "-o", "json")
	if !strings.Contains(text, `"n": 12345678901234567890`) {
		t.Errorf("a number was changed:\n%s", text)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	tasks := got["taskExecutions"].([]any)[0].(map[string]any)
	if got["workflow"] != "nightly" || got["status"] != "failed" || got["errorMsg"] == "" || got["endedAt"] != "2026-03-01T12:02:00Z" ||
		tasks["taskName"] != "extract" || tasks["parentId"] != nil || tasks["status"] != "failed" {
		t.Errorf("got %v", got)
	}

	_, _, err := s.run("execution", "99")
	wantError(t, err, "there is no execution 99")
	_, _, err = s.run("execution", "nightly")
	wantError(t, err, `"nightly" is no execution id`)
}

// A task that runs and has no Job yet says why.
func TestExecutionWithoutAJob(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		task              *dao.TaskExecution
		want              string
		waiting, creating bool
	}{
		"it waits for its turn": {&dao.TaskExecution{Slot: new(dao.SlotWaiting)}, "waits for its turn: a limit on running Jobs", true, false},
		"its turn has come":     {&dao.TaskExecution{Slot: new(dao.SlotGranted)}, "its Job is not created yet", false, true},
		"it has its Job":        {&dao.TaskExecution{JobUID: new("uid")}, "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, nil)
			s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
			s.mustRun("start", "nightly")
			m := claim(s)
			m.execution.Status, m.execution.StartedAt = dao.ExecutionRunning, &began
			tc.task.TaskName, tc.task.TaskType, tc.task.Attempt, tc.task.Input, tc.task.Output, tc.task.StartedAt = "extract", "kube-job", 1, "{}", "{}", began
			m.commit(dao.Transition{Type: dao.EventTaskStarted, Task: tc.task})
			lines := strings.Split(strings.TrimSpace(s.mustRun("execution", "1")), "\n")
			if fields := strings.Fields(lines[len(lines)-1]); strings.Join(fields[5:], " ") != tc.want {
				t.Errorf("its line is %q, want %q at its end", fields, tc.want)
			}
			var got executionView
			if err := json.Unmarshal([]byte(s.mustRun("execution", "1", "-o", "json")), &got); err != nil {
				t.Fatal(err)
			}
			if task := got.TaskExecutions[0]; task.Waiting != tc.waiting || task.Creating != tc.creating {
				t.Errorf("got %+v", task)
			}
		})
	}
}

// An indexed task has how many of its indexes are done.
func TestExecutionOfAnIndexedTask(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
	s.mustRun("start", "nightly")
	m := claim(s)
	m.execution.Status, m.execution.StartedAt = dao.ExecutionRunning, &began
	task := &dao.TaskExecution{TaskName: "extract", TaskType: "kube-job", Attempt: 1, Input: "{}", Output: "{}", StartedAt: began, JobUID: new("uid"), IndexCount: new(uint32(3))}
	m.commit(dao.Transition{Type: dao.EventTaskStarted, Task: task})
	if err := s.store.KeepIndexes(t.Context(), m.lease, task.ID, []dao.IndexOutput{{Index: 1, Output: "{}"}}, false, began); err != nil {
		t.Fatal(err)
	}
	if text := s.mustRun("execution", "1"); !strings.Contains(text, " running, 1 of 3 done ") {
		t.Errorf("want 1 of 3 done:\n%s", text)
	}
	var got executionView
	if err := json.Unmarshal([]byte(s.mustRun("execution", "1", "-o", "json")), &got); err != nil {
		t.Fatal(err)
	}
	if n := got.TaskExecutions[0].Indexes; n == nil || *n != (indexesView{Count: 3, Done: 1}) {
		t.Errorf("got %+v, want 1 of 3 done", n)
	}
}

func TestTreeOf(t *testing.T) {
	t.Parallel()
	// id, parent and previous task of: one; a parallel with sets (a1, a2) and
	// (b1 with a parallel of c1); three. They started in the order of the ids.
	var tasks []*pb.TaskExecution
	for _, row := range []struct {
		name             string
		id, parent, prev uint64
		set              uint32
	}{
		{"one", 1, 0, 0, 0}, {"two", 2, 0, 1, 0}, {"a1", 3, 2, 0, 1}, {"b1", 4, 2, 0, 2}, {"a2", 5, 2, 3, 1}, {"c1", 6, 4, 0, 1}, {"three", 7, 0, 2, 0},
	} {
		tasks = append(tasks, &pb.TaskExecution{Id: row.id, TaskName: row.name, ParentId: row.parent, PrevId: row.prev, SetNumber: row.set})
	}
	var got []string
	for _, row := range treeOf(tasks) {
		got = append(got, row.label)
	}
	want := []string{"one", "two", "  [1] a1", "      a2", "  [2] b1", "        [1] c1", "three"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestShown(t *testing.T) {
	t.Parallel()
	if got := shown([]byte("{\n  \"a\": 1\n}")); got != `{ "a": 1 }` {
		t.Errorf("got %q", got)
	}
	long := fmt.Appendf(nil, "%q", strings.Repeat("é", 1000))
	if got := shown(long); !strings.HasPrefix(got, `"`+strings.Repeat("é", maxShown-1)+"…") || len(got) > 3*maxShown {
		t.Errorf("got %q", got)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	s := viewTime(0)
	tests := map[string]struct {
		end  int // seconds; -1: it runs
		now  time.Duration
		want string
	}{
		"running": {-1, 1234 * time.Millisecond, "1.2s"},
		"ended":   {30, time.Hour, "30s"},
		"long":    {-1, 3723*time.Second + 600*time.Millisecond, "1h2m4s"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end := viewTime(tc.end)
			if tc.end < 0 {
				end = nil
			}
			if got := duration(s, end, began.Add(tc.now)); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
