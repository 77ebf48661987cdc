package kube

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// apiServer answers each request after a time, and with 429 those beyond what it
// bears at once.
type apiServer struct {
	takes time.Duration
	bears int // 0: all

	mu      sync.Mutex
	now     int // requests under way
	most    int
	refused int
	answers int
}

// RoundTrip implements http.RoundTripper.
func (s *apiServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	code := http.StatusOK
	if s.bears > 0 && s.now > s.bears {
		code = http.StatusTooManyRequests
		s.refused++
	}
	s.answers++
	takes := s.takes
	s.mu.Unlock()
	time.Sleep(takes) // in a bubble, where time is not real
	s.mu.Lock()
	s.now--
	s.mu.Unlock()
	return &http.Response{StatusCode: code, Request: r}, nil
}

// load has many clients ask for a time.
func load(t *testing.T, rt http.RoundTripper, clients int, lasts time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for ctx.Err() == nil {
				res, err := rt.RoundTrip(httptest.NewRequestWithContext(ctx, http.MethodPost, "/apis/batch/v1/namespaces/jobs/jobs", nil))
				if err == nil && res.StatusCode == http.StatusTooManyRequests {
					time.Sleep(time.Second) // as client-go does
				}
			}
		})
	}
	all.Wait()
}

func newTestThrottle(next http.RoundTripper) *throttle {
	return newThrottle(next, slog.New(slog.DiscardHandler))
}

// A server that bears all gets as much as a manager may ask for at the most.
func TestThrottleGrows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &apiServer{takes: 100 * time.Millisecond}
		load(t, newTestThrottle(s), mostLimit+10, 30*time.Second)
		if s.most != mostLimit {
			t.Errorf("%d requests at once, want %d", s.most, mostLimit)
		}
	})
}

// A server that bears little is asked for about that: few requests are refused.
func TestThrottleAdaptsToRefusals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &apiServer{takes: 20 * time.Millisecond, bears: 10}
		th := newTestThrottle(s)
		load(t, th, mostLimit/2, 10*time.Second) // until it has found out
		s.mu.Lock()
		s.refused, s.answers, s.most = 0, 0, 0
		s.mu.Unlock()
		load(t, th, mostLimit/2, time.Minute)
		t.Logf("%d of %d requests refused, %d at once at the most", s.refused, s.answers, s.most)
		if s.refused > s.answers/20 || s.most > 2*s.bears {
			t.Errorf("%d of %d requests refused, %d at once at the most", s.refused, s.answers, s.most)
		}
		if s.answers < 60*50*s.bears/2 { // each takes 20 ms
			t.Errorf("%d requests in a minute: that is less than half of what the server bears", s.answers)
		}
	})
}

// A server that has become slow is asked for less, and for more when it is well again.
func TestThrottleAdaptsToLatency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &apiServer{takes: 20 * time.Millisecond}
		th := newTestThrottle(s)
		load(t, th, mostLimit/2, 5*time.Second)
		before := th.limit
		s.takes = 2 * time.Second
		load(t, th, mostLimit/2, 20*time.Second)
		if th.limit > before/5 {
			t.Errorf("the limit goes from %.0f to %.0f", before, th.limit)
		}
		s.takes = 20 * time.Millisecond
		load(t, th, mostLimit/2, 20*time.Second)
		if th.limit < before/2 {
			t.Errorf("the limit is %.0f again, want about %.0f", th.limit, before)
		}
	})
}

// All requests that were under way when the server refused one cut the limit once.
func TestThrottleCutsOnceARound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &apiServer{takes: time.Second, bears: 1}
		th := newTestThrottle(s)
		load(t, th, firstLimit, time.Second/2)
		if want := firstLimit * cutTo; th.limit < want || th.limit > want+1 { // the one that went well may have come first
			t.Errorf("the limit is %.1f, want about %.1f", th.limit, want)
		}
	})
}

// What has no end, and signs of life, wait for nobody; who waits may give up.
func TestThrottleHoldsUpNoWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &apiServer{takes: time.Hour}
		th := newTestThrottle(s)
		th.limit = 1
		ask := func(ctx context.Context, path string) chan error {
			done := make(chan error, 1)
			go func() {
				_, err := th.RoundTrip(httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
				done <- err
			}()
			return done
		}
		ctx, cancel := context.WithCancel(t.Context())
		list := ask(t.Context(), "/apis/batch/v1/namespaces/jobs/jobs/xyz")
		synctest.Wait()
		waits := ask(ctx, "/apis/batch/v1/namespaces/jobs/jobs/xyz")
		others := []chan error{ask(t.Context(), "/apis/batch/v1/namespaces/jobs/jobs?watch=true"), ask(t.Context(), "/api/v1/namespaces/jobs/pods/p/log"), ask(t.Context(), signOfLife)}
		synctest.Wait()
		s.mu.Lock()
		if s.now != 4 {
			t.Errorf("%d requests are under way, want 4", s.now)
		}
		s.mu.Unlock()
		cancel()
		if err := <-waits; err == nil {
			t.Error("who gave up got an answer")
		}
		for _, done := range append(others, list) {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}
