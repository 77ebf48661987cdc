package wake

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// network is managers that answer when the test lets them.
type network struct {
	mu      sync.Mutex
	got     []string // address and query of each request
	asked   int
	hanging map[string]bool // answer never
	delay   time.Duration
	members []string
	err     error
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	n.got = append(n.got, r.URL.Host+"?"+r.URL.RawQuery)
	hangs := n.hanging[r.URL.Host]
	n.mu.Unlock()
	if hangs {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	time.Sleep(n.delay)
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
}

func (n *network) addresses(context.Context) ([]string, error) {
	n.asked++
	return n.members, n.err
}

// requests returns how many there were to an address.
func (n *network) requests(address string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for _, g := range n.got {
		if strings.HasPrefix(g, address+"?") {
			count++
		}
	}
	return count
}

// run runs a test in a bubble, with a Waker on n.
func (n *network) run(t *testing.T, test func(w *Waker)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(*testing.T) {
		w := New(Config{Addresses: n.addresses, Transport: n, Log: slog.New(slog.DiscardHandler)})
		test(w)
		w.Stop()
	})
}

// Each manager has at most one request under way, and all that comes meanwhile is one more.
func TestOneAtATime(t *testing.T) {
	n := &network{members: []string{"a:1", "b:1"}, delay: 100 * time.Millisecond}
	n.run(t, func(w *Waker) {
		at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
		w.Started(at)
		synctest.Wait()
		for range 50 {
			w.Started(at.Add(time.Second))
			w.Cancelled()
		}
		synctest.Wait()
		if got := n.requests("a:1") + n.requests("b:1"); got != 2 {
			t.Errorf("%d requests, want one to each", got)
		}
		time.Sleep(time.Second)
	})
	if n.asked != 1 || n.requests("a:1") != 2 || n.requests("b:1") != 2 {
		t.Errorf("asked %d times, requests %q: want two to each", n.asked, n.got)
	}
	for i, g := range n.got {
		q, err := url.ParseQuery(g[strings.Index(g, "?")+1:])
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"2026-01-02T03:04:05.000000006Z", ""}
		if i >= 2 {
			want = []string{"2026-01-02T03:04:06.000000006Z", "true"}
		}
		if q.Get("started") != want[0] || q.Get("cancelled") != want[1] {
			t.Errorf("request %d is %s, want %q", i, g, want)
		}
	}
}

// It is not asked where managers are for each call, and not when there is nothing to tell.
func TestMemory(t *testing.T) {
	n := &network{}
	n.run(t, func(w *Waker) {
		time.Sleep(time.Hour)
		for range 10 {
			w.Started(time.Now())
			synctest.Wait()
		}
		if n.asked != 1 {
			t.Errorf("asked %d times, want once", n.asked)
		}
		time.Sleep(memory)
		n.members = []string{"a:1"}
		w.Started(time.Now())
		synctest.Wait()
		if n.asked != 2 || n.requests("a:1") != 1 {
			t.Errorf("asked %d times, %d requests to the new one", n.asked, n.requests("a:1"))
		}
	})
}

// One that does not answer is left out for some time, and holds up nobody.
func TestDead(t *testing.T) {
	n := &network{members: []string{"dead:1", "b:1"}, hanging: map[string]bool{"dead:1": true}}
	n.run(t, func(w *Waker) {
		for range 20 { // in 2 s
			begun := time.Now()
			w.Started(begun)
			if time.Since(begun) > 0 {
				t.Error("the call waits")
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n.requests("b:1") != 20 || n.requests("dead:1") != 1 {
			t.Errorf("%d requests to one that lives, %d to one that does not; want 20, 1", n.requests("b:1"), n.requests("dead:1"))
		}
		time.Sleep(absence)
		n.mu.Lock()
		n.hanging = nil
		n.mu.Unlock()
		w.Started(time.Now())
		synctest.Wait()
		if n.requests("dead:1") != 2 {
			t.Error("it is not told again")
		}
	})
}

// While nobody can say whom to tell, nothing is.
func TestNobodyKnows(t *testing.T) {
	n := &network{err: errors.New("away")}
	n.run(t, func(w *Waker) {
		w.Started(time.Now())
		synctest.Wait()
		w.Started(time.Now())
		synctest.Wait()
	})
	if n.asked != 1 || len(n.got) > 0 {
		t.Errorf("asked %d times, requests %q", n.asked, n.got)
	}
}

// What was to be told before Stop is told, nothing is after it, and it does not wait for
// those that do not answer for longer than requests last.
func TestStop(t *testing.T) {
	n := &network{members: []string{"dead:1", "b:1"}, hanging: map[string]bool{"dead:1": true}}
	n.run(t, func(w *Waker) {
		w.Started(time.Now())
		begun := time.Now()
		w.Stop()
		if took := time.Since(begun); took != timeout {
			t.Errorf("takes %s, want %s", took, timeout)
		}
		w.Started(time.Now())
		w.Cancelled()
	})
	if n.requests("b:1") != 1 || n.requests("dead:1") != 1 {
		t.Errorf("requests %q, want one to each", n.got)
	}
}

// recorder is a manager.
type recorder struct {
	started   []time.Time
	cancelled int
}

func (r *recorder) Started(at time.Time) { r.started = append(r.started, at) }
func (r *recorder) Cancelled()           { r.cancelled++ }

func TestHandle(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	cases := map[string]struct {
		method, query   string
		code            int
		started, cancel int
	}{
		"a start":            {http.MethodPost, news{started: at}.query().Encode(), http.StatusNoContent, 1, 0},
		"a cancel":           {http.MethodPost, news{cancelled: true}.query().Encode(), http.StatusNoContent, 0, 1},
		"both":               {http.MethodPost, news{at, true}.query().Encode(), http.StatusNoContent, 1, 1},
		"nothing":            {http.MethodPost, "", http.StatusBadRequest, 0, 0},
		"a time that is not": {http.MethodPost, "started=soon&cancelled=true", http.StatusBadRequest, 0, 0},
		"GET":                {http.MethodGet, "cancelled=true", http.StatusMethodNotAllowed, 0, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, mux := &recorder{}, http.NewServeMux()
			Handle(mux, m)
			answer := httptest.NewRecorder()
			mux.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), tc.method, "/wake?"+tc.query, nil))
			if answer.Code != tc.code || len(m.started) != tc.started || m.cancelled != tc.cancel {
				t.Errorf("%d, %+v", answer.Code, m)
			}
			for _, got := range m.started {
				if !got.Equal(at) {
					t.Errorf("started at %s, want %s", got, at)
				}
			}
		})
	}
}

// signals is a manager that says that it was told.
type signals chan struct{}

func (s signals) Started(time.Time) { s <- struct{}{} }
func (s signals) Cancelled()        {}

// On real connections, one is kept open, and it does not matter that the manager has
// closed it meanwhile.
func TestConnections(t *testing.T) {
	t.Parallel()
	told := make(signals)
	var opened atomic.Int32
	mux := http.NewServeMux()
	Handle(mux, told)
	server := httptest.NewUnstartedServer(mux)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	w := New(Config{
		Addresses: func(context.Context) ([]string, error) { return []string{server.Listener.Addr().String()}, nil },
		Log:       slog.New(slog.DiscardHandler),
	})
	defer w.Stop()
	tell := func(times int) {
		for range times {
			w.Started(time.Now())
			<-told
		}
	}
	tell(10)
	if n := opened.Load(); n > 2 { // the second may have begun before the first was free
		t.Errorf("%d connections for requests one after the other", n)
	}
	server.CloseClientConnections()
	tell(3)
}
