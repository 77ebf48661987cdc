package jobapi

import (
	"context"
	"fmt"
)

// callsAtOnce is how many calls are under way at the most, but for streams. It is
// twice the connections to the database that there are by default: more would wait
// for those in the midst of their work, and all end late.
const callsAtOnce = 64

// enter waits until a call may begin, for as long as it has time. The caller calls
// leave when it has ended.
func (s *Server) enter(ctx context.Context) (leave func(), err error) {
	select {
	case s.calls <- struct{}{}:
		return func() { <-s.calls }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errBusy, ctx.Err())
	}
}
