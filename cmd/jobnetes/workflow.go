package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	pb "github.com/jobnetes/jobnetes/proto"
)

func newWorkflowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "workflow",
		Short: "Apply, list, get and validate workflow definitions",
	}
	o := clientFlags(cmd)
	return groupOf(cmd, newWorkflowApplyCommand(o), newWorkflowListCommand(o), newWorkflowGetCommand(o), newWorkflowValidateCommand(o))
}

func newWorkflowListCommand(o *clientOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the workflows, by name",
		Args:  none(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			defer c.close()
			workflows, err := c.allWorkflows(cmd.Context())
			if err != nil {
				return err
			}
			if o.output == outputJSON {
				views := make([]workflowView, 0, len(workflows))
				for _, w := range workflows {
					views = append(views, viewWorkflow(w))
				}
				return printJSON(cmd.OutOrStdout(), views)
			}
			var rows [][]string
			for _, w := range workflows {
				rows = append(rows, []string{strconv.FormatUint(w.GetId(), 10), w.GetName(), strconv.FormatUint(uint64(w.GetVersion()), 10), utcTime(w.GetUpdatedAt())})
			}
			return printTable(cmd.OutOrStdout(), "ID NAME VERSION UPDATED", rows)
		},
	}
}

// allWorkflows returns the workflows of every page.
func (c *client) allWorkflows(ctx context.Context) ([]*pb.Workflow, error) {
	var all []*pb.Workflow
	for after := ""; ; {
		page, err := c.workflowPage(ctx, after)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			return all, nil
		}
		all = append(all, page...)
		after = page[len(page)-1].GetName()
	}
}

func (c *client) workflowPage(ctx context.Context, after string) ([]*pb.Workflow, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := c.ListWorkflows(ctx, &pb.ListWorkflowsRequest{AfterName: after, Limit: pageLength})
	if err != nil {
		return nil, c.explain("list workflows", err)
	}
	return res.GetWorkflows(), nil
}

// pageLength is the most that jobapi lists at once.
const pageLength = 1000

func newWorkflowGetCommand(o *clientOptions) *cobra.Command {
	var definitionOnly bool
	cmd := &cobra.Command{
		Use:               "get NAME|ID",
		Short:             "Show a workflow",
		Args:              one("the name or id of a workflow"),
		ValidArgsFunction: o.completeWorkflows,
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := o.getWorkflow(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch {
			case definitionOnly:
				_, err = out.Write(w.GetDefinition()) // as it was applied, ready to be applied again
			case o.output == outputJSON:
				err = printJSON(out, viewWorkflow(w))
			default:
				_, err = fmt.Fprintf(out, "id:       %d\nname:     %s\nversion:  %d\ncreated:  %s\nupdated:  %s\n\n%s\n",
					w.GetId(), w.GetName(), w.GetVersion(), utcTime(w.GetCreatedAt()), utcTime(w.GetUpdatedAt()), w.GetDefinition())
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&definitionOnly, "definition", false, "print the definition only, byte for byte as it was applied")
	return cmd
}

func (o *clientOptions) getWorkflow(ctx context.Context, arg string) (*pb.Workflow, error) {
	c, err := o.connect()
	if err != nil {
		return nil, err
	}
	defer c.close()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	id, name := idOrName(arg)
	w, err := c.GetWorkflow(ctx, &pb.GetWorkflowRequest{Id: id, Name: name})
	if err != nil {
		return nil, c.explain("get workflow "+arg, err)
	}
	return w, nil
}
