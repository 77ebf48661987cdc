package jobapi

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

var errOneIsBad = errors.New("one of them is bad")

// writes is a write that says when it has begun, and waits until it may end.
type writes struct {
	mu     sync.Mutex
	begun  [][]string // what each had
	gate   chan struct{}
	behave func(items []string) error
}

func (w *writes) write(_ string, items []string) ([]answer[string], error) {
	w.mu.Lock()
	w.begun = append(w.begun, slices.Clone(items))
	w.mu.Unlock()
	<-w.gate
	if err := w.behave(items); err != nil {
		return nil, err
	}
	answers := make([]answer[string], len(items))
	for i, item := range items {
		answers[i].value = item + "!"
		if item == "own" {
			answers[i] = answer[string]{err: errInvalid}
		}
	}
	return answers, nil
}

func newBatcher(behave func(items []string) error) (*batcher[string, string, string], *writes) {
	w := &writes{gate: make(chan struct{}), behave: behave}
	return &batcher[string, string, string]{
		write: w.write, mayBeOne: func(err error) bool { return errors.Is(err, errOneIsBad) }, maxItems: 4, maxBytes: 10,
	}, w
}

func wellBehaved([]string) error { return nil }

// call calls do with each item, in order, in goroutines of their own, and returns what
// each has got once all have.
func call(ctx context.Context, b *batcher[string, string, string], items ...string) (wait func() []string) {
	got := make([]string, len(items))
	var calls sync.WaitGroup
	for i, item := range items {
		calls.Go(func() {
			v, err := b.do(ctx, "key", item, len(item))
			got[i] = v
			if err != nil {
				got[i], _, _ = strings.Cut(err.Error(), "\n")
			}
		})
		synctest.Wait()
	}
	return func() []string { calls.Wait(); return got }
}

// What comes in while a write is under way is written together, within the limits; the
// first one does not wait for more.
func TestBatcherGathers(t *testing.T) {
	t.Parallel()
	failing := func(with string, err error) func([]string) error {
		return func(items []string) error {
			if slices.Contains(items, with) {
				return err
			}
			return nil
		}
	}
	tests := map[string]struct {
		items     []string
		behave    func([]string) error
		wantBegun [][]string
		want      []string
	}{
		"one":                     {[]string{"a"}, wellBehaved, [][]string{{"a"}}, []string{"a!"}},
		"all that came meanwhile": {[]string{"a", "b", "c"}, wellBehaved, [][]string{{"a"}, {"b", "c"}}, []string{"a!", "b!", "c!"}},
		"more than fit":           {[]string{"a", "b", "c", "d", "e", "f"}, wellBehaved, [][]string{{"a"}, {"b", "c", "d", "e"}, {"f"}}, []string{"a!", "b!", "c!", "d!", "e!", "f!"}},
		"more bytes than fit":     {[]string{"a", "bbbb", "cccc", "ddd"}, wellBehaved, [][]string{{"a"}, {"bbbb", "cccc"}, {"ddd"}}, []string{"a!", "bbbb!", "cccc!", "ddd!"}},
		"more bytes than any":     {[]string{"a", "b", "cccccccccccc", "d"}, wellBehaved, [][]string{{"a"}, {"b"}, {"cccccccccccc"}, {"d"}}, []string{"a!", "b!", "cccccccccccc!", "d!"}},
		"an error of one's own":   {[]string{"a", "b", "own", "c"}, wellBehaved, [][]string{{"a"}, {"b", "own", "c"}}, []string{"a!", "b!", "invalid argument", "c!"}},
		"an error that may be one's": {[]string{"a", "b", "bad", "c"}, failing("bad", errOneIsBad),
			[][]string{{"a"}, {"b", "bad", "c"}, {"b"}, {"bad"}, {"c"}}, []string{"a!", "b!", errOneIsBad.Error(), "c!"}},
		"an error of all": {[]string{"a", "b", "bad", "c"}, failing("bad", errBusy),
			[][]string{{"a"}, {"b", "bad", "c"}}, []string{"a!", errBusy.Error(), errBusy.Error(), errBusy.Error()}},
		"a panic": {[]string{"a", "b", "bad", "c"}, func(items []string) error {
			if slices.Contains(items, "bad") {
				panic("oh")
			}
			return nil
		}, [][]string{{"a"}, {"b", "bad", "c"}, {"b"}, {"bad"}, {"c"}}, []string{"a!", "b!", "panic: oh", "c!"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, w := newBatcher(tc.behave)
				wait := call(t.Context(), b, tc.items...)
				close(w.gate)
				if diff := cmp.Diff(tc.want, wait()); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
				b.close()
				if diff := cmp.Diff(tc.wantBegun, w.begun); diff != "" {
					t.Errorf("writes (-want +got):\n%s", diff)
				}
				if len(b.waiting) > 0 {
					t.Errorf("it remembers %v", b.waiting)
				}
			})
		})
	}
}

// Who leaves is not waited for, and takes nothing away from the others: what is being
// written is, and what is not will not be.
func TestBatcherGoesOnWithoutThoseWhoLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, w := newBatcher(wellBehaved)
		ctx, leave := context.WithCancel(t.Context())
		first, second := call(ctx, b, "a"), call(ctx, b, "b")
		third := call(t.Context(), b, "c")
		leave()
		for _, wait := range []func() []string{first, second} {
			if got := wait(); got[0] != context.Canceled.Error() {
				t.Errorf("who has left gets %q", got)
			}
		}
		close(w.gate)
		if got := third(); got[0] != "c!" {
			t.Errorf("who has stayed gets %q", got)
		}
		b.close()
		if diff := cmp.Diff([][]string{{"a"}, {"c"}}, w.begun); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
	})
}

// Keys do not wait for each other.
func TestBatcherKeysAreApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		entered, release := make(chan string, 2), make(chan struct{})
		b := &batcher[string, int, int]{maxItems: 2, maxBytes: 2, write: func(key string, _ []int) ([]answer[int], error) {
			entered <- key
			<-release
			return []answer[int]{{}}, nil
		}}
		for _, key := range []string{"a", "b"} {
			go func() { _, _ = b.do(t.Context(), key, 0, 0) }()
		}
		synctest.Wait()
		if len(entered) != 2 {
			t.Errorf("%d writes are under way, want one for each key", len(entered))
		}
		close(release)
		b.close()
	})
}

// After its end a batcher has written what it took, and takes nothing more.
func TestBatcherCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, w := newBatcher(wellBehaved)
		wait := call(t.Context(), b, "a", "b")
		closed := make(chan struct{})
		go func() { b.close(); close(closed) }()
		synctest.Wait()
		if _, err := b.do(t.Context(), "key", "late", 1); !errors.Is(err, errStopping) {
			t.Errorf("one that is late gets %v", err)
		}
		select {
		case <-closed:
			t.Error("it has not waited")
		default:
		}
		close(w.gate)
		<-closed
		if diff := cmp.Diff([]string{"a!", "b!"}, wait()); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
	})
}

// BenchmarkBatcher has 64 callers, and a write that costs nothing: what is left is the
// batcher's own cost of a call.
func BenchmarkBatcher(b *testing.B) {
	t := &batcher[struct{}, int, int]{maxItems: batchItems, maxBytes: batchBytes, write: func(_ struct{}, items []int) ([]answer[int], error) {
		return make([]answer[int], len(items)), nil
	}}
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := t.do(context.Background(), struct{}{}, 1, 1); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
