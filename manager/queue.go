package manager

import (
	"context"
	"sync"
)

// queue hands out executions to move. An execution is handed to one worker at a
// time; what is added meanwhile is handed out once more afterwards.
type queue struct {
	mu      sync.Mutex
	lanes   [lanes]line
	state   map[uint64]queueState
	suspect map[uint64]bool
	empty   chan struct{} // has room for one: "the lane of the trusted may be empty"
}

// lane is where an execution waits: suspects have one of their own, and a worker of
// their own, so that they hold up nobody else.
type lane int

const (
	trusted lane = iota
	suspects
	lanes
)

type line struct {
	waiting []uint64
	more    chan struct{} // has room for one: "there may be something waiting"
}

type queueState int

const (
	queued queueState = iota + 1
	taken
	takenAndAdded
)

func newQueue() *queue {
	q := &queue{state: map[uint64]queueState{}, suspect: map[uint64]bool{}, empty: make(chan struct{}, 1)}
	for l := range q.lanes {
		q.lanes[l].more = make(chan struct{}, 1)
	}
	return q
}

// mark says which lane an execution takes from the next time on.
func (q *queue) mark(id uint64, suspect bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if suspect {
		q.suspect[id] = true
	} else {
		delete(q.suspect, id)
	}
}

func (q *queue) add(id uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch q.state[id] {
	case queued, takenAndAdded:
	case taken:
		q.state[id] = takenAndAdded
	default:
		q.push(id)
	}
}

func (q *queue) push(id uint64) {
	q.state[id] = queued
	l := &q.lanes[trusted]
	if q.suspect[id] {
		l = &q.lanes[suspects]
	}
	l.waiting = append(l.waiting, id)
	signal(l.more)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take waits for an execution of a lane; false once ctx has ended.
func (q *queue) take(ctx context.Context, l lane) (uint64, bool) {
	for {
		if ctx.Err() != nil {
			return 0, false
		}
		if id, ok := q.tryTake(l); ok {
			return id, true
		}
		select {
		case <-ctx.Done():
		case <-q.lanes[l].more:
		}
	}
}

func (q *queue) tryTake(l lane) (uint64, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	line := &q.lanes[l]
	if len(line.waiting) == 0 {
		return 0, false
	}
	id := line.waiting[0]
	line.waiting = line.waiting[1:]
	q.state[id] = taken
	switch {
	case len(line.waiting) > 0:
		signal(line.more) // for the next worker
	case l == trusted:
		signal(q.empty)
	}
	return id, true
}

// drained waits until no execution that is trusted waits for a worker; false if
// ctx ends before.
func (q *queue) drained(ctx context.Context) bool {
	for {
		q.mu.Lock()
		n := len(q.lanes[trusted].waiting)
		q.mu.Unlock()
		if n == 0 {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-q.empty:
		}
	}
}

// inHand says whether a worker has the execution.
func (q *queue) inHand(id uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.state[id] == taken || q.state[id] == takenAndAdded
}

// done says that the worker is through with id.
func (q *queue) done(id uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.state[id] == takenAndAdded {
		q.push(id)
		return
	}
	delete(q.state, id)
}
