package dao

import (
	"strings"

	"gorm.io/gorm"
)

// Claimant is a manager that claims executions.
type Claimant struct {
	Owner string // its name in leases
	// Namespace is where it sees and creates Jobs. It claims no execution with a task
	// that runs and whose Job may be in another one: it would take the Job for deleted,
	// or create it again.
	Namespace string
}

// elsewhere selects the executions, as id and perhaps several times, that a manager
// of @namespace must not claim; among says of which ones. A task that waits for a slot
// has no Job, and a row of the build before does not say where its Job is.
//
// It reads entries of one index, for the running tasks of other namespaces only:
// mostly there are none. Each part is one range of it, for no database is known to
// find these by itself, and the index is named: by that of the executions all tasks of
// an execution would be read.
func elsewhere(db *gorm.DB, among string) string {
	from := "SELECT workflow_execution_id AS id FROM task_executions FORCE INDEX (task_executions_slot)"
	if db.Name() == sqliteDialect {
		from = "SELECT workflow_execution_id AS id FROM task_executions INDEXED BY task_executions_slot"
	}
	var parts []string
	for _, slot := range []string{"slot IS NULL", "slot = 1"} {
		for _, namespaces := range []string{"namespace > '' AND namespace < @namespace", "namespace > @namespace"} {
			parts = append(parts, from+" WHERE "+slot+" AND status = 0 AND "+namespaces+among)
		}
	}
	return strings.Join(parts, " UNION ALL ")
}

// notElsewhere leaves out what elsewhere selects: it joins the executions e with x,
// which is NULL for those that may be claimed.
func notElsewhere(db *gorm.DB) string {
	return " LEFT JOIN (" + elsewhere(db, "") + ") x ON x.id = e.id"
}
