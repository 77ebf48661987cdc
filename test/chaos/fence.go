package chaos

import (
	"context"
	"database/sql"
	"fmt"
)

// The database itself notes each step of an execution that a manager writes without
// the lease: the other safeguards mend most of what comes of it, so that it would
// hardly show in the end. A commit's events are told by who holds the lease by then, in
// the same transaction; one that ends the execution has given it up there.
var fenceNotes = []string{
	"CREATE TABLE chaos_unleased (id BIGINT AUTO_INCREMENT PRIMARY KEY, execution BIGINT UNSIGNED, event TEXT, writer TEXT, holder TEXT)",
	"CREATE TABLE chaos_ended (execution BIGINT UNSIGNED PRIMARY KEY, holder TEXT, session BIGINT UNSIGNED)",
	`CREATE TRIGGER chaos_holder AFTER UPDATE ON workflow_executions FOR EACH ROW
		IF OLD.lease_owner IS NOT NULL AND NEW.status NOT IN (0, 1) THEN
			REPLACE INTO chaos_ended VALUES (OLD.id, OLD.lease_owner, CONNECTION_ID());
		END IF`,
	`CREATE TRIGGER chaos_writer BEFORE INSERT ON execution_events FOR EACH ROW
		IF NEW.actor LIKE 'manager %' THEN
			SET @chaos_holder = NULL;
			SELECT CONCAT('manager ', COALESCE(e.lease_owner, c.holder)) INTO @chaos_holder
				FROM workflow_executions e LEFT JOIN chaos_ended c ON c.execution = e.id AND c.session = CONNECTION_ID()
				WHERE e.id = NEW.workflow_execution_id LOCK IN SHARE MODE;
			IF NOT (@chaos_holder <=> NEW.actor) THEN
				INSERT INTO chaos_unleased (execution, event, writer, holder) VALUES (NEW.workflow_execution_id, NEW.type, NEW.actor, @chaos_holder);
			END IF;
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
