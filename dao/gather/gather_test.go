package gather

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	refused := errors.New("refused")
	cases := map[string]struct {
		err       error // of what is carried out together
		left      map[int]bool
		wantAlone []string // but for the first call
		wantErrs  map[string]error
	}{
		"all at once":             {},
		"one is left out":         {left: map[int]bool{1: true}, wantAlone: []string{"c"}},
		"one is refused":          {err: refused, wantAlone: []string{"b", "c", "d"}},
		"the database is away":    {err: errAway, wantErrs: map[string]error{"b": errAway, "c": errAway, "d": errAway}},
		"one is refused, for all": {err: refused, wantAlone: []string{"b", "c", "d"}, wantErrs: map[string]error{"d": refused}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				first := make(chan struct{})
				var mu sync.Mutex
				var alone []string
				var together [][]string
				g := &Group[string]{
					Away: isAway,
					Together: func(_ context.Context, calls []string) (map[int]bool, error) {
						together = append(together, calls)
						return tc.left, tc.err
					},
					Alone: func(_ context.Context, call string) error {
						if call == "a" {
							<-first
							return nil
						}
						mu.Lock()
						defer mu.Unlock()
						alone = append(alone, call)
						return tc.wantErrs[call]
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
				synctest.Wait()
				if want := [][]string{{"b", "c", "d"}}; fmt.Sprint(together) != fmt.Sprint(want) {
					t.Errorf("together: %v, want %v", together, want)
				}
				slices.Sort(alone)
				if !slices.Equal(alone, tc.wantAlone) {
					t.Errorf("alone: %v, want %v", alone, tc.wantAlone)
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

// A caller whose time is up leaves; if it was to lead, others are none the worse.
func TestGroupWithoutTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := make(chan struct{})
		g := &Group[string]{
			Away:     isAway,
			Together: func(ctx context.Context, _ []string) (map[int]bool, error) { return nil, ctx.Err() },
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
			Together: func(_ context.Context, calls []string) (map[int]bool, error) {
				together += len(calls)
				return nil, nil
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
