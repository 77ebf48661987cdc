package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/jobnetes/jobnetes/proto"
)

func newStartCommand() *cobra.Command {
	var (
		name, input, requestID string
		priority               int32
		watching               bool
	)
	cmd := &cobra.Command{
		Use:   "start NAME|ID",
		Short: "Start a workflow and print the id of the execution",
		Example: `  jobnetes start nightly -i '{"day": "2026-03-01"}' --watch
  jobnetes start nightly -i @input.json --request-id 2026-03-01`,
		Args: one("the name or id of a workflow"),
	}
	o := clientFlags(cmd)
	cmd.ValidArgsFunction = o.completeWorkflows
	cmd.Flags().StringVar(&name, "name", "", "name of the execution, for people (default: the workflow's)")
	cmd.Flags().StringVarP(&input, "input", "i", "", "input, JSON; @FILE reads a file, @- stdin (default: {})")
	cmd.Flags().StringVar(&requestID, "request-id", "", "your own id of this start: the same id of the same workflow starts it once (default: a random one)")
	cmd.Flags().Int32Var(&priority, "priority", 0, "whose Jobs go first where a limit has some wait: the greater, from -1000000 to 1000000")
	cmd.Flags().BoolVarP(&watching, "watch", "w", false, "print what happens until the execution ends; fail if it fails")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		data, err := readValue(input, cmd.InOrStdin())
		if err != nil {
			return fmt.Errorf("read the input: %w", err)
		}
		if cmd.Flags().Changed("input") && strings.TrimSpace(string(data)) == "" {
			return fmt.Errorf("--input is empty: give JSON, or leave the flag out for {}")
		}
		if cmd.Flags().Changed("request-id") && strings.TrimSpace(requestID) == "" {
			return fmt.Errorf("--request-id is empty: each call would start one more execution; give an id, or leave the flag out for a random one")
		}
		c, err := o.connect()
		if err != nil {
			return err
		}
		defer c.close()
		req := &pb.WorkflowStartRequest{ExecName: name, Input: data, Priority: priority, RequestId: requestID}
		req.WorkflowId, req.WorkflowName = idOrName(args[0])
		id, err := c.start(cmd.Context(), args[0], req, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		if watching {
			return c.startWatching(cmd, o, id)
		}
		if o.output == outputJSON {
			return printJSON(cmd.OutOrStdout(), map[string]uint64{"id": id})
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), id)
		return err
	}
	return cmd
}

// start starts a workflow, once: the call has an id, so that it may be tried again.
// It waits for a jobapi whose database is away, and tells progress so; one that
// does not answer at all is given up within seconds.
func (c *client) start(ctx context.Context, workflow string, req *pb.WorkflowStartRequest, progress io.Writer) (uint64, error) {
	req.RequestId = cmp.Or(req.GetRequestId(), rand.Text())
	var since time.Time // when jobapi has first said so
	for {
		id, err := c.startOnce(ctx, req)
		switch {
		case err == nil:
			return id, nil
		case status.Code(err) != codes.Unavailable, since.IsZero() && !c.answers():
			return 0, c.explain("start workflow "+workflow, err)
		case since.IsZero():
			since = time.Now()
			if _, err := fmt.Fprintln(progress, "jobapi cannot start it now, as when its database is away; trying again"); err != nil {
				return 0, err
			}
		case time.Since(since) > awayPatience:
			return 0, c.explain("start workflow "+workflow, err)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(awayRetry):
		}
	}
}

func (c *client) startOnce(ctx context.Context, req *pb.WorkflowStartRequest) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := c.StartWorkflow(ctx, req)
	return res.GetId(), err
}

// startWatching prints an execution's progress and how it ended. With -o json,
// stdout gets the execution, at the end, and nothing else.
func (c *client) startWatching(cmd *cobra.Command, o *clientOptions, id uint64) error {
	out, progress := cmd.OutOrStdout(), cmd.OutOrStdout()
	if o.output == outputJSON {
		progress = cmd.ErrOrStderr()
	}
	if _, err := fmt.Fprintln(progress, id); err != nil {
		return err
	}
	execution, err := c.watch(cmd.Context(), id, progress)
	if cmd.Context().Err() != nil {
		return fmt.Errorf("stopped watching; execution %d goes on: `jobnetes execution %d` shows it", id, id)
	}
	if err != nil {
		return err
	}
	if o.output == outputJSON {
		err = printJSON(out, viewExecution(execution))
	} else if execution.GetStatus() == pb.ExecutionStatus_EXECUTION_STATUS_SUCCESS {
		_, err = fmt.Fprintf(out, "execution %d success, output:\n%s\n", id, execution.GetOutput())
	}
	if err == nil && execution.GetStatus() != pb.ExecutionStatus_EXECUTION_STATUS_SUCCESS {
		err = fmt.Errorf("execution %d %s: %s", id, executionStatus(execution.GetStatus()), errorLine(execution.GetErrorMsg()))
	}
	return err
}
