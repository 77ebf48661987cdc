package jobapi

import (
	"context"
	"log/slog"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/jobnetes/jobnetes/proto"
)

// Whoever calls a jobapi that has not reached its database is refused at once, and is
// served once it has, by the same port and the same connection of the client.
func TestRefuse(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop := Refuse(lis.(*net.TCPListener))
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	client, health := pb.NewJobapiClient(conn), healthpb.NewHealthClient(conn)
	_, err = client.ListWorkflows(asUser(t), &pb.ListWorkflowsRequest{})
	wantCode(t, err, codes.Unavailable)
	for _, service := range []string{"", "jobapi.Jobapi"} {
		res, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || res.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
			t.Errorf("health of %q is %v, %v", service, res, err)
		}
	}
	watch, err := health.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	for err == nil { // what watches does not keep it from ending
		_, err = watch.Recv()
	}
	s, err := New(testConfig(), setupStore(t), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, lis) }()
	if _, err := client.ListWorkflows(asUser(t), &pb.ListWorkflowsRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Errorf("once it is served: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
