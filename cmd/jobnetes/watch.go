package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/jobnetes/jobnetes/proto"
)

// watch prints an execution's events until it ends, and returns it. It outlives
// restarts of jobapi: no event is lost or printed twice.
func (c *client) watch(ctx context.Context, id uint64, w io.Writer) (*pb.Execution, error) {
	var (
		after uint64
		lost  time.Time // since when jobapi is away; zero: it is there
	)
	for {
		before := after
		execution, err := c.watchOnce(ctx, id, &after, w)
		if err == nil && execution.GetEndedAt() != nil {
			return execution, nil
		}
		if err != nil && status.Code(err) != codes.Unavailable {
			return nil, c.explain(fmt.Sprintf("watch execution %d", id), err)
		}
		switch {
		case err == nil || after != before:
			lost = time.Time{}
		case lost.IsZero():
			lost = time.Now()
			if _, err := fmt.Fprintf(w, "%s  jobapi or its database is away; trying again\n", lost.UTC().Format(timeOnly)); err != nil {
				return nil, err
			}
		case time.Since(lost) > awayPatience:
			return nil, c.explain(fmt.Sprintf("watch execution %d, which goes on", id), err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(awayRetry):
		}
	}
}

// watchOnce prints the events that follow after, which it moves on, until the
// stream ends, and returns the execution as it then is.
func (c *client) watchOnce(ctx context.Context, id uint64, after *uint64, w io.Writer) (*pb.Execution, error) {
	stream, err := c.WatchExecution(ctx, &pb.WatchExecutionRequest{Id: id, AfterEventId: *after})
	if err != nil {
		return nil, err
	}
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		*after = event.GetId()
		if _, err := fmt.Fprintln(w, eventLine(event)); err != nil {
			return nil, fmt.Errorf("print an event: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.GetExecution(ctx, &pb.GetExecutionRequest{Id: id})
}

// eventLine says when, what, which and why.
func eventLine(e *pb.ExecutionEvent) string {
	line := fmt.Sprintf("%s  %-18s", e.GetAt().AsTime().UTC().Format(timeOnly), e.GetType())
	if e.GetTaskId() != 0 {
		line += fmt.Sprintf("  %s (task %d)", e.GetTaskName(), e.GetTaskId())
	}
	if why := why(e.GetReason(), e.GetMessage()); why != "" {
		line += "  " + why
	}
	return strings.TrimRight(line, " ")
}

// why joins a reason and a message, either of which may be missing.
func why(reason, message string) string {
	reason, message = oneLine(reason), errorLine(message)
	if reason != "" && message != "" {
		return reason + ": " + message
	}
	return reason + message
}
