package manager

import (
	"context"
	"hash/fnv"
	"time"
)

// rhythm is when a loop of a manager runs.
type rhythm struct {
	interval time.Duration
	early    time.Duration // how much earlier than that a pass begins
}

// every is the rhythm of one of this manager's loops: a little faster than the
// interval, by 5 to 10 %, so that a pass begins within it even if the timer is late,
// and each by its own part, so that neither loops nor managers march in step. Nothing
// is left to chance, so that a simulation runs the same again.
func (m *Manager) every(interval time.Duration, name string) rhythm {
	h := fnv.New32a()
	_, _ = h.Write([]byte(m.cfg.Owner + " " + name))
	const parts = 1000
	return rhythm{interval, interval/20 + interval/20*time.Duration(h.Sum32()%parts)/parts}
}

// loop runs pass at once and then once in each interval until ctx ends. A pass that
// takes no time leaves the rhythm as it is. A pass logs its own errors: the next one
// tries again.
func loop(ctx context.Context, r rhythm, pass func(context.Context)) error {
	return loopOrWoken(ctx, r, pass, nil, nil)
}

// loopOrWoken is loop, and runs woken between two passes whenever wakes has
// something: one after the other, and the rhythm stays as it is.
func loopOrWoken(ctx context.Context, r rhythm, pass func(context.Context), wakes <-chan struct{}, woken func(context.Context)) error {
	for due := time.Now(); ; {
		pass(ctx)
		if now := time.Now(); now.After(due) {
			due = now
		}
		due = due.Add(r.interval)
		for left := time.Until(due) - r.early; left > 0; left = time.Until(due) - r.early {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(left):
			case <-wakes:
				if ctx.Err() == nil { // select takes either, if it has ended as well
					woken(ctx)
				}
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
