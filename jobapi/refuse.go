package jobapi

import (
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
)

// Refuse answers every call on lis with Unavailable, and health with NOT_SERVING, for a
// jobapi that has not reached its database yet. stop ends that, and its connections, and
// leaves lis open for Serve.
func Refuse(lis *net.TCPListener) (stop func()) {
	answers := health.NewServer()
	for _, service := range []string{"", pb.Jobapi_ServiceDesc.ServiceName} {
		answers.SetServingStatus(service, healthpb.HealthCheckResponse_NOT_SERVING)
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
		return statusOf(dao.ErrUnavailable).Err()
	}))
	healthpb.RegisterHealthServer(server, answers)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(borrowed{lis}) }) // whoever has lis next sees if it is broken
	return func() {
		server.Stop()
		serving.Wait()
		_ = lis.SetDeadline(time.Time{})
	}
}

// borrowed is a listener that is not closed by who uses it: Close only ends its Accept.
type borrowed struct{ *net.TCPListener }

// Close has Accept return.
func (b borrowed) Close() error { return b.SetDeadline(time.Now()) }
