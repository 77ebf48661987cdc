package manager

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
)

func TestQueueHandsOutOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.add(1)
		q.add(1)
		q.add(2)
		take := func() uint64 {
			id, ok := q.tryTake(trusted)
			if !ok {
				return 0
			}
			return id
		}
		if a, b, c := take(), take(), take(); a != 1 || b != 2 || c != 0 {
			t.Fatalf("took %d, %d, %d", a, b, c)
		}
		q.add(1) // while a worker has it: once more, but only afterwards
		q.add(1)
		if id := take(); id != 0 {
			t.Fatalf("%d was handed to two workers", id)
		}
		q.done(1)
		q.done(2)
		if a, b := take(), take(); a != 1 || b != 0 {
			t.Fatalf("after done took %d, %d", a, b)
		}
	})
}

func TestQueueWakesAllWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		ctx, cancel := context.WithCancel(t.Context())
		var (
			wg   sync.WaitGroup
			mu   sync.Mutex
			seen = map[uint64]int{}
		)
		for range 4 {
			wg.Go(func() {
				for {
					id, ok := q.take(ctx, trusted)
					if !ok {
						return
					}
					mu.Lock()
					seen[id]++
					mu.Unlock()
					q.done(id)
				}
			})
		}
		for id := range uint64(100) {
			q.add(id)
		}
		synctest.Wait() // all workers wait for more
		cancel()
		wg.Wait()
		for id := range uint64(100) {
			if seen[id] != 1 {
				t.Errorf("%d was handed out %d times", id, seen[id])
			}
		}
	})
}
