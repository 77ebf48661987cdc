package sim

import (
	"maps"
	"testing"
)

// Shrink looks for a smaller schedule that breaks a promise, too: with fewer
// executions and fewer faults. It returns its result, with the trace. The same
// schedule always shrinks to the same.
func Shrink(t *testing.T, s Schedule) Result {
	t.Helper()
	best := Run(t, s)
	try := func(smaller Schedule) {
		// Without one fault all that follows is another story, and may be a longer one.
		if r := Run(t, smaller); r.Violation != "" && happened(r) <= happened(best) {
			s, best = smaller, r
		}
	}
	for i := range best.executions {
		if len(s.without)+1 < best.executions {
			try(s.leaveOut(i))
		}
	}
	for before := -1; before != happened(best); { // what could not go before may now
		before = happened(best)
		for size := best.faults; size > 0; size /= 2 {
			for from := 1; from <= best.faults; from += size {
				try(s.leaveAway(from, size))
			}
		}
	}
	s.Verbose = true
	return Run(t, s)
}

// happened counts the faults of a schedule, but for those that were skipped.
func happened(r Result) (n int) {
	for _, k := range r.Faults {
		n += k
	}
	return n
}

// leaveOut returns the schedule without an execution.
func (s Schedule) leaveOut(execution int) Schedule {
	s.without = with(s.without, execution, 1)
	return s
}

// leaveAway returns the schedule without n faults.
func (s Schedule) leaveAway(from, n int) Schedule {
	s.skip = with(s.skip, from, n)
	return s
}

func with(set map[int]bool, from, n int) map[int]bool {
	bigger := maps.Clone(set)
	if bigger == nil {
		bigger = map[int]bool{}
	}
	for i := range n {
		bigger[from+i] = true
	}
	return bigger
}
