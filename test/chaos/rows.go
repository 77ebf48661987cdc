package chaos

import (
	"context"
	"database/sql"
)

type execution struct {
	request, output, message string
	status                   int
	priority                 int32
}

func readExecutions(ctx context.Context, db *sql.DB) (map[uint64]execution, error) {
	all := map[uint64]execution{}
	err := query(ctx, db, "SELECT id, COALESCE(request_id, ''), status, priority, output, error_msg FROM workflow_executions", func(rows *sql.Rows) error {
		var id uint64
		var e execution
		err := rows.Scan(&id, &e.request, &e.status, &e.priority, &e.output, &e.message)
		all[id] = e
		return err
	})
	return all, err
}

type taskRow struct {
	id                    uint64
	name, reason, message string
	status                int
}

// readTasks gives the tasks by their execution.
func readTasks(ctx context.Context, db *sql.DB) (map[uint64][]taskRow, error) {
	all := map[uint64][]taskRow{}
	err := query(ctx, db, "SELECT workflow_execution_id, id, task_name, status, error_reason, error_msg FROM task_executions", func(rows *sql.Rows) error {
		var execution uint64
		var t taskRow
		err := rows.Scan(&execution, &t.id, &t.name, &t.status, &t.reason, &t.message)
		all[execution] = append(all[execution], t)
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
