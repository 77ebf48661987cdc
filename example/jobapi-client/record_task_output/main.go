// Command record_task_output shows how a job written in Go reports its output.
// It runs inside a job, whose environment says all it needs:
//
//	"command": ["/record_task_output", "-output", "{\"rows\": 1200}"]
//
// A job that is a shell script does the same by
//
//	jobnetes output set '{"rows": 1200}'
//
// and, if it has no output larger than 4 KiB, more simply by
//
//	echo '{"rows": 1200}' > "$JOBNETES_OUTPUT"
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	jobapi "github.com/jobnetes/jobnetes/proto"
)

func main() {
	output := flag.String("output", `{"rows": 1200}`, "output of the task, JSON")
	flag.Parse()

	// The input is the output of the task before, or that of the execution.
	fmt.Println("working on", os.Getenv("JOBNETES_INPUT"))

	if err := record(*output); err != nil {
		log.Fatal(err)
	}
}

// ownIndex returns which index of an indexed task this pod does; nil if the task is
// not indexed.
func ownIndex() (*uint32, error) {
	text, indexed := os.LookupEnv("JOBNETES_INDEX")
	if !indexed {
		return nil, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("JOBNETES_INDEX: %w", err)
	}
	index := uint32(n)
	return &index, nil
}

func record(output string) error {
	taskID, err := strconv.ParseUint(os.Getenv("JOBNETES_TASK_ID"), 10, 64)
	if err != nil {
		return fmt.Errorf("JOBNETES_TASK_ID: %w (this runs inside a job)", err)
	}
	index, err := ownIndex()
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(os.Getenv("JOBNETES_JOBAPI_ENDPOINT"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	// The token is good for this task only, and only until it ends: a job needs
	// no password.
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+os.Getenv("JOBNETES_TOKEN"))

	// The last output recorded counts, so that a job may record as often as it
	// likes, and try again after an error.
	_, err = jobapi.NewJobapiClient(conn).RecordTaskOutput(ctx, &jobapi.TaskOutputRecordRequest{
		TaskId: taskID,
		Index:  index,
		Data:   []byte(output),
	}, grpc.WaitForReady(true)) // a jobapi that restarts is waited for
	if err != nil {
		return fmt.Errorf("record the output of task %d: %w", taskID, err)
	}
	return nil
}
