package chaos

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
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

// verifyExecutions checks that every start is one execution, which has ended as its
// shape says, and that there is no other one.
func verifyExecutions(ctx context.Context, db *sql.DB, starts []start, r *report) error {
	executions, err := readExecutions(ctx, db)
	if err != nil {
		return err
	}
	tasks, err := readTasks(ctx, db)
	if err != nil {
		return err
	}
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
	return nil
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
func verifyEvents(ctx context.Context, db *sql.DB, r *report) error {
	rows, err := db.QueryContext(ctx, `SELECT 'task', t.id, SUM(e.type = 'TaskStarted'), SUM(e.type IN ('TaskSucceeded', 'TaskFailed'))
		FROM task_executions t LEFT JOIN execution_events e ON e.task_execution_id = t.id GROUP BY t.id
		UNION ALL SELECT 'execution', x.id, SUM(e.type = 'ExecutionStarted'), SUM(e.type IN ('ExecutionSucceeded', 'ExecutionFailed'))
		FROM workflow_executions x LEFT JOIN execution_events e ON e.workflow_execution_id = x.id GROUP BY x.id`)
	if err != nil {
		return fmt.Errorf("read the events: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var what string
		var id uint64
		var started, ended sql.NullInt64
		if err := rows.Scan(&what, &id, &started, &ended); err != nil {
			return fmt.Errorf("read the events: %w", err)
		}
		switch {
		case started.Int64 > 1 || ended.Int64 > 1:
			r.doubled("%s %d has %d events of its start and %d of its end", what, id, started.Int64, ended.Int64)
		case started.Int64 != 1 || ended.Int64 != 1:
			r.lost("%s %d has %d events of its start and %d of its end", what, id, started.Int64, ended.Int64)
		}
	}
	return rows.Err()
}

// verifyJobs joins the Jobs' tasks with the API server's audit log, and with what
// was seen of Jobs: each has had one Job, and there is no Job without a task.
func verifyJobs(ctx context.Context, db *sql.DB, writes []cluster.JobWrite, watch *jobWatch, r *report) error {
	byExecution, err := readTasks(ctx, db)
	if err != nil {
		return err
	}
	created := map[string]map[types.UID]bool{}
	for _, w := range writes {
		if w.Verb == "create" && w.Code == 201 {
			if created[w.Name] == nil {
				created[w.Name] = map[types.UID]bool{}
			}
			if created[w.Name][w.UID] {
				r.doubled("Job %s (%s) was created twice by the audit log", w.Name, w.UID)
			}
			created[w.Name][w.UID] = true
		}
	}
	for name, uids := range watch.seen {
		for uid := range uids {
			if !created[name][uid] {
				r.t.Logf("Job %s (%s) exists, but its creation was not logged: the API server was killed", name, uid)
				r.count(func(r *Result) { r.Unlogged++ })
				if created[name] == nil {
					created[name] = map[types.UID]bool{}
				}
				created[name][uid] = true
			}
		}
	}
	for _, tasks := range byExecution {
		for _, t := range tasks {
			if t.job == "" {
				continue
			}
			switch uids := created[t.job]; {
			case len(uids) > 1:
				r.doubled("task %d (%s): %d Jobs were created: %v; its row has %s", t.id, t.job, len(uids), uids, t.jobUID)
			case !uids[types.UID(t.jobUID)]:
				r.lost("task %d (%s): its row has Job %q, created were %v", t.id, t.job, t.jobUID, uids)
			default:
				r.count(func(r *Result) { r.Jobs++ })
			}
			delete(created, t.job)
		}
	}
	for name, uids := range created {
		r.doubled("Job %s %v is of no task", name, uids)
	}
	return nil
}

type execution struct {
	request, output, message string
	status                   int
}

func readExecutions(ctx context.Context, db *sql.DB) (map[uint64]execution, error) {
	rows, err := db.QueryContext(ctx, "SELECT id, COALESCE(request_id, ''), status, output, error_msg FROM workflow_executions")
	if err != nil {
		return nil, fmt.Errorf("read the executions: %w", err)
	}
	defer func() { _ = rows.Close() }()
	all := map[uint64]execution{}
	for rows.Next() {
		var id uint64
		var e execution
		if err := rows.Scan(&id, &e.request, &e.status, &e.output, &e.message); err != nil {
			return nil, fmt.Errorf("read the executions: %w", err)
		}
		all[id] = e
	}
	return all, rows.Err()
}

type taskRow struct {
	id                                 uint64
	name, job, jobUID, reason, message string
	status                             int
}

// readTasks gives the tasks by their execution.
func readTasks(ctx context.Context, db *sql.DB) (map[uint64][]taskRow, error) {
	rows, err := db.QueryContext(ctx, `SELECT workflow_execution_id, id, task_name, COALESCE(execution_name, ''), COALESCE(job_uid, ''), status, error_reason, error_msg
		FROM task_executions`)
	if err != nil {
		return nil, fmt.Errorf("read the tasks: %w", err)
	}
	defer func() { _ = rows.Close() }()
	all := map[uint64][]taskRow{}
	for rows.Next() {
		var execution uint64
		var t taskRow
		if err := rows.Scan(&execution, &t.id, &t.name, &t.job, &t.jobUID, &t.status, &t.reason, &t.message); err != nil {
			return nil, fmt.Errorf("read the tasks: %w", err)
		}
		all[execution] = append(all[execution], t)
	}
	return all, rows.Err()
}
