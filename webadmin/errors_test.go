package webadmin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang/mock/gomock"

	"github.com/jobnetes/jobnetes/dao"
)

func TestNotFound(t *testing.T) {
	t.Parallel()
	h := setup(t).handler()
	cases := map[string]struct {
		path string
		want int
		says string
	}{
		"execution":          {"/executions/12", 404, "There is no execution 12"},
		"task":               {"/tasks/12", 404, "There is no task 12"},
		"workflow":           {"/workflows/12", 404, "There is no workflow 12"},
		"raw input":          {"/executions/12/input", 404, "There is no execution 12"},
		"log":                {"/tasks/12/pods/p/c/log", 404, "There is no task 12"},
		"path":               {"/nothing/here", 404, "There is nothing at /nothing/here"},
		"no number":          {"/executions/twelve", 400, `"twelve" is no id`},
		"negative":           {"/tasks/-1", 400, `"-1" is no id`},
		"more than 63 bits":  {"/executions/9223372036854775808", 400, "is no id"},
		"cursor":             {"/?before=x", 400, `"x" is no id`},
		"status":             {"/?status=done", 400, `There is no status "done"`},
		"API execution":      {"/api/v1/workflow/execution/12", 404, "There is no execution 12"},
		"API task":           {"/api/v1/task/12/pod", 404, "There is no task 12"},
		"API log":            {"/api/v1/task/12/pod/p/c/log", 404, "There is no task 12"},
		"API path":           {"/api/v1/nothing", 404, "There is nothing at /api/v1/nothing"},
		"API no number":      {"/api/v1/workflow/execution/x", 400, `"x" is no id`},
		"API status":         {"/api/v1/workflow/execution?status=9", 400, `There is no status "9"`},
		"API limit":          {"/api/v1/workflow/execution?limit=101", 400, "from 1 to 100"},
		"API workflow limit": {"/api/v1/workflow?limit=0", 400, "from 1 to 100"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := get(h, tc.path)
			if rec.Code != tc.want {
				t.Errorf("status %d, want %d", rec.Code, tc.want)
			}
			if got := saying(t, tc.path, rec.Body.String()); !strings.Contains(got, tc.says) {
				t.Errorf("it says %q, want %q", got, tc.says)
			}
		})
	}
}

// saying returns what an error page, or an error of the API, tells the user.
func saying(t *testing.T, path, body string) string {
	t.Helper()
	if !strings.HasPrefix(path, "/api/") {
		return parse(t, body).Find("main").Text()
	}
	var got struct{ Error string }
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("the API answers %q: %v", body, err)
	}
	return got.Error
}

// What goes wrong inside never gets outside, but is logged in full.
func TestFailures(t *testing.T) {
	t.Parallel()
	const secret = "dial tcp 10.1.2.3:3306: password is hunter2"
	cases := map[string]struct {
		err    error
		panics bool
		want   int
		says   string
	}{
		"database away": {err: fmt.Errorf("read: %w: %w", dao.ErrUnavailable, errors.New(secret)), want: 503, says: "could not be reached"},
		"anything else": {err: errors.New(secret), want: 500, says: "an error of webadmin itself"},
		"a panic":       {panics: true, want: 500, says: "an error of webadmin itself"},
	}
	for name, tc := range cases {
		for _, path := range []string{"/executions/1", "/api/v1/workflow/execution/1"} {
			t.Run(name+" "+path, func(t *testing.T) {
				t.Parallel()
				store := NewMockStore(gomock.NewController(t))
				store.EXPECT().Execution(gomock.Any(), uint64(1)).DoAndReturn(func(any, uint64) (dao.WorkflowExecution, error) {
					if tc.panics {
						panic(secret)
					}
					return dao.WorkflowExecution{}, tc.err
				})
				var log bytes.Buffer
				s, err := New(Config{}, store, &fakePods{}, slog.New(slog.NewJSONHandler(&log, nil)))
				if err != nil {
					t.Fatal(err)
				}
				rec := get(s.Handler(), path)
				if rec.Code != tc.want {
					t.Errorf("status %d, want %d", rec.Code, tc.want)
				}
				if got := saying(t, path, rec.Body.String()); !strings.Contains(got, tc.says) {
					t.Errorf("it says %q, want %q", got, tc.says)
				}
				if strings.Contains(rec.Body.String(), "hunter2") {
					t.Error("the answer tells what only the log may")
				}
				if n := strings.Count(log.String(), "hunter2"); n == 0 || strings.Count(log.String(), `"level":"ERROR"`) != 1 {
					t.Errorf("logged %d times, want it once: %s", n, log.String())
				}
			})
		}
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 3, 1, 12, 0, 1, 0, time.UTC)
	for name, tc := range map[string]struct {
		ping   error
		status int
		text   string
	}{
		"there":     {nil, http.StatusOK, "database: ok\n"},
		"away":      {errors.New("dial tcp 10.0.0.3:3306: connection refused"), http.StatusServiceUnavailable, "database: not ready since 12:00:01 UTC (0 s): it does not answer; webadmin's log has the reason\n"},
		"read-only": {fmt.Errorf("ping: %w", dao.ErrReadOnly), http.StatusOK, "database: ok\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := NewMockStore(gomock.NewController(t))
			store.EXPECT().Ping(gomock.Any()).Return(tc.ping)
			s := newServer(t, Config{Now: func() time.Time { return since }}, store, &fakePods{})
			h := s.Handler()
			if rec := get(h, "/readyz"); rec.Code != http.StatusServiceUnavailable || rec.Body.String() != "database: not asked yet\n" {
				t.Errorf("readyz at first: %d %q", rec.Code, rec.Body)
			}
			s.database.Look(t.Context())
			if rec := get(h, "/readyz"); rec.Code != tc.status || rec.Body.String() != tc.text {
				t.Errorf("readyz: %d %q, want %d %q", rec.Code, rec.Body, tc.status, tc.text)
			}
			if rec := get(h, "/healthz"); rec.Code != http.StatusOK {
				t.Errorf("alive all the same: status %d", rec.Code)
			}
		})
	}
}

// broken fails after it has given something.
type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("connection reset")
	}
	return n, err
}

// A log that breaks off must not look like a whole one.
func TestHalfALog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.runSingle(b.schedule(b.apply("single", single), "", "{}"), "", "")
	b.addPod(task, "")
	pods := NewMockPods(gomock.NewController(t))
	pods.EXPECT().Pods(gomock.Any(), gomock.Any()).DoAndReturn(b.pods.Pods)
	pods.EXPECT().Logs(gomock.Any(), gomock.Any(), "main").Return(io.NopCloser(broken{strings.NewReader("half")}), nil)
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("recovered %v, want the connection cut", err)
		}
	}()
	get(newHandler(t, b.config, b.store, pods), logURL(task.ID, podName(task), "main"))
	t.Error("the answer ended as if it were whole")
}
