package reach

import (
	"fmt"
	"strings"
	"time"
)

// State is what is known of one thing.
type State struct {
	Name string
	// Known is false before the first look.
	Known bool
	// Err is why it does not answer; nil: it does. Since is since when.
	Err   error
	Since time.Time
}

// State returns what is known now.
func (p *Probe) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := State{Name: p.cfg.Name, Known: p.known}
	if p.away != nil {
		s.Err, s.Since = p.away.Err, p.away.Since
	}
	return s
}

// Report returns a line for each state, and whether all is well.
func Report(now time.Time, states ...State) (text string, ready bool) {
	ready = true
	for _, s := range states {
		switch {
		case s.Err != nil:
			ready = false
			text += fmt.Sprintf("%s: not ready since %s UTC (%.0f s): %s\n", s.Name, s.Since.UTC().Format(time.TimeOnly),
				now.Sub(s.Since).Seconds(), strings.Join(strings.Fields(s.Err.Error()), " "))
		case !s.Known:
			ready = false
			text += s.Name + ": not asked yet\n"
		default:
			text += s.Name + ": ok\n"
		}
	}
	return text, ready
}
