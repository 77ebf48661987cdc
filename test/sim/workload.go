package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/jobnetes/jobnetes/manager/kube"
)

// kind is what becomes of a task's Job.
type kind int

const (
	succeeds kind = iota
	fails
	stuck   // its container cannot be started
	invalid // the API server refuses it for good
)

// plan is what a task's Job does. It depends on nothing but the seed, the
// execution and the task, so that all runs of a workload are the same but for
// faults.
type plan struct {
	kind    kind
	output  string // JSON
	records bool   // by RecordTaskOutput; else it is the termination message
	many    bool   // it wants two completions: one pod that has succeeded says nothing
}

// workload is what a schedule's executions are. Their ids count from 1. Some share a
// workflow, whose id is that of the first of them.
type workload struct {
	seed        uint64
	size        int
	definitions []string
	workflows   []uint64
	inputs      []string
	bySQL       []bool // inserted by SQL, and not started by a client
	priorities  []int32
	allRecord   bool // all Jobs that can record their output do
}

const (
	maxExecutions = 7
	workflowName  = "w" // of all: it is their ids that tell their Jobs apart
)

func newWorkload(seed uint64) *workload {
	rng := stream(seed, "workload")
	l := &workload{seed: seed, size: 1 + rng.IntN(3), allRecord: stream(seed, "records").IntN(3) == 0}
	if crowds(seed) {
		l.size += maxExecutions - 3
	}
	priorities := stream(seed, "priorities")
	for range l.size {
		l.priorities = append(l.priorities, int32(priorities.IntN(3)-1))
		g := &generator{rng: rng, left: 6, seed: seed, execution: len(l.definitions) + 1}
		l.definitions = append(l.definitions, fmt.Sprintf(`{"name":%q,"tasks":[%s]}`, workflowName, strings.Join(g.list(2), ",")))
		l.inputs = append(l.inputs, g.value())
		l.bySQL = append(l.bySQL, rng.IntN(4) == 0)
	}
	l.share()
	return l
}

// crowds says whether a schedule has many executions, whose holders' writes come together.
func crowds(seed uint64) bool { return stream(seed, "crowds").IntN(4) == 0 }

// share has some of the executions that clients start share a workflow.
func (l *workload) share() {
	rng := stream(l.seed, "shared workflows")
	first := slices.Index(l.bySQL, false)
	for i, bySQL := range l.bySQL {
		l.workflows = append(l.workflows, uint64(i+1))
		if !bySQL && i > first && rng.IntN(2) == 0 {
			l.workflows[i], l.definitions[i] = uint64(first+1), l.definitions[first]
		}
	}
}

// plan returns what the Job of a task does.
func (l *workload) plan(a attempt) plan {
	rng := stream(l.seed, "plan of "+a.execution+" "+a.task)
	p := plan{output: fmt.Sprintf(`{"value":%d,"by":%q}`, rng.IntN(10), a.task), records: rng.IntN(3) == 0 || l.allRecord}
	switch rng.IntN(24) {
	case 0, 1:
		p.kind = fails
	case 2:
		p.kind = stuck
	case 3:
		p.kind = invalid
	}
	p.many = rng.IntN(4) == 0
	return p
}

// generator makes lists of tasks that follow one another, with branches that
// choose between the two tasks behind them.
type generator struct {
	rng       *rand.Rand
	seed      uint64
	execution int
	left      int // kube-jobs to make at the most; lists are never empty, so it may get below 0
	n         int
}

func (g *generator) value() string { return fmt.Sprintf(`{"value":%d}`, g.rng.IntN(10)) }

func (g *generator) list(depth int) []string {
	names := make([]string, 1+g.rng.IntN(3))
	for i := range names {
		g.n++
		names[i] = fmt.Sprintf("t%d", g.n)
	}
	var tasks []string
	for i, name := range names {
		next := ""
		if i+1 < len(names) {
			next = fmt.Sprintf(`"next":%q,`, names[i+1])
		}
		switch kind := g.rng.IntN(4); {
		case kind == 0 && depth > 0 && g.left > 0:
			var sets []string
			for range 1 + g.rng.IntN(3) {
				sets = append(sets, "["+strings.Join(g.list(depth-1), ",")+"]")
			}
			tasks = append(tasks, fmt.Sprintf(`{"name":%q,%s"type":"parallel","task-sets":[%s]}`, name, next, strings.Join(sets, ",")))
		case kind == 1 && i+2 < len(names):
			tasks = append(tasks, fmt.Sprintf(`{"name":%q,"type":"branch","default":%q,"tasks":[{"condition":"has($.value) && $.value > 4","next":%q}]}`, name, names[i+1], names[i+2]))
		default:
			g.left--
			of, spec := "", ""
			if indexed(g.seed, g.execution, name) {
				of, spec = `"indexed":true,`, fmt.Sprintf(`"completions":%d,`, indexCount)
			}
			tasks = append(tasks, fmt.Sprintf(`{"name":%q,%s%s"type":"kube-job","job":{"spec":{%s"template":{"spec":{"containers":[{"name":"c","image":"busybox"}]}}}}}`, name, next, of, spec))
		}
	}
	return tasks
}

// insert puts into the database the workflows, and the executions that are inserted by SQL.
func (l *workload) insert(w *world) {
	for i, definition := range l.definitions {
		id := uint64(i + 1)
		if w.schedule.without[i] {
			continue
		}
		w.db.insertWorkflow(l.workflows[i], definition, w.now())
		if l.bySQL[i] {
			w.db.executions[id] = newExecution(id, id, l.inputs[i], l.priorities[i], w.now())
		}
	}
}

// ending is how an execution has ended: what must be the same with faults and
// without.
type ending struct {
	execution      uint64
	status, output string
	tasks          []string
	errorMsg       string // for people: it is not compared
}

// ends returns how the executions have ended that nothing but passing trouble
// has touched.
func (w *world) ends() []ending {
	var all []ending
	for _, id := range w.executionIDs() {
		e := w.db.executions[id]
		if e == nil { // the schedule was ended before
			all = append(all, ending{execution: id})
			continue
		}
		end := ending{execution: id, status: e.Status.String(), output: e.Output, errorMsg: e.ErrorMsg}
		for _, id := range w.db.tasksOf[id] {
			t := w.db.tasks[id]
			end.tasks = append(end.tasks, fmt.Sprintf("%s: %s %s %s (input %s)", t.TaskName, t.Status, t.ErrorReason, t.Output, t.Input))
		}
		slices.Sort(end.tasks)
		all = append(all, end)
	}
	return all
}

func (w *world) executionIDs() []uint64 {
	var ids []uint64
	for i := range w.load.size {
		if !w.schedule.without[i] {
			ids = append(ids, uint64(i+1))
		}
	}
	return ids
}

// idOf reads an id of a Job's labels; 0 if there is none.
func idOf(obj *batchv1.Job, label string) uint64 {
	id, _ := strconv.ParseUint(obj.Labels[label], 10, 64)
	return id
}

// taskOver says whether the task of a Job has ended, or is not there.
func (w *world) taskOver(obj *batchv1.Job) bool {
	t := w.db.tasks[idOf(obj, kube.LabelTaskID)]
	return t == nil || t.Status.Ended()
}

// epochOf returns the epoch of the lease that owner holds of a Job's execution; 0
// if it holds none.
func (w *world) epochOf(obj *batchv1.Job, owner string) uint64 {
	e := w.db.executions[idOf(obj, kube.LabelExecutionID)]
	if e == nil || e.LeaseOwner == nil || *e.LeaseOwner != owner {
		return 0
	}
	return e.LeaseEpoch
}
