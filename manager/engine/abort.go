package engine

import (
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

// Aborted is the error_reason of tasks that were ended because their execution
// could not go on.
const Aborted = "Aborted"

// Abort ends an execution that cannot be decided on, as one whose definition or
// rows make no sense: its running tasks fail, and it fails for that reason. It
// needs no definition. Like Decide it changes the rows.
func Abort(row *dao.WorkflowExecution, tasks []*dao.TaskExecution, reason, message string, now time.Time) []dao.Transition {
	x := &Execution{row: row, now: now.UTC().Truncate(time.Microsecond)}
	for _, r := range tasks {
		if !r.Status.Ended() {
			x.endFailed(&task{row: r}, Aborted, message)
		}
	}
	if row.StartedAt == nil {
		at := x.now
		row.StartedAt = &at
	}
	x.fail(reason, message)
	return x.out
}
