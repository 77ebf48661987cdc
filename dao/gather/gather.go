// Package gather has calls that come at the same time carried out together, at the cost
// of few statements. dao has managers' writes share transactions by it, and the
// simulation of managers has the very same code between them and its database.
//
// jobapi has another way to do so, its batcher: there a caller may leave while its call is
// carried out; here it must not, as a commit changes the rows that its caller has in memory.
package gather

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// limit is how many calls are carried out together at the most.
	limit = 64
	// patience is for how long others wait for what is under way, which may wait for
	// a lock.
	patience = 100 * time.Millisecond
	// lockWait is for how long what is locked is tried again.
	lockWait = 10 * time.Second
)

// ErrLeft says of a call that it was left out of what was carried out together, since
// somebody has locked what it needs.
var ErrLeft = errors.New("somebody has locked its rows")

// Group gathers calls. Nobody waits for others to come: a call that comes alone is carried
// out at once, and what comes meanwhile is what the next one finds. Its fields are set
// before the first call.
//
// What somebody has locked is tried again, and meanwhile keeps no connection from others:
// but for one call at a time, nothing is carried out that waits for a lock.
type Group[T any] struct {
	// Together carries calls out in one transaction, and waits for no lock. It returns
	// each one's error, which is ErrLeft if it was left out; with an error of its own,
	// none was carried out.
	Together func(ctx context.Context, calls []T) (each []error, err error)
	// Alone carries one call out at less cost, and may wait for locks.
	Alone func(ctx context.Context, call T) error
	// Away says of an error of Together that it is not the calls': what they are made to
	// is away, for each of them.
	Away func(err error) bool
	// Pause is how long a call that was left out so many times waits for the next try.
	Pause func(call T, times int) time.Duration

	mu      sync.Mutex
	busy    bool
	waiting []*gathered[T]
	alone   atomic.Bool // Alone is under way
}

// gathered is a call, and what becomes of it.
type gathered[T any] struct {
	call T
	turn chan struct{} // closed when one of these is set
	// lead: it is to carry out what waits; apart: it is to be carried out by itself.
	lead, apart bool
	err         error
}

// Do carries a call out, and returns its error. A call that fails makes no other fail: if
// they cannot be carried out together, each is by itself, unless what they are made to is
// away. If ctx ends before the call's turn has come, it is not carried out; nor is one that
// has been left out for as long as a lock is waited for, whose error is ErrLeft.
func (g *Group[T]) Do(ctx context.Context, call T) error {
	var waited time.Duration
	for times := 1; ; times++ {
		err := g.try(ctx, call)
		if !errors.Is(err, ErrLeft) || waited >= lockWait {
			return err
		}
		pause := g.Pause(call, times)
		waited += pause
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
}

// try is Do, once.
func (g *Group[T]) try(ctx context.Context, call T) error {
	me := &gathered[T]{call: call, turn: make(chan struct{})}
	g.mu.Lock()
	if g.busy {
		g.waiting = append(g.waiting, me)
		g.mu.Unlock()
		if err := g.await(ctx, me); err != nil {
			return err
		}
	} else {
		g.busy, me.lead = true, true
		g.mu.Unlock()
	}
	if me.lead {
		g.lead(ctx, me)
	}
	if me.apart {
		return g.apart(ctx, me.call)
	}
	return me.err
}

// apart carries a call out by itself.
func (g *Group[T]) apart(ctx context.Context, call T) error {
	each, err := g.Together(ctx, []T{call})
	if err != nil {
		return err
	}
	return each[0]
}

// first carries out a call that nobody has come with.
func (g *Group[T]) first(ctx context.Context, call T) error {
	if !g.alone.CompareAndSwap(false, true) { // that one waits for a lock, perhaps
		return g.apart(ctx, call)
	}
	defer g.alone.Store(false)
	return g.Alone(ctx, call)
}

// await waits for a call's turn. A caller that has no more time leaves, unless its
// call is being carried out.
func (g *Group[T]) await(ctx context.Context, me *gathered[T]) error {
	select {
	case <-me.turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	for i, w := range g.waiting {
		if w == me {
			g.waiting = append(g.waiting[:i:i], g.waiting[i+1:]...)
			g.mu.Unlock()
			return ctx.Err()
		}
	}
	g.mu.Unlock()
	<-me.turn
	return nil
}

// lead carries out a call with all that wait, and then, or if it takes long, has the
// next one lead.
func (g *Group[T]) lead(ctx context.Context, me *gathered[T]) {
	next := sync.OnceFunc(g.next)
	defer next()
	defer time.AfterFunc(patience, next).Stop()
	g.mu.Lock()
	n := min(len(g.waiting), limit-1)
	all := append([]*gathered[T]{me}, g.waiting[:n]...)
	g.waiting = g.waiting[n:]
	g.mu.Unlock()
	if len(all) == 1 {
		me.err = g.first(ctx, me.call)
		return
	}
	calls := make([]T, len(all))
	for i, w := range all {
		calls[i], w.apart = w.call, true // also if this panics
	}
	defer func() {
		for _, w := range all[1:] {
			close(w.turn)
		}
	}()
	each, err := g.Together(ctx, calls)
	for i, w := range all {
		switch {
		case err == nil:
			w.apart, w.err = false, each[i]
		case ctx.Err() == nil && g.Away(err), ctx.Err() != nil && w == me:
			w.apart, w.err = false, err
		}
	}
}

// next has the first that waits lead.
func (g *Group[T]) next() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.busy = false
		return
	}
	first := g.waiting[0]
	g.waiting = g.waiting[1:]
	first.lead = true
	close(first.turn)
}
