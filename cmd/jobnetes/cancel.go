package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	pb "github.com/jobnetes/jobnetes/proto"
)

func newCancelCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "Cancel an execution: it fails, and its Jobs that run are deleted",
		Long: "Cancel an execution: it fails, and its Jobs that run are deleted.\n\n" +
			"The command asks for that and does not wait: a manager does it within seconds. What the Jobs have\n" +
			"logged by then is kept, if it can be read. An execution that has ended cannot be cancelled; to\n" +
			"cancel one twice is the same as once.",
		Example: `  jobnetes cancel 12 --reason "wrong day"`,
		Args:    one("the id of an execution"),
	}
	o := clientFlags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people: shown with the execution")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := parseID(args[0])
		if err != nil {
			return err
		}
		c, err := o.connect()
		if err != nil {
			return err
		}
		defer c.close()
		if err := c.cancel(cmd.Context(), id, reason); err != nil {
			return err
		}
		if o.output == outputJSON {
			return printJSON(cmd.OutOrStdout(), map[string]uint64{"id": id})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "execution %d is to be cancelled; `jobnetes execution %d` shows when it is\n", id, id)
		return err
	}
	return cmd
}

func (c *client) cancel(ctx context.Context, id uint64, reason string) error {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	if _, err := c.CancelExecution(ctx, &pb.ExecutionCancelRequest{ExecutionId: id, Reason: reason}); err != nil {
		return c.explain(fmt.Sprintf("cancel execution %d", id), err)
	}
	return nil
}
