package jobapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/jobnetes/jobnetes/reach"
)

// interceptUnary is around every call that is not a stream: who calls, how long
// it may take, and what the client is told if it fails.
func (s *Server) interceptUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()
	var res any
	err := s.guarded(ctx, info.FullMethod, func(ctx context.Context) (err error) {
		if err := checkIDs(req); err != nil {
			return err
		}
		if callerOf(ctx) != (caller{}) {
			leave, err := s.enter(ctx)
			if err != nil {
				return err
			}
			defer leave()
		}
		res, err = handler(ctx, req)
		return err
	})
	return res, s.told(ctx, info.FullMethod, err)
}

// interceptStream is the same for streams. They may last, but end when the
// server stops.
func (s *Server) interceptStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	go func() {
		select {
		case <-s.stopping:
			cancel(errStopping)
		case <-ctx.Done():
		}
	}()
	err := s.guarded(ctx, info.FullMethod, func(ctx context.Context) error {
		return handler(srv, &contextStream{ServerStream: stream, ctx: ctx})
	})
	return s.told(ctx, info.FullMethod, err)
}

// guarded runs handle for an authenticated caller, and makes a panic an error:
// one bad call must not end the others.
func (s *Server) guarded(ctx context.Context, method string, handle func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	ctx, err = s.auth.admit(ctx, method)
	if err != nil {
		return err
	}
	if callerOf(ctx) == (caller{}) { // an open service, such as health, needs no database
		return handle(ctx)
	}
	return s.whileReachable(ctx, handle)
}

// told logs err in full and returns what the client may know of it.
func (s *Server) told(ctx context.Context, method string, err error) error {
	if err == nil {
		return nil
	}
	st := statusOf(err)
	if cause := context.Cause(ctx); cause != nil && (errors.Is(cause, errStopping) || st.Code() == codes.Internal || st.Code() == codes.Canceled) {
		st = statusOf(cause) // what fails when a call is interrupted is not the reason
	}
	s.log.Log(ctx, levelOf(st, err), "jobapi: call failed", "method", method, "peer", peerOf(ctx), "code", st.Code().String(), "error", err)
	return st.Err()
}

// levelOf makes errors of ours, and not of clients, seen; an outage is logged once
// and not with each call.
func levelOf(st *status.Status, err error) slog.Level {
	if _, away := errors.AsType[*reach.AwayError](err); away {
		return slog.LevelDebug
	}
	switch st.Code() {
	case codes.Internal:
		return slog.LevelError
	case codes.Unavailable, codes.DeadlineExceeded:
		return slog.LevelWarn
	case codes.Unauthenticated, codes.PermissionDenied:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}

func peerOf(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}

// contextStream is a stream with another context, whose messages are checked as
// those of other calls are.
type contextStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context returns the context of the call.
func (c *contextStream) Context() context.Context { return c.ctx }

// RecvMsg receives a message and checks it.
func (c *contextStream) RecvMsg(m any) error {
	if err := c.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return checkIDs(m)
}
