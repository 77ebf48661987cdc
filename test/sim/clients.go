package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/jobapi"
)

// patience is how many seconds a client waits for an answer at the most.
const patience = 6

// errand is what a client wants of jobapi. It calls again until it has been answered for
// good.
type errand struct {
	key   string
	index int       // that the output is of, or whole; of a record
	due   time.Time // not before does it call
	// send calls, and returns the id that it is told.
	send func(ctx context.Context, s *jobapi.Server) (uint64, error)
	// sent, if any, is called before each call.
	sent func(t *try)
	// acknowledged judges an answer that is no error.
	acknowledged func(t *try)
	// refused says whether an error is the last word; nil: none is.
	refused func(err error) bool

	over  bool
	tries []*try // that have not been answered
}

// try is one call of a client.
type try struct {
	errand *errand
	api    *api
	cancel context.CancelFunc
	before int // how often the output was recorded before; of a record

	// Guarded by world.mu.
	answered bool
	id       uint64
	err      error
}

// call has a client call a jobapi.
func (w *world) call(e *errand, a *api, rng *rand.Rand) {
	w.calls++
	name := e.key + " #" + strconv.Itoa(w.calls)
	w.trace.add(w, name, "is sent to", a.owner)
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), clientKey{}, name), time.Duration(1+rng.IntN(patience))*time.Second)
	t := &try{errand: e, api: a, cancel: cancel}
	if e.sent != nil {
		e.sent(t)
	}
	e.tries = append(e.tries, t)
	go func() {
		id, err := e.send(ctx, a.server)
		w.mu.Lock()
		defer w.mu.Unlock()
		t.answered, t.id, t.err = true, id, err
	}()
}

// clientOptions are the calls that clients can make.
func (w *world) clientOptions() []option {
	alive := w.apisAlive()
	if len(alive) == 0 {
		return nil
	}
	var options []option
	for _, e := range w.errands {
		if !e.over && len(e.tries) == 0 && !e.due.After(w.now()) {
			options = append(options, func() { w.call(e, anyOf(w.rng, alive), w.rng) })
		}
	}
	return options
}

// callAgain has a client call while its call before is under way.
func (w *world) callAgain() bool {
	alive := w.apisAlive()
	e := pick(w, w.errands, func(e *errand) bool { return !e.over && len(e.tries) > 0 })
	if e == nil || len(alive) == 0 {
		return false
	}
	w.call(e, anyOf(w.faults.details, alive), w.faults.details)
	return true
}

// takeAnswers has clients look at what they were answered.
func (w *world) takeAnswers() {
	for _, e := range w.errands {
		var left []*try
		for _, t := range e.tries {
			w.mu.Lock()
			answered := t.answered
			w.mu.Unlock()
			if answered {
				w.take(t)
			} else {
				left = append(left, t)
			}
		}
		e.tries = left
	}
	w.errands = slices.DeleteFunc(w.errands, func(e *errand) bool { return e.over && len(e.tries) == 0 })
}

// take has a client look at an answer. What a jobapi says that was killed is not heard.
func (w *world) take(t *try) {
	t.cancel()
	if t.api.dead {
		t.err = errKilled
	}
	e := t.errand
	switch {
	case t.err == nil:
		w.trace.add(w, e.key, "is acknowledged by", t.api.owner)
		e.acknowledged(t)
		e.over = true
	case e.refused != nil && e.refused(t.err):
		w.trace.add(w, e.key, "is refused by", t.api.owner+":", t.err.Error())
		e.over = true
	case isPassing(t.err):
		w.trace.add(w, e.key, "is told by", t.api.owner+":", t.err.Error())
		e.due = w.now().Add(time.Duration(1+w.rng.IntN(2)) * time.Second)
	default:
		w.violate("%s is told by %s: %v", e.key, t.api.owner, t.err)
	}
}

// isPassing says of a client's error that it is to call again.
func isPassing(err error) bool {
	for _, passing := range []error{dao.ErrUnavailable, errKilled, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return strings.Contains(err.Error(), "the server is stopping")
}

// leave has a client, which has died, wait for nothing any more.
func (e *errand) leave() {
	e.over = true
	for _, t := range e.tries {
		t.cancel()
	}
}

// anyOf returns one of some, at least one.
func anyOf[T any](rng *rand.Rand, some []T) T { return some[rng.IntN(len(some))] }
