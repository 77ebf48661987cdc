package sim

import "strings"

// poisonous is the execution that kills managers, if Schedule.Poison: whoever reads
// its row to move it dies of it.
const poisonous = 1

// poison kills the manager that makes such a call.
func (w *world) poison(calls []*call) bool {
	if !w.schedule.Poison {
		return false
	}
	for _, c := range calls {
		if !c.process.paused && strings.HasSuffix(c.key, " load Execution 1") {
			w.touched[poisonous] = true
			w.trace.add(w, c.process.owner, "dies of execution 1")
			w.kill(c.process)
			return true
		}
	}
	return false
}
