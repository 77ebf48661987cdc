package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	pb "github.com/jobnetes/jobnetes/proto"
)

// The rest of the environment that a job gets.
const (
	envTaskID = "JOBNETES_TASK_ID"
	envToken  = "JOBNETES_TOKEN"
	envIndex  = "JOBNETES_INDEX" // of an indexed task only
)

const (
	// recordAttempts is how often it is sent, at most.
	recordAttempts = 200
	// recordRetry has gRPC try again while jobapi or its database is away, until
	// awayPatience ends: recording an output twice is the same as once.
	recordRetry = `{"methodConfig": [{
  "name": [{"service": "jobapi.Jobapi", "method": "RecordTaskOutput"}],
  "waitForReady": true,
  "retryPolicy": {"maxAttempts": 200, "initialBackoff": "0.2s", "maxBackoff": "2s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}
}]}`
)

func newOutputCommand() *cobra.Command {
	group := &cobra.Command{
		Use:   "output",
		Short: "Report a task's output, from inside its job",
	}
	return groupOf(group, &cobra.Command{
		Use:   "set JSON",
		Short: "Set the output of the task that this job belongs to; the last one set counts",
		Long: "Set the output of the task that this job belongs to; the last one set counts. In an indexed task's job it is\n" +
			"that of the pod's own index (" + envIndex + ").\n\n" +
			"JSON is the value itself, @FILE the file that has it, or @- (or -) for stdin. Which task it is, and how to\n" +
			"reach jobapi, is in the environment that every job gets: " + envTaskID + ", " + envToken + " and\n" + envEndpoint + ".",
		Example: `  jobnetes output set '{"rows": 1200}'`,
		Args:    one("the output, JSON, @FILE or @-"),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := readValue(args[0], cmd.InOrStdin())
			if err != nil {
				return fmt.Errorf("read the output: %w", err)
			}
			if err := json.Unmarshal(data, &json.RawMessage{}); err != nil {
				return fmt.Errorf("the output is not JSON: %w: quote it for the shell, such as '{\"rows\": 1200}'", err)
			}
			job, err := jobFrom(os.Getenv)
			if err != nil {
				return err
			}
			return job.record(cmd.Context(), data)
		},
	})
}

// job is what a job knows of itself.
type job struct {
	taskID          uint64
	index           *uint32 // nil: the task is not indexed
	token, endpoint string
}

func jobFrom(getenv func(string) string) (job, error) {
	j := job{token: getenv(envToken), endpoint: getenv(envEndpoint)}
	for _, name := range []string{envTaskID, envToken, envEndpoint} {
		if getenv(name) == "" {
			return j, fmt.Errorf("%s is not set: this command works inside a job that jobnetes has started", name)
		}
	}
	var err error
	if j.taskID, err = strconv.ParseUint(getenv(envTaskID), 10, 64); err != nil {
		return j, fmt.Errorf("%s is no task id: %w", envTaskID, err)
	}
	if text := getenv(envIndex); text != "" {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return j, fmt.Errorf("%s is %q, which is no index; jobnetes sets it to a whole number, 0 or more: leave it as it is", envIndex, text)
		}
		j.index = new(uint32(n))
	}
	return j, nil
}

// record sends the output.
func (j job) record(ctx context.Context, data []byte) error {
	conn, err := dial(j.endpoint,
		grpc.WithPerRPCCredentials(callMetadata{"authorization": "Bearer " + j.token}),
		grpc.WithDefaultServiceConfig(recordRetry), grpc.WithMaxCallAttempts(recordAttempts))
	if err != nil {
		return fmt.Errorf("jobapi at %s (from %s): %w", j.endpoint, envEndpoint, err)
	}
	defer func() { _ = conn.Close() }() // nothing is left to be lost
	ctx, cancel := context.WithTimeout(ctx, awayPatience)
	defer cancel()
	_, err = pb.NewJobapiClient(conn).RecordTaskOutput(ctx, &pb.TaskOutputRecordRequest{TaskId: j.taskID, Data: data, Index: j.index})
	if err != nil {
		st := status.Convert(err)
		return fmt.Errorf("record the output of task %d at jobapi %s: %s (%s)", j.taskID, j.endpoint, st.Message(), st.Code())
	}
	return nil
}
