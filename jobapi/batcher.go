package jobapi

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
)

// batcher has calls written together: those of one key that come in while others of it
// are being written are gathered, and the next write has them all. Nobody is waited for:
// a call that finds none of its key under way is written at once. It is safe for
// concurrent use. The store has another way to do so, for managers, whose callers wait for
// their writes: here a client may leave at any time, and the others' writes go on.
type batcher[K comparable, T, R any] struct {
	// write writes items of a key, one at least, in one transaction, and gives the answer
	// to each. An error is that of all, unless it is as mayBeOne says. If it panics,
	// nothing was written.
	write func(key K, items []T) ([]answer[R], error)
	// written, if any, is called once after each write, apart from it: if it panics, all is
	// written, and nothing is tried again.
	written func()
	// mayBeOne says of an error of write that nothing was written, and that one item may
	// be the reason. Each is then written alone, as after a panic.
	mayBeOne func(error) bool
	// maxItems and maxBytes bound what is written together. What has more bytes is
	// written alone.
	maxItems, maxBytes int

	mu sync.Mutex
	// waiting is what the next write of each key has. A key is there while one is under way.
	waiting map[K][]*batchCall[T, R]
	closed  bool
	writers sync.WaitGroup
}

// answer is what one call gets.
type answer[R any] struct {
	value R
	err   error
}

var errPanic = errors.New("panic")

type batchCall[T, R any] struct {
	ctx    context.Context // of who waits for the answer
	item   T
	bytes  int
	answer chan answer[R] // has room for it
}

// do writes an item of so many bytes, and returns the answer to it. If ctx ends before,
// it returns at once: the item is written all the same, unless its turn has not come.
func (b *batcher[K, T, R]) do(ctx context.Context, key K, item T, bytes int) (R, error) {
	c := &batchCall[T, R]{ctx, item, bytes, make(chan answer[R], 1)}
	b.enqueue(key, c)
	select {
	case a := <-c.answer:
		return a.value, a.err
	case <-ctx.Done():
		var none R
		return none, ctx.Err()
	}
}

func (b *batcher[K, T, R]) enqueue(key K, c *batchCall[T, R]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		c.answer <- answer[R]{err: errStopping}
		return
	}
	if b.waiting == nil {
		b.waiting = map[K][]*batchCall[T, R]{}
	}
	calls, underWay := b.waiting[key]
	b.waiting[key] = append(calls, c)
	if !underWay {
		b.writers.Go(func() { b.writeAll(key) })
	}
}

// writeAll writes what there is of a key, until nothing is left.
func (b *batcher[K, T, R]) writeAll(key K) {
	for {
		// Those that are here, and have only not been run yet, come along.
		runtime.Gosched()
		calls := b.next(key)
		if calls == nil {
			return
		}
		b.answer(key, calls)
	}
}

// next takes what is to be written next; nil if nothing is left.
func (b *batcher[K, T, R]) next(key K) []*batchCall[T, R] {
	b.mu.Lock()
	defer b.mu.Unlock()
	calls := b.waiting[key]
	if len(calls) == 0 {
		delete(b.waiting, key)
		return nil
	}
	n, bytes := 1, calls[0].bytes
	for n < min(len(calls), b.maxItems) && bytes+calls[n].bytes <= b.maxBytes {
		bytes += calls[n].bytes
		n++
	}
	b.waiting[key] = calls[n:]
	return calls[:n:n]
}

// answer writes calls of a key, and answers each. Those that nobody waits for any more
// are left out.
func (b *batcher[K, T, R]) answer(key K, calls []*batchCall[T, R]) {
	var waiting []*batchCall[T, R]
	for _, c := range calls {
		if c.ctx.Err() == nil {
			waiting = append(waiting, c)
		}
	}
	if len(waiting) == 0 {
		return
	}
	answers, err := b.try(key, waiting)
	if err != nil && len(waiting) > 1 && (errors.Is(err, errPanic) || b.mayBeOne(err)) {
		for _, c := range waiting {
			b.answer(key, []*batchCall[T, R]{c})
		}
		return
	}
	if err == nil && b.written != nil {
		err = guarded(func() error { b.written(); return nil })
	}
	for i, c := range waiting {
		if err != nil {
			c.answer <- answer[R]{err: err}
		} else {
			c.answer <- answers[i]
		}
	}
}

// try writes calls, and makes a panic an error.
func (b *batcher[K, T, R]) try(key K, calls []*batchCall[T, R]) (answers []answer[R], err error) {
	items := make([]T, len(calls))
	for i, c := range calls {
		items[i] = c.item
	}
	err = guarded(func() (err error) {
		answers, err = b.write(key, items)
		return err
	})
	if err == nil && len(answers) != len(items) {
		err = fmt.Errorf("%d items have got %d answers", len(items), len(answers))
	}
	return answers, err
}

// guarded calls f, and makes a panic an error.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanic, p, debug.Stack())
		}
	}()
	return f()
}

// close returns when all that was to be written is. What comes later is refused.
func (b *batcher[K, T, R]) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.writers.Wait()
}
