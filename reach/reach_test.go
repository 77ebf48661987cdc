package reach

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errAway = errors.New("connection refused")

// thing is what is probed.
type thing struct {
	*Probe
	away, hangs atomic.Bool
	pings       atomic.Int64
	changes     []error
	log         strings.Builder
}

// setup starts a Probe's Run, within a bubble.
func setup(t *testing.T) *thing {
	t.Helper()
	x := &thing{}
	x.Probe = New(Config{
		Name: "database",
		Ping: func(ctx context.Context) error {
			x.pings.Add(1)
			if x.hangs.Load() {
				<-ctx.Done()
				return ctx.Err()
			}
			if x.away.Load() {
				return errAway
			}
			return nil
		},
		Changed: func(_ context.Context, err error) { x.changes = append(x.changes, err) },
		Log:     slog.New(slog.NewTextHandler(&x.log, nil)),
	})
	if s := x.State(); s.Known || s.Err != nil || x.Err() != nil {
		t.Errorf("before the first look the state is %+v, want nothing known", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- x.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	return x
}

func (x *thing) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestAnOutageOf60Seconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := setup(t)
		if x.Err() != nil || !x.State().Known {
			t.Fatalf("it answers, and the state is %+v", x.State())
		}
		x.away.Store(true)
		x.after(time.Second)
		since := time.Now()
		var away *AwayError
		if err := x.Err(); !errors.As(err, &away) || !errors.Is(err, errAway) || since.Sub(away.Since) > time.Second {
			t.Fatalf("a second after its end, Err is %v", err)
		}
		before := x.pings.Load()
		x.after(59 * time.Second)
		if n := x.pings.Load() - before; n < 59 || n > 66 {
			t.Errorf("in 59 s it was asked %d times, want once a second", n)
		}
		x.away.Store(false)
		x.after(time.Second)
		if err := x.Err(); err != nil {
			t.Errorf("a second after the return: %v", err)
		}
		if len(x.changes) != 3 || x.changes[0] != nil || !errors.Is(x.changes[1], errAway) || x.changes[2] != nil {
			t.Errorf("told of %v, want: answers, away, answers", x.changes)
		}
		if log := x.log.String(); strings.Count(log, "\n") != 2 || !strings.Contains(log, "away_for=1m0s") && !strings.Contains(log, "away_for=59s") {
			t.Errorf("want one line for the outage, and one for its end:\n%s", log)
		}
	})
}

func TestDoubtIsLookedIntoSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := setup(t)
		x.after(defaultInterval / 10)
		x.away.Store(true)
		x.Doubt()
		synctest.Wait()
		if x.Err() == nil {
			t.Error("it was not asked at once")
		}
		before := x.pings.Load()
		for range 1000 { // one failing call after the other
			x.Doubt()
			x.after(time.Millisecond)
		}
		if n := x.pings.Load() - before; n > 11 {
			t.Errorf("it was asked %d times in a second", n)
		}
	})
}

func TestCallsAreGivenUpWhenItHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := setup(t)
		call, done := x.While(t.Context())
		defer done()
		x.hangs.Store(true)
		x.after(defaultInterval + timeout)
		if x.Err() == nil || call.Err() != nil {
			t.Errorf("after one failure: Err is %v, and the call ended by %v: want it away, and the call to go on", x.Err(), call.Err())
		}
		x.after(defaultInterval + timeout)
		var away *AwayError
		if !errors.As(context.Cause(call), &away) {
			t.Errorf("after two failures the call's cause is %v, want an AwayError", context.Cause(call))
		}
		late, done := x.While(t.Context())
		defer done()
		synctest.Wait()
		if late.Err() == nil {
			t.Error("a call that begins while it hangs goes on")
		}
		x.hangs.Store(false)
		x.after(defaultInterval + timeout)
		again, done := x.While(t.Context())
		defer done()
		x.after(time.Minute)
		if again.Err() != nil {
			t.Errorf("a call after the return: %v", again.Err())
		}
	})
}

func TestAShutdownIsNoOutage(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := New(Config{Name: "database", Log: slog.New(slog.DiscardHandler), Ping: func(ctx context.Context) error {
		cancel()
		return ctx.Err()
	}})
	p.Look(ctx)
	if p.Err() != nil || p.State().Known {
		t.Errorf("it was cut off, and that tells %+v", p.State())
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 12, 0, 43, 0, time.UTC)
	text, ready := Report(now,
		State{Name: "database", Err: errors.New("dial:\n refused"), Since: now.Add(-42 * time.Second)},
		State{Name: "kubernetes", Known: true}, State{Name: "other"})
	want := "database: not ready since 12:00:01 UTC (42 s): dial: refused\nkubernetes: ok\nother: not asked yet\n"
	if text != want || ready {
		t.Errorf("got ready %t and\n%swant\n%s", ready, text, want)
	}
	if _, ready := Report(now, State{Known: true}); !ready {
		t.Error("all is well, and it is not ready")
	}
}
