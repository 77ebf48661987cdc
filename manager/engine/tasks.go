package engine

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/schema"
)

// The reasons of failure that the engine itself gives, in error_reason.
const (
	SetFailed      = "SetFailed"      // a parallel, of which a set failed
	NoBranchTaken  = "NoBranchTaken"  // a branch, none of whose conditions is true
	ConditionError = "ConditionError" // a branch, a condition of which cannot be evaluated
	InputTooLarge  = "InputTooLarge"  // a kube-job, whose input does not fit its environment
	OutputTooLarge = "OutputTooLarge" // a parallel, whose sets' outputs are too much together
	InvalidInput   = "InvalidInput"   // an execution, whose input is not JSON
	Unknown        = "Unknown"        // a Job that failed without saying why
)

const (
	// MaxJobInput is the most bytes of input that a kube-job can be given: Linux
	// allows 128 KiB for one environment variable, its name, "=" and a final NUL
	// included (MAX_ARG_STRLEN, execve(2)).
	MaxJobInput = 128<<10 - len("JOBNETES_INPUT=") - 1
	// MaxJobInputs bounds the inputs of all containers of a Job together: each
	// gets a copy, and etcd refuses objects over 1.5 MiB.
	MaxJobInputs = 512 << 10
	// MaxParallelOutput bounds the array that a parallel's sets make together: a
	// database refuses statements over its max_allowed_packet, 16 MiB on MariaDB;
	// a branch's row has the value twice, and quoting may double each.
	MaxParallelOutput = 2 << 20
	// maxMessage and maxReason bound error_msg and error_reason, in bytes.
	maxMessage = 4096
	maxReason  = 255
	// maxNamed is how many failed sets a parallel's message names.
	maxNamed = 3
)

// start makes the row of a task and, unless it is a Job, takes it as far as it
// goes at once.
func (x *Execution) start(d *schema.Task, l *list, input string, prev *task) {
	row := &dao.TaskExecution{
		WorkflowExecutionID: x.row.ID, TaskName: d.Name, TaskType: string(d.Type), Attempt: 1,
		Status: dao.TaskRunning, Input: input, Output: NoOutput, StartedAt: x.now,
	}
	if d.Indexes > 0 {
		count := d.Indexes
		row.IndexCount = &count
	}
	tr := dao.Transition{Type: dao.EventTaskStarted, Task: row}
	if l.parent != nil {
		index := uint32(l.index)
		row.SetIndex, tr.Parent = &index, l.parent.row
	}
	if prev != nil {
		tr.Prev = prev.row
	}
	t := x.add(row, d, l)
	x.started = append(x.started, t)
	x.emit(tr)

	switch {
	case d.Type == schema.KubeJob && len(input) > jobInputLimit(d):
		x.endFailed(t, InputTooLarge, fmt.Sprintf("the input has %d bytes, and this Job can be given at most %d in the environment of each container: let the task before it leave a reference, such as a path or a key, in place of the data", len(input), jobInputLimit(d)))
	case d.Type == schema.Parallel && len(t.sets) == 0:
		x.endSuccess(t, "[]", "it has no sets")
	case d.Type == schema.Branch:
		if next, reason, message := choose(d, input); reason != "" {
			x.endFailed(t, reason, message)
		} else {
			x.endSuccess(t, input, fmt.Sprintf("%s: next is %q", message, next))
		}
	}
}

// jobInputLimit is the most bytes of input that a kube-job's containers can be
// given each.
func jobInputLimit(d *schema.Task) int {
	pod := &d.Job.Spec.Template.Spec
	return min(MaxJobInput, MaxJobInputs/(len(pod.Containers)+len(pod.InitContainers)))
}

// endSuccess ends a task with an output; message, for the event, may be empty.
func (x *Execution) endSuccess(t *task, output, message string) {
	t.row.Output = output
	x.end(t, dao.TaskSuccess)
	x.emit(dao.Transition{Type: dao.EventTaskSucceeded, Task: t.row, Message: cut(message, maxMessage)})
}

func (x *Execution) endFailed(t *task, reason, message string) {
	t.row.ErrorReason, t.row.ErrorMsg = cmp.Or(cut(reason, maxReason), Unknown), cut(message, maxMessage)
	x.end(t, dao.TaskFailed)
	x.emit(dao.Transition{Type: dao.EventTaskFailed, Task: t.row, Reason: t.row.ErrorReason, Message: t.row.ErrorMsg})
}

