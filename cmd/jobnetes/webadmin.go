package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

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
	store, done, err := openStore(ctx, s)
	if err != nil {
		return err
	}
	defer done()
	common, err := readShared(ctx, store)
	if err != nil {
		return err
	}
	var pods webadmin.Pods
	if pods, err = newKubeClient(s, common.installation, log); err != nil {
		log.Warn("no cluster: everything works but pods, and logs other than those that were kept in the database", "error", err)
		pods = noCluster{err}
	}
	server, err := webadmin.New(webadmin.Config{Username: s.Webadmin.Username, Password: s.Webadmin.Password, Version: version()}, store, pods, log)
	if err != nil {
		return err
	}
	lis, err := listen(ctx, "webadmin.port", s.Webadmin.BindAddress, s.Webadmin.Port)
	if err != nil {
		return err
	}
	log.Info("webadmin listens", "address", lis.Addr().String())
	return serveHTTP(ctx, lis, server.Handler(), log)
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
