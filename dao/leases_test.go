package dao

import (
	"slices"
	"sync"
	"testing"
	"time"
)

func TestClaim(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		ctx := t.Context()
		w := s.workflow(t)
		first, second := s.execution(t, w), s.execution(t, w)
		until := now.Add(10 * time.Second)

		one, err := s.ClaimScheduled(ctx, by("m1"), now, until, 1)
		if err != nil || len(one) != 1 || one[0].ExecutionID != first || one[0].Epoch != 1 {
			t.Fatalf("first claim: %+v, %v", one, err)
		}
		rest, err := s.ClaimScheduled(ctx, by("m2"), now, until, 10)
		if err != nil || len(rest) != 1 || rest[0].ExecutionID != second {
			t.Fatalf("second claim: %+v, %v", rest, err)
		}
		if none, err := s.ClaimScheduled(ctx, by("m3"), until.Add(-time.Microsecond), until, 10); err != nil || len(none) != 0 {
			t.Fatalf("claim of what is leased: %+v, %v", none, err)
		}
		late, err := s.ClaimScheduled(ctx, by("m3"), until, until.Add(time.Minute), 10)
		if err != nil || len(late) != 2 || late[0].Epoch != 2 {
			t.Fatalf("claim after the lease: %+v, %v", late, err)
		}
	})
}

func TestClaimAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		w := s.workflow(t)
		const executions = 40
		for range executions {
			s.execution(t, w)
		}
		var (
			wg  sync.WaitGroup
			mu  sync.Mutex
			ids []uint64
		)
		for m := range 4 {
			wg.Go(func() {
				leases, err := s.ClaimScheduled(t.Context(), by(string(rune('a'+m))), now, now.Add(time.Minute), executions)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, l := range leases {
					ids = append(ids, l.ExecutionID)
				}
			})
		}
		wg.Wait()
		slices.Sort(ids)
		if len(slices.Compact(slices.Clone(ids))) != executions || len(ids) != executions {
			t.Errorf("%d claims of %d executions", len(ids), executions)
		}
	})
}

func TestRenewAndRelease(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		ctx := t.Context()
		l, e := s.claimed(t)
		later := now.Add(5 * time.Minute)
		held, err := s.Renew(ctx, "m1", later)
		if err != nil || len(held) != 1 || held[0] != (Lease{ExecutionID: e.ID, Owner: "m1", Epoch: l.Epoch, Until: later}) {
			t.Fatalf("Renew: %+v, %v", held, err)
		}
		if got, _ := s.ClaimScheduled(ctx, by("m2"), now.Add(time.Minute), later, 10); len(got) != 0 {
			t.Fatal("claimed although renewed")
		}
		stolen, err := s.ClaimScheduled(ctx, by("m2"), later, later.Add(time.Minute), 10)
		if err != nil || len(stolen) != 1 {
			t.Fatalf("Claim: %v, %v", stolen, err)
		}
		if held, err = s.Renew(ctx, "m1", later.Add(time.Hour)); err != nil || len(held) != 0 {
			t.Errorf("Renew of a lost lease: %v, %v", held, err)
		}
		if err := s.Leave(ctx, "m2", nil, later); err != nil {
			t.Fatal(err)
		}
		if again, err := s.ClaimScheduled(ctx, by("m1"), later, later.Add(time.Minute), 10); err != nil || len(again) != 1 {
			t.Errorf("Claim after Leave: %v, %v", again, err)
		}
	})
}