func (x *Execution) end(t *task, status dao.TaskStatus) {
	at := x.now
	delete(x.jobs, t.row.ID)
	t.row.Status, t.row.EndedAt = status, &at
	t.row.ElapsedSec = uint32(math.Ceil(max(0, at.Sub(t.row.StartedAt).Seconds())))
	x.ended = append(x.ended, t)
}

// moveOn starts the successor of a task that has ended, or ends its list.
func (x *Execution) moveOn(t *task) {
	if t.row.Status == dao.TaskSuccess {
		if next := x.successor(t); next != "" {
			x.start(x.def.Task(next), t.list, t.row.Output, t)
			return
		}
	}
	t.list.last = t
	if t.list.parent == nil {
		x.endExecution(t)
		return
	}
	x.endParallel(t.list.parent)
}

// successor names the task that follows one that has succeeded; empty if its
// list is at its end.
func (x *Execution) successor(t *task) string {
	if t.def.Type != schema.Branch {
		return t.def.Next
	}
	next, _, _ := choose(t.def, t.row.Input)
	return next
}

// choose evaluates a branch: the task to go on with, or for which reason there
// is none; and a message that says why.
func choose(d *schema.Task, input string) (next, reason, message string) {
	for _, c := range d.Choices {
		taken, err := c.Condition.Eval([]byte(input))
		if err != nil {
			return "", ConditionError, err.Error()
		}
		if taken {
			return c.Next, "", fmt.Sprintf("`%s` is true", c.Condition)
		}
	}
	if d.Default == "" {
		return "", NoBranchTaken, "no condition is true, and the branch has no default"
	}
	return d.Default, "", "no condition is true"
}

// endParallel ends a parallel once the last of its sets has ended.
func (x *Execution) endParallel(p *task) {
	if p.row.Status.Ended() {
		return
	}
	p.open--
	if p.open > 0 {
		return
	}
	var failed, outputs []string
	size := len("[]")
	for _, set := range p.sets {
		if set.last.row.Status == dao.TaskFailed {
			failed = append(failed, fmt.Sprintf("set %d: %s", set.index+1, failure(set.last.row)))
		}
		outputs = append(outputs, set.last.row.Output)
		size += len(set.last.row.Output) + len(",")
	}
	switch {
	case len(failed) > 0:
		count, more := len(failed), ""
		if count > maxNamed {
			failed, more = failed[:maxNamed], fmt.Sprintf("; and %d more", count-maxNamed)
		}
		x.endFailed(p, SetFailed, fmt.Sprintf("%d of %d sets failed: %s%s", count, len(p.sets), strings.Join(failed, "; "), more))
	case size > MaxParallelOutput:
		x.endFailed(p, OutputTooLarge, fmt.Sprintf("the outputs of the %d sets have %d bytes together, and at most %d can be passed on: let them leave references in place of data", len(p.sets), size, MaxParallelOutput))
	default:
		x.endSuccess(p, "["+strings.Join(outputs, ",")+"]", "")
	}
}

// endExecution ends the execution with the last task of its top list.
func (x *Execution) endExecution(last *task) {
	if last.row.Status == dao.TaskFailed {
		x.fail("", failure(last.row)) // which has the reason
		return
	}
	at := x.now
	x.row.Status, x.row.Output, x.row.EndedAt = dao.ExecutionSuccess, last.row.Output, &at
	x.emit(dao.Transition{Type: dao.EventExecutionSucceeded})
}

func (x *Execution) fail(reason, message string) {
	at, unbegun := x.now, x.row.Status == dao.ExecutionScheduled
	x.row.Status, x.row.ErrorMsg, x.row.EndedAt = dao.ExecutionFailed, cut(message, maxMessage), &at
	x.emit(dao.Transition{Type: dao.EventExecutionFailed, Reason: reason, Message: x.row.ErrorMsg, Unbegun: unbegun})
}

// failure says which task failed and why.
func failure(row *dao.TaskExecution) string {
	s := fmt.Sprintf("task %q failed: %s", row.TaskName, row.ErrorReason)
	if row.ErrorMsg != "" {
		s += ": " + row.ErrorMsg
	}
	return s
}

// cut makes a text fit to be kept: valid UTF-8, and at most limit bytes.
func cut(s string, limit int) string {
	const end = "..."
	s = strings.ToValidUTF8(s, "?")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit-len(end)], "") + end
	}
	return s
}

func sortByID(rows []*dao.TaskExecution) {
	slices.SortFunc(rows, func(a, b *dao.TaskExecution) int { return cmp.Compare(a.ID, b.ID) })
}
