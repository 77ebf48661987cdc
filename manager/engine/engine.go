// Package engine decides what an execution does next. It is pure: definition,
// rows, observations and the time go in, transitions come out; it does no I/O,
// and has no clock and no randomness, so the same history always gives the same
// decisions. docs/state-machine.md draws what is coded here.
//
// The rules in short. A list of tasks runs one task at a time: a task's output
// is the input of the task that follows. A list ends with the task that has no
// successor, or with the first that fails. The top list's end is the
// execution's. A parallel runs its sets, which are lists, at the same time and
// ends when the last of them has: failed if one failed, else with the array of
// their outputs. A branch ends at once and chooses its successor.
package engine

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/schema"
)

// Observation is what became of a task's Job.
type Observation struct {
	TaskID    uint64
	Succeeded bool
	// Output is what the Job left, JSON; empty means that it left nothing. What
	// the job has recorded goes before it.
	Output string
	// Recorded and RecordedRev are the task's columns as they were read when the
	// Job had ended: Commit finds a conflict if the job records once more. Recorded is not
	// the output of an indexed task, whose indexes record: it is from a jobapi of the
	// build before, which has left out which one it was.
	Recorded    *string
	RecordedRev uint32
	// Reason, a CamelCase word, and Message say why it failed. Of a Job that
	// succeeded, Message may say what else is to be known.
	Reason, Message string
}

// Execution is an execution in memory: its definition and rows, and what
// follows from them. It may be kept from one Decide to the next, whose cost
// then goes with what has changed, not with how many tasks there are. If the
// transitions cannot be committed it must be thrown away and loaded again. It
// is not safe for concurrent use.
type Execution struct {
	def *schema.Definition
	row *dao.WorkflowExecution
	top *list

	jobs    map[uint64]*task // the kube-jobs that run, and whose rows have ids
	started []*task          // tasks whose rows get their ids by the next commit
	idle    []*list          // lists whose first task is to be started
	ended   []*task          // tasks whose lists have to move on

	now time.Time
	out []dao.Transition
}

// task is one row, its definition, and the list it is part of.
type task struct {
	row  *dao.TaskExecution
	def  *schema.Task
	list *list
	sets []*list // a parallel's
	open int     // how many of them have not ended
}

// list is the run of one list of the definition: the top one, or a set of a
// parallel.
type list struct {
	parent *task // nil: the top list
	index  int   // which set
	tasks  []*schema.Task
	begun  bool
	last   *task // the task that it ended with; nil while it runs
}

// Load builds an execution from its rows, tasks in the order of their ids. It
// takes over the rows: Decide changes them. The error says which row does not
// fit the definition.
func Load(def *schema.Definition, row *dao.WorkflowExecution, tasks []*dao.TaskExecution) (*Execution, error) {
	x := &Execution{def: def, row: row, top: &list{tasks: def.Tasks}, jobs: map[uint64]*task{}}
	byID := make(map[uint64]*task, len(tasks))
	if !row.Status.Ended() {
		x.idle = append(x.idle, x.top)
	}
	for _, r := range tasks {
		l, err := x.listOf(r, byID)
		if err != nil {
			return nil, err
		}
		d := def.Task(r.TaskName)
		if d == nil {
			return nil, fmt.Errorf("task %d is named %q, which the definition does not have", r.ID, r.TaskName)
		}
		if string(d.Type) != r.TaskType {
			return nil, fmt.Errorf("task %d (%q) is a %s, and its definition a %s", r.ID, r.TaskName, r.TaskType, d.Type)
		}
		t := x.add(r, d, l)
		byID[r.ID] = t
		x.file(t)
		if r.Status.Ended() && r.NextTaskExecutionID == nil {
			x.ended = append(x.ended, t)
		}
	}
	return x, nil
}

func (x *Execution) listOf(r *dao.TaskExecution, byID map[uint64]*task) (*list, error) {
	if r.ParentTaskExecutionID == nil {
		return x.top, nil
	}
	parent := byID[*r.ParentTaskExecutionID]
	if parent == nil || r.SetIndex == nil || int(*r.SetIndex) >= len(parent.sets) {
		return nil, fmt.Errorf("task %d (%q) is part of a set of task %d that is not there", r.ID, r.TaskName, *r.ParentTaskExecutionID)
	}
	return parent.sets[*r.SetIndex], nil
}

