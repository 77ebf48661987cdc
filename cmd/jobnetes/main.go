// Command jobnetes is all of jobnetes: the services, the database's migration,
// the development mode, and the commands for users. One file per subcommand;
// they only wire.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newRootCommand().ExecuteContext(ctx)
	stop()
	os.Exit(exitCode(err))
}

// exitCode prints what is left to say of an error.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, errFindings) {
		return 2
	}
	if !errors.Is(err, errSaid) {
		fmt.Fprintln(os.Stderr, "jobnetes:", err)
	}
	return 1
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "jobnetes",
		Short:         "Workflows of Kubernetes Jobs, with their state in SQL",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddGroup(
		&cobra.Group{ID: "users", Title: "For users:"},
		&cobra.Group{ID: "services", Title: "Services:"},
	)
	for _, c := range []*cobra.Command{
		newWorkflowCommand(), newStartCommand(), newExecutionsCommand(), newExecutionCommand(), newCancelCommand(), newLogsCommand(), newOutputCommand(), newDevCommand(),
	} {
		c.GroupID = "users"
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{newManagerCommand(), newJobapiCommand(), newWebadminCommand(), newMigrateCommand(), newVerifyCommand()} {
		c.GroupID = "services"
		root.AddCommand(c)
	}
	root.AddCommand(newVersionCommand(), newJobRunnerCommand())
	return root
}
