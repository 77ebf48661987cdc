package manager

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

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
