package kube

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"
)

// pings is how the API server is asked for a sign of life.
type pings struct {
	api    rest.Interface
	dialer *connrotation.Dialer
	// returned has room for one: the API server answers again, after it did not.
	returned chan struct{}

	mu     sync.Mutex
	failed bool
	hung   int // in a row
}

// signOfLife is the path that a ping asks for.
const signOfLife = "/livez"

// hungToClose is after how many pings in a row without an answer all connections
// are closed. HTTP/2 itself finds a dead connection out after 45 s, and what was
// sent into it before may come through only when it is long back.
const hungToClose = 2

// newPings returns pings over the connections of shared.
func newPings(rc *rest.Config, shared *http.Client, dialer *connrotation.Dialer) (*pings, error) {
	api, err := discovery.NewDiscoveryClientForConfigAndClient(rc, shared)
	if err != nil {
		return nil, err
	}
	return &pings{api: api.RESTClient(), dialer: dialer, returned: make(chan struct{}, 1)}, nil
}

// newDialer returns a dialer that dials as rc says, else as client-go does by
// itself, and can close what it has dialled.
func newDialer(rc *rest.Config) *connrotation.Dialer {
	if rc.Dial != nil {
		return connrotation.NewDialer(rc.Dial)
	}
	return connrotation.NewDialer((&net.Dialer{Timeout: requestTimeout, KeepAlive: 30 * time.Second}).DialContext)
}

// Ping asks the API server whether it lives, and so its etcd. It does not ask whether
// it is ready: one that shuts down says no, and yet serves for a while all who ask, and
// there may be no other. If it does not answer twice in a row, all connections are
// closed, and the requests on them fail. When it answers again, Run begins anew.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.pings.api.Get().AbsPath(signOfLife).MaxRetries(0).DoRaw(ctx)
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		err = nil // it is there, though it does not say this to us
	}
	c.pings.note(err, ctx.Err() != nil)
	return err
}

// pingTimeout bounds a ping that an error has led to.
const pingTimeout = 3 * time.Second

// unlessAway returns the level of an error: debug if the API server does not answer at
// all, which who pings it says once.
func (c *Client) unlessAway(ctx context.Context, level slog.Level) slog.Level {
	if c.pings.away() {
		return slog.LevelDebug
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout) // the error may be the first that is seen of it
	defer cancel()
	if c.Ping(ctx) != nil {
		return slog.LevelDebug
	}
	return level
}

// away says whether the last ping has failed.
func (p *pings) away() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// note takes up what a ping has come to.
func (p *pings) note(err error, hung bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		if p.failed {
			select {
			case p.returned <- struct{}{}:
			default:
			}
		}
		p.failed, p.hung = false, 0
	case hung:
		p.failed = true
		if p.hung++; p.hung >= hungToClose {
			p.dialer.CloseAll()
		}
	default:
		p.failed, p.hung = true, 0
	}
}
