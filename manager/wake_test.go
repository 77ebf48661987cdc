package manager

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

// wakeAll has the managers look as a start wakes them, in a random order, and so often
// again as they wake themselves. Time passes with it.
func (s *spreading) wakeAll(managers ...*Manager) {
	for _, i := range s.rand.Perm(len(managers)) {
		managers[i].Started(s.now)
	}
	for begun := time.Now(); time.Since(begun) < 2*othersTurn; {
		for _, i := range s.rand.Perm(len(managers)) {
			select {
			case <-managers[i].starts:
				before := time.Now()
				managers[i].claimWoken(s.t.Context())
				s.now = s.now.Add(time.Since(before))
			default:
			}
		}
		time.Sleep(time.Millisecond)
		s.now = s.now.Add(time.Millisecond)
		synctest.Wait()
	}
}

// A start is claimed by those that are woken for it, before their next poll, whatever
// they hold, and believe of each other.
func TestWokenClaim(t *testing.T) {
	t.Parallel()
	cases := map[string]func(s *spreading) (woken []*Manager){
		"one alone":   func(s *spreading) []*Manager { return []*Manager{s.join()} },
		"all is well": func(s *spreading) []*Manager { return []*Manager{s.join(), s.join(), s.join()} },
		"nobody is told of the claims of others": func(s *spreading) []*Manager {
			all := []*Manager{s.join(), s.join(), s.join()}
			s.unheard = true
			for _, m := range all {
				s.start(50, m)
			}
			return all
		},
		"the others have died just now": func(s *spreading) []*Manager {
			m := s.join()
			s.join()
			s.start(50, m)
			return []*Manager{m}
		},
		"the other is full": func(s *spreading) []*Manager {
			m, full := s.join(), s.join()
			s.start(50, m)
			full.cfg.MaxExecutions = 0
			return []*Manager{m, full}
		},
	}
	for name, prepare := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(10) {
				synctest.Test(t, func(t *testing.T) {
					s := newSpreading(t, seed)
					woken := prepare(s)
					s.pass(time.Duration(s.rand.IntN(10))*time.Second/10, woken...)
					for n := range 10 {
						s.start(1+n%3, nil)
						s.wakeAll(woken...)
						if left := s.waiting(dao.ExecutionScheduled, s.now); len(left) > 0 {
							t.Fatalf("seed %d: executions %v wait for a poll", seed, left)
						}
					}
				})
			}
		})
	}
}

// Who is woken takes nothing from the share of others that are, too.
func TestWokenEvenly(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			s := newSpreading(t, seed)
			all := []*Manager{s.join(), s.join(), s.join()}
			for range 60 {
				s.start(1, nil)
				s.wakeAll(all...)
			}
			if who := s.uneven(all...); who != "" {
				t.Errorf("seed %d: %s", seed, who)
			}
		})
	}
}

// To be woken is no poll, by which what others have not taken is reckoned, and leaves
// to them what has been given back for them.
func TestWokenIsNoPoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSpreading(t, 1)
		m := s.join()
		s.join()
		s.start(50, m)
		polls := m.polls
		id := uint64(len(s.rows) + 1)
		s.rows[id] = &spreadRow{status: dao.ExecutionRunning, wake: s.now}
		s.start(1, nil)
		s.wakeAll(m)
		if len(s.waiting(dao.ExecutionScheduled, s.now)) > 0 {
			t.Error("it has not claimed what had not begun")
		}
		if m.polls != polls {
			t.Errorf("polls are %v, were %v", m.polls, polls)
		}
		if m.holds(id) {
			t.Error("it has claimed beyond its share what had begun")
		}
	})
}

// Who is full does not look again and again.
func TestWokenThoughFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSpreading(t, 1)
		m := s.join()
		s.join()
		s.start(50, m)
		m.cfg.MaxExecutions = 50
		s.start(1, nil)
		s.wakeAll(m)
		time.Sleep(time.Second)
		select {
		case <-m.starts:
			t.Error("it has woken itself")
		default:
		}
	})
}

// A start by a clock that is a little ahead is found, one by a clock that is wrong
// holds nothing up.
func TestAwaitDue(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ ahead, want time.Duration }{
		"the same clock":  {0, 0},
		"behind":          {-time.Second, 0},
		"a little ahead":  {20 * time.Millisecond, 20 * time.Millisecond},
		"as far as it is": {maxSkew, maxSkew},
		"wrong":           {time.Hour, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMocked(t)
				m.cfg.Now = time.Now
				begun := time.Now()
				m.Started(begun.Add(tc.ahead))
				m.awaitDue(t.Context())
				if got := time.Since(begun); got != tc.want {
					t.Errorf("waits for %s, want %s", got, tc.want)
				}
			})
		})
	}
}

// Between two passes there is one more for all that calls for it, and the rhythm stays.
func TestLoopOrWoken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var passes []time.Time
		var woken atomic.Int32
		wakes := make(chan struct{}, 1)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- loopOrWoken(ctx, rhythm{10 * time.Second, time.Second}, func(context.Context) { passes = append(passes, time.Now()) }, wakes, func(context.Context) {
				woken.Add(1)
				time.Sleep(time.Second)
			})
		}()
		synctest.Wait()
		for range 5 { // during which there is one look
			signal(wakes)
			synctest.Wait()
		}
		if n := woken.Load(); n != 1 {
			t.Errorf("%d looks, want one that goes on", n)
		}
		time.Sleep(3 * time.Second)
		if n := woken.Load(); n != 2 { // one for the first call, one for all others
			t.Errorf("%d looks, want 2", n)
		}
		time.Sleep(27 * time.Second)
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ends with %v", err)
		}
		if len(passes) != 4 || slices.IndexFunc(passes, func(at time.Time) bool {
			return at.Sub(begun)%(10*time.Second) > 0 && at.Sub(begun)%(10*time.Second) < 9*time.Second
		}) >= 0 {
			t.Errorf("passes at %v after %s, want one in each 10 s", passes, begun)
		}
	})
}

// With a poll in an hour, a start and a cancel are taken up at once by a manager that
// is told, and what a manager gives back by the other.
func TestWoken(t *testing.T) {
	t.Parallel()
	w, jobs := newMany(t)
	var first, second *Manager
	rarely := func(c *Config, _ *Store, _ *Jobs) {
		c.PollInterval, c.HandedOver = time.Hour, func(at time.Time) { second.Started(at) }
	}
	first, second = w.manager(t, "first", rarely), w.manager(t, "second", rarely)
	stop := run(t, first)
	await(t, "the first manager", func() bool { return w.living(t) == 1 })
	id := w.start(t, workflow(w.job("a", "", "")), "{}")
	first.Started(time.Now())
	await(t, "the Job", func() bool { return len(jobs.names()) == 1 })

	run(t, second)
	await(t, "the second manager", func() bool { return w.living(t) == 2 })
	stop()
	await(t, "the handover", func() bool { return w.holders(t)["second"] == 1 })

	if err := w.RequestCancel(t.Context(), id, "test", "", time.Now()); err != nil {
		t.Fatal(err)
	}
	second.Cancelled()
	if e := w.ended(t, id); e.Status != dao.ExecutionFailed {
		t.Errorf("it is %s", e.Status)
	}
}
