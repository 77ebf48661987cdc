package sim

import (
	"fmt"
	"testing/synctest"
	"time"
)

const (
	// maxSettling is how long an execution may take, in seconds, once the faults
	// have ceased; more if Jobs run one after the other by a limit.
	maxSettling = 180
	// maxSteps ends a schedule that goes round in circles without time passing.
	maxSteps = 50_000
)

// step lets everything run until it is blocked, and then one thing happen.
func (w *world) step() {
	synctest.Wait()
	w.steps++
	w.takeAnswers()
	w.sendWakeUps()
	if !w.calm && !w.now().Before(w.calmAt) {
		w.cease()
	}
	w.checkCancelling()
	calls := w.waiting()
	switch {
	case w.settling() > w.maxSettling(), w.steps > maxSteps:
		w.violate("%d s and %d steps after the faults ceased, there is no end: %s", w.settling(), w.steps, w.unfinished())
	case w.restore(), w.restoreAPI():
	case w.poison(calls):
	case w.giveUp(calls):
	case w.disturb():
	default:
		w.advance(calls)
	}
}

// maxSettling is how long all executions may take together.
func (w *world) maxSettling() int {
	if w.limits.most() == 0 {
		return maxSettling
	}
	return maxSettling * max(2, w.load.size-2)
}

// over says whether all has been done that is to be done.
func (w *world) over() bool {
	if !w.calm || len(w.orphans)+len(w.wakeUps) > 0 || w.unfinished() != "" {
		return false
	}
	w.checkEnds()
	return true
}

// option is something that can happen next.
type option func()

// advance does one of the things that can happen, or lets time pass.
func (w *world) advance(calls []*call) {
	calls, kept := w.keepWaiting(calls)
	options := w.callOptions(calls)
	for _, p := range w.alive() {
		options = append(options, w.watchOptions(p)...)
	}
	options = append(options, w.clientOptions()...)
	options = append(options, w.wakeUpOptions()...)
	now := w.now()
	for _, j := range w.cluster.all {
		if j.ready(now) {
			options = append(options, func() {
				w.cluster.advance(j)
				w.trace.add(w, "the Job", j.obj.Name, string(j.obj.UID), "is", j.phase.String())
			})
		}
	}
	for i, o := range w.orphans {
		if !o.due.After(now) {
			options = append(options, func() {
				w.orphans = append(w.orphans[:i:i], w.orphans[i+1:]...)
				w.trace.add(w, o.key, "is carried out late")
				o.carryOut()
			})
		}
	}
	if len(options) == 0 && len(kept) > 0 {
		options = w.callOptions(kept)
	}
	if len(options) == 0 || !w.calm && w.rng.Float64() < w.haste {
		w.pass()
		return
	}
	options[w.rng.IntN(len(options))]()
}

// pass lets a second pass.
func (w *world) pass() {
	w.mu.Lock()
	w.clock = w.clock.Add(tick)
	w.mu.Unlock()
	w.trace.add(w, "tick")
	time.Sleep(tick)
}

// callOptions are the calls that can be answered. One of a process that stands
// still can be carried out, but not answered.
func (w *world) callOptions(calls []*call) []option {
	var options []option
	for _, c := range calls {
		if c.process.paused && (c.late || c.applied || c.side == toCache || w.away(c.side) || w.excluded(c)) {
			continue
		}
		if c.together > 0 && w.isSlow(c) {
			continue
		}
		options = append(options, func() { w.handle(c) })
	}
	return options
}

// keepWaiting has writes that may have several calls wait, if the schedule crowds, until
// there is nothing else to be done: others come meanwhile, and the next write has them all.
func (w *world) keepWaiting(calls []*call) (now, kept []*call) {
	for _, c := range calls {
		if w.crowds && (c.execution != 0 || c.together > 0) {
			kept = append(kept, c)
		} else {
			now = append(now, c)
		}
	}
	return now, kept
}

// isSlow says whether a write of several calls takes longer, for some seconds.
func (w *world) isSlow(c *call) bool {
	if c.due.IsZero() {
		c.due = w.now().Add(time.Duration(w.rng.IntN(1+w.slowness)) * time.Second)
	}
	return c.due.After(w.now())
}

// handle carries out a call and answers it, unless a fault gets between.
func (w *world) handle(c *call) {
	switch {
	case c.applied:
		w.trace.add(w, c.key, "is answered")
	case c.side == toCache:
		c.carryOut()
	case c.process.paused:
		w.trace.add(w, c.key, "is carried out")
		c.carryOut()
		c.applied = true
		return
	case w.interfere(c):
		return
	default:
		w.trace.add(w, c.key)
		c.carryOut()
	}
	w.answer(c, nil)
}

