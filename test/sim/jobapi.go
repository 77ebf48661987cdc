package sim

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/jobnetes/jobnetes/jobapi"
	"github.com/jobnetes/jobnetes/jobapi/token"
)

// jobapi's settings: whole seconds, as the managers'.
const (
	requestTimeout = 5 * time.Second
	healthInterval = 3 * time.Second
)

// api is one run of jobapi. Clients call it without gRPC's transport.
type api struct {
	*process
	server *jobapi.Server
}

// startAPI starts a jobapi in a slot: the place of a pod that is replaced.
func (w *world) startAPI(slot int) {
	w.apisStarted++
	p := &process{w: w, slot: slot, owner: fmt.Sprintf("a%d.%d", slot+1, w.apisStarted)}
	if !w.schedule.Calm && w.rng.IntN(2) == 0 {
		p.skew = time.Duration(w.rng.IntN(21)-10) * time.Second
	}
	server, err := jobapi.New(jobapi.Config{
		Username: "user", Password: "password", TokenKey: make([]byte, token.MinKeyBytes),
		RequestTimeout: requestTimeout, HealthInterval: healthInterval, Managers: waker{p}, Now: p.now,
	}, w.schedule.Mutation.wrapAPI(&apiStore{p: p}), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	w.apis[slot] = &api{p, server}
	w.trace.add(w, "start", p.owner)
	go func() {
		if err := server.Serve(ctx, newSilence()); err != nil {
			panic(fmt.Sprintf("jobapi %s: %v", p.owner, err))
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		p.exited = true
	}()
}

// apisAlive returns those that have not been killed and have not ended.
func (w *world) apisAlive() []*api {
	return slices.DeleteFunc(slices.Clone(w.apis), func(a *api) bool { return a.dead || a.hasExited() })
}

// endAPI has a jobapi be killed, or told to stop; then it waits for nobody's call.
func (w *world) endAPI() bool {
	alive := w.apisAlive()
	if len(alive) == 0 {
		return false
	}
	switch a := alive[w.faults.details.IntN(len(alive))]; w.faults.details.IntN(3) {
	case 0:
		w.trace.add(w, a.owner, "is told to stop")
		a.cancel()
		a.replaceAt = w.now().Add(w.faults.seconds(20))
	default:
		w.trace.add(w, a.owner, "is killed")
		w.kill(a.process)
	}
	return true
}

// restoreAPI has one jobapi be replaced, whose time has come.
func (w *world) restoreAPI() bool {
	for slot, a := range w.apis {
		if !a.replaceAt.IsZero() && !a.replaceAt.After(w.now()) && a.hasExited() {
			w.startAPI(slot)
			return true
		}
	}
	return false
}

// silence is a listener that nobody connects to.
type silence struct {
	closed chan struct{}
	close  func()
}

func newSilence() *silence {
	closed := make(chan struct{})
	return &silence{closed, sync.OnceFunc(func() { close(closed) })}
}

func (s *silence) Accept() (net.Conn, error) {
	<-s.closed
	return nil, net.ErrClosed
}

func (s *silence) Close() error {
	s.close()
	return nil
}

func (s *silence) Addr() net.Addr { return &net.TCPAddr{} }
