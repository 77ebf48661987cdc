package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/jobnetes/jobnetes/proto"
)

// client is a user's program that calls jobapi.
type client struct {
	pb.JobapiClient
	username, password string
}

// newClient makes a client on one connection.
func newClient(t *testing.T, endpoint, username, password string, options ...grpc.DialOption) *client {
	t.Helper()
	conn, err := grpc.NewClient(endpoint, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &client{JobapiClient: pb.NewJobapiClient(conn), username: username, password: password}
}

// call gives the context of a call.
func (c *client) call(t *testing.T) context.Context {
	return metadata.AppendToOutgoingContext(t.Context(), "username", c.username, "password", c.password)
}

func (c *client) apply(t *testing.T, definition []byte) (workflow uint64) {
	t.Helper()
	res, err := c.ApplyWorkflow(c.call(t), &pb.ApplyWorkflowRequest{Definition: definition})
	if err != nil {
		t.Fatal(err)
	}
	return res.GetWorkflow().GetId()
}

func (c *client) startWorkflow(t *testing.T, id uint64) (execution uint64) {
	t.Helper()
	res, err := c.StartWorkflow(c.call(t), &pb.WorkflowStartRequest{WorkflowId: id})
	if err != nil {
		t.Fatal(err)
	}
	return res.GetId()
}

func (c *client) execution(t *testing.T, id uint64) *pb.Execution {
	t.Helper()
	e, err := c.GetExecution(c.call(t), &pb.GetExecutionRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// ended gives an execution when it has ended.
func (c *client) ended(t *testing.T, id uint64) *pb.Execution {
	t.Helper()
	var e *pb.Execution
	await(t, fmt.Sprintf("the end of execution %d", id), func() bool {
		e = c.execution(t, id)
		return e.GetEndedAt() != nil
	})
	return e
}

// await waits for what happens in other processes.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}
