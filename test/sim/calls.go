package sim

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"time"
)

// side is what a call is made to.
type side int

const (
	toDatabase side = iota + 1
	toAPIServer
	toCache // the process's own memory: never fails
)

// call is a request of a manager, or of a jobapi, that waits for the scheduler.
type call struct {
	process *process
	// key names the call: who, from where, what, on what. Those that wait are put
	// in the order of their keys, so that the order in which goroutines happened
	// to make them decides nothing.
	key  string
	side side
	// write says that it changes something, so that it matters whether it was
	// carried out.
	write bool
	ctx   context.Context
	// sent is called when it is made; nil: there is nothing to be done then.
	sent func()
	// carryOut does it, on the server's side, and keeps the answer.
	carryOut func()
	// stale says whether it must not be carried out so late (Schedule.Gaps); nil:
	// it may always be.
	stale func() bool

	execution uint64    // whose rows it writes as the holder; 0: none, or several
	together  int       // how many calls of managers or clients it writes in one transaction
	due       time.Time // not before is it carried out, if it is one that several share, also if it has one alone
	late      bool      // made while its process was stopped: it is sent once that goes on
	applied   bool      // carried out, and the answer is under way
	err       error
	done      chan struct{}
}

var errKilled = errors.New("this process was killed")

// ask makes a call and waits for its answer.
func ask[T any](p *process, c *call, carryOut func() (T, error)) (T, error) {
	var (
		answer, none T
		err          error
	)
	c.process, c.done = p, make(chan struct{})
	c.key = p.owner + " " + caller() + " " + c.key
	c.carryOut = func() { answer, err = carryOut() }
	if !p.w.submit(c) {
		return none, errKilled
	}
	<-c.done
	if c.err != nil {
		return none, c.err
	}
	return answer, err
}

// submit has a call wait; false if its process is dead.
func (w *world) submit(c *call) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.process.dead {
		return false
	}
	c.late = c.process.paused
	w.pending = append(w.pending, c)
	return true
}

// answer ends a call with its answer, or with err.
func (w *world) answer(c *call, err error) {
	w.mu.Lock()
	w.pending = slices.DeleteFunc(w.pending, func(p *call) bool { return p == c })
	w.mu.Unlock()
	c.err = err
	close(c.done)
}

// waiting returns the calls that wait, in their order.
func (w *world) waiting() []*call {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.SortStableFunc(w.pending, func(a, b *call) int { return cmp.Compare(a.key, b.key) })
	for _, c := range w.pending {
		if c.sent != nil {
			c.sent()
			c.sent = nil
		}
	}
	return slices.Clone(w.pending)
}

// callers are whose methods make calls.
var callers = []string{"/manager.(*Manager).", "/jobapi.(*Server)."}

// caller names the manager's or jobapi's method that makes the call: two goroutines of
// one may ask the same, for different ends. Heartbeats go by who has them made.
func caller() string {
	var pcs [24]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		f, more := frames.Next()
		for _, of := range callers {
			if _, name, ok := strings.Cut(f.Function, of); ok {
				name, _, _ = strings.Cut(name, ".")
				name, _, _ = strings.Cut(name, "-") // of a loop over a function
				if name != "heartbeat" {
					return name
				}
			}
		}
		if !more {
			return "?"
		}
	}
}
