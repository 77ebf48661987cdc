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
			"logged by then is kept, if it can be read. An execution that has ended otherwise cannot be cancelled;\n" +
			"to cancel one twice is the same as once, and the first --reason stays.",
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
		text := "execution %d is to be cancelled; `jobnetes execution %[1]d` shows when it is\n"
		if c.ended(cmd.Context(), id) {
			text = "execution %d has been cancelled\n"
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), text, id)
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

// ended says whether an execution is known to have ended.
func (c *client) ended(ctx context.Context, id uint64) bool {
	page, err := c.executionPage(ctx, &pb.ListExecutionsRequest{BeforeId: id + 1, Limit: 1})
	return err == nil && len(page) == 1 && page[0].GetId() == id && page[0].GetEndedAt() != nil
}
