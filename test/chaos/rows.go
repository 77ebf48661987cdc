package chaos

import (
	"context"
	"database/sql"
)

type execution struct {
	request, output, message string
	status                   int
}

func readExecutions(ctx context.Context, db *sql.DB) (map[uint64]execution, error) {
	all := map[uint64]execution{}
	err := query(ctx, db, "SELECT id, COALESCE(request_id, ''), status, output, error_msg FROM workflow_executions", func(rows *sql.Rows) error {
		var id uint64
		var e execution
		err := rows.Scan(&id, &e.request, &e.status, &e.output, &e.message)
		all[id] = e
		return err
	})
	return all, err
}

type taskRow struct {
	id                                 uint64
	name, job, jobUID, reason, message string
	status                             int
}

// readTasks gives the tasks by their execution.
func readTasks(ctx context.Context, db *sql.DB) (map[uint64][]taskRow, error) {
	all := map[uint64][]taskRow{}
	err := query(ctx, db, `SELECT workflow_execution_id, id, task_name, COALESCE(execution_name, ''), COALESCE(job_uid, ''), status, error_reason, error_msg
		FROM task_executions`, func(rows *sql.Rows) error {
		var execution uint64
		var t taskRow
		err := rows.Scan(&execution, &t.id, &t.name, &t.job, &t.jobUID, &t.status, &t.reason, &t.message)
		all[execution] = append(all[execution], t)
		return err
	})
	return all, err
}

// eventCount says how many events tell of the start and of the end of a task or an
// execution.
type eventCount struct {
	what           string
	id             uint64
	started, ended int
}

func readEvents(ctx context.Context, db *sql.DB) (all []eventCount, err error) {
	err = query(ctx, db, `SELECT 'task', t.id, COALESCE(SUM(e.type = 'TaskStarted'), 0), COALESCE(SUM(e.type IN ('TaskSucceeded', 'TaskFailed')), 0)
		FROM task_executions t LEFT JOIN execution_events e ON e.task_execution_id = t.id GROUP BY t.id
		UNION ALL SELECT 'execution', x.id, COALESCE(SUM(e.type = 'ExecutionStarted'), 0), COALESCE(SUM(e.type IN ('ExecutionSucceeded', 'ExecutionFailed')), 0)
		FROM workflow_executions x LEFT JOIN execution_events e ON e.workflow_execution_id = x.id GROUP BY x.id`, func(rows *sql.Rows) error {
		var c eventCount
		err := rows.Scan(&c.what, &c.id, &c.started, &c.ended)
		all = append(all, c)
		return err
	})
	return all, err
}

// query reads the rows that a statement gives, one after the other.
func query(ctx context.Context, db *sql.DB, statement string, read func(*sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, statement)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := read(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
