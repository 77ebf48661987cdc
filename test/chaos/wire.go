package chaos

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// fault is what is wrong with a wire.
type fault int

// The faults of wires.
const (
	sound   fault = iota
	refused       // connections are reset, and new ones, too
	held          // nothing comes through; in the end all of it does, late
	muted         // requests come through, answers do not; in the end connections are reset
	slow          // every piece of data is delayed
	faults        // how many there are
)

func (f fault) String() string {
	return [...]string{"sound", "refused", "held", "muted", "slow"}[f]
}

// delay is how late each piece of data comes through a slow wire.
const delay = 150 * time.Millisecond

// wire is a TCP proxy between two processes, whose connections can be broken in
// the ways that networks break them. It keeps what it holds back: a request that
// was given up may be carried out late, and that is to be tried.
type wire struct {
	name, target string
	listener     net.Listener
	pumps        sync.WaitGroup

	mu      sync.Mutex
	fault   fault
	changed chan struct{} // closed when fault changes
	conns   map[*net.TCPConn]struct{}
}

// newWire makes a wire to the server at target, host:port.
func newWire(name, target string) (*wire, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wire{name: name, target: target, listener: listener, changed: make(chan struct{}), conns: map[*net.TCPConn]struct{}{}}
	w.pumps.Go(w.serve)
	return w, nil
}

// address is where the wire is dialled, host:port.
func (w *wire) address() string { return w.listener.Addr().String() }

// close cuts the wire for ever.
func (w *wire) close() {
	_ = w.listener.Close()
	w.set(refused)
	w.cut()
	w.pumps.Wait()
}

// suffer has the wire have a fault until d is over or ctx ends. It says whether it
// did: one that has a fault already does not.
func (w *wire) suffer(ctx context.Context, f fault, d time.Duration) bool {
	if w.now() != sound {
		return false
	}
	w.set(f)
	if f == refused {
		w.cut()
	}
	wait(ctx, d)
	if f == muted {
		w.cut()
	}
	w.set(sound)
	return true
}

// now is the fault that the wire has.
func (w *wire) now() fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fault
}

func (w *wire) set(f fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = f
	close(w.changed)
	w.changed = make(chan struct{})
}

// cut resets all connections.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.conns {
		reset(conn)
	}
}

func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

func (w *wire) serve() {
	for {
		conn, err := w.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // such as too many open files: whoever dialled tries again
		}
		w.pumps.Go(func() { w.join(conn.(*net.TCPConn)) })
	}
}

// join joins a connection with one to the target until both ways have ended.
func (w *wire) join(near *net.TCPConn) {
	conn, err := net.Dial("tcp", w.target)
	if err != nil {
		reset(near)
		return
	}
	far := conn.(*net.TCPConn)
	if !w.keep(near, far) {
		return
	}
	var ways sync.WaitGroup
	ways.Go(func() { w.pump(far, near, true) })
	ways.Go(func() { w.pump(near, far, false) })
	ways.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range []*net.TCPConn{near, far} {
		_ = conn.Close()
		delete(w.conns, conn)
	}
}

// keep notes the two ends of a connection, unless they are refused.
func (w *wire) keep(conns ...*net.TCPConn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range conns {
		if w.fault == refused {
			reset(conn)
		} else {
			w.conns[conn] = struct{}{}
		}
	}
	return w.fault != refused
}

// pump copies one way until it ends, as the wire's faults let it.
func (w *wire) pump(to, from *net.TCPConn, request bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		w.pass(request)
		if _, failed := to.Write(buffer[:n]); failed != nil {
			reset(from)
			return
		}
		if errors.Is(err, io.EOF) {
			_ = to.CloseWrite()
			return
		}
		if err != nil {
			reset(to)
			return
		}
	}
}

// pass returns when data may come through.
func (w *wire) pass(request bool) {
	for {
		w.mu.Lock()
		f, changed := w.fault, w.changed
		w.mu.Unlock()
		switch {
		case f == held, f == muted && !request:
			<-changed
		case f == slow:
			time.Sleep(delay)
			return
		default:
			return
		}
	}
}

// wait waits until d is over or ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
