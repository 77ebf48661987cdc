package webadmin

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

// job is the Job of a task in a test's definition.
const job = `{"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox", "command": ["true"]}]}}}}`

// definition completes a definition in which JOB stands for a whole Job.
func definition(text string) string { return strings.ReplaceAll(text, "JOB", job) }

// nightly has all that a definition can have: a chain, nested parallel sets, a
// branch.
var nightly = definition(`{"name": "nightly", "tasks": [
  {"name": "extract", "type": "kube-job", "next": "fan", "job": JOB},
  {"name": "fan", "type": "parallel", "next": "check", "task-sets": [
    [{"name": "clean", "type": "kube-job", "next": "load", "job": JOB}, {"name": "load", "type": "kube-job", "job": JOB}],
    [{"name": "inner", "type": "parallel", "task-sets": [
      [{"name": "thumbs", "type": "kube-job", "job": JOB}],
      [{"name": "index", "type": "kube-job", "job": JOB}]]}]]},
  {"name": "check", "type": "branch", "tasks": [{"condition": "$[0].rows > 1000", "next": "big"}], "default": "small"},
  {"name": "big", "type": "kube-job", "next": "report", "job": JOB},
  {"name": "small", "type": "kube-job", "next": "report", "job": JOB},
  {"name": "report", "type": "kube-job", "job": JOB}
]}`)

// single has one task, named main.
var single = definition(`{"name": "single", "tasks": [{"name": "main", "type": "kube-job", "job": JOB}]}`)

func (b *bundle) apply(name, definition string) dao.Workflow {
	b.t.Helper()
	w, _, err := b.store.ApplyWorkflow(b.t.Context(), name, definition, 1, b.now)
	if err != nil {
		b.t.Fatal(err)
	}
	return w
}

