package manager

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/golang/mock/gomock"

	"github.com/jobnetes/jobnetes/dao"
)

// Renewals that fail are errors, unless the database is known to be away: that was
// said once.
func TestRenewalsWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		ping error
		want int // errors about leases
	}{
		"away":  {fmt.Errorf("%w: connection refused", dao.ErrUnavailable), 0},
		"there": {nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			m := newMocked(t)
			m.log = slog.New(slog.NewTextHandler(&log, nil))
			m.store.EXPECT().Ping(gomock.Any()).Return(tc.ping)
			m.store.EXPECT().Renew(gomock.Any(), "m1", gomock.Any()).Return(nil, dao.ErrUnavailable)
			m.database.Look(t.Context())
			m.renew(t.Context())
			if got := strings.Count(log.String(), "renewing leases failed"); got != tc.want {
				t.Errorf("logged %d times, want %d:\n%s", got, tc.want, &log)
			}
		})
	}
}

// What fails while the database is known to be away is not told beside the outage.
func TestCallsWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	m := newMocked(t)
	m.log = slog.New(slog.NewTextHandler(&log, nil))
	away := fmt.Errorf("%w: connection refused", dao.ErrUnavailable)
	m.store.EXPECT().Ping(gomock.Any()).Return(away)
	found := func() { m.database.Look(t.Context()) } // while the call is under way
	m.store.EXPECT().Due(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).
		DoAndReturn(func(context.Context, dao.Claimant, time.Time, time.Time) (dao.Due, error) {
			found()
			return dao.Due{}, away
		})
	m.store.EXPECT().ClaimCancelled(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).
		DoAndReturn(func(context.Context, dao.Claimant, time.Time, time.Time, int) ([]dao.Lease, error) {
			found()
			return nil, away
		}).AnyTimes()
	m.poll(t.Context())
	m.findCancelled(t.Context())
	if strings.Contains(log.String(), "failed") {
		t.Errorf("logged:\n%s", &log)
	}
}

// Who takes over from a manager that died says so, and who ends what it gave back: a
// try that failed is no alarm if the last one did not.
func TestTakeoverAndHandoverAreLogged(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		last error
		want string
	}{
		"the last try succeeds": {nil, "level=INFO msg=\"giving leases back failed: trying once more"},
		"the last try fails":    {dao.ErrUnavailable, "level=ERROR msg=\"giving leases back failed: others take over"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			m := newMocked(t)
			m.log = slog.New(slog.NewTextHandler(&log, nil))
			m.store.EXPECT().ClaimRunning(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).Return([]dao.Lease{
				{ExecutionID: 2, Owner: "m1", Epoch: 2, Lost: "m0", Until: m.now.Add(time.Hour)},
				{ExecutionID: 3, Owner: "m1", Epoch: 2, Lost: "m0", Until: m.now.Add(time.Hour)},
				{ExecutionID: 4, Owner: "m1", Epoch: 1, Until: m.now.Add(time.Hour)},
			}, nil)
			m.claim(t.Context(), m.store.ClaimRunning, m.now, 10)
			gomock.InOrder(
				m.store.EXPECT().Leave(gomock.Any(), "m1", gomock.Any(), gomock.Any()).Return(dao.ErrUnavailable),
				m.store.EXPECT().Leave(gomock.Any(), "m1", gomock.Any(), gomock.Any()).Return(tc.last),
			)
			ended, end := context.WithCancel(t.Context())
			end()
			m.handOver(ended)
			m.handOverRest(ended)
			for _, want := range []string{"executions=2 last_manager=m0", "leases=4 in_hand=0", tc.want} {
				if strings.Count(log.String(), want) != 1 {
					t.Errorf("want %q once:\n%s", want, &log)
				}
			}
			if tc.last == nil && strings.Contains(log.String(), "level=ERROR") {
				t.Errorf("an alarm for nothing:\n%s", &log)
			}
		})
	}
}
