package gather

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errAway = errors.New("away")

func isAway(err error) bool { return errors.Is(err, errAway) }

// What comes while a call is carried out is carried out together, and each call has
// the answer that is its own.
func TestGroup(t *testing.T) {
	t.Parallel()
	refused, conflict := errors.New("refused"), errors.New("conflict")
	cases := map[string]struct {
		err      error            // of what is carried out together
		each     map[string]error // of what is carried out together
		apart    map[string]error // of what is carried out by itself
		want     []string         // what is carried out, but for the first
		wantErrs map[string]error
	}{
		"all at once":           {want: []string{"b c d"}},
		"one is not to be":      {each: map[string]error{"c": conflict}, want: []string{"b c d"}, wantErrs: map[string]error{"c": conflict}},
		"one is left out":       {each: map[string]error{"c": ErrLeft}, want: []string{"b c d", "c alone"}},
		"two are left out":      {each: map[string]error{"b": ErrLeft, "c": ErrLeft}, want: []string{"b c d", "b alone", "c alone"}},
		"all are refused":       {err: refused, want: []string{"b c d", "b", "c", "d"}},
		"the database is away":  {err: errAway, want: []string{"b c d"}, wantErrs: map[string]error{"b": errAway, "c": errAway, "d": errAway}},
		"one is why":            {err: refused, apart: map[string]error{"d": conflict}, want: []string{"b c d", "b", "c", "d"}, wantErrs: map[string]error{"d": conflict}},
		"one is why, or locked": {err: refused, apart: map[string]error{"d": ErrLeft}, want: []string{"b c d", "b", "c", "d", "d alone"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				first := make(chan struct{})
				var mu sync.Mutex
				var carried []string
				note := func(what string) {
					mu.Lock()
					defer mu.Unlock()
					carried = append(carried, what)
				}
				g := &Group[string]{
					Away:  isAway,
					Pause: func(call string, _ int) time.Duration { return time.Duration(call[0]) * time.Millisecond },
					Together: func(_ context.Context, calls []string) ([]error, error) {
						note(strings.Join(calls, " "))
						each, of := make([]error, len(calls)), tc.each
						if len(calls) == 1 {
							of = tc.apart
						} else if tc.err != nil {
							return nil, tc.err
						}
						for i, call := range calls {
							each[i] = of[call]
						}
						return each, nil
					},
					Alone: func(_ context.Context, call string) error {
						if call == "a" {
							<-first
							return nil
						}
						note(call + " alone")
						return nil
					},
				}
				errs := map[string]error{}
				for _, call := range []string{"a", "b", "c", "d"} {
					go func() {
						err := g.Do(t.Context(), call)
						mu.Lock()
						defer mu.Unlock()
						errs[call] = err
					}()
					synctest.Wait()
				}
				close(first)
				time.Sleep(time.Second) // of the bubble: all pauses are over
				synctest.Wait()
				slices.Sort(carried[1:]) // by themselves they are at once
				if !slices.Equal(carried, tc.want) {
					t.Errorf("carried out: %q, want %q", carried, tc.want)
				}
				for _, call := range []string{"a", "b", "c", "d"} {
					if err, ended := errs[call]; !ended || !errors.Is(err, tc.wantErrs[call]) || (err != nil) != (tc.wantErrs[call] != nil) {
						t.Errorf("%s: %v, ended: %t, want %v", call, err, ended, tc.wantErrs[call])
					}
				}
				if g.busy || len(g.waiting) != 0 {
					t.Error("there is no end")
				}
			})
		})
	}
}

