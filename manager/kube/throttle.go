package kube

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The bounds of a throttle, in requests under way at once.
const (
	firstLimit = 16
	leastLimit = 1
	mostLimit  = 256
)

const (
	// cutTo is what is left of the limit when the API server has too much to do, and
	// growEvery how soon after one step up comes the next, once there was a cut.
	cutTo     = 0.7
	growEvery = time.Second / 4
	// A request is slow if it takes longer than the usual time by slowFactor, and
	// longer than slowLeast: an admission webhook takes its time, too.
	slowFactor = 8
	slowLeast  = 500 * time.Millisecond
	// usualWeight is how much one request counts in what is usual.
	usualWeight = 0.05
	// cutLogEvery is how often a cut is logged at the most.
	cutLogEvery = time.Minute
)

// throttle bounds how many requests are under way at once, and finds the bound by
// itself: one more with each request that goes well while the bound is what holds
// others up, or, once there was a cut, every quarter of a second; and a cut when the API
// server refuses (429, 503, 504) or has become slow, as it does for those that its
// priority and fairness has wait (additive increase, multiplicative decrease, as in TCP:
// Chiu and Jain, 1989). So a manager takes what is there, and leaves others theirs.
// Requests wait in no order.
type throttle struct {
	next http.RoundTripper
	log  *slog.Logger
	now  func() time.Time

	mu       sync.Mutex
	limit    float64
	inFlight int
	freed    chan struct{} // closed, and made anew, when a request may be let go
	usual    time.Duration // a request takes, if it is not slow
	cutAt    time.Time     // requests sent before say nothing new; zero: there was none
	grownAt  time.Time
	loggedAt time.Time
}

func newThrottle(next http.RoundTripper, log *slog.Logger) *throttle {
	return &throttle{next: next, log: log, now: time.Now, limit: firstLimit, freed: make(chan struct{})}
}

// RoundTrip implements http.RoundTripper.
func (t *throttle) RoundTrip(r *http.Request) (*http.Response, error) {
	if endless(r) {
		return t.next.RoundTrip(r)
	}
	if err := t.acquire(r.Context()); err != nil {
		return nil, err
	}
	sent := t.now()
	res, err := t.next.RoundTrip(r)
	t.release(r.Context(), sent, res, err)
	return res, err
}

// endless says whether a request is a watch, a stream of a log, or a sign of life,
// which wait for nobody.
func endless(r *http.Request) bool {
	return r.URL.Query().Get("watch") != "" || strings.HasSuffix(r.URL.Path, "/log") || strings.HasSuffix(r.URL.Path, signOfLife)
}

func (t *throttle) acquire(ctx context.Context) error {
	for {
		t.mu.Lock()
		if float64(t.inFlight) < t.limit {
			t.inFlight++
			t.mu.Unlock()
			return nil
		}
		freed := t.freed
		t.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-freed:
		}
	}
}

// release takes up how a request went.
func (t *throttle) release(ctx context.Context, sent time.Time, res *http.Response, err error) {
	now := t.now()
	took := now.Sub(sent)
	t.mu.Lock()
	defer t.mu.Unlock()
	full := float64(t.inFlight) >= t.limit-1
	t.inFlight--
	close(t.freed)
	t.freed = make(chan struct{})
	switch {
	case err != nil: // it has not been answered, which says nothing of the load
	case tooMuch(res.StatusCode) || t.slow(took):
		if sent.After(t.cutAt) {
			t.cut(ctx, now, res.StatusCode, took)
		}
	default:
		t.usual += time.Duration(usualWeight * float64(took-t.usual))
		if full && (t.cutAt.IsZero() || now.Sub(t.grownAt) >= growEvery) {
			t.limit, t.grownAt = min(t.limit+1, mostLimit), now
		}
	}
}

func (t *throttle) slow(took time.Duration) bool {
	return t.usual > 0 && took > max(slowLeast, slowFactor*t.usual)
}

func (t *throttle) cut(ctx context.Context, now time.Time, code int, took time.Duration) {
	t.limit, t.cutAt = max(t.limit*cutTo, leastLimit), now
	if now.Sub(t.loggedAt) >= cutLogEvery {
		t.loggedAt = now
		t.log.InfoContext(ctx, "the API server has much to do: fewer requests at once", "status", code, "took", took.String(), "requests_at_once", int(t.limit))
	}
}

// tooMuch says whether an answer means that the server has too much to do.
func tooMuch(code int) bool {
	return code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable || code == http.StatusGatewayTimeout
}
