// Command start_workflow shows how a Go program starts a workflow. It needs
// nothing of jobnetes but the generated client:
//
//	go run ./example/jobapi-client/start_workflow -workflow chain -input '{"day": "2026-03-01"}' -password PASSWORD
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	jobapi "github.com/jobnetes/jobnetes/proto"
)

func main() {
	endpoint := flag.String("endpoint", "127.0.0.1:50051", "host:port of jobapi")
	username := flag.String("username", "jobnetesadmin", "jobapi.username of the server")
	password := flag.String("password", os.Getenv("JOBNETES_JOBAPI_PASSWORD"), "jobapi.password of the server")
	workflow := flag.String("workflow", "chain", "name of the workflow")
	input := flag.String("input", "{}", "input of the execution, JSON")
	flag.Parse()

	id, err := start(*endpoint, *username, *password, *workflow, *input)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("started execution", id)
}

func start(endpoint, username, password, workflow, input string) (uint64, error) {
	// One connection serves all calls of a program, from any goroutine.
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// Who calls travels as metadata.
	ctx = metadata.AppendToOutgoingContext(ctx, "username", username, "password", password)

	res, err := jobapi.NewJobapiClient(conn).StartWorkflow(ctx, &jobapi.WorkflowStartRequest{
		WorkflowName: workflow, // or WorkflowId
		ExecName:     "started by the Go example",
		Input:        []byte(input),
	})
	if err != nil {
		// status.Code(err) tells NotFound from InvalidArgument: docs/wire.md.
		return 0, fmt.Errorf("start workflow %s at %s: %w", workflow, endpoint, err)
	}
	return res.GetId(), nil
}
