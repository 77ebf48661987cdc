package engine

import (
	"cmp"
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
	x.abort(tasks, Aborted, message)
	x.fail(reason, message)
	return x.out
}

// Cancel ends an execution that somebody, whom its row names, wants to be cancelled:
// its running tasks fail, and it fails, with the reason dao.Cancelled. Like Abort it
// needs no definition and changes the rows.
func Cancel(row *dao.WorkflowExecution, tasks []*dao.TaskExecution, now time.Time) []dao.Transition {
	x := &Execution{row: row, now: now.UTC().Truncate(time.Microsecond)}
	why := "by " + *row.CancelRequestedBy
	if row.CancelReason != nil {
		why += ": " + *row.CancelReason
	}
	x.abort(tasks, dao.Cancelled, "the execution was cancelled "+why)
	x.fail(dao.Cancelled, dao.Cancelled+" "+why)
	return x.out
}

// abort ends the tasks that run.
func (x *Execution) abort(tasks []*dao.TaskExecution, reason, message string) {
	for _, r := range tasks {
		if !r.Status.Ended() {
			x.endFailed(&task{row: r}, reason, message)
		}
	}
	at := x.now
	x.row.StartedAt = cmp.Or(x.row.StartedAt, &at) // no row has ended that never started
}
