package main

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/jobnetes/jobnetes/jobapi/token"
	"github.com/jobnetes/jobnetes/manager"
	"github.com/jobnetes/jobnetes/setting"
	"github.com/jobnetes/jobnetes/wake"
)

func newManagerCommand() *cobra.Command {
	return serviceCommand("manager", "Run a manager: it moves executions on, and creates their Jobs", runManager)
}

func runManager(ctx context.Context, s setting.Settings, log *slog.Logger) error {
	if _, err := restConfig(s); err != nil { // what no database mends is said before one is waited for
		return err
	}
	ofManager().collect()
	ready, woken := newReadiness(), &wakeable{}
	mux := newMonitor(ready, s.Manager.Pprof)
	wake.Handle(mux, woken)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return serveMonitor(ctx, "manager.metrics-port", s.Manager.BindAddress, s.Manager.MetricsPort, mux, log)
	})
	g.Go(func() error { return manage(ctx, s, ready, woken, log) })
	return g.Wait()
}

// manage runs the manager once the database is there.
func manage(ctx context.Context, s setting.Settings, ready *readiness, woken *wakeable, log *slog.Logger) error {
	store, common, done, err := openStore(ctx, s, ready, log)
	if err != nil {
		return err
	}
	defer done()
	jobs, err := newKubeClient(s, common.installation, log)
	if err != nil {
		return err
	}
	tokens, err := token.NewTokens(common.tokenKey)
	if err != nil {
		return err
	}
	if s.Jobapi.Endpoint == "" {
		log.Warn("jobapi.endpoint is not set: jobs that report by gRPC will look for jobapi in their own pod", "endpoint", s.JobapiEndpoint())
	}
	cfg := managerConfig(s)
	cfg.Installation = common.installation
	if cfg.Address, err = managerAddress(ctx, s); err != nil {
		log.Warn("nobody is told where this manager can be woken: it sees new executions with its next poll; manager.advertise-address helps", "error", err)
	}
	waker := newWaker(s, store, log)
	defer waker.Stop()
	cfg.HandedOver = waker.Started
	m, err := manager.New(cfg, store, jobs, tokens, log)
	if err != nil {
		return err
	}
	ready.set(m.States)
	woken.set(m)
	return m.Run(ctx)
}

func managerConfig(s setting.Settings) manager.Config {
	return manager.Config{
		Owner: ownerName(), Build: version(), PollInterval: s.Manager.PollInterval, Lease: s.Manager.Lease, MaxExecutions: s.Manager.MaxExecutions, Workers: s.Manager.Workers,
		MaxRunningJobs: s.Manager.MaxRunningJobs, MaxRunningJobsPerNamespace: s.Manager.MaxRunningJobsPerNamespace,
		JobRetention: s.K8s.JobRetention, KeptLogBytes: s.Manager.KeptLogBytes, StartTimeout: s.K8s.StartTimeout,
		JobapiEndpoint: s.JobapiEndpoint(), Namespace: s.K8s.JobNamespace,
	}
}
