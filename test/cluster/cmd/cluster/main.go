// Command cluster starts and ends a Kubernetes with a real node on this machine,
// for `make cluster` and `make cluster-down`, and for tests. It needs Debian,
// root and Go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/jobnetes/jobnetes/test/box"
	"github.com/jobnetes/jobnetes/test/cluster"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == box.InitArg {
		os.Exit(box.Init(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	var (
		dir       string
		simulated int
	)
	root := &cobra.Command{
		Use: "cluster", Short: "A Kubernetes with a real node on this machine", SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.PersistentFlags().StringVar(&dir, "dir", filepath.Join(os.TempDir(), "jobnetes-cluster"), "the folder of the cluster; two clusters have two")
	up := &cobra.Command{
		Use: "up", Short: "Start the cluster, unless it is running, and say how to reach it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cluster.Up(cmd.Context(), dir, simulated); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "export KUBECONFIG=%s\nexport PATH=%s:$PATH # kubectl\n",
				filepath.Join(dir, "kubeconfig"), filepath.Join(dir, "bin"))
			return err
		},
	}
	down := &cobra.Command{
		Use: "down", Short: "End the cluster and remove all of it but the programs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cluster.Down(cmd.Context(), dir) },
	}
	load := newLoadCommand(&dir)
	serve := newServeCommand(&dir, &simulated)
	for _, c := range []*cobra.Command{up, serve} {
		c.Flags().IntVar(&simulated, "simulated-nodes", 1, "nodes beside the real one whose pods run no container")
	}
	inBox := &cobra.Command{
		Use: cluster.BoxArg + " DIR", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return cluster.RunInBox(cmd.Context(), args[0]) },
	}
	root.AddCommand(up, down, load, serve, inBox)
	return root
}

func newLoadCommand(dir *string) *cobra.Command {
	var ifRunning bool
	load := &cobra.Command{
		Use: "load TARBALL...", Short: "Load images into the cluster's node", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := cluster.Load(cmd.Context(), *dir, args)
			if ifRunning && errors.Is(err, cluster.ErrNotRunning) {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "not loaded:", err)
				return err
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "loaded into the cluster in %s\n", *dir)
			return err
		},
	}
	load.Flags().BoolVar(&ifRunning, "if-running", false, "do nothing if no cluster is running")
	return load
}

func newServeCommand(dir *string, simulated *int) *cobra.Command {
	var attached bool
	serve := &cobra.Command{
		Use: "serve", Short: "Run the cluster in the foreground, and remove all of it at the end", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if attached {
				var cancel context.CancelFunc
				ctx, cancel = context.WithCancel(ctx)
				defer cancel()
				go func() {
					_, _ = io.Copy(io.Discard, cmd.InOrStdin())
					cancel()
				}()
			}
			return cluster.Serve(ctx, *dir, *simulated)
		},
	}
	serve.Flags().BoolVar(&attached, "attached", false, "end when standard input does")
	return serve
}
