package jobapi

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
)

const (
	// watchBatch is how many events are read at once.
	watchBatch = 100
	// watchRecheck is after how many looks without an event the execution
	// itself is read: its end tells a watcher whose after_event_id is beyond
	// the last event that nothing more will come.
	watchRecheck = 50
)

// WatchExecution sends an execution's events as they are written.
func (s *Server) WatchExecution(req *pb.WatchExecutionRequest, stream grpc.ServerStreamingServer[pb.ExecutionEvent]) error {
	ctx := stream.Context()
	ticker := time.NewTicker(s.cfg.WatchInterval)
	defer ticker.Stop()
	after := req.GetAfterEventId()
	var ended bool
	for quiet := 0; ; {
		// The execution is read before its events: an end seen here has
		// written its event already.
		if quiet%watchRecheck == 0 {
			e, err := s.store.Execution(ctx, req.GetId())
			if err != nil {
				return named(err, "execution %d", req.GetId())
			}
			ended = e.Status.Ended()
		}
		n, last, err := s.sendEvents(ctx, req.GetId(), &after, stream)
		if err != nil || last {
			return err
		}
		switch {
		case n == watchBatch:
			continue // there may be more
		case ended:
			return nil
		case n == 0:
			quiet++
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// sendEvents sends the events that follow after, which it moves on, and returns
// how many, and whether the last of them ends the execution.
func (s *Server) sendEvents(ctx context.Context, id uint64, after *uint64, stream grpc.ServerStreamingServer[pb.ExecutionEvent]) (n int, last bool, err error) {
	events, err := s.store.Events(ctx, id, *after, watchBatch)
	if err != nil {
		return 0, false, err
	}
	for _, e := range events {
		if err := stream.Send(eventToProto(e)); err != nil {
			return 0, false, err
		}
		*after = e.ID
		last = e.Type == dao.EventExecutionSucceeded || e.Type == dao.EventExecutionFailed
	}
	return len(events), last, nil
}
