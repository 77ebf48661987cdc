package webadmin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/reach"
)

// The kinds of error that webadmin itself finds; dao's come beside them.
var (
	errBadRequest   = errors.New("bad request")
	errUnauthorized = errors.New("unauthorized")
	errForbidden    = errors.New("forbidden")
	errNotFound     = errors.New("not found")
	errMethod       = errors.New("method not allowed")
	errCluster      = errors.New("pods unavailable")
	errBusy         = errors.New("busy")
)

// kinds says what the user gets for an error: the first row that errors.Is
// knows it by. The message is the default of a problem that has none.
var kinds = []struct {
	err     error
	status  int
	title   string
	message string
}{
	{errBadRequest, http.StatusBadRequest, "This address is not right", "Check the address, or begin at the list of executions."},
	{errUnauthorized, http.StatusUnauthorized, "Sign in first", "Give the username and password of the settings webadmin.username and webadmin.password."},
	{errForbidden, http.StatusForbidden, "Not from here", "Open the page directly, at the address that jobnetes printed."},
	{errNotFound, http.StatusNotFound, "Not found", "It may have been deleted; see the list of executions."},
	{dao.ErrNotFound, http.StatusNotFound, "Not found", "It may have been deleted; see the list of executions."},
	{errMethod, http.StatusMethodNotAllowed, "Only for reading", "webadmin answers GET and HEAD only; to start or apply something use the command jobnetes, or jobapi."},
	{errCluster, http.StatusServiceUnavailable, "The pods cannot be read", "Whatever runs the Jobs did not answer. Try again soon; webadmin's log has the reason."},
	{errBusy, http.StatusServiceUnavailable, "Too many logs are being read at once", "Try again soon, or get the whole log, which needs no room in memory."},
	{dao.ErrUnavailable, http.StatusServiceUnavailable, "The database is unavailable", "It could not be reached or is too busy. Try again soon; webadmin's log has the reason."},
}

const (
	internalTitle   = "Something went wrong"
	internalMessage = "This is an error of webadmin itself; its log has the reason. Executions go on all the same."
)

// problem is an error whose message is for the user; cause is for the log.
type problem struct {
	kind    error
	message string // empty: the default of the kind
	cause   error
}

func (p problem) Error() string {
	text := p.kind.Error()
	if p.message != "" {
		text += ": " + p.message
	}
	if p.cause != nil {
		text += ": " + p.cause.Error()
	}
	return text
}

func (p problem) Unwrap() []error { return []error{p.kind, p.cause} }

// missing turns the ErrNotFound of a look-up by id into one that says what is
// not there; any other error stays.
func missing(err error, what string, id uint64) error {
	if errors.Is(err, dao.ErrNotFound) {
		return problem{kind: errNotFound, message: fmt.Sprintf("There is no %s %d: it may have been deleted; see the list.", what, id), cause: err}
	}
	return err
}

// answer is what the user gets to see of an error.
type answer struct {
	Status         int
	Title, Message string
}

func explain(err error) answer {
	for _, k := range kinds {
		if !errors.Is(err, k.err) {
			continue
		}
		a := answer{k.status, k.title, k.message}
		if p, ok := errors.AsType[problem](err); ok && p.message != "" {
			a.Message = p.message
		}
		return a
	}
	return answer{http.StatusInternalServerError, internalTitle, internalMessage}
}

// fail answers a request whose handler returned err, and logs it once.
func (s *Server) fail(w *response, r *http.Request, err error) {
	if errors.Is(r.Context().Err(), context.Canceled) {
		return // the client has gone: nobody to tell, nothing to mend
	}
	a := explain(err)
	level := slog.LevelDebug
	if _, away := errors.AsType[*reach.AwayError](err); !away && a.Status >= http.StatusInternalServerError {
		level = slog.LevelError // an outage is logged once, and not with each request
	}
	s.log.LogAttrs(r.Context(), level, "request failed", slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", a.Status), slog.Any("error", err))
	if w.begun {
		panic(http.ErrAbortHandler) // cut the connection: half an answer must not look like a whole one
	}
	if strings.HasPrefix(r.URL.Path, "/api/") {
		err = writeJSON(w, a.Status, map[string]string{"error": a.Message})
	} else {
		err = s.render(w, a.Status, "error.html", page{Title: a.Title, Body: a})
	}
	if err != nil {
		s.log.LogAttrs(r.Context(), slog.LevelError, "an error page could not be written", slog.String("path", r.URL.Path), slog.Any("error", err))
	}
}