// interfere has a fault happen to a call, if one is to.
func (w *world) interfere(c *call) bool {
	switch {
	case w.away(c.side):
		w.end(c, errLost(c.side, errConnection), "finds nobody")
	case w.excluded(c):
		w.end(c, errLost(c.side, errConnection), "is lost")
	case w.faults.happens(refusedCall, 1):
		err := w.faults.errPassing(c)
		w.end(c, err, "is refused:", err.Error())
	case !c.write:
		return false
	case w.faults.happens(lostAnswer, 1):
		c.carryOut()
		w.end(c, errLost(c.side, errConnection), "is carried out, the answer lost")
	case w.faults.happens(lateRequest, 1):
		w.later(c)
		w.end(c, errLost(c.side, errConnection), "is under way, the answer lost")
	case c.together > 1 && w.faults.happens(refusedTogether, 3):
		w.end(c, refused("a constraint"), "is refused for good")
	case c.side == toDatabase && c.execution != 0 && w.faults.happens(refusedForGood, 0.1):
		w.touched[c.execution] = true
		w.end(c, refused("a constraint"), "is refused for good")
	case (c.execution != 0 || c.together > 1 && c.process.manager != nil) && w.faults.happens(conflict, 1):
		w.end(c, conflicting("nothing"), "is told of a conflict")
	default:
		return false
	}
	return true
}

// away says whether the database or the API server cannot be reached.
func (w *world) away(s side) bool {
	now := w.now()
	return s == toDatabase && now.Before(w.dbBack) || s == toAPIServer && now.Before(w.apiBack)
}

// excluded says whether a call must not be carried out, because of what the
// promise excludes.
func (w *world) excluded(c *call) bool { return !w.schedule.Gaps && c.stale != nil && c.stale() }

// end answers a call with an error.
func (w *world) end(c *call, err error, words ...string) {
	w.trace.add(w, append([]string{c.key}, words...)...)
	w.answer(c, err)
}

// later leaves a call's request under way.
func (w *world) later(c *call) {
	w.orphans = append(w.orphans, &orphan{key: c.key, due: w.now().Add(w.faults.seconds(30)), carryOut: func() {
		if !w.excluded(c) {
			c.carryOut()
		}
	}})
}

// giveUp ends the first call whose caller has stopped waiting: nobody knows
// whether it has been, or will be, carried out.
func (w *world) giveUp(calls []*call) bool {
	for _, c := range calls {
		if c.process.paused || c.ctx.Err() == nil {
			continue
		}
		w.abandon(c, errEnded(c))
		return true
	}
	return false
}

// abandon ends a call that nobody waits for any more. Unless it is excluded, it is
// carried out, or not, or will be.
func (w *world) abandon(c *call, err error) {
	fate := 0
	if c.write && !c.applied && !w.calm && !w.excluded(c) {
		fate = w.faults.details.IntN(3)
	}
	switch fate {
	case 0:
		w.end(c, err, "is given up")
	case 1:
		c.carryOut()
		w.end(c, err, "is given up, carried out")
	default:
		w.later(c)
		w.end(c, err, "is given up, under way")
	}
}

func (w *world) watchOptions(p *process) []option {
	v := p.watch
	if p.paused || !v.begun() {
		return nil
	}
	var options []option
	if len(v.queue) > 0 {
		options = append(options, func() { w.deliver(p) })
	}
	if !v.relistAt.After(w.now()) && !w.away(toAPIServer) {
		options = append(options, func() {
			w.trace.add(w, p.owner, "lists all Jobs")
			v.relist(w.cluster)
		})
	}
	return options
}

func (w *world) deliver(p *process) {
	v := p.watch
	name := v.queue[0].obj.Name
	switch {
	case w.faults.happens(lostEvent, 1):
		v.queue = v.queue[1:]
		w.trace.add(w, p.owner, "misses an event of", name)
	case w.faults.happens(repeatedEvent, 1):
		e := v.deliver()
		v.queue = append(v.queue, e)
		w.trace.add(w, p.owner, "will see twice an event of", name)
	case len(v.queue) > 1 && w.faults.happens(reorderedEvents, 1):
		v.queue[0], v.queue[1] = v.queue[1], v.queue[0]
		v.deliver()
		w.trace.add(w, p.owner, "sees too late an event of", name)
	default:
		e := v.deliver()
		if e.pod != nil {
			name = "pod " + e.pod.Name
		}
		w.trace.add(w, p.owner, "sees", name, e.obj.ResourceVersion)
	}
}

func (w *world) violate(format string, args ...any) {
	if w.violation == "" {
		w.violation = fmt.Sprintf(format, args...)
		w.trace.add(w, "VIOLATION:", w.violation)
	}
}
