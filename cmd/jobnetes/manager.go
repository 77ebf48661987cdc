package main

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/jobapi/token"
	"github.com/jobnetes/jobnetes/manager"
	"github.com/jobnetes/jobnetes/setting"
)

func newManagerCommand() *cobra.Command {
	return serviceCommand("manager", "Run a manager: it moves executions on, and creates their Jobs", runManager)
}

func runManager(ctx context.Context, s setting.Settings, log *slog.Logger) error {
	gdb, store, err := openStore(ctx, s)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(gdb) }()
	jobs, err := newKubeClient(s, log)
	if err != nil {
		return err
	}
	key, err := tokenKey(ctx, store)
	if err != nil {
		return err
	}
	tokens, err := token.NewTokens(key)
	if err != nil {
		return err
	}
	m, err := manager.New(managerConfig(s), store, jobs, tokens, log)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.Run(ctx) })
	g.Go(func() error {
		return serveMonitor(ctx, "manager.metrics-port", s.Manager.BindAddress, s.Manager.MetricsPort, store.Ping, log)
	})
	return g.Wait()
}

func managerConfig(s setting.Settings) manager.Config {
	return manager.Config{
		Owner: ownerName(), PollInterval: s.Manager.PollInterval, Lease: s.Manager.Lease, MaxExecutions: s.Manager.MaxExecutions, Workers: s.Manager.Workers,
		JobRetention: s.K8s.JobRetention, JobapiEndpoint: s.JobapiEndpoint(), Namespace: s.K8s.JobNamespace,
	}
}
