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
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	if err := p.plane.startAPIServer(ctx, p.Client); err != nil {
		t.Fatal(err)
	}
}
