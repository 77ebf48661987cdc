package jobapi

import (
	"context"
	"errors"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/jobnetes/jobnetes/proto"
)

// maxPing bounds one look at the database: one that answers later than this is
// as good as away.
const maxPing = 3 * time.Second

// watchDatabase keeps the health service telling the truth until ctx ends: the
// server is SERVING only while the database answers.
func (s *Server) watchDatabase(ctx context.Context) {
	ticker := time.NewTicker(s.cfg.HealthInterval)
	defer ticker.Stop()
	serving := true // so that a database that is away at the start is logged
	for {
		serving = s.checkDatabase(ctx, serving)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// checkDatabase looks once. It logs only what has changed since the look before.
func (s *Server) checkDatabase(ctx context.Context, was bool) (serving bool) {
	ctx, cancel := context.WithTimeout(ctx, maxPing)
	defer cancel()
	if err := s.store.Ping(ctx); err != nil {
		s.setHealth(healthpb.HealthCheckResponse_NOT_SERVING)
		if was && !errors.Is(ctx.Err(), context.Canceled) {
			s.log.Error("jobapi: the database does not answer; health is NOT_SERVING until it does", "error", err)
		}
		return false
	}
	s.setHealth(healthpb.HealthCheckResponse_SERVING)
	if !was {
		s.log.Info("jobapi: the database answers again")
	}
	return true
}

// setHealth sets the status of the server as a whole ("") and of its service.
func (s *Server) setHealth(status healthpb.HealthCheckResponse_ServingStatus) {
	s.health.SetServingStatus("", status)
	s.health.SetServingStatus(pb.Jobapi_ServiceDesc.ServiceName, status)
}
