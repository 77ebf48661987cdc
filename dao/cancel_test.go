package dao

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRequestCancel(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		ctx := t.Context()
		l, e := s.claimed(t)
		if err := s.RequestCancel(ctx, e.ID, "user ann", "wrong day", now); err != nil {
			t.Fatal(err)
		}
		// The first request counts.
		if err := s.RequestCancel(ctx, e.ID, "user bob", "", now.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		got, err := s.Execution(ctx, e.ID)
		if err != nil || got.CancelRequestedAt == nil || !got.CancelRequestedAt.Equal(micros(now)) || *got.CancelRequestedBy != "user ann" || *got.CancelReason != "wrong day" {
			t.Fatalf("row %+v, %v", got, err)
		}
		if *got.LeaseOwner != "m1" || got.LeaseEpoch != l.Epoch {
			t.Error("the request has touched the lease")
		}
		events, err := s.Events(ctx, e.ID, 0, 10)
		if err != nil || len(events) != 2 || events[1].Type != EventCancelRequested || events[1].Actor != "user ann" || events[1].Message != "wrong day" {
			t.Errorf("events %+v, %v: want one request", events, err)
		}
		if err := s.RequestCancel(ctx, 99, "user ann", "", now); !errors.Is(err, ErrNotFound) {
			t.Errorf("of no execution: %v", err)
		}
	})
}

func TestRequestCancelOfWhatHasEnded(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		for name, tc := range map[string]struct {
			reason string
			want   error
		}{
			"it was cancelled: a client asks again": {Cancelled, nil},
			"it failed before":                      {"", ErrConflict},
		} {
			l, e := s.claimed(t)
			if tc.want == nil {
				if err := s.RequestCancel(t.Context(), e.ID, "user ann", "", now); err != nil {
					t.Fatal(err)
				}
			}
			at := now
			e.Status, e.ErrorMsg, e.StartedAt, e.EndedAt = ExecutionFailed, "why", &at, &at
			if err := s.Commit(t.Context(), l, e, []Transition{{Type: EventExecutionFailed, Reason: tc.reason, Message: "why"}}, now); err != nil {
				t.Fatal(err)
			}
			if err := s.RequestCancel(t.Context(), e.ID, "user ann", "", now); !errors.Is(err, tc.want) {
				t.Errorf("%s: error %v, want %v", name, err, tc.want)
			}
			got, err := s.Execution(t.Context(), e.ID)
			if err != nil || got.CancelRequestedAt != nil || got.CancelRequestedBy != nil || got.CancelReason != nil {
				t.Errorf("%s: the end has left the request: %+v, %v", name, got, err)
			}
		}
	})
}

func TestClaimCancelled(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		ctx := t.Context()
		until := now.Add(time.Minute)
		w := s.workflow(t)
		held := s.execution(t, w)
		if leases, err := s.ClaimScheduled(ctx, by("m1"), now, until, 1); err != nil || len(leases) != 1 {
			t.Fatalf("Claim: %v, %v", leases, err)
		}
		free, other := s.execution(t, w), s.execution(t, w)
		if none, err := s.ClaimCancelled(ctx, by("m1"), now, until, 10); err != nil || len(none) != 0 {
			t.Fatalf("without a request: %v, %v", none, err)
		}
		for i, id := range []uint64{held, free} {
			if err := s.RequestCancel(ctx, id, "user ann", "", now.Add(time.Duration(i)*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		later := until.Add(time.Second)
		for _, tc := range []struct {
			name, owner string
			now         time.Time
			limit       int
			want        []Lease
		}{
			{"another's", "m2", now, 1, []Lease{{ExecutionID: free, Owner: "m2", Epoch: 1, Until: later}}},
			{"its own", "m1", now, 10, []Lease{{ExecutionID: held, Owner: "m1", Epoch: 1, Until: until}}},
			{"its own again", "m2", now, 10, []Lease{{ExecutionID: free, Owner: "m2", Epoch: 1, Until: later}}},
			{"after the lease", "m2", until, 10, []Lease{{ExecutionID: held, Owner: "m2", Epoch: 2, Until: later}, {ExecutionID: free, Owner: "m2", Epoch: 1, Until: later}}},
			{"nobody's any more", "m1", now, 10, nil},
		} {
			got, err := s.ClaimCancelled(ctx, by(tc.owner), tc.now, later, tc.limit)
			if err != nil || len(got) != len(tc.want) {
				t.Fatalf("%s: %v, %v, want %v", tc.name, got, err, tc.want)
			}
			slices.SortFunc(got, func(a, b Lease) int { return cmp.Compare(a.ExecutionID, b.ExecutionID) })
			for i, l := range got {
				l = Lease{ExecutionID: l.ExecutionID, Owner: l.Owner, Epoch: l.Epoch, Until: micros(l.Until)}
				want := tc.want[i]
				want.Until = micros(want.Until)
				if l != want {
					t.Errorf("%s: %v, want %v", tc.name, l, want)
				}
			}
		}
		if e, err := s.Execution(ctx, other); err != nil || e.LeaseOwner != nil {
			t.Errorf("one that nobody cancels: %+v, %v", e, err)
		}
	})
}

// An idle manager looks often, and must not read what has ended for that.
func TestClaimCancelledUsesItsIndex(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		const query = "SELECT id, lease_owner, lease_epoch, lease_until FROM workflow_executions WHERE cancel_requested_at IS NOT NULL " +
			"AND (lease_owner = 'm1' OR wake_at <= '2026-01-02 03:04:05') ORDER BY cancel_requested_at LIMIT 100"
		if plan := s.plan(t, query); !strings.Contains(plan, "workflow_executions_cancel") || strings.Contains(plan, "filesort") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("plan: %s", plan)
		}
	})
}
