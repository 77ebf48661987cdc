package chaos

import (
	"encoding/json"
	"fmt"
)

// A shape is a workflow and what comes of it, told by another program than the
// engine. Each Job's output has its task's name and its input in it, so that the
// execution's output tells every step that was taken: one that is lost or taken
// twice shows.
type shape struct {
	name  string
	tasks list
	// corrupt: its definition is none, and was put into the database by SQL. So are
	// its executions, which jobapi would refuse.
	corrupt bool
}

// list is tasks one after the other.
type list []task

// task is one task of a shape.
type task struct {
	name string
	role string // of a Job: one of the roles
	sets []list // of a parallel
	// of a branch: the Job that follows if the value is above limit, and the one
	// otherwise; path leads from the branch's input to the value
	path      string
	high, low *task
}

// The roles of Jobs: how their pods end.
const (
	leaves  = "leaves"  // succeeds, and leaves its output as termination message
	reports = "reports" // succeeds once it has recorded its output by RecordTaskOutput
	retries = "retries" // fails, is made again by the Job controller, and leaves its output
	waits   = "waits"   // succeeds as one that reports, whenever somebody has recorded its output
	fails   = "fails"   // fails
	stays   = "stays"   // never ends: its execution is to be cancelled
	denied  = "denied"  // there is none: the API server never accepts the Job
)

// reasons are why executions fail with Jobs of those roles, as their error_msg says.
var reasons = map[string]string{fails: "BackoffLimitExceeded", stays: "Cancelled", denied: "JobInvalid"}

// limit divides values: an execution's input is {"value": n}, n from 0 to 9.
const limit = 4

func job(name, role string) task              { return task{name: name, role: role} }
func parallel(name string, sets ...list) task { return task{name: name, sets: sets} }
func branch(name, path string, high, low task) task {
	return task{name: name, path: path, high: &high, low: &low}
}

// shapes are the workflows that are run.
var shapes = []shape{
	{name: "chain", tasks: list{job("first", reports), job("second", leaves), job("third", reports), job("fourth", leaves)}},
	{name: "fan", tasks: list{
		job("before", leaves),
		parallel("fan", list{job("one", reports)}, list{job("two", leaves), job("three", reports)}, list{job("four", leaves)}),
		job("after", reports),
	}},
	{name: "choice", tasks: list{
		job("ask", reports),
		branch("choose", "$.was.value", job("big", leaves), job("small", reports)),
		job("answer", leaves),
	}},
	{name: "nested", tasks: list{
		parallel("outer",
			list{branch("turn", "$.value", job("up", reports), job("down", leaves)), job("on", leaves)},
			list{parallel("inner", list{job("x", leaves)}, list{job("y", reports)}), job("z", leaves)}),
		job("end", leaves),
	}},
	{name: "failure", tasks: list{job("good", reports), job("bad", fails), job("never", leaves)}},
	{name: "failing-set", tasks: list{
		parallel("sets", list{job("well", reports), job("still", leaves)}, list{job("ill", fails), job("not", leaves)}),
		job("nor", leaves),
	}},
	{name: "retry", tasks: list{job("flaky", retries), job("then", reports)}},
	{name: "endless", tasks: list{
		job("begin", leaves),
		parallel("ways", list{job("long", stays)}, list{job("brief", reports), job("longer", stays)}),
		job("nowhere", leaves),
	}},
	{name: "refusal", tasks: list{job("fine", leaves), job("impossible", denied), job("vain", leaves)}},
	{name: "corrupt", corrupt: true},
}

// endless says whether its executions end only if they are cancelled.
func (s shape) endless() bool { return s.expect(0).reason == reasons[stays] }

// outcome is what comes of an execution.
type outcome struct {
	succeeded bool
	output    any             // as JSON is decoded; of one that succeeded
	reason    string          // in the error_msg of one that failed
	tasks     map[string]bool // every task that is started, and whether it succeeds
}

// expect gives what comes of an execution of the shape with {"value": n}.
func (s shape) expect(value int) outcome {
	o := outcome{tasks: map[string]bool{}}
	if s.corrupt {
		o.reason = "InvalidDefinition"
		return o
	}
	o.output, o.succeeded = o.follow(s.tasks, map[string]any{"value": float64(value)}, value)
	return o
}

// follow gives a list's output, and whether it succeeds.
func (o *outcome) follow(l list, input any, value int) (output any, ok bool) {
	for _, t := range l {
		if t.high != nil {
			o.tasks[t.name] = true // its output is its input
			t = *t.chosen(value)
		}
		if input, ok = o.run(t, input, value); !ok {
			return nil, false
		}
	}
	return input, true
}

// chosen is what follows a branch.
func (t task) chosen(value int) *task {
	if value > limit {
		return t.high
	}
	return t.low
}

// run gives a task's output, and whether it succeeds.
func (o *outcome) run(t task, input any, value int) (output any, ok bool) {
	why, failed := reasons[t.role]
	if ok = !failed; failed {
		o.reason = why
	}
	if t.sets == nil {
		o.tasks[t.name] = ok
		return outputOf(t.name, input), ok
	}
	outputs := make([]any, 0, len(t.sets))
	for _, set := range t.sets {
		last, setOK := o.follow(set, input, value)
		outputs = append(outputs, last)
		ok = ok && setOK
	}
	o.tasks[t.name] = ok
	return outputs, ok
}

// outputOf is the output of the Job of a task.
func outputOf(task string, input any) map[string]any {
	return map[string]any{"task": task, "was": input}
}

// definition gives the workflow's definition.
func (s shape) definition() []byte {
	if s.corrupt {
		return []byte(`{"name": "` + s.name + `"}`)
	}
	text, err := json.Marshal(map[string]any{"name": s.name, "tasks": s.tasks.definition()})
	if err != nil {
		panic(err) // maps of strings
	}
	return text
}

func (l list) definition() []map[string]any {
	var all []map[string]any
	for i, t := range l {
		tasks := []map[string]any{t.definition()}
		if t.high != nil {
			tasks = append(tasks, t.high.definition(), t.low.definition())
		}
		for _, d := range tasks {
			if i+1 < len(l) && d["type"] != "branch" { // which names its successors itself
				d["next"] = l[i+1].name
			}
		}
		all = append(all, tasks...)
	}
	return all
}

func (t task) definition() map[string]any {
	switch {
	case t.high != nil:
		return map[string]any{"name": t.name, "type": "branch", "tasks": []map[string]any{
			{"condition": fmt.Sprintf("%s > %d", t.path, limit), "next": t.high.name},
			{"condition": fmt.Sprintf("%s <= %d", t.path, limit), "next": t.low.name},
		}}
	case t.sets != nil:
		var sets [][]map[string]any
		for _, set := range t.sets {
			sets = append(sets, set.definition())
		}
		return map[string]any{"name": t.name, "type": "parallel", "task-sets": sets}
	default:
		return map[string]any{"name": t.name, "type": "kube-job", "job": simulatedJob(t.role)}
	}
}
