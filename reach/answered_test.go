package reach

import (
	"testing"
	"testing/synctest"
	"time"
)

// What has answered somebody else is not asked, unless there is a doubt, or it is away.
func TestAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := setup(t)
		for range 10 {
			x.Answered(2 * time.Second)
			time.Sleep(1500 * time.Millisecond)
			synctest.Wait()
		}
		if n := x.pings.Load(); n != 1 {
			t.Errorf("it was asked %d times, want 1: at the beginning", n)
		}
		x.Doubt()
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if n := x.pings.Load(); n != 2 {
			t.Errorf("after a doubt it was asked %d times, want 2", n)
		}
		x.away.Store(true)
		x.Answered(time.Second)
		time.Sleep(2500 * time.Millisecond) // nobody else has an answer any more
		x.Answered(time.Hour)               // but a late one
		synctest.Wait()
		if x.Err() == nil {
			t.Error("it is away, and nobody has noticed")
		}
		x.away.Store(false)
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if x.Err() != nil {
			t.Error("it is back, and nobody has noticed")
		}
	})
}
