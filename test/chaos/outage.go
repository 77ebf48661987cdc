package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// outage is that of a server for all services at once.
type outage struct {
	name string
	// thing is what /readyz says is away, and reason what it says of it.
	thing, reason string
	// begin begins it, and end ends it; then all is as before.
	begin func()
	end   func(context.Context) error
	// later, if any, is done after the end has been noted.
	later func() error
}

// figures are what an outage comes to.
type figures struct {
	Noticed   float64 `json:"noticed_seconds"`     // from its begin until the last service's /readyz says so
	Refused   float64 `json:"refused_seconds"`     // how long jobapi took to refuse a start; 0: it has taken it
	Step      float64 `json:"step_seconds"`        // from its end until the next event of an execution
	Job       float64 `json:"job_seconds"`         // from its end until the next Job has been created
	Ready     float64 `json:"ready_seconds"`       // from its end until the last service's /readyz is 200
	Most      int     `json:"connections_most"`    // of the services to the database at once, after its end
	Made      int     `json:"connections_made"`    // in the 10 s after its end, by anybody
	Complaint int     `json:"complaints_most"`     // warnings and errors of one service, the line about the outage among them
	Allowed   int     `json:"connections_allowed"` // db.max-conns of all services
}

// needs says whether the service works with what is away.
func (o outage) needs(s *service) bool { return o.thing == thingDatabase || s.kind == "manager" }

// The names of what may be away, as /readyz has them.
const (
	thingDatabase  = "database"
	thingAPIServer = "API server"
)

// setting gives the value of a variable that the service has in its environment.
func (s *service) setting(variable string) string {
	for _, entry := range slices.Backward(s.env) {
		if value, ok := strings.CutPrefix(entry, variable+"="); ok {
			return value
		}
	}
	return ""
}

// ask gets a page of the service's monitor.
func (s *service) ask(ctx context.Context, path string) (status int, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	url := "http://127.0.0.1:" + s.setting("JOBNETES_"+strings.ToUpper(s.kind)+"_METRICS_PORT") + path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

// awaitReadyz waits until the service's /readyz has a status and tells of all parts.
func (s *service) awaitReadyz(ctx context.Context, want int, parts ...string) error {
	var last string
	for ctx.Err() == nil {
		if err := s.process.Err(); err != nil {
			return err
		}
		status, text, err := s.ask(ctx, "/readyz")
		last = fmt.Sprintf("%d %q %v", status, text, err)
		if status == want && !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(text, p) }) {
			return nil
		}
		wait(ctx, 20*time.Millisecond)
	}
	return fmt.Errorf("%s: /readyz: %s; want %d with %q", s.name, last, want, parts)
}

// logged is a line of a service's log.
type logged struct {
	Level slog.Level `json:"level"`
	Msg   string     `json:"msg"`
}

// logSize is how much the service has logged.
func (s *service) logSize() (int64, error) {
	info, err := os.Stat(s.log)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// loggedSince gives what the service has logged since it had logged so much.
func (s *service) loggedSince(size int64) ([]logged, error) {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return nil, err
	}
	var all []logged
	for line := range bytes.Lines(text[size:]) {
		var l logged
		if err := json.Unmarshal(line, &l); err != nil {
			continue // the last one may not be whole
		}
		all = append(all, l)
	}
	return all, nil
}

// noLogs is logged of each Job that fails, outage or not: simulated pods have no logs.
const noLogs = "not all logs of a failed Job could be read and kept"

// checkLog counts what the service has logged since size about o: one line for its
// begin, one for its end; complaints are all warnings and errors.
func (o outage) checkLog(t testing.TB, s *service, size int64) (complaints int) {
	t.Helper()
	lines, err := s.loggedSince(size)
	if err != nil {
		t.Error(err)
	}
	var begins, ends int
	byText := map[string]int{}
	for _, l := range lines {
		if l.Level >= slog.LevelWarn && l.Msg != noLogs {
			complaints++
			byText[l.Msg]++
		}
		switch {
		case strings.HasPrefix(l.Msg, "the "+o.thing+" is away"):
			begins++
		case strings.HasPrefix(l.Msg, "the "+o.thing+" answers again"):
			ends++
		}
	}
	if begins != 1 || ends != 1 {
		t.Errorf("%s: %s has logged the begin of the outage %d times and its end %d times, want one of each", o.name, s.name, begins, ends)
	}
	t.Logf("%s: %s has complained %d times: %v", o.name, s.name, complaints, byText)
	return complaints
}

// counts are what grows as work goes on.
type counts struct{ events, jobs int }

func (w *world) counts(ctx context.Context) (c counts, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err = w.db.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM execution_events WHERE type <> 'ExecutionScheduled'),
		(SELECT COUNT(*) FROM task_executions WHERE job_uid IS NOT NULL AND job_uid <> '')`).Scan(&c.events, &c.jobs)
	return c, err
}

// connections says how many the services have to the database now, and how many
// anybody has ever made since it was started.
func (w *world) connections(ctx context.Context, user string) (now, ever int, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err = w.db.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM information_schema.processlist WHERE user = ?),
		(SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'CONNECTIONS')`, user).Scan(&now, &ever)
	return now, ever, err
}

// recover watches what follows the end of an outage until work goes on, and for 10 s
// at least.
func (w *world) recover(ctx context.Context, user string, f *figures) error {
	const least = 10 * time.Second
	began := time.Now()
	before, err := w.counts(ctx)
	if err != nil {
		return err
	}
	_, first, err := w.connections(ctx, user)
	if err != nil {
		return err
	}
	for f.Step == 0 || f.Job == 0 || time.Since(began) < least {
		if ctx.Err() != nil {
			return fmt.Errorf("work does not go on: %+v", *f)
		}
		c, err := w.counts(ctx)
		if err != nil {
			return err
		}
		if f.Step == 0 && c.events > before.events {
			f.Step = time.Since(began).Seconds()
		}
		if f.Job == 0 && c.jobs > before.jobs {
			f.Job = time.Since(began).Seconds()
		}
		now, ever, err := w.connections(ctx, user)
		if err != nil {
			return err
		}
		if f.Most = max(f.Most, now); time.Since(began) < least {
			f.Made = ever - first
		}
		wait(ctx, 20*time.Millisecond)
	}
	return nil
}

// hold has all connections of the services to the database hang.
func (w *world) hold(f fault) {
	for _, wire := range w.wires {
		if strings.HasSuffix(wire.name, "-database") {
			wire.set(f)
		}
	}
}

// errNoWire says that there is no wire of that name.
var errNoWire = errors.New("no such wire")

// address gives where the wire of that name is dialled.
func (w *world) address(name string) (string, error) {
	for _, wire := range w.wires {
		if wire.name == name {
			return wire.address(), nil
		}
	}
	return "", fmt.Errorf("%w: %s", errNoWire, name)
}
