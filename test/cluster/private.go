package cluster

import (
	"context"
	"testing"

	"github.com/jobnetes/jobnetes/test/machine"
)

// Private is a cluster of one test, whose parts the test may end and start.
type Private struct {
	*Cluster
}

// StartPrivate starts a cluster for this test alone; KUBECONFIG is not heeded.
// It takes seconds and ends with the test.
func StartPrivate(t testing.TB) *Private {
	t.Helper()
	machine.Slow(t)
	c, err := up(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.stop(); err != nil {
			t.Error(err)
		}
	})
	c.reportTo(t)
	return &Private{Cluster: c}
}

// StopAPIServer ends the API server as a crash would: connections and watches
// break, and new connections are refused. What it has confirmed is kept.
func (p *Private) StopAPIServer() {
	p.plane.apiServer.Kill()
	p.plane.apiServer = nil // its end is no failure
}

// StartAPIServer starts the API server again, at the same address, and returns
// when it is ready.
func (p *Private) StartAPIServer(t testing.TB) {
	t.Helper()
	if err := p.ReviveAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// ReviveAPIServer is StartAPIServer for whoever is not the test's own goroutine.
func (p *Private) ReviveAPIServer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return p.plane.startAPIServer(ctx, p.Client)
}

// StopEtcd ends etcd as a crash would: the API server stays, and can neither read
// nor write. What etcd has confirmed is kept.
func (p *Private) StopEtcd() {
	p.plane.etcd.Kill()
	p.plane.etcd = nil // its end is no failure
}

// ReviveEtcd starts etcd again after StopEtcd, and returns when the API server
// reaches it.
func (p *Private) ReviveEtcd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := p.plane.startEtcd(ctx); err != nil {
		return err
	}
	return p.plane.awaitAPIServer(ctx, p.Client)
}
