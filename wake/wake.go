// Package wake has one process tell others that there is something to do: jobapi
// tells the managers of starts and cancels, and a manager that stops tells the others.
// It only saves them the wait for their next poll: what gets lost they find then. So
// it never waits, and reports nothing.
//
// The wire is a POST without a body to /wake of a manager's metrics port.
// It needs no password: all that it does is what the next poll does anyway, and not more
// often than every few milliseconds.
package wake

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	// MaxManagers is how many managers are told at the most.
	MaxManagers = 8
	// timeout bounds one request, and one look for whom to tell.
	timeout = time.Second
	// memory is how long it is remembered whom to tell.
	memory = 2 * time.Second
	// absence is how long one that has not answered is told nothing.
	absence = 5 * time.Second
)

// Config says whom to tell. Addresses and Log are required.
type Config struct {
	// Addresses returns where managers can be told, as host:port. It is asked when
	// there is something to tell, at most every two seconds.
	Addresses func(ctx context.Context) ([]string, error)
	// Transport makes the requests. Default: one of its own, which keeps connections
	// open, and knows no proxy.
	Transport http.RoundTripper
	Log       *slog.Logger
}

// Waker tells managers. Make it with New, and end it with Stop.
type Waker struct {
	cfg    Config
	client http.Client
	work   sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	told    map[string]*listener // by address
	askedAt time.Time            // when Addresses has returned
	asking  bool
	pending news // until Addresses returns
}

// listener is one manager. It is sent one request at a time; what there is to tell
// meanwhile is one more.
type listener struct {
	news      news
	busy      bool
	awayUntil time.Time
}

// news is what there is to tell.
type news struct {
	started   time.Time // when the last execution was started; zero: none
	cancelled bool
}

func (n *news) add(more news) {
	if more.started.After(n.started) {
		n.started = more.started
	}
	n.cancelled = n.cancelled || more.cancelled
}

// New returns a Waker.
func New(cfg Config) *Waker {
	if cfg.Transport == nil {
		cfg.Transport = &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}
	}
	return &Waker{
		cfg: cfg,
		client: http.Client{
			Transport: cfg.Transport, Timeout: timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Started tells that executions can be claimed, since a time.
func (w *Waker) Started(at time.Time) { w.tell(news{started: at}) }

// Cancelled tells that somebody wants an execution to be cancelled.
func (w *Waker) Cancelled() { w.tell(news{cancelled: true}) }

// Stop returns when all has been told, or has failed, which takes few seconds at the
// most. What comes later is not told.
func (w *Waker) Stop() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.work.Wait()
	w.client.CloseIdleConnections()
}

func (w *Waker) tell(n news) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.stopped:
	case time.Since(w.askedAt) < memory:
		w.tellAll(n)
	default:
		w.pending.add(n)
		if !w.asking {
			w.asking = true
			w.work.Go(w.ask)
		}
	}
}

// ask finds out whom to tell, and tells them what there is.
func (w *Waker) ask() {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	addresses, err := w.cfg.Addresses(ctx)
	if err != nil {
		w.cfg.Log.Debug("managers are not woken: nobody knows where they are", "error", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	told := map[string]*listener{}
	for _, a := range addresses {
		if told[a] = w.told[a]; told[a] == nil {
			told[a] = &listener{}
		}
	}
	w.told, w.asking, w.askedAt = told, false, time.Now()
	n := w.pending
	w.pending = news{}
	w.tellAll(n)
}

// tellAll needs mu to be held.
func (w *Waker) tellAll(n news) {
	now := time.Now()
	for address, l := range w.told {
		if now.Before(l.awayUntil) {
			continue
		}
		l.news.add(n)
		if !l.busy {
			l.busy = true
			w.work.Go(func() { w.tellOne(address, l) })
		}
	}
}

// tellOne tells a manager all that there is to tell it.
func (w *Waker) tellOne(address string, l *listener) {
	for {
		w.mu.Lock()
		n := l.news
		l.news = news{}
		l.busy = n != news{}
		w.mu.Unlock()
		if n == (news{}) {
			return
		}
		if err := w.post(address, n); err != nil {
			w.cfg.Log.Debug("a manager cannot be woken, it will see with its next poll", "address", address, "error", err)
			w.mu.Lock()
			l.news, l.awayUntil = news{}, time.Now().Add(absence)
			w.mu.Unlock()
		}
	}
}

// post makes one request.
func (w *Waker) post(address string, n news) error {
	u := url.URL{Scheme: "http", Host: address, Path: path, RawQuery: n.query().Encode()}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, u.String(), nil)
	if err != nil {
		return err
	}
	r.Header["Idempotency-Key"] = nil // is not sent; has net/http try again if a connection has been closed meanwhile
	res, err := w.client.Do(r)
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("%s answers %s", &u, res.Status)
	}
	return nil
}