// However many wait for what somebody has locked, one of them waits in the midst of it, and
// what is not locked waits for none of them.
func TestGroupWithLocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		unlocked := make(chan struct{})
		locked := true
		var mu sync.Mutex
		alone, most := 0, 0
		g := &Group[string]{
			Away:  isAway,
			Pause: func(string, int) time.Duration { return time.Second },
			Together: func(_ context.Context, calls []string) ([]error, error) {
				mu.Lock()
				defer mu.Unlock()
				each := make([]error, len(calls))
				for i, call := range calls {
					if locked && call == "locked" {
						each[i] = ErrLeft
					}
				}
				return each, nil
			},
			Alone: func(_ context.Context, call string) error {
				mu.Lock()
				wait := locked && call == "locked"
				alone++
				most = max(most, alone)
				mu.Unlock()
				if wait {
					<-unlocked
				}
				mu.Lock()
				defer mu.Unlock()
				alone--
				return nil
			},
		}
		ended := make([]error, 0, 20)
		for range 20 {
			go func() {
				err := g.Do(t.Context(), "locked")
				mu.Lock()
				defer mu.Unlock()
				ended = append(ended, err)
			}()
			time.Sleep(2 * patience) // of the bubble: nobody waits for that one any more
			began := time.Now()
			if err := g.Do(t.Context(), "free"); err != nil || time.Since(began) > patience {
				t.Fatalf("what is free ends after %s: %v", time.Since(began), err)
			}
		}
		gone, leave := context.WithCancel(t.Context())
		var left error
		go func() { left = g.Do(gone, "locked") }()
		synctest.Wait()
		leave()
		synctest.Wait()
		if !errors.Is(left, context.Canceled) || !errors.Is(left, ErrLeft) {
			t.Errorf("the caller that left: %v", left)
		}
		if most != 1 || len(ended) != 0 {
			t.Errorf("%d wait in the midst of it, want 1; %d have ended", most, len(ended))
		}
		mu.Lock()
		locked = false
		mu.Unlock()
		close(unlocked)
		time.Sleep(2 * time.Second) // of the bubble: a pause, and more
		synctest.Wait()
		if len(ended) != 20 || errors.Join(ended...) != nil {
			t.Errorf("%d have ended: %v", len(ended), errors.Join(ended...))
		}
	})
}

// What stays locked is given up, as a lock is that a statement waits for.
func TestGroupGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		g := &Group[string]{
			Away:  isAway,
			Pause: func(_ string, times int) time.Duration { return time.Duration(times) * time.Second },
			Together: func(_ context.Context, calls []string) ([]error, error) {
				tries++
				return []error{ErrLeft}, nil
			},
			Alone: func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() },
		}
		stuck, end := context.WithCancel(t.Context())
		var first sync.WaitGroup
		first.Go(func() { _ = g.Do(stuck, "a") })
		synctest.Wait()
		began := time.Now()
		err := g.Do(t.Context(), "b")
		if waited := time.Since(began); !errors.Is(err, ErrLeft) || waited < lockWait || waited > 2*lockWait || tries != 5 {
			t.Errorf("it ends after %s and %d tries: %v", waited, tries, err)
		}
		end()
		first.Wait()
	})
}

// A caller whose time is up leaves; if it was to lead, others are none the worse.
func TestGroupWithoutTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := make(chan struct{})
		g := &Group[string]{
			Away: isAway,
			Together: func(ctx context.Context, calls []string) ([]error, error) {
				return make([]error, len(calls)), ctx.Err()
			},
			Alone: func(ctx context.Context, call string) error {
				if call == "a" {
					<-first
				}
				return ctx.Err()
			},
		}
		errs := make([]error, 4)
		gone, leave := context.WithCancel(t.Context())
		short, expire := context.WithCancel(t.Context())
		for i, ctx := range []context.Context{t.Context(), gone, short, t.Context()} {
			go func() { errs[i] = g.Do(ctx, string(rune('a'+i))) }()
			synctest.Wait()
		}
		leave()
		synctest.Wait()
		if !errors.Is(errs[1], context.Canceled) {
			t.Errorf("the caller that left: %v", errs[1])
		}
		g.mu.Lock() // the first ends and has the next one lead, whose time is up by then
		close(first)
		expire()
		g.mu.Unlock()
		synctest.Wait()
		if !errors.Is(errs[2], context.Canceled) || errs[0] != nil || errs[3] != nil {
			t.Errorf("the calls end with %v", errs)
		}
	})
}

// What waits for a lock, say, holds up nobody for long.
func TestGroupGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		locked := make(chan struct{})
		var together int
		g := &Group[string]{
			Away: isAway,
			Together: func(_ context.Context, calls []string) ([]error, error) {
				together += len(calls)
				return make([]error, len(calls)), nil
			},
			Alone: func(context.Context, string) error {
				<-locked
				return nil
			},
		}
		var first, rest sync.WaitGroup
		first.Go(func() { _ = g.Do(t.Context(), "a") })
		synctest.Wait()
		began := time.Now()
		for _, call := range []string{"b", "c"} {
			rest.Go(func() { _ = g.Do(t.Context(), call) })
		}
		rest.Wait()
		if waited := time.Since(began); waited > patience || together != 2 {
			t.Errorf("they wait for %s, and %d are carried out together", waited, together)
		}
		close(locked)
		first.Wait()
		if g.busy || len(g.waiting) != 0 {
			t.Error("there is no end")
		}
	})
}
