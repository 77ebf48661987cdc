package bench

import (
	"context"
	"fmt"
	"net"
	"testing"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/jobnetes/jobnetes/proto"
)

// Those who may use jobapi.
const (
	username = "bench"
	password = "bench"
)

// clients is how many clients call jobapi, or the database, at once.
const clients = 64

// client calls jobapi, by one connection.
type client struct{ pb.JobapiClient }

func newClient(t *testing.T, s *service) client {
	t.Helper()
	conn, err := grpc.NewClient(net.JoinHostPort("127.0.0.1", s.port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return client{pb.NewJobapiClient(conn)}
}

// authorized gives the context of calls.
func authorized(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "username", username, "password", password)
}

func (c client) apply(ctx context.Context, definition []byte) error {
	_, err := c.ApplyWorkflow(authorized(ctx), &pb.ApplyWorkflowRequest{Definition: definition})
	if err != nil {
		return fmt.Errorf("apply a workflow: %w", err)
	}
	return nil
}

// start starts an execution of a workflow, and gives its id.
func (c client) start(ctx context.Context, workflow string) (uint64, error) {
	answer, err := c.StartWorkflow(authorized(ctx), &pb.WorkflowStartRequest{WorkflowName: workflow})
	if err != nil {
		return 0, fmt.Errorf("start workflow %s: %w", workflow, err)
	}
	return answer.GetId(), nil
}

// startMany starts so many executions as fast as the clients can. It gives their ids.
func (c client) startMany(ctx context.Context, workflow string, count int) ([]uint64, error) {
	ids := make([]uint64, count)
	err := together(count, func(i int) (err error) {
		ids[i], err = c.start(ctx, workflow)
		return err
	})
	return ids, err
}

// together calls do for each number under count, as many at once as there are
// clients, and gives the first error.
func together(count int, do func(i int) error) error {
	var group errgroup.Group
	group.SetLimit(clients)
	for i := range count {
		group.Go(func() error { return do(i) })
	}
	return group.Wait()
}
