package chaos

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"

	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/test/cluster"
)

// The status numbers of executions and tasks (docs/sql.md).
const (
	executionSucceeded = 2
	executionFailed    = 3
	taskSucceeded      = 1
	taskFailed         = 2
)

// rows are what the database has in the end.
type rows struct {
	executions map[uint64]execution
	tasks      map[uint64][]taskRow // by their execution
	events     []eventCount
}

func readRows(ctx context.Context, db *sql.DB) (all rows, err error) {
	if all.executions, err = readExecutions(ctx, db); err != nil {
		return all, fmt.Errorf("read the executions: %w", err)
	}
	if all.tasks, err = readTasks(ctx, db); err != nil {
		return all, fmt.Errorf("read the tasks: %w", err)
	}
	if all.events, err = readEvents(ctx, db); err != nil {
		return all, fmt.Errorf("read the events: %w", err)
	}
	return all, nil
}

// verifyExecutions checks that every start is one execution, which has ended as its
// shape says, and that there is no other one.
func verifyExecutions(executions map[uint64]execution, tasks map[uint64][]taskRow, starts []start, r *report) {
	if len(executions) > len(starts) {
		r.doubled("there are %d executions of %d starts", len(executions), len(starts))
	}
	for _, s := range starts {
		e, ok := executions[s.execution]
		if !ok || e.request != s.request {
			r.lost("%s was acknowledged as execution %d, which is of request %q", s.request, s.execution, e.request)
			continue
		}
		r.count(func(r *Result) { r.Executions++ })
		s.compare(e, tasks[s.execution], r)
	}
}

// compare compares an execution with what its shape says.
func (s start) compare(e execution, tasks []taskRow, r *report) {
	want := s.shape.expect(s.value)
	id := fmt.Sprintf("execution %d (%s of %d)", s.execution, s.shape.name, s.value)
	var output any
	if err := json.Unmarshal([]byte(e.output), &output); err != nil {
		r.lost("%s: its output %s: %v", id, e.output, err)
	}
	switch {
	case want.succeeded && (e.status != executionSucceeded || !reflect.DeepEqual(output, want.output)):
		r.lost("%s has status %d, output %s, error %q; want success with %v", id, e.status, e.output, e.message, want.output)
	case !want.succeeded && e.status != executionFailed:
		r.lost("%s has status %d, output %s; want failure", id, e.status, e.output)
	case !want.succeeded:
		r.count(func(r *Result) { r.Failed++ })
	}
	seen := map[string]bool{}
	for _, t := range tasks {
		r.count(func(r *Result) { r.Tasks++ })
		succeeded, expected := want.tasks[t.name]
		status := taskSucceeded
		if !succeeded {
			status = taskFailed
		}
		switch {
		case seen[t.name]:
			r.doubled("%s has task %s twice", id, t.name)
		case !expected:
			r.doubled("%s has task %s, which was not to be started", id, t.name)
		case t.status != status:
			r.lost("%s: task %d (%s) has status %d, reason %q, %q; want %d", id, t.id, t.name, t.status, t.reason, t.message, status)
		}
		seen[t.name] = true
	}
	for name := range want.tasks {
		if !seen[name] {
			r.lost("%s has no task %s", id, name)
		}
	}
}

// verifyEvents checks that each task has one event of its start and one of its end,
// as each execution has.
func verifyEvents(counts []eventCount, r *report) {
	for _, c := range counts {
		switch {
		case c.started > 1 || c.ended > 1:
			r.doubled("%s %d has %d events of its start and %d of its end", c.what, c.id, c.started, c.ended)
		case c.started != 1 || c.ended != 1:
			r.lost("%s %d has %d events of its start and %d of its end", c.what, c.id, c.started, c.ended)
		}
	}
}

// uids are the UIDs of Jobs by their names.
type uids map[string]map[types.UID]bool

// add adds one, and says whether it was there.
func (u uids) add(name string, uid types.UID) (known bool) {
	if u[name] == nil {
		u[name] = map[types.UID]bool{}
	}
	known = u[name][uid]
	u[name][uid] = true
	return known
}

// verifyJobs joins the Jobs' tasks with the API server's audit log, and with what
// was seen of Jobs: each has had one Job, and there is no Job without a task.
func verifyJobs(tasks map[uint64][]taskRow, writes []cluster.JobWrite, seen uids, r *report) {
	created := uids{}
	for _, w := range writes {
		if w.Verb == "create" && w.Code == http.StatusCreated && created.add(w.Name, w.UID) {
			r.doubled("Job %s (%s) was created twice by the audit log", w.Name, w.UID)
		}
	}
	for name, exist := range seen {
		for uid := range exist {
			if !created.add(name, uid) {
				r.t.Logf("Job %s (%s) exists, but its creation was not logged: the API server was killed", name, uid)
				r.count(func(r *Result) { r.Unlogged++ })
			}
		}
	}
	for _, list := range tasks {
		for _, t := range list {
			if t.job == "" {
				continue
			}
			switch of := created[t.job]; {
			case len(of) > 1:
				r.doubled("task %d (%s): %d Jobs were created: %v; its row has %s", t.id, t.job, len(of), of, t.jobUID)
			case !of[types.UID(t.jobUID)]:
				r.lost("task %d (%s): its row has Job %q, created were %v", t.id, t.job, t.jobUID, of)
			default:
				r.count(func(r *Result) { r.Jobs++ })
			}
			delete(created, t.job)
		}
	}
	for name, of := range created {
		r.doubled("Job %s %v is of no task", name, of)
	}
}
