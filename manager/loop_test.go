package manager

import (
	"context"
	"testing"
	"time"
)

// What has been told to stop is not woken any more, though both came at once.
func TestLoopIsNotWokenAfterItsEnd(t *testing.T) {
	t.Parallel()
	for range 100 { // a select takes either
		ctx, cancel := context.WithCancel(t.Context())
		wakes := make(chan struct{}, 1)
		wakes <- struct{}{}
		woken := 0
		_ = loopOrWoken(ctx, rhythm{interval: time.Hour}, func(context.Context) { cancel() }, wakes, func(context.Context) { woken++ })
		if woken > 0 {
			t.Fatal("it was woken after its end")
		}
	}
}
