// Package gather has calls that come at the same time carried out together, at the cost
// of few statements. dao has managers' writes share transactions by it, and the
// simulation of managers has the very same code between them and its database.
//
// jobapi has another way to do so, its batcher: there a caller may leave while its call is
// carried out; here it must not, as a write changes the rows that its caller has in memory.
package gather

import (
	"context"
	"sync"
	"time"
)

const (
	// limit is how many calls are carried out together at the most.
	limit = 64
	// patience is for how long others wait for what is under way, which may wait for
	// a lock.
	patience = 100 * time.Millisecond
)

// Group gathers calls. Nobody waits for others to come: a call that comes alone is carried
// out at once, and what comes meanwhile is what the next one finds. Its fields are set
// before the first call.
type Group[T any] struct {
	// Together carries calls out, all of them or, with an error, none. It returns those
	// that it has left out, as they would fail, or have the others wait.
	Together func(ctx context.Context, calls []T) (left map[int]bool, err error)
	// Alone carries one call out.
	Alone func(ctx context.Context, call T) error
	// Away says of an error of Together that it is not the calls': what they are made to
	// is away, for each of them.
	Away func(err error) bool

	mu      sync.Mutex
	busy    bool
	waiting []*gathered[T]
}

// gathered is a call, and what becomes of it.
type gathered[T any] struct {
	call T
	turn chan struct{} // closed when one of these is set
	// lead: it is to carry out what waits; alone: it is to be carried out alone.
	lead, alone bool
	err         error
}

// Do carries a call out, and returns its error. A call that fails makes no other fail: if
// they cannot be carried out together, each is alone, unless what they are made to is
// away. If ctx ends before the call's turn has come, it is not carried out.
func (g *Group[T]) Do(ctx context.Context, call T) error {
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
	if me.alone {
		return g.Alone(ctx, me.call)
	}
	return me.err
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
		me.err = g.Alone(ctx, me.call)
		return
	}
	calls := make([]T, len(all))
	for i, w := range all {
		calls[i], w.alone = w.call, true // also if this panics
	}
	defer func() {
		for _, w := range all[1:] {
			close(w.turn)
		}
	}()
	left, err := g.Together(ctx, calls)
	for i, w := range all {
		switch {
		case err == nil:
			w.alone = left[i]
		case ctx.Err() == nil && g.Away(err), ctx.Err() != nil && w == me:
			w.alone, w.err = false, err
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
