package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// serveMonitor serves /metrics, /healthz (the process lives) and /readyz (the
// database answers) until ctx ends. Port 0 means: do not; key is its setting.
func serveMonitor(ctx context.Context, key, host string, port int, ready func(context.Context) error, log *slog.Logger) error {
	if port == 0 {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		if err := ready(ctx); err != nil {
			log.WarnContext(ctx, "not ready", "error", err)
			http.Error(w, "not ready: the database does not answer; the log has the error", http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	lis, err := listen(ctx, key, host, port)
	if err != nil {
		return err
	}
	return serveHTTP(ctx, lis, mux, log)
}