// add makes the task for a row. A running parallel's sets are idle until a row
// of theirs is added.
func (x *Execution) add(r *dao.TaskExecution, d *schema.Task, l *list) *task {
	t := &task{row: r, def: d, list: l}
	l.begun = true
	for i, tasks := range d.Sets {
		set := &list{parent: t, index: i, tasks: tasks}
		t.sets, t.open = append(t.sets, set), t.open+1
		if !r.Status.Ended() {
			x.idle = append(x.idle, set)
		}
	}
	return t
}

// Row is the execution's row as Decide has left it.
func (x *Execution) Row() *dao.WorkflowExecution { return x.row }

// RunningJobs returns the rows of the kube-jobs that run, in the order of their
// ids, as of the last commit.
func (x *Execution) RunningJobs() []*dao.TaskExecution {
	x.index()
	rows := make([]*dao.TaskExecution, 0, len(x.jobs))
	for _, t := range x.jobs {
		rows = append(rows, t.row)
	}
	sortByID(rows)
	return rows
}

// RunningJob returns the row of a kube-job that runs, or nil, as of the last commit.
func (x *Execution) RunningJob(taskID uint64) *dao.TaskExecution {
	x.index()
	if t := x.jobs[taskID]; t != nil {
		return t.row
	}
	return nil
}

// StartedJobs returns the rows of the kube-jobs that the last commit has started, and
// that run, in the order of their ids; once: then none.
func (x *Execution) StartedJobs() []*dao.TaskExecution {
	var rows []*dao.TaskExecution
	for _, t := range x.started {
		if t.def.Type == schema.KubeJob && !t.row.Status.Ended() {
			rows = append(rows, t.row)
		}
	}
	x.index()
	return rows
}

// Definition returns the definition of a task by its name, or nil.
func (x *Execution) Definition(taskName string) *schema.Task { return x.def.Task(taskName) }

// index files the tasks whose rows have got their ids.
func (x *Execution) index() {
	for _, t := range x.started {
		x.file(t)
	}
	x.started = nil
}

func (x *Execution) file(t *task) {
	if t.def.Type == schema.KubeJob && !t.row.Status.Ended() {
		x.jobs[t.row.ID] = t
	}
}

// Decide takes the execution as far as it can go at that time, and returns the
// transitions in the order they happened; none if there is nothing to do.
// Observations of tasks that have ended, or that it does not know, are ignored.
func (x *Execution) Decide(observed []Observation, now time.Time) []dao.Transition {
	x.index()
	x.now, x.out = now.UTC().Truncate(time.Microsecond), nil
	if x.row.Status.Ended() {
		return nil
	}
	if x.row.Status == dao.ExecutionScheduled && !x.begin() {
		return x.out
	}
	for _, o := range observed {
		if t := x.jobs[o.TaskID]; t != nil {
			x.observe(t, o)
		}
	}
	for len(x.idle) > 0 || len(x.ended) > 0 {
		if len(x.ended) > 0 {
			t := x.ended[0]
			x.ended = x.ended[1:]
			x.moveOn(t)
			continue
		}
		l := x.idle[0]
		x.idle = x.idle[1:]
		if !l.begun {
			x.start(l.tasks[0], l, x.inputOf(l), nil)
		}
	}
	return x.out
}

// begin takes a scheduled execution to running. It reports false if it has
// failed instead.
func (x *Execution) begin() bool {
	at := x.now
	x.row.StartedAt = &at
	if !json.Valid([]byte(x.row.Input)) {
		x.fail(InvalidInput, "the input is not JSON")
		return false
	}
	x.row.Status = dao.ExecutionRunning
	x.emit(dao.Transition{Type: dao.EventExecutionStarted})
	return true
}

// inputOf is what a list's first task starts with.
func (x *Execution) inputOf(l *list) string {
	if l.parent == nil {
		return x.row.Input
	}
	return l.parent.row.Input
}

func (x *Execution) observe(t *task, o Observation) {
	t.row.RecordedOutput, t.row.RecordedRev = o.Recorded, o.RecordedRev
	output := o.Output
	if o.Recorded != nil && t.row.IndexCount == nil {
		output = *o.Recorded
	}
	if output == "" {
		output = NoOutput
	}
	if !o.Succeeded {
		t.row.Output = output
		x.endFailed(t, o.Reason, o.Message)
		return
	}
	x.endSuccess(t, output, o.Message)
}

// NoOutput is the output of a task, or of an index of one, that has left none.
const NoOutput = "{}"

func (x *Execution) emit(t dao.Transition) { x.out = append(x.out, t) }
