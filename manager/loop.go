package manager

import (
	"context"
	"math/rand/v2"
	"time"
)

// loop runs pass at once and then once in each interval until ctx ends: a little
// earlier, by 5 to 10 %, so that managers do not march in step, and a pass begins
// within the interval even if the timer is late. Jitters do not add up: a pass that
// takes no time leaves the rhythm as it is. A pass logs its own errors: the next
// one tries again.
func loop(ctx context.Context, interval time.Duration, pass func(context.Context)) error {
	return loopOrWoken(ctx, interval, pass, nil, nil)
}

// loopOrWoken is loop, and runs woken between two passes whenever wakes has
// something: one after the other, and the rhythm stays as it is.
func loopOrWoken(ctx context.Context, interval time.Duration, pass func(context.Context), wakes <-chan struct{}, woken func(context.Context)) error {
	for due := time.Now(); ; {
		pass(ctx)
		if now := time.Now(); now.After(due) {
			due = now
		}
		due = due.Add(interval)
		early := interval/20 + time.Duration(rand.Int64N(int64(interval)/20+1)) //nolint:gosec // jitter needs no secrecy
		for left := time.Until(due) - early; left > 0; left = time.Until(due) - early {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(left):
			case <-wakes:
				woken(ctx)
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
