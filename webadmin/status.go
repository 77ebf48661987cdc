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
	noJob     = pill{"no Job", keyWaiting}
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
		return noJob
	default:
		return pill{t.Status.String(), t.Status.String()}
	}
}

// whyNoJob says in a few words why a task that runs has no Job yet; empty if it has
// one.
func whyNoJob(t *dao.TaskExecution) string {
	switch {
	case t.Waits():
		return "Its Job waits for its turn: a limit on running Jobs."
	case t.Creating():
		return "Its Job is not created yet."
	default:
		return ""
	}
}
