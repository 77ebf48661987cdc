package manager

import (
	"context"
	"testing"
	"time"

	"github.com/golang/mock/gomock"

	"github.com/jobnetes/jobnetes/dao"
)

// Every other poll of an idle manager is left out, if it is told of what comes.
func TestIdleManagerLeavesOutPolls(t *testing.T) {
	t.Parallel()
	due := dao.Due{Scheduled: 1}
	cases := map[string]struct {
		address string
		holds   bool
		due     dao.Due
		want    int // looks of 6 polls
	}{
		"idle":                  {address: "m1:9090", want: 3},
		"nobody can tell it":    {want: 6},
		"it holds an execution": {address: "m1:9090", holds: true, want: 6},
		"something waits":       {address: "m1:9090", due: due, want: 6},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMocked(t)
			m.cfg.Address = tc.address
			if !tc.holds {
				m.drop(m.byID()[1])
			}
			m.store.EXPECT().ClaimScheduled(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).AnyTimes().Return(nil, nil)
			looks := 0
			m.store.EXPECT().Due(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).AnyTimes().
				DoAndReturn(func(context.Context, dao.Claimant, time.Time, time.Time) (dao.Due, error) {
					looks++
					return tc.due, nil
				})
			for range 6 {
				m.poll(t.Context())
			}
			if looks != tc.want {
				t.Errorf("6 polls look %d times, want %d", looks, tc.want)
			}
			before := looks
			m.claimWoken(t.Context())
			if looks != before+1 {
				t.Error("it is woken, and does not look")
			}
		})
	}
}

// A poll that sees that there is something to cancel has it be looked for.
func TestPollSeesCancels(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.store.EXPECT().Due(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).Return(dao.Due{Cancelled: true}, nil)
	m.poll(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	m.store.EXPECT().ClaimCancelled(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), cancelBatch).
		DoAndReturn(func(context.Context, dao.Claimant, time.Time, time.Time, int) ([]dao.Lease, error) {
			cancel()
			return nil, nil
		})
	m.takeCancels(ctx)
}
