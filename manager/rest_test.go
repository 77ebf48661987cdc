package manager

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
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

// The database is not asked for a sign of life while the polls of an idle manager ask it
// in time, or a little late.
func TestIdlePollsAreSignsOfLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := newMocked(t)
		m.cfg.Address = "m1:9090"
		m.drop(m.byID()[1])
		looks, pings := 0, 0
		m.store.EXPECT().Due(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).AnyTimes().
			DoAndReturn(func(context.Context, dao.Claimant, time.Time, time.Time) (dao.Due, error) {
				looks++
				time.Sleep(time.Duration(looks%3) * 10 * time.Millisecond)
				return dao.Due{}, nil
			})
		m.store.EXPECT().Ping(gomock.Any()).AnyTimes().DoAndReturn(func(context.Context) error { pings++; return nil })
		var running sync.WaitGroup
		running.Go(func() { _ = m.database.Run(ctx) })
		running.Go(func() { _ = loop(ctx, m.every(m.cfg.PollInterval, "poll"), m.poll) })
		time.Sleep(time.Minute)
		cancel()
		running.Wait()
		if looks < 30 || pings > 1 {
			t.Errorf("in a minute it looked %d times, and was asked for a sign of life %d times beside; want 30 and, to begin with, 1", looks, pings)
		}
	})
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
