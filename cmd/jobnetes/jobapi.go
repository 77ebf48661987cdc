package main

import (
	"context"
	"log/slog"
	"net"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/jobapi"
	"github.com/jobnetes/jobnetes/setting"
)

func newJobapiCommand() *cobra.Command {
	return serviceCommand("jobapi", "Run a jobapi: it takes workflow starts and the results of jobs, by gRPC", runJobapi)
}

func runJobapi(ctx context.Context, s setting.Settings, log *slog.Logger) error {
	if err := jobapi.CheckCredentials(s.Jobapi.Username, s.Jobapi.Password); err != nil { // no database mends it
		return err
	}
	ofJobapi().collect()
	ready := newReadiness()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return serveMonitor(ctx, "jobapi.metrics-port", s.Jobapi.BindAddress, s.Jobapi.MetricsPort, newMonitor(ready, s.Jobapi.Pprof), log)
	})
	g.Go(func() error { return serveJobapi(ctx, s, ready, log) })
	return g.Wait()
}

// serveJobapi runs jobapi, which refuses calls until the database is there.
func serveJobapi(ctx context.Context, s setting.Settings, ready *readiness, log *slog.Logger) error {
	lis, err := listen(ctx, "jobapi.port", s.Jobapi.BindAddress, s.Jobapi.Port)
	if err != nil {
		return err
	}
	defer func() { _ = lis.Close() }() // Serve does, if it comes to that
	stopRefusing := jobapi.Refuse(lis.(*net.TCPListener))
	store, common, done, err := openStore(ctx, s, ready, log)
	stopRefusing()
	if err != nil {
		return err
	}
	defer done()
	var logs jobapi.Logs
	if client, err := newKubeClient(s, common.installation, log); err != nil {
		log.Warn("no cluster: everything works, but GetTaskLogs has only the logs that were kept in the database", "error", err)
	} else {
		logs = client
	}
	waker := newWaker(s, store, log)
	defer waker.Stop()
	server, err := newJobapiServer(s, common, store, logs, waker, log)
	if err != nil {
		return err
	}
	log.Info("jobapi listens", "address", lis.Addr().String())
	ready.set(server.States)
	return server.Serve(ctx, lis)
}

func newJobapiServer(s setting.Settings, common shared, store *dao.Store, logs jobapi.Logs, managers jobapi.Managers, log *slog.Logger) (*jobapi.Server, error) {
	return jobapi.New(jobapi.Config{
		Username: s.Jobapi.Username, Password: s.Jobapi.Password, TokenKey: common.tokenKey,
		MaxInputBytes: s.Jobapi.MaxInput, MaxOutputBytes: s.Jobapi.MaxOutput, Managers: managers,
	}, store, logs, log)
}
