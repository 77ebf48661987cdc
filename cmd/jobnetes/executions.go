package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/jobnetes/jobnetes/proto"
)

// defaultListed is how many executions are listed unless --limit says otherwise.
const defaultListed = 50

func newExecutionsCommand() *cobra.Command {
	var (
		workflow string
		statuses []string
		limit    int
		before   uint64
	)
	cmd := &cobra.Command{
		Use:   "executions",
		Short: "List executions, newest first",
		Args:  none("; one execution is shown by `jobnetes execution ID`"),
	}
	o := clientFlags(cmd)
	cmd.Flags().StringVar(&workflow, "workflow", "", "only those of the workflow of this name")
	cmd.Flags().StringSliceVar(&statuses, "status", nil, "only those of these statuses: "+strings.Join(statusWords(), ", "))
	cmd.Flags().IntVar(&limit, "limit", defaultListed, "how many at most")
	cmd.Flags().Uint64Var(&before, "before", 0, "only those with a smaller id: the page after the one that ends with it")
	_ = cmd.RegisterFlagCompletionFunc("workflow", func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return o.completeWorkflows(cmd, nil, toComplete)
	})
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(statusWords(), cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if limit < 1 {
			return fmt.Errorf("--limit %d: list at least 1", limit)
		}
		req := &pb.ListExecutionsRequest{WorkflowName: workflow, BeforeId: before}
		for _, word := range statuses {
			s, ok := pb.ExecutionStatus_value[executionStatusPrefix+strings.ToUpper(word)]
			if !ok || s == 0 {
				return fmt.Errorf("--status %q: it is one of %s", word, strings.Join(statusWords(), ", "))
			}
			req.Statuses = append(req.Statuses, pb.ExecutionStatus(s))
		}
		c, err := o.connect()
		if err != nil {
			return err
		}
		defer c.close()
		executions, err := c.executions(cmd.Context(), req, limit)
		if err != nil {
			return err
		}
		return printExecutions(cmd, o, executions)
	}
	return cmd
}

// statusWords are the words for the statuses of an execution.
func statusWords() []string {
	var words []string
	for s := pb.ExecutionStatus_EXECUTION_STATUS_SCHEDULED; pb.ExecutionStatus_name[int32(s)] != ""; s++ {
		words = append(words, executionStatus(s))
	}
	return words
}

// executions lists as many as limit says, page by page.
func (c *client) executions(ctx context.Context, req *pb.ListExecutionsRequest, limit int) ([]*pb.Execution, error) {
	var all []*pb.Execution
	for len(all) < limit {
		req.Limit = uint32(min(limit-len(all), pageLength))
		page, err := c.executionPage(ctx, req)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < int(req.GetLimit()) {
			break
		}
		req.BeforeId = page[len(page)-1].GetId()
	}
	return all, nil
}

func (c *client) executionPage(ctx context.Context, req *pb.ListExecutionsRequest) ([]*pb.Execution, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := c.ListExecutions(ctx, req)
	if err != nil {
		return nil, c.explain("list executions", err)
	}
	return res.GetExecutions(), nil
}

func printExecutions(cmd *cobra.Command, o *clientOptions, executions []*pb.Execution) error {
	if o.output == outputJSON {
		views := make([]executionView, 0, len(executions))
		for _, e := range executions {
			views = append(views, viewExecution(e))
		}
		return printJSON(cmd.OutOrStdout(), views)
	}
	now := time.Now()
	var rows [][]string
	for _, e := range executions {
		rows = append(rows, []string{
			strconv.FormatUint(e.GetId(), 10), e.GetWorkflowName(), oneLine(e.GetName()), executionStatus(e.GetStatus()),
			utcTime(e.GetStartedAt()), duration(e.GetStartedAt(), e.GetEndedAt(), now),
		})
	}
	return printTable(cmd.OutOrStdout(), "ID WORKFLOW NAME STATUS STARTED DURATION", rows)
}
