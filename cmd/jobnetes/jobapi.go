package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"runtime/debug"

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
	collectLess()
	ready := newReadiness()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return serveMonitor(ctx, "jobapi.metrics-port", s.Jobapi.BindAddress, s.Jobapi.MetricsPort, newMonitor(ready, s.Jobapi.Pprof), log)
	})
	g.Go(func() error { return serveJobapi(ctx, s, ready, log) })
	return g.Wait()
}

// gcLimit is from how much memory on, in bytes, jobapi has garbage collected as often as it
// must. A soft limit: what Go does not count, and what is allocated while it collects, has
// to fit between it and the limit of the pod (setting/k8s/base/jobapi.yaml).
const gcLimit = 384 << 20

// collectLess has the garbage collector run less often: a jobapi keeps little between
// calls, so that under load a heap of twice that is full 30 times a second. GOGC and
// GOMEMLIMIT, if they are set, count instead.
func collectLess() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(gcLimit)
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