func (b *bundle) schedule(workflow dao.Workflow, name, input string) uint64 {
	b.t.Helper()
	id, err := b.store.CreateExecution(b.t.Context(), dao.NewExecution{WorkflowID: workflow.ID, Name: name, Input: input, Actor: "tester"}, b.now)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

// run moves one execution as a manager does.
type run struct {
	*bundle
	lease dao.Lease
	row   dao.WorkflowExecution
}

// begin claims a scheduled execution and sets it running.
func (b *bundle) begin(id uint64) *run {
	b.t.Helper()
	leases, err := b.store.ClaimScheduled(b.t.Context(), dao.Claimant{Owner: "manager-1"}, b.now, b.now.Add(time.Minute), 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	r := &run{bundle: b}
	for _, l := range leases {
		if l.ExecutionID == id {
			r.lease = l
		} else if err := b.gdb.Exec("UPDATE workflow_executions SET lease_owner = NULL, lease_until = NULL, wake_at = ? WHERE id = ?", b.now, l.ExecutionID).Error; err != nil {
			b.t.Fatal(err)
		}
	}
	if r.row, err = b.store.Execution(b.t.Context(), id); err != nil {
		b.t.Fatal(err)
	}
	r.row.Status, r.row.StartedAt = dao.ExecutionRunning, r.at()
	r.commit(dao.Transition{Type: dao.EventExecutionStarted})
	return r
}

func (b *bundle) at() *time.Time {
	now := b.now
	return &now
}

func (b *bundle) pass(d time.Duration) { b.now = b.now.Add(d) }

func (r *run) commit(ts ...dao.Transition) {
	r.t.Helper()
	if err := r.store.Commit(r.t.Context(), r.lease, &r.row, ts, r.now); err != nil {
		r.t.Fatal(err)
	}
}

// start starts a task after prev (nil: none), in set of parent (nil: at the top).
func (r *run) start(name, taskType string, prev, parent *dao.TaskExecution, set uint32, input string, change ...func(*dao.TaskExecution)) *dao.TaskExecution {
	r.t.Helper()
	row := &dao.TaskExecution{TaskName: name, TaskType: taskType, Attempt: 1, Input: input, Output: "{}", StartedAt: r.now}
	if parent != nil {
		row.SetIndex = &set
	}
	if taskType == "kube-job" {
		row.JobUID = new("uid")
	}
	for _, c := range change {
		c(row)
	}
	r.commit(dao.Transition{Type: dao.EventTaskStarted, Task: row, Prev: prev, Parent: parent})
	return row
}

func (r *run) succeed(row *dao.TaskExecution, output string) {
	r.t.Helper()
	row.Status, row.Output, row.EndedAt = dao.TaskSuccess, output, r.at()
	row.ElapsedSec = uint32(r.now.Sub(row.StartedAt).Seconds())
	r.commit(dao.Transition{Type: dao.EventTaskSucceeded, Task: row})
}

func (r *run) fail(row *dao.TaskExecution, reason, message string) {
	r.t.Helper()
	row.Status, row.ErrorReason, row.ErrorMsg, row.EndedAt = dao.TaskFailed, reason, message, r.at()
	r.commit(dao.Transition{Type: dao.EventTaskFailed, Task: row, Reason: reason, Message: message})
}

// end ends the execution: well, if there is no message.
func (r *run) end(output, message string) {
	r.t.Helper()
	r.row.EndedAt, r.row.Output, r.row.ErrorMsg = r.at(), output, message
	t := dao.Transition{Type: dao.EventExecutionSucceeded}
	r.row.Status = dao.ExecutionSuccess
	if message != "" {
		r.row.Status = dao.ExecutionFailed
		t = dao.Transition{Type: dao.EventExecutionFailed, Message: message}
	}
	r.commit(t)
}

// task runs a kube-job to its good end.
func (r *run) task(name string, prev, parent *dao.TaskExecution, set uint32, took time.Duration, output string) *dao.TaskExecution {
	r.t.Helper()
	row := r.start(name, "kube-job", prev, parent, set, `{"day": "2026-11-22"}`)
	r.pass(took)
	r.succeed(row, output)
	return row
}

// runNightly runs an execution of the workflow nightly until its branch has
// taken the task big, which still runs.
func (b *bundle) runNightly(id uint64) (r *run, big *dao.TaskExecution) {
	b.t.Helper()
	b.pass(200 * time.Millisecond)
	r = b.begin(id)
	extract := r.task("extract", nil, nil, 0, 4200*time.Millisecond, `{"rows": 1250}`)
	fan := r.start("fan", "parallel", extract, nil, 0, `{"rows": 1250}`)
	clean := r.task("clean", nil, fan, 0, 65*time.Second, `{"rows": 1248}`)
	inner := r.start("inner", "parallel", nil, fan, 1, `{"rows": 1250}`)
	r.task("thumbs", nil, inner, 0, 900*time.Millisecond, "{}")
	r.task("index", nil, inner, 1, 3*time.Second, `{"pages": 7}`)
	r.succeed(inner, `[{}, {"pages": 7}]`)
	r.task("load", clean, fan, 0, 12*time.Second, `{"rows": 1248}`)
	r.succeed(fan, `[{"rows": 1248}, [{}, {"pages": 7}]]`)
	check := r.start("check", "branch", fan, nil, 0, fan.Output)
	r.succeed(check, fan.Output)
	return r, r.start("big", "kube-job", check, nil, 0, fan.Output)
}

// endNightly ends what runNightly began.
func (r *run) endNightly(big *dao.TaskExecution) {
	r.t.Helper()
	r.pass(2*time.Hour + 5*time.Minute)
	r.succeed(big, `{"parts": 3}`)
	r.task("report", big, nil, 0, 1500*time.Millisecond, `{"url": "reports/2026-11-22"}`)
	r.end(`{"url": "reports/2026-11-22"}`, "")
}

// runSingle runs an execution of the workflow single to its end.
func (b *bundle) runSingle(id uint64, reason, message string) *dao.TaskExecution {
	b.t.Helper()
	r := b.begin(id)
	task := r.start("main", "kube-job", nil, nil, 0, r.row.Input)
	b.pass(1200 * time.Millisecond)
	if reason == "" {
		r.succeed(task, `{"ok": true}`)
		r.end(`{"ok": true}`, "")
	} else {
		r.fail(task, reason, message)
		r.end("{}", fmt.Sprintf("task main (id %d) failed: %s: %s", task.ID, reason, message))
	}
	return task
}

// decode reads an answer of the JSON API.
func (b *bundle) decode(path string, v any) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(b.body(path)), v); err != nil {
		b.t.Fatalf("GET %s: %v", path, err)
	}
}
