package chaos

import (
	"context"
	"database/sql"
	"fmt"
)

// The database itself notes each step of an execution that a manager writes without
// the lease: the other safeguards mend most of what comes of it, so that it would
// hardly show in the end. What begins a manager's commit is the execution's row, and
// its events end it.
var fenceNotes = []string{
	"CREATE TABLE chaos_unleased (id BIGINT AUTO_INCREMENT PRIMARY KEY, execution BIGINT UNSIGNED, event TEXT, writer TEXT, holder TEXT)",
	`CREATE TRIGGER chaos_holder AFTER UPDATE ON workflow_executions FOR EACH ROW
		SET @chaos_execution = OLD.id, @chaos_holder = CONCAT('manager ', OLD.lease_owner)`,
	`CREATE TRIGGER chaos_writer BEFORE INSERT ON execution_events FOR EACH ROW
		IF NEW.actor LIKE 'manager %' AND NOT (@chaos_execution <=> NEW.workflow_execution_id AND @chaos_holder <=> NEW.actor) THEN
			INSERT INTO chaos_unleased (execution, event, writer, holder) VALUES (NEW.workflow_execution_id, NEW.type, NEW.actor, @chaos_holder);
		END IF`,
}

// noteUnleased has the database note from now on who writes without the lease.
func noteUnleased(ctx context.Context, db *sql.DB) error {
	for _, statement := range fenceNotes {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("have the database note who writes without the lease: %w", err)
		}
	}
	return nil
}

// verifyLeases checks that nobody has.
func verifyLeases(ctx context.Context, db *sql.DB, r *report) error {
	err := query(ctx, db, "SELECT execution, event, writer, COALESCE(holder, 'nobody') FROM chaos_unleased ORDER BY id", func(rows *sql.Rows) error {
		var id uint64
		var event, writer, holder string
		err := rows.Scan(&id, &event, &writer, &holder)
		r.count(func(r *Result) { r.Unleased++ })
		r.problem("execution %d: %s wrote %s, and the lease was held by %s: the lease's epoch has not fenced the write", id, writer, event, holder)
		return err
	})
	if err != nil {
		return fmt.Errorf("read who has written without the lease: %w", err)
	}
	return nil
}
