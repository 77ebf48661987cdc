package chaos

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// What `jobnetes verify` cannot know is checked here: that there is what clients
// were told, and that it has come to what it comes to without faults.

// The status numbers of executions and tasks (docs/sql.md).
const (
	executionSucceeded = 2
	executionFailed    = 3
	taskSucceeded      = 1
	taskFailed         = 2
)

// cancelled is why tasks and executions fail that are cancelled.
const cancelled = "Cancelled"

// rows are what the database has in the end.
type rows struct {
	executions map[uint64]execution
	tasks      map[uint64][]taskRow // by their execution
}

func readRows(ctx context.Context, db *sql.DB) (all rows, err error) {
	if all.executions, err = readExecutions(ctx, db); err != nil {
		return all, fmt.Errorf("read the executions: %w", err)
	}
	if all.tasks, err = readTasks(ctx, db); err != nil {
		return all, fmt.Errorf("read the tasks: %w", err)
	}
	return all, nil
}

// verifyExecutions checks that every start is one execution, which has ended as its
// shape says, and that there is no other one.
func verifyExecutions(all rows, starts []start, r *report) {
	if len(all.executions) > len(starts) {
		r.doubled("there are %d executions of %d starts", len(all.executions), len(starts))
	}
	for _, s := range starts {
		e, ok := all.executions[s.execution]
		if !ok || e.request != s.request {
			r.lost("%s was acknowledged as execution %d, which is of request %q", s.request, s.execution, e.request)
			continue
		}
		r.count(func(r *Result) { r.Executions++; r.Tasks += len(all.tasks[s.execution]) })
		if e.priority != s.priority {
			r.lost("%s was started with priority %d, and has %d", s.request, s.priority, e.priority)
		}
		s.compare(e, all.tasks[s.execution], r)
	}
}

// compare compares an execution with what its shape says. One that somebody has
// cancelled may have ended before: then it must be as any other.
func (s start) compare(e execution, tasks []taskRow, r *report) {
	want := s.shape.expect(s.value)
	id := fmt.Sprintf("execution %d (%s of %d)", s.execution, s.shape.name, s.value)
	if s.cancelled && e.status == executionFailed && strings.HasPrefix(e.message, cancelled) {
		r.count(func(r *Result) { r.Cancelled++ })
		compareTasks(id, want.tasks, tasks, true, r)
		return
	}
	var output any
	if err := json.Unmarshal([]byte(e.output), &output); err != nil {
		r.lost("%s: its output %s: %v", id, e.output, err)
	}
	switch {
	case strings.HasPrefix(e.message, cancelled):
		r.lost("%s was cancelled, and nobody wanted it: status %d, error %q", id, e.status, e.message)
	case want.succeeded && (e.status != executionSucceeded || !reflect.DeepEqual(output, want.output)):
		r.lost("%s has status %d, output %s, error %q; want success with %v", id, e.status, e.output, e.message, want.output)
	case !want.succeeded && (e.status != executionFailed || !strings.Contains(e.message, want.reason)):
		r.lost("%s has status %d, output %s, error %q; want failure with %s", id, e.status, e.output, e.message, want.reason)
	case !want.succeeded:
		r.count(func(r *Result) { r.Failed++ })
	}
	for name := range compareTasks(id, want.tasks, tasks, false, r) {
		r.lost("%s has no task %s", id, name)
	}
}

// compareTasks compares the tasks that there are with those that there may be, and
// gives those that there are not. partly: any of them may have been cut off.
func compareTasks(id string, want map[string]bool, tasks []taskRow, partly bool, r *report) (left map[string]bool) {
	left = map[string]bool{}
	for name := range want {
		left[name] = true
	}
	for _, t := range tasks {
		succeeds, expected := want[t.name]
		status := taskSucceeded
		if !succeeds {
			status = taskFailed
		}
		switch {
		case !expected:
			r.doubled("%s has task %s, which was not to be started", id, t.name)
		case !left[t.name]:
			r.doubled("%s has task %s twice", id, t.name)
		case partly && t.status == taskFailed && t.reason == cancelled:
		case t.status != status || t.reason == cancelled:
			r.lost("%s: task %d (%s) has status %d, reason %q, %q; want %d", id, t.id, t.name, t.status, t.reason, t.message, status)
		}
		delete(left, t.name)
	}
	return left
}
