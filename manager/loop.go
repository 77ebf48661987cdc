package manager

import (
	"context"
	"math/rand/v2"
	"time"
)

// loop runs pass at once and then once in each interval until ctx ends, with a
// little jitter so that managers do not march in step. A pass logs its own
// errors: the next one tries again.
func loop(ctx context.Context, interval time.Duration, pass func(context.Context)) error {
	for {
		pass(ctx)
		jitter := time.Duration(rand.Int64N(int64(interval)/10 + 1)) //nolint:gosec // jitter needs no secrecy
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(interval - jitter):
		}
	}
}
