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
)

// newPill takes a status of dao.
func newPill(status any) (pill, error) {
	switch s := status.(type) {
	case dao.ExecutionStatus:
		return pill{s.String(), s.String()}, nil
	case dao.TaskStatus:
		return pill{s.String(), s.String()}, nil
	case pill:
		return s, nil
	default:
		return pill{}, fmt.Errorf("%T is no status", status)
	}
}
