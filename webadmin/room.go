package webadmin

import (
	"context"
	"fmt"
	"time"
)

// logRoom bounds the ends of pods' logs that are read at once, for all requests
// together, in bytes of what is asked for: reading one may take several times as
// much memory for a moment. Kept logs do without: they are smaller, and the
// connections to the database keep them few.
const logRoom = 8 << 20

// roomTimeout bounds how long a request waits for room. It leaves a request its
// time to list pods and to read (podsTimeout each).
const roomTimeout = 8 * time.Second

// takeRoom waits until the end of a log of so many bytes may be read; release
// gives the room back. Its error wraps errBusy: there was no room in time. That
// is no reason to show what was kept of a log, since the log itself may be there.
func (s *Server) takeRoom(ctx context.Context, bytes int64) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, roomTimeout)
	defer cancel()
	if err := s.room.Acquire(ctx, bytes); err != nil {
		return nil, problem{kind: errBusy, cause: fmt.Errorf("wait until fewer logs are read at once: %w", err)}
	}
	return func() { s.room.Release(bytes) }, nil
}
