package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	pb "github.com/jobnetes/jobnetes/proto"
	"github.com/jobnetes/jobnetes/schema"
)

// appliedView is what -o json prints for each definition applied.
type appliedView struct {
	ID      uint64 `json:"id"`
	Name    string `json:"name"`
	Version uint32 `json:"version"`
	Result  string `json:"result"` // created, updated or unchanged
}

// validatedView is what -o json prints for each definition checked.
type validatedView struct {
	File     string        `json:"file"`
	Name     string        `json:"name,omitempty"`
	Problems []problemView `json:"problems"` // none: it is valid
}

type problemView struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

func viewValidated(file string, definition *schema.Definition, err error) validatedView {
	v := validatedView{File: file, Problems: []problemView{}}
	if definition != nil {
		v.Name = definition.Name
	}
	problems, _ := errors.AsType[schema.Problems](err)
	for _, p := range problems {
		v.Problems = append(v.Problems, problemView{p.Path, p.Message})
	}
	return v
}

func newWorkflowApplyCommand(o *clientOptions) *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Create workflows, or give them a new version if their definitions have changed",
		Args:  none("; name the file with -f FILE"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			defer c.close()
			views := []appliedView{}
			failed := eachFile(cmd, files, func(file string, document []byte) error {
				v, err := c.apply(cmd.Context(), file, document)
				if err != nil {
					return err
				}
				views = append(views, v)
				if o.output == outputText {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "workflow %s %s (id %d, version %d)\n", v.Name, v.Result, v.ID, v.Version)
				}
				return err
			})
			if o.output == outputJSON {
				failed = errors.Join(failed, printJSON(cmd.OutOrStdout(), views))
			}
			return failed
		},
	}
	filesFlag(cmd, &files)
	return cmd
}

func newWorkflowValidateCommand(o *clientOptions) *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use:   "validate -f FILE",
		Short: "Check definitions without sending them anywhere",
		Args:  none("; name the file with -f FILE"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			views := []validatedView{}
			failed := eachFile(cmd, files, func(file string, document []byte) error {
				definition, err := schema.Parse(document)
				if o.output == outputJSON {
					views = append(views, viewValidated(file, definition, err))
				}
				if err != nil {
					return err
				}
				if o.output == outputText {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: workflow %s is valid\n", file, definition.Name)
				}
				return err
			})
			if o.output == outputJSON {
				failed = errors.Join(failed, printJSON(cmd.OutOrStdout(), views))
			}
			return failed
		},
	}
	filesFlag(cmd, &files)
	return cmd
}

func filesFlag(cmd *cobra.Command, files *[]string) {
	cmd.Flags().StringArrayVarP(files, "file", "f", nil, "`FILE` with a definition, JSON or YAML; - is stdin; may be given several times")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if len(*files) == 0 {
			return fmt.Errorf("%s: which definition? Name its file with -f FILE, or -f - for stdin", cmd.CommandPath())
		}
		return nil
	}
	_ = cmd.MarkFlagFilename("file", "json", "yaml", "yml")
}

// eachFile calls do for each file. What is wrong with one is printed, each
// problem on a line of its own, and does not keep the others from their turn;
// the error is then errSaid.
func eachFile(cmd *cobra.Command, files []string, do func(file string, document []byte) error) error {
	var failed error
	for _, file := range files {
		document, err := readFile(file, cmd.InOrStdin())
		if err == nil {
			err = do(file, document)
		}
		if err != nil {
			printProblems(cmd.ErrOrStderr(), file, err)
			failed = errSaid
		}
	}
	return failed
}

func printProblems(w io.Writer, file string, err error) {
	problems, ok := errors.AsType[schema.Problems](err)
	if !ok {
		_, _ = fmt.Fprintf(w, "%s: %v\n", file, err)
		return
	}
	for _, p := range problems {
		_, _ = fmt.Fprintf(w, "%s: %s: %s\n", file, p.Path, p.Message)
	}
}

// apply sends one definition. If jobapi finds problems in it, the error is
// schema.Problems, as if it had been checked here.
func (c *client) apply(ctx context.Context, file string, document []byte) (appliedView, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := c.ApplyWorkflow(ctx, &pb.ApplyWorkflowRequest{Definition: document})
	if err != nil {
		if problems := problemsOf(err); problems != nil {
			return appliedView{}, problems
		}
		return appliedView{}, c.explain("apply "+file, err)
	}
	w := res.GetWorkflow()
	result := strings.ToLower(strings.TrimPrefix(res.GetResult().String(), "APPLY_RESULT_"))
	return appliedView{ID: w.GetId(), Name: w.GetName(), Version: w.GetVersion(), Result: result}, nil
}

func problemsOf(err error) schema.Problems {
	var problems schema.Problems
	for _, detail := range status.Convert(err).Details() {
		bad, ok := detail.(*errdetails.BadRequest)
		if !ok {
			continue
		}
		for _, v := range bad.GetFieldViolations() {
			problems = append(problems, schema.Problem{Path: v.GetField(), Message: v.GetDescription()})
		}
	}
	return problems
}
