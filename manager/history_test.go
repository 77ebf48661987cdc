package manager

import (
	"fmt"
	"testing"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
)

// A database that refuses every change of the history, and every change of what has
// ended to something else, misses nothing: managers never try.
func TestNothingIsRewritten(t *testing.T) {
	onEachBacklog(t, func(t *testing.T, b *backlog) {
		b.forbid(t, "execution_events", "DELETE", "TRUE")
		b.forbid(t, "execution_events", "UPDATE", "TRUE")
		b.forbid(t, "workflow_executions", "UPDATE", "OLD.status >= 2 OR NEW.status < OLD.status OR NEW.lease_epoch < OLD.lease_epoch")
		b.forbid(t, "task_executions", "UPDATE", "OLD.status > 0 AND (NEW.status <> OLD.status OR NEW.output <> OLD.output OR NEW.job_uid <> OLD.job_uid)")
		run(t, b.manager(t, "m1", func(c *Config, _ *Store, _ *Jobs) { c.JobRetention = time.Second }))
		b.add(t, 0, 0, 0)
		await(t, "three Jobs", func() bool { return b.count(t, "task_executions WHERE job_uid IS NOT NULL") == 3 })
		b.held.end(2)
		await(t, "two ends", func() bool { return b.count(t, "workflow_executions WHERE status = 2") == 2 })
		var open uint64
		if err := b.gdb.Raw("SELECT id FROM workflow_executions WHERE status = 1").Scan(&open).Error; err != nil {
			t.Fatal(err)
		}
		if err := b.RequestCancel(t.Context(), open, "user ann", "", time.Now()); err != nil {
			t.Fatal(err)
		}
		if e := b.ended(t, open); e.Status != dao.ExecutionFailed {
			t.Errorf("execution %d is %s", open, e.Status)
		}
		if err := b.gdb.Exec("UPDATE execution_events SET reason = 'x'").Error; err == nil {
			t.Error("the database refuses nothing: the test proves nothing")
		}
	})
}

// forbid has the database refuse to change rows of a table when that is so.
func (b *backlog) forbid(t *testing.T, table, act, when string) {
	t.Helper()
	refuse := fmt.Sprintf("IF %s THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'rewritten'; END IF", when)
	if b.gdb.Name() == db.SQLite {
		refuse = fmt.Sprintf("BEGIN SELECT RAISE(ABORT, 'rewritten') WHERE %s; END", when)
	}
	trigger := fmt.Sprintf("CREATE TRIGGER no_%s_of_%s BEFORE %s ON %s FOR EACH ROW %s", act, table, act, table, refuse)
	if err := b.gdb.Exec(trigger).Error; err != nil {
		t.Fatal(err)
	}
}
