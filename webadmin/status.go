package webadmin

import (
	"fmt"

	"github.com/jobnetes/jobnetes/dao"
)

// pill is a status as pages show it: a word and an icon, and a colour that adds
// nothing to them.
type pill struct {
	Word string // also for people who cannot see the colour
	Key  string // the CSS class and the icon
}

// Keys of what has no row in the database, beside the words of dao's statuses.
const (
	keyWaiting = "waiting"
	keyIdle    = "idle"
)

var (
	notStarted = pill{"not started", keyIdle}
	notRun     = pill{"not run", keyIdle} // and never will be: the execution has ended

	// Of tasks that have begun, and whose Jobs have not.
	taskWaits = pill{"waits", keyWaiting}
	noJobYet  = pill{"no Job yet", keyWaiting}
)

// newPill takes a status of dao.
func newPill(status any) (pill, error) {
	switch s := status.(type) {
	case dao.ExecutionStatus:
		return pill{s.String(), s.String()}, nil
	case *dao.TaskExecution:
		return taskPill(s), nil
	case pill:
		return s, nil
	default:
		return pill{}, fmt.Errorf("%T is no status", status)
	}
}

// taskPill is a task's status; of one that runs also whether its Job has yet to be
// created.
func taskPill(t *dao.TaskExecution) pill {
	switch {
	case t.Waits():
		return taskWaits
	case t.Creating():
		return noJobYet
	default:
		return pill{t.Status.String(), t.Status.String()}
	}
}

const (
	whyWaits    = "The Job waits for its turn: as many run as manager.max-running-jobs, or manager.max-running-jobs-per-namespace, allows."
	whyCreating = "The Job is not created yet. If this lasts, the /readyz and the log of the execution's manager say why: the API server is away, or refuses it for now (a quota, missing rights)."
)

// whyNoJob says why a task that runs has no Job yet; empty if it has one.
func whyNoJob(t *dao.TaskExecution) string {
	switch {
	case t.Waits():
		return whyWaits
	case t.Creating():
		return whyCreating
	default:
		return ""
	}
}
