package engine

import (
	stdcmp "cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jobnetes/jobnetes/dao"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	fan := workflow(
		parallel("fan", "after", []string{job("a", "a2"), job("a2", "")}, []string{job("b", "")}),
		job("after", ""))
	pick := workflow(job("first", "check"), branch("check", "", "$.value > 3", "big", "$.value <= 3", "small"), job("big", ""), job("small", ""))

	cases := map[string]struct {
		definition string
		input      string
		results    map[string]result
		wantLog    []string
		wantStatus dao.ExecutionStatus
		wantOutput string
		wantError  string
	}{
		"a single job's output is the execution's": {
			definition: workflow(job("a", "")),
			results:    map[string]result{"a": {output: `{"x":1}`}},
			wantLog:    []string{"ExecutionStarted", "TaskStarted a", "TaskSucceeded a", "ExecutionSucceeded"},
			wantStatus: dao.ExecutionSuccess, wantOutput: `{"x":1}`,
		},
		"a job that leaves nothing has the output {}": {
			definition: workflow(job("a", "")),
			results:    map[string]result{"a": {}},
			wantLog:    []string{"ExecutionStarted", "TaskStarted a", "TaskSucceeded a", "ExecutionSucceeded"},
			wantStatus: dao.ExecutionSuccess, wantOutput: `{}`,
		},
		"a chain goes on with next, in any order of the document": {
			definition: workflow(job("a", "c"), job("b", ""), job("c", "b")),
			results:    map[string]result{"a": {}, "b": {output: `{"last":true}`}, "c": {}},
			wantLog: []string{
				"ExecutionStarted", "TaskStarted a", "TaskSucceeded a", "TaskStarted c", "TaskSucceeded c",
				"TaskStarted b", "TaskSucceeded b", "ExecutionSucceeded"},
			wantStatus: dao.ExecutionSuccess, wantOutput: `{"last":true}`,
		},
		"while a job runs, nothing happens": {
			definition: workflow(job("a", "b"), job("b", "")),
			wantLog:    []string{"ExecutionStarted", "TaskStarted a"},
			wantStatus: dao.ExecutionRunning, wantOutput: `{}`,
		},
		"a failing task fails its list, and what follows is not started": {
			definition: workflow(job("a", "b"), job("b", "c"), job("c", "")),
			results:    map[string]result{"a": {}, "b": {reason: "BackoffLimitExceeded"}, "c": {}},
			wantLog: []string{
				"ExecutionStarted", "TaskStarted a", "TaskSucceeded a", "TaskStarted b",
				"TaskFailed b BackoffLimitExceeded", "ExecutionFailed"},
			wantStatus: dao.ExecutionFailed, wantOutput: `{}`,
			wantError: `task "b" failed: BackoffLimitExceeded: it broke`,
		},
		"a parallel runs all sets, and its output is the array of their last outputs in order": {
			definition: fan,
			results:    map[string]result{"a": {}, "a2": {output: `{"a":2}`}, "b": {output: `"b"`}, "after": {}},
			wantLog: []string{
				"ExecutionStarted", "TaskStarted fan", "TaskStarted a", "TaskStarted b",
				"TaskSucceeded a", "TaskStarted a2", "TaskSucceeded b", "TaskSucceeded a2",
				"TaskSucceeded fan", "TaskStarted after", "TaskSucceeded after", "ExecutionSucceeded"},
			wantStatus: dao.ExecutionSuccess, wantOutput: `{}`,
		},
		"a failing set fails the parallel after its siblings have ended": {
			definition: fan,
			results:    map[string]result{"a": {reason: "Boom"}, "b": {}, "after": {}},
			wantLog: []string{
				"ExecutionStarted", "TaskStarted fan", "TaskStarted a", "TaskStarted b",
				"TaskFailed a Boom", "TaskSucceeded b", "TaskFailed fan SetFailed", "ExecutionFailed"},
			wantStatus: dao.ExecutionFailed, wantOutput: `{}`,
			wantError: `task "fan" failed: SetFailed: 1 of 2 sets failed: set 1: task "a" failed: Boom: it broke`,
		},
		"a failed set waits for a sibling that still runs": {
			definition: fan,
			results:    map[string]result{"a": {reason: "Boom"}},
			wantLog:    []string{"ExecutionStarted", "TaskStarted fan", "TaskStarted a", "TaskStarted b", "TaskFailed a Boom"},
			wantStatus: dao.ExecutionRunning, wantOutput: `{}`,
		},
		"all failed sets are named": {
			definition: workflow(parallel("fan", "", []string{job("a", "")}, []string{job("b", "")}, []string{job("c", "")})),
			results:    map[string]result{"a": {reason: "A"}, "b": {}, "c": {reason: "C"}},
			wantLog: []string{
				"ExecutionStarted", "TaskStarted fan", "TaskStarted a", "TaskStarted b", "TaskStarted c",
				"TaskFailed a A", "TaskSucceeded b", "TaskFailed c C", "TaskFailed fan SetFailed", "ExecutionFailed"},
			wantStatus: dao.ExecutionFailed, wantOutput: `{}`,
			wantError: `task "fan" failed: SetFailed: 2 of 3 sets failed: set 1: task "a" failed: A: it broke; set 3: task "c" failed: C: it broke`,
		},
		"parallels nest": {
			definition: workflow(parallel("out", "", []string{parallel("in", "", []string{job("a", "")}, []string{job("b", "")})}, []string{job("c", "")})),
			results:    map[string]result{"a": {output: "1"}, "b": {output: "2"}, "c": {output: "3"}},
			wantLog: []string{
				"ExecutionStarted", "TaskStarted out", "TaskStarted in", "TaskStarted c", "TaskStarted a", "TaskStarted b",
				"TaskSucceeded c", "TaskSucceeded a", "TaskSucceeded b", "TaskSucceeded in", "TaskSucceeded out", "ExecutionSucceeded"},
			wantStatus: dao.ExecutionSuccess, wantOutput: `[[1,2],3]`,
		},
		"a parallel without sets succeeds at once with []": {
			definition: workflow(parallel("fan", "")),
			wantLog:    []string{"ExecutionStarted", "TaskStarted fan", "TaskSucceeded fan", "ExecutionSucceeded"},
			wantStatus: dao.ExecutionSuccess, wantOutput: `[]`,
		},
		"a branch takes the first condition that is true": {
			definition: pick,
			results:    map[string]result{"first": {output: `{"value":4}`}, "big": {output: `{"taken":"big"}`}, "small": {}},
			wantLog: []string{
				"ExecutionStarted", "TaskStarted first", "TaskSucceeded first", "TaskStarted check", "TaskSucceeded check",
				"TaskStarted big", "TaskSucceeded big", "ExecutionSucceeded"},
			wantStatus: dao.ExecutionSuccess, wantOutput: `{"taken":"big"}`,
		},
		"a branch none of whose conditions is true takes its default": {
			definition: workflow(branch("check", "other", "$.value > 3", "big"), job("big", ""), job("other", "")),
			input:      `{"value":1}`,
			results:    map[string]result{"other": {}},
			wantLog: []string{
				"ExecutionStarted", "TaskStarted check", "TaskSucceeded check", "TaskStarted other", "TaskSucceeded other", "ExecutionSucceeded"},
			wantStatus: dao.ExecutionSuccess, wantOutput: `{}`,
		},
		"without a default it fails": {
			definition: workflow(branch("check", "", "$.value > 3", "big"), job("big", "")),
			input:      `{"value":1}`,
			wantLog:    []string{"ExecutionStarted", "TaskStarted check", "TaskFailed check NoBranchTaken", "ExecutionFailed"},
			wantStatus: dao.ExecutionFailed, wantOutput: `{}`,
			wantError: `task "check" failed: NoBranchTaken: no condition is true, and the branch has no default`,
		},
		"a condition on what is not there fails the branch": {
			definition: workflow(branch("check", "big", "$.value > 3", "big"), job("big", "")),
			input:      `{}`,
			wantLog:    []string{"ExecutionStarted", "TaskStarted check", "TaskFailed check ConditionError", "ExecutionFailed"},
			wantStatus: dao.ExecutionFailed, wantOutput: `{}`,
			wantError: "task \"check\" failed: ConditionError: condition `$.value > 3`: ",
		},
		"an input that is not JSON fails the execution": {
			definition: workflow(job("a", "")),
			input:      `{"value":`,
			wantLog:    []string{"ExecutionFailed InvalidInput"},
			wantStatus: dao.ExecutionFailed, wantOutput: `{}`,
			wantError: "the input is not JSON",
		},
		"an input too large for a job's environment fails its task": {
			definition: workflow(job("a", "")),
			input:      `"` + strings.Repeat("x", MaxJobInput) + `"`,
			wantLog:    []string{"ExecutionStarted", "TaskStarted a", "TaskFailed a InputTooLarge", "ExecutionFailed"},
			wantStatus: dao.ExecutionFailed, wantOutput: `{}`,
			wantError: fmt.Sprintf(`task "a" failed: InputTooLarge: the input has %d bytes`, MaxJobInput+2),
		},
	}
	for name, tc := range cases {
		for _, reload := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/reload=%t", name, reload), func(t *testing.T) {
				t.Parallel()
				p := newPlay(t, tc.definition, stdcmp.Or(tc.input, "{}"), tc.results)
				p.reload = reload
				p.run(t)
				if diff := cmp.Diff(tc.wantLog, p.log); diff != "" {
					t.Errorf("transitions (-want +got):\n%s", diff)
				}
				if p.row.Status != tc.wantStatus || p.row.Output != tc.wantOutput {
					t.Errorf("status %s, output %s; want %s, %s", p.row.Status, p.row.Output, tc.wantStatus, tc.wantOutput)
				}
				if !strings.HasPrefix(p.row.ErrorMsg, tc.wantError) || (tc.wantError == "") != (p.row.ErrorMsg == "") {
					t.Errorf("error_msg %q, want %q", p.row.ErrorMsg, tc.wantError)
				}
			})
		}
	}
}

