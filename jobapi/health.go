package jobapi

import (
	"context"
	"errors"
	"fmt"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
	"github.com/jobnetes/jobnetes/reach"
)

// newDatabaseProbe keeps the health service telling the truth: the server is
// SERVING only while the database answers and takes writes. While it does it is asked half
// as often: a call that fails tells sooner that it does not.
func (s *Server) newDatabaseProbe() *reach.Probe {
	return reach.New(reach.Config{
		Name: "database", Ping: s.pingDatabase, Interval: s.cfg.HealthInterval, WhileWell: 2 * s.cfg.HealthInterval, Now: s.cfg.Now, Log: s.log,
		Changed: func(_ context.Context, err error) {
			if err != nil {
				s.setHealth(healthpb.HealthCheckResponse_NOT_SERVING)
			} else {
				s.setHealth(healthpb.HealthCheckResponse_SERVING)
			}
		},
	})
}

// pingDatabase makes whatever is wrong what clients are to try again after.
func (s *Server) pingDatabase(ctx context.Context) error {
	err := s.store.Ping(ctx)
	if err != nil && !errors.Is(err, dao.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", dao.ErrUnavailable, err)
	}
	return err
}

// States says whether what jobapi needs can be reached: the database.
func (s *Server) States() []reach.State { return []reach.State{s.database.State()} }

// whileReachable runs handle if the database answers, as far as is known, and cuts
// it off if it is found to hang. Else it refuses at once: the call would only wait
// for, and burden, a database that may be about to start.
func (s *Server) whileReachable(ctx context.Context, handle func(context.Context) error) error {
	if err := s.database.Err(); err != nil {
		return err
	}
	ctx, done := s.database.While(ctx)
	defer done()
	err := handle(ctx)
	if errors.Is(err, dao.ErrUnavailable) {
		s.database.Doubt()
	}
	if away, ok := errors.AsType[*reach.AwayError](context.Cause(ctx)); ok && err != nil {
		// That it was cancelled is not what the client is to be told.
		return fmt.Errorf("%w (%v)", away, err) //nolint:errorlint // see above
	}
	return err
}

// setHealth sets the status of the server as a whole ("") and of its service.
func (s *Server) setHealth(status healthpb.HealthCheckResponse_ServingStatus) {
	s.health.SetServingStatus("", status)
	s.health.SetServingStatus(pb.Jobapi_ServiceDesc.ServiceName, status)
}
