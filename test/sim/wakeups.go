package sim

import "time"

// waker is the managers as a jobapi tells them of starts.
type waker struct{ p *process }

func (k waker) Started(at time.Time) {
	k.p.w.mu.Lock()
	defer k.p.w.mu.Unlock()
	if !k.p.dead {
		k.p.w.started = append(k.p.w.started, at)
	}
}

func (waker) Cancelled() {}

// wakeUp is what a manager is about to be told: that there was a start.
type wakeUp struct {
	p       *process
	due, at time.Time
}

// hasAddress says whether a manager can be told.
func (p *process) hasAddress() bool { return p.number%2 == 0 }

// sendWakeUps has what jobapi tells be under way to each manager that can be told.
func (w *world) sendWakeUps() {
	w.mu.Lock()
	started := w.started
	w.started = nil
	w.mu.Unlock()
	for _, at := range started {
		for _, p := range w.alive() {
			if !p.hasAddress() {
				continue
			}
			if w.faults.happens(lostWakeUp, 1) {
				w.trace.add(w, p.owner, "is not told of starts")
				continue
			}
			w.wakeUps = append(w.wakeUps, &wakeUp{p, w.now().Add(time.Duration(w.rng.IntN(3)) * time.Second), at})
		}
	}
}

// wakeUpOptions are the wake-ups that can arrive. Who stands still takes none.
func (w *world) wakeUpOptions() []option {
	var options []option
	for i, u := range w.wakeUps {
		if u.due.After(w.now()) {
			continue
		}
		options = append(options, func() {
			w.wakeUps = append(w.wakeUps[:i:i], w.wakeUps[i+1:]...)
			if !u.p.dead && !u.p.paused && !u.p.hasExited() {
				w.trace.add(w, u.p.owner, "is told of starts")
				u.p.manager.Started(u.at)
			}
		})
	}
	return options
}
