// Package webadmin is the page server: it shows executions, tasks, logs and
// workflows to people (HTML, without JavaScript) and to programs (JSON, with
// the paths and field names of the original). It only reads.
//
// A request passes guard.go (headers, loopback, origins, password, methods),
// then a handler, which returns an error where it cannot answer; errors.go says
// what the user gets to see of it.
package webadmin

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/jobnetes/jobnetes/reach"
)

// Config is what a Server is told.
type Config struct {
	// Username and Password are asked for (basic authentication) unless both
	// are empty.
	Username, Password string
	// LoopbackOnly answers only requests that a browser on this very computer
	// sends of its own accord: the Host is localhost or a loopback address, and
	// no other origin is involved. It is what `jobnetes dev` relies on instead
	// of a password.
	LoopbackOnly bool
	// Version is the build's, for the foot of the pages.
	Version string
	// Now is the clock, for the durations of what still runs; nil: time.Now.
	Now func() time.Time
}

// Server serves the pages and the JSON API. It is safe for concurrent use.
type Server struct {
	cfg       Config
	store     Store
	pods      Pods
	log       *slog.Logger
	templates map[string]*template.Template
	assets    *assets
	room      *semaphore.Weighted // of logRoom
	database  *reach.Probe
	undrawn   undrawn
}

// requestTimeout bounds the work for one page or one answer of the API, pods and
// their logs among it; a database that hangs is given up before. Whole logs take as
// long as the client does.
const requestTimeout = 30 * time.Second

// New returns a Server. It fails if only one of username and password is given.
func New(cfg Config, store Store, pods Pods, log *slog.Logger) (*Server, error) {
	if (cfg.Username == "") != (cfg.Password == "") {
		return nil, errors.New("webadmin.username, webadmin.password: one is set and the other is not: set both, or neither to ask for no password")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	assets, err := loadAssets()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, store: store, pods: pods, log: log, assets: assets, room: semaphore.NewWeighted(logRoom)}
	s.database = reach.New(reach.Config{Name: "database", Ping: s.pingDatabase, Now: cfg.Now, Log: log})
	if s.templates, err = s.parseTemplates(); err != nil {
		return nil, fmt.Errorf("parse the templates of webadmin: %w", err)
	}
	return s, nil
}

// Handler returns the root of everything that webadmin serves.
func (s *Server) Handler() http.Handler {
	open := http.NewServeMux() // without a password: nothing of the user's is there
	open.Handle("GET /healthz", s.handle(s.healthz))
	open.Handle("GET /readyz", s.handle(s.readyz))
	open.Handle("GET /static/{file}", s.handle(s.static))
	open.Handle("/", s.authenticated(s.routes()))
	return s.guarded(open)
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]handlerFunc{
		"/{$}":                                        s.listExecutions,
		"/executions/{id}":                            s.showExecution,
		"/executions/{id}/{value}":                    s.executionValue,
		"/tasks/{id}":                                 s.showTask,
		"/tasks/{id}/{value}":                         s.taskValue,
		"/workflows":                                  s.listWorkflows,
		"/workflows/{id}":                             s.showWorkflow,
		"/workflows/{id}/definition":                  s.workflowDefinition,
		"/api/v1/workflow":                            s.apiWorkflows,
		"/api/v1/workflow/execution":                  s.apiExecutions,
		"/api/v1/task/{id}/pod":                       s.apiPods,
		"/api/v1/workflow/execution/{id}":             s.apiExecution,
		"/api/v1/task/{id}/pod/{pod}/{container}/log": s.apiLog,
	} {
		mux.Handle("GET "+pattern, limited(s.handle(s.reachable(h))))
	}
	mux.Handle("GET /tasks/{id}/pods/{pod}/{container}/log", s.handle(s.wholeLog))
	mux.Handle("/", s.handle(s.noPage))
	return mux
}

func limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) error {
	return writeText(w, "ok\n")
}

// readyz says whether the database answers.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) error {
	text, ready := reach.Report(s.cfg.Now(), Public(s.database.State()))
	if ready {
		return writeText(w, text)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	return write(w, http.StatusServiceUnavailable, []byte(text))
}

// errSilent stands for an error that has addresses and names in it.
var errSilent = errors.New("it does not answer; webadmin's log has the reason")

// Public returns what anybody may know of a state: /readyz asks for no password.
func Public(s reach.State) reach.State {
	if s.Err != nil {
		s.Err = errSilent
	}
	return s
}

func (s *Server) noPage(_ http.ResponseWriter, r *http.Request) error {
	return problem{kind: errNotFound, message: fmt.Sprintf("There is nothing at %s. The executions are at /, the workflows at /workflows.", r.URL.Path)}
}
