package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/jobnetes/jobnetes/reach"
)

// newMonitor has /metrics, what readiness does and, if profiled says so, /debug/pprof.
func newMonitor(ready *readiness, profiled bool) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.Handler())
	ready.handle(mux)
	if profiled {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index) // goroutines, heap, and so on, by name, too
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// serveMonitor serves mux until ctx ends. Port 0 means: do not; key is its setting.
func serveMonitor(ctx context.Context, key, host string, port int, mux http.Handler, log *slog.Logger) error {
	if port == 0 {
		return nil
	}
	lis, err := listen(ctx, key, host, port)
	if err != nil {
		return err
	}
	return serveHTTP(ctx, lis, mux, log)
}

// readiness knows whether what a service needs can be reached.
type readiness struct {
	// public, if any, makes of a state what /readyz tells of it.
	public func(reach.State) reach.State

	mu     sync.Mutex
	states func() []reach.State
}

// newReadiness is that of a service whose database was not asked yet.
func newReadiness() *readiness {
	r := &readiness{}
	r.set(func() []reach.State { return []reach.State{{Name: "database"}} })
	return r
}

// set says who knows from now on.
func (r *readiness) set(states func() []reach.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.states = states
}

// handle has mux serve /healthz, that the process lives, and /readyz: a line for
// each thing that the service needs, and 503 unless all of them answer.
func (r *readiness) handle(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		r.mu.Lock()
		states := r.states
		r.mu.Unlock()
		told := slices.Clone(states())
		for i := range told {
			if r.public != nil {
				told[i] = r.public(told[i])
			}
		}
		text, ready := reach.Report(time.Now(), told...)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if !ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = fmt.Fprint(w, text)
	})
}
