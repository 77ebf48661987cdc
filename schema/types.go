package schema

import (
	batchv1 "k8s.io/api/batch/v1"
)

// Type is the kind of a task.
type Type string

// The types of task. The aliases of the definition language (kubejob,
// parallel-job, choice, choice-job) are resolved when a definition is parsed.
const (
	KubeJob  Type = "kube-job"
	Parallel Type = "parallel"
	Branch   Type = "branch"
)

// Definition is a workflow definition that has passed Parse. It is immutable
// and safe for concurrent use.
type Definition struct {
	Name        string
	Description string
	// Tasks is the top list, never empty. Its first task is the start.
	Tasks []*Task

	byName map[string]*Task
}

// Task is one task of a definition.
type Task struct {
	Name        string
	Description string
	Type        Type
	// Next names the task of the same list that follows; empty ends the list.
	// A branch has none: Choices and Default name its successors.
	Next string
	// Job is set for a kube-job only. Its restartPolicy is never empty.
	// It is shared: DeepCopy before changing it.
	Job *batchv1.Job
	// Indexes is how many indexes an indexed kube-job has: its one Job has a pod for
	// each. 0: it is not indexed.
	Indexes uint32
	// Sets are a parallel's task lists; each has at least one task.
	Sets [][]*Task
	// Choices are a branch's conditions, in the order they are tried.
	Choices []Choice
	// Default names the task a branch takes if no condition is true; may be empty.
	Default string
}

// Choice is one alternative of a branch.
type Choice struct {
	Condition Condition
	Next      string
}

// Task returns the task of that name, at whatever depth, or nil.
func (d *Definition) Task(name string) *Task { return d.byName[name] }

// Walk calls visit for every task in document order, a parallel before the
// tasks of its sets. parent is the parallel that the task is in, and set the
// index of the task's list among the parent's Sets; in the top list parent is
// nil and set 0.
func (d *Definition) Walk(visit func(t, parent *Task, set int)) {
	walk(d.Tasks, nil, 0, visit)
}

func walk(list []*Task, parent *Task, set int, visit func(t, parent *Task, set int)) {
	for _, t := range list {
		visit(t, parent, set)
		for i, inner := range t.Sets {
			walk(inner, t, i, visit)
		}
	}
}
