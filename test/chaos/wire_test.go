package chaos

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// short is how long something that must not come is waited for.
const short = 50 * time.Millisecond

func TestWire(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		fault      fault
		wantDuring error // of reading an answer while the fault lasts; nil: there is one
		wantAfter  bool  // an answer comes when the fault is over
		wantHeard  bool  // the server has got the request while the fault lasted
	}{
		"refused": {fault: refused, wantDuring: io.EOF},
		"held":    {fault: held, wantDuring: os.ErrDeadlineExceeded, wantAfter: true},
		"muted":   {fault: muted, wantDuring: os.ErrDeadlineExceeded, wantHeard: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, heard := echo(t)
			conn := connect(t, w)
			if err := ask(conn, time.Minute); err != nil {
				t.Fatalf("a sound wire: %v", err)
			}
			<-heard
			ctx, heal := context.WithCancel(t.Context())
			healed := make(chan struct{})
			go func() {
				defer close(healed)
				w.suffer(ctx, tc.fault, time.Hour)
			}()
			for w.now() != tc.fault {
				time.Sleep(time.Millisecond)
			}
			err := ask(conn, short)
			if errors.Is(tc.wantDuring, os.ErrDeadlineExceeded) != errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
				t.Errorf("got error %v during the fault, want %v", err, tc.wantDuring)
			}
			if tc.wantHeard {
				<-heard
			}
			heal()
			<-healed
			err = answer(conn, time.Minute)
			if (err == nil) != tc.wantAfter {
				t.Errorf("got error %v after the fault, want an answer: %t", err, tc.wantAfter)
			}
			if err := ask(connect(t, w), time.Minute); err != nil {
				t.Errorf("a new connection after the fault: %v", err)
			}
		})
	}
}

// echo makes a wire to a server that answers each byte with the same, and tells of
// each.
func echo(t *testing.T) (w *wire, heard <-chan struct{}) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	got := make(chan struct{}, 10)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go func() {
				defer func() { _ = conn.Close() }()
				buffer := make([]byte, 1)
				for {
					if _, err := conn.Read(buffer); err != nil {
						return
					}
					got <- struct{}{}
					if _, err := conn.Write(buffer); err != nil {
						return
					}
				}
			}()
		}
	}()
	if w, err = newWire("echo", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w, got
}

func connect(t *testing.T, w *wire) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", w.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func ask(conn net.Conn, patience time.Duration) error {
	if _, err := conn.Write([]byte("?")); err != nil {
		return err
	}
	return answer(conn, patience)
}

func answer(conn net.Conn, patience time.Duration) error {
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := conn.Read(make([]byte, 1))
	return err
}
