package manager

import (
	"context"
	"sync"
)

// queue hands out executions to move. An execution is handed to one worker at a
// time; what is added meanwhile is handed out once more afterwards.
type queue struct {
	mu      sync.Mutex
	waiting []uint64
	state   map[uint64]queueState
	more    chan struct{} // has room for one: "there may be something waiting"
}

type queueState int

const (
	queued queueState = iota + 1
	taken
	takenAndAdded
)

func newQueue() *queue {
	return &queue{state: map[uint64]queueState{}, more: make(chan struct{}, 1)}
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
	q.waiting = append(q.waiting, id)
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// take waits for an execution; false once ctx has ended.
func (q *queue) take(ctx context.Context) (uint64, bool) {
	for {
		if ctx.Err() != nil {
			return 0, false
		}
		if id, ok := q.tryTake(); ok {
			return id, true
		}
		select {
		case <-ctx.Done():
		case <-q.more:
		}
	}
}

func (q *queue) tryTake() (uint64, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return 0, false
	}
	id := q.waiting[0]
	q.waiting = q.waiting[1:]
	q.state[id] = taken
	if len(q.waiting) > 0 {
		q.signal() // for the next worker
	}
	return id, true
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
