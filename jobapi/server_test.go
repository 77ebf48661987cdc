package jobapi

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/golang/mock/gomock"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	pb "github.com/jobnetes/jobnetes/proto"
)

// A watcher does not keep the server from stopping, and learns how to go on.
func TestStopEndsStreams(t *testing.T) {
	t.Parallel()
	store := setupStore(t)
	b := setup(t, testConfig(), store, nil)
	apply(t, b, chain)
	id := startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"})
	stream := watch(t, b, &pb.WatchExecutionRequest{Id: id})
	next(t, stream)
	healthStream, err := healthpb.NewHealthClient(b.conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := healthStream.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	wantCode(t, err, codes.Unavailable)
	if !strings.Contains(status.Convert(err).Message(), "after_event_id") {
		t.Errorf("message %q: want it to say how to go on", status.Convert(err).Message())
	}
	if strings.Contains(b.log.String(), "cut off") {
		t.Error("the server had to cut calls off")
	}
}

// A call in flight ends properly when the server stops; one that takes too long
// is cut off.
func TestStopWaitsForCallsInFlight(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	store := NewMockStore(gomock.NewController(t))
	store.EXPECT().Ping(gomock.Any()).AnyTimes()
	store.EXPECT().Workflows(gomock.Any(), "", 100).Do(func(context.Context, string, int) {
		close(entered)
		<-release
	})
	b := setup(t, testConfig(), store, nil)
	called := make(chan error, 1)
	go func() {
		_, err := b.client.ListWorkflows(asUser(t), &pb.ListWorkflowsRequest{})
		called <- err
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- b.stop() }()
	<-b.server.stopping
	select {
	case err := <-stopped:
		t.Errorf("the server did not wait for the call: %v", err)
	default:
	}
	close(release)
	if err := <-called; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestStopCutsOffSlowCalls(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	store := NewMockStore(gomock.NewController(t))
	store.EXPECT().Ping(gomock.Any()).AnyTimes()
	store.EXPECT().Workflows(gomock.Any(), "", 100).Do(func(ctx context.Context, _ string, _ int) {
		close(entered)
		<-ctx.Done()
	})
	cfg := testConfig()
	cfg.StopTimeout = 1
	b := setup(t, cfg, store, nil)
	called := make(chan error, 1)
	go func() {
		_, err := b.client.ListWorkflows(asUser(t), &pb.ListWorkflowsRequest{})
		called <- err
	}()
	<-entered
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	if err := <-called; err == nil {
		t.Error("the call was not cut off")
	}
}

func TestServeReportsBrokenListener(t *testing.T) {
	t.Parallel()
	s, err := New(testConfig(), setupStore(t), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	lis := bufconn.Listen(1)
	if err := lis.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), lis); err == nil {
		t.Error("Serve on a closed listener: no error")
	}
}

// Health follows the database, in both directions, and each change is logged once.
func TestHealthFollowsTheDatabase(t *testing.T) {
	t.Parallel()
	answers := make(chan error)
	store := NewMockStore(gomock.NewController(t))
	store.EXPECT().Ping(gomock.Any()).AnyTimes().DoAndReturn(func(ctx context.Context) error {
		select {
		case err := <-answers:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	b := setup(t, testConfig(), store, nil)
	for _, service := range []string{"", "jobapi.Jobapi"} {
		stream, err := healthpb.NewHealthClient(b.conn).Watch(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		want := func(status healthpb.HealthCheckResponse_ServingStatus) {
			t.Helper()
			res, err := stream.Recv()
			if err != nil || res.GetStatus() != status {
				t.Fatalf("service %q: %v, %v, want %v", service, res, err, status)
			}
		}
		want(healthpb.HealthCheckResponse_NOT_SERVING)
		answers <- nil
		want(healthpb.HealthCheckResponse_SERVING)
		answers <- errors.New(secretText)
		answers <- errors.New(secretText)
		want(healthpb.HealthCheckResponse_NOT_SERVING)
	}
	if n := strings.Count(b.log.String(), "the database is away"); n != 2 {
		t.Errorf("%d messages that the database is away, want 2, one for each time:\n%s", n, b.log)
	}
}