func TestDataFlow(t *testing.T) {
	t.Parallel()
	p := newPlay(t, workflow(
		job("a", "fan"),
		parallel("fan", "check", []string{job("b", "b2"), job("b2", "")}, []string{job("c", "")}),
		branch("check", "", "$[0].n == 2", "d"), job("d", ""),
	), `{"in":1}`, map[string]result{"a": {output: `{"n":1}`}, "b": {output: `{"b":1}`}, "b2": {output: `{"n":2}`}, "c": {output: `"c"`}, "d": {output: `{"end":1}`}})
	p.run(t)
	cases := map[string]struct{ input, output string }{
		"a":     {`{"in":1}`, `{"n":1}`},
		"fan":   {`{"n":1}`, `[{"n":2},"c"]`},
		"b":     {`{"n":1}`, `{"b":1}`},
		"b2":    {`{"b":1}`, `{"n":2}`},
		"c":     {`{"n":1}`, `"c"`},
		"check": {`[{"n":2},"c"]`, `[{"n":2},"c"]`},
		"d":     {`[{"n":2},"c"]`, `{"end":1}`},
	}
	for name, want := range cases {
		if r := p.task(t, name); r.Input != want.input || r.Output != want.output {
			t.Errorf("task %s: input %s, output %s; want %s, %s", name, r.Input, r.Output, want.input, want.output)
		}
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	p := newPlay(t, workflow(job("a", "fan"), parallel("fan", "", []string{job("b", "")}, []string{job("c", "")})), "{}", map[string]result{"a": {}, "b": {}})
	p.run(t)
	a, fan, b, c := p.task(t, "a"), p.task(t, "fan"), p.task(t, "b"), p.task(t, "c")
	if *a.NextTaskExecutionID != fan.ID || *fan.PrevTaskExecutionID != a.ID {
		t.Error("a and fan are not linked")
	}
	if *b.ParentTaskExecutionID != fan.ID || *b.SetIndex != 0 || *c.SetIndex != 1 || b.PrevTaskExecutionID != nil {
		t.Error("b and c are not placed in fan's sets")
	}
	if !a.EndedAt.Equal(start.Add(time.Second)) || a.ElapsedSec != 1 {
		t.Errorf("a ended at %s after %d s", a.EndedAt, a.ElapsedSec)
	}
	if c.Status != dao.TaskRunning || c.EndedAt != nil {
		t.Error("c should still run")
	}
}

func TestRecordedOutputGoesFirst(t *testing.T) {
	t.Parallel()
	recorded := `{"recorded":true}`
	p := newPlay(t, workflow(job("a", "")), "{}", nil)
	p.decide(t)
	p.decide(t, Observation{TaskID: 1, Succeeded: true, Output: `{"message":true}`, Recorded: &recorded, RecordedRev: 2})
	if a := p.task(t, "a"); a.Output != recorded || a.RecordedRev != 2 || p.row.Output != recorded {
		t.Errorf("output %s (rev %d), execution %s", a.Output, a.RecordedRev, p.row.Output)
	}
}

// What a jobapi that knows no indexes has recorded is not the output of an indexed task.
func TestRecordedOutputOfAnIndexedTaskIsIgnored(t *testing.T) {
	t.Parallel()
	p := newPlay(t, workflow(`{"name": "a", "type": "kube-job", "indexed": true, "job": {"spec": {"completionMode": "Indexed", "completions": 2, "template": {"spec": {"containers": [{"name": "c", "image": "busybox"}]}}}}}`), "{}", nil)
	p.decide(t)
	p.decide(t, Observation{TaskID: 1, Succeeded: true, Output: `[1,2]`, Recorded: new("1"), RecordedRev: 1})
	if a := p.task(t, "a"); a.Output != "[1,2]" || a.RecordedRev != 1 {
		t.Errorf("output %s (rev %d), want [1,2] (rev 1)", a.Output, a.RecordedRev)
	}
}

func TestStaleObservationsAreIgnored(t *testing.T) {
	t.Parallel()
	p := newPlay(t, workflow(job("a", "b"), job("b", "")), "{}", map[string]result{"a": {output: `{"n":1}`}})
	p.run(t)
	before := len(p.log)
	p.decide(t, Observation{TaskID: 1, Reason: "Late"}, Observation{TaskID: 99, Succeeded: true})
	if len(p.log) != before || p.task(t, "a").Status != dao.TaskSuccess {
		t.Errorf("an ended or unknown task moved: %v", p.log[before:])
	}
}

func TestLoadRefusesRowsThatDoNotFit(t *testing.T) {
	t.Parallel()
	three := uint64(3)
	cases := map[string]struct {
		row  dao.TaskExecution
		want string
	}{
		"a name the definition does not have": {dao.TaskExecution{ID: 7, TaskName: "nobody"}, `task 7 is named "nobody"`},
		"a parent that is not there":          {dao.TaskExecution{ID: 7, TaskName: "a", ParentTaskExecutionID: &three}, `set of task 3 that is not there`},
		"another type than the definition":    {dao.TaskExecution{ID: 7, TaskName: "a", TaskType: "branch"}, `task 7 ("a") is a branch, and its definition a kube-job`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlay(t, workflow(job("a", "")), "{}", nil)
			_, err := Load(p.def, p.row, []*dao.TaskExecution{&tc.row})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestAbort(t *testing.T) {
	t.Parallel()
	p := newPlay(t, workflow(parallel("fan", "", []string{job("a", "")}, []string{job("b", "")})), "{}", map[string]result{"a": {}})
	p.run(t)
	ts := Abort(p.row, p.rows, "InternalError", "InternalError: panic", p.now)
	var got []string
	for _, tr := range ts {
		got = append(got, string(tr.Type))
	}
	if diff := cmp.Diff([]string{"TaskFailed", "TaskFailed", "ExecutionFailed"}, got); diff != "" {
		t.Errorf("transitions (-want +got):\n%s", diff)
	}
	if p.task(t, "a").Status != dao.TaskSuccess || p.task(t, "b").ErrorReason != Aborted || p.row.ErrorMsg != "InternalError: panic" {
		t.Error("rows are not what Abort should leave")
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	why, by := "wrong day", "user ann"
	cases := map[string]struct {
		reason *string
		begun  bool
		want   []string
	}{
		"while it runs":    {&why, true, []string{"TaskFailed Cancelled: the execution was cancelled by user ann: wrong day", "TaskFailed Cancelled: the execution was cancelled by user ann: wrong day", "ExecutionFailed Cancelled: Cancelled by user ann: wrong day"}},
		"before it begins": {nil, false, []string{"ExecutionFailed Cancelled: Cancelled by user ann"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlay(t, workflow(parallel("fan", "", []string{job("a", "")}, []string{job("b", "")})), "{}", map[string]result{"a": {}})
			if tc.begun {
				p.run(t)
			}
			p.row.CancelRequestedAt, p.row.CancelRequestedBy, p.row.CancelReason = &p.now, &by, tc.reason
			var got []string
			ts := Cancel(p.row, p.rows, p.now)
			for _, tr := range ts {
				got = append(got, fmt.Sprintf("%s %s: %s", tr.Type, tr.Reason, tr.Message))
			}
			if ts[len(ts)-1].Unbegun == tc.begun {
				t.Errorf("the last one says that it had begun: %t", !tc.begun)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("transitions (-want +got):\n%s", diff)
			}
			if p.row.Status != dao.ExecutionFailed || p.row.StartedAt == nil || p.row.EndedAt == nil {
				t.Errorf("row %+v", p.row)
			}
			if tc.begun && p.task(t, "a").Status != dao.TaskSuccess {
				t.Error("a task that had succeeded is cancelled")
			}
		})
	}
}

func TestMessagesAreCut(t *testing.T) {
	t.Parallel()
	p := newPlay(t, workflow(job("a", "")), "{}", nil)
	p.decide(t)
	p.decide(t, Observation{TaskID: 1, Message: "\xff" + strings.Repeat("é", maxMessage)})
	if reason := cut(strings.Repeat("R", 300), maxReason); len(reason) != maxReason {
		t.Errorf("a reason of %d bytes", len(reason))
	}
	a := p.task(t, "a")
	if len(a.ErrorMsg) > maxMessage || !strings.HasSuffix(a.ErrorMsg, "...") || strings.ToValidUTF8(a.ErrorMsg, "") != a.ErrorMsg {
		t.Errorf("message of %d bytes, ends %q", len(a.ErrorMsg), a.ErrorMsg[len(a.ErrorMsg)-8:])
	}
	if a.ErrorReason != Unknown {
		t.Errorf("reason %q, want %q", a.ErrorReason, Unknown)
	}
}
