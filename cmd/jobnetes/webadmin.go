package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/setting"
	"github.com/jobnetes/jobnetes/webadmin"
)

func newWebadminCommand() *cobra.Command {
	return serviceCommand("webadmin", "Run a webadmin: the pages that show executions", runWebadmin)
}

func runWebadmin(ctx context.Context, s setting.Settings, log *slog.Logger) error {
	if s.Webadmin.Username == "" || s.Webadmin.Password == "" {
		return errors.New("webadmin.username, webadmin.password: set both: without a password anybody could read inputs, outputs and logs")
	}
	lis, err := listen(ctx, "webadmin.port", s.Webadmin.BindAddress, s.Webadmin.Port)
	if err != nil {
		return err
	}
	log.Info("webadmin listens", "address", lis.Addr().String())
	ready, front := newReadiness(), &front{}
	ready.public = webadmin.Public
	front.set(waitingPages(ready))
	closeStore := func() {}
	defer func() { closeStore() }() // when no request is in flight any more
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return serveHTTP(ctx, lis, front, log) })
	g.Go(func() error {
		store, common, done, err := openStore(ctx, s, ready, log)
		if err != nil {
			return err
		}
		closeStore = done
		server, err := newWebadmin(s, common, store, log)
		if err != nil {
			return err
		}
		front.set(server.Handler())
		server.Run(ctx)
		return nil
	})
	return g.Wait()
}

func newWebadmin(s setting.Settings, common shared, store *dao.Store, log *slog.Logger) (*webadmin.Server, error) {
	var pods webadmin.Pods
	pods, err := newKubeClient(s, common.installation, log)
	if err != nil {
		log.Warn("no cluster: everything works but pods, and logs other than those that were kept in the database", "error", err)
		pods = noCluster{err}
	}
	return webadmin.New(webadmin.Config{Username: s.Webadmin.Username, Password: s.Webadmin.Password, Version: version()}, store, pods, log)
}

// front hands requests to a handler that may be replaced.
type front struct {
	mu      sync.Mutex
	handler http.Handler
}

func (f *front) set(h http.Handler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handler = h
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	h := f.handler
	f.mu.Unlock()
	h.ServeHTTP(w, r)
}

// waitingPages is all there is until the database has been opened.
func waitingPages(ready *readiness) http.Handler {
	mux := http.NewServeMux()
	ready.handle(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "webadmin waits for its database. Try again soon; /readyz says why.", http.StatusServiceUnavailable)
	})
	return mux
}

// noCluster stands for a cluster that cannot be found.
type noCluster struct{ why error }

// Pods returns the reason.
func (n noCluster) Pods(context.Context, string) ([]corev1.Pod, error) { return nil, n.why }

// Logs returns the reason.
func (n noCluster) Logs(context.Context, string, string) (io.ReadCloser, error) { return nil, n.why }

// LogTail returns the reason.
func (n noCluster) LogTail(context.Context, string, string, int) ([]byte, bool, error) {
	return nil, false, n.why
}

// serveHTTP serves until ctx ends, then lets the requests in flight end.
func serveHTTP(ctx context.Context, lis net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(lis) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve HTTP on %s: %w", lis.Addr(), err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return server.Close()
	}
	return nil
}
