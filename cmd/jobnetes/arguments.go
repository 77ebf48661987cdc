package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// groupOf makes a command of subcommands, and nothing else: anything that is not
// one of them is an error, not a reason to print help and succeed.
func groupOf(cmd *cobra.Command, subcommands ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(subcommands...)
	cmd.SuggestionsMinimumDistance = 2
	cmd.FParseErrWhitelist.UnknownFlags = true // they belong to the subcommand that is misspelt
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var names []string
		for _, c := range subcommands {
			names = append(names, c.Name())
		}
		hint := "; it has: " + strings.Join(names, ", ")
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = fmt.Sprintf("; did you mean %q?", near[0])
		}
		return fmt.Errorf("%s has no command %q%s", cmd.CommandPath(), args[0], hint)
	}
	return cmd
}

// one wants exactly one argument, and says what it is.
func one(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return fmt.Errorf("%s needs %s: %s", cmd.CommandPath(), what, cmd.UseLine())
		case 1:
			return nil
		default:
			return fmt.Errorf("%s takes one argument, %s, and got %d: quote what has spaces: %s", cmd.CommandPath(), what, len(args), cmd.UseLine())
		}
	}
}

// none wants no arguments; hint says what may have been meant.
func none(hint string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return fmt.Errorf("%s takes no argument, and got %q%s", cmd.CommandPath(), args[0], hint)
	}
}

// idOrName tells the two ways apart to name a workflow: digits only are an id.
func idOrName(arg string) (id uint64, name string) {
	if id, err := strconv.ParseUint(arg, 10, 64); err == nil {
		return id, ""
	}
	return 0, arg
}

// parseID reads the id of an execution.
func parseID(arg string) (uint64, error) {
	id, err := strconv.ParseUint(arg, 10, 64)
	if err != nil || id == 0 {
		return 0, fmt.Errorf("%q is no execution id: that is a number, as `jobnetes executions` shows it", arg)
	}
	return id, nil
}

// readValue returns the value that an argument stands for: @FILE is what the
// file holds, @- or - what comes on stdin, and anything else itself.
func readValue(arg string, stdin io.Reader) ([]byte, error) {
	file, isFile := strings.CutPrefix(arg, "@")
	switch {
	case arg == "-":
		return readFile("-", stdin)
	case isFile:
		return readFile(file, stdin)
	default:
		return []byte(arg), nil
	}
}

// readFile reads a file, or stdin if it is named -.
func readFile(name string, stdin io.Reader) ([]byte, error) {
	if name != "-" {
		return os.ReadFile(name)
	}
	data, err := io.ReadAll(stdin)
	if err != nil {
		return nil, fmt.Errorf("read stdin: %w", err)
	}
	return data, nil
}
