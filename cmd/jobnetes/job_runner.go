package main

import (
	"github.com/spf13/cobra"

	"github.com/jobnetes/jobnetes/manager/local"
)

// jobRunner is the subcommand that `jobnetes dev` starts for each Job.
const jobRunner = "job-runner"

func newJobRunnerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    jobRunner + " DIR",
		Short:  "Run the Job in a folder of `jobnetes dev`; dev starts this itself",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE:   func(cmd *cobra.Command, args []string) error { return local.RunJob(cmd.Context(), args[0]) },
	}
}
