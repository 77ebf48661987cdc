package jobapi

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang/mock/gomock"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
)

// outage is a Store whose database goes away and comes back.
type outage struct {
	*MockStore
	away  atomic.Bool
	calls atomic.Int64
	pings atomic.Int64
}

func newOutage(t *testing.T) *outage {
	t.Helper()
	o := &outage{MockStore: NewMockStore(gomock.NewController(t))}
	o.EXPECT().Ping(gomock.Any()).AnyTimes().DoAndReturn(func(context.Context) error {
		o.pings.Add(1)
		if o.away.Load() {
			return fmt.Errorf("%w: connection refused", dao.ErrUnavailable)
		}
		return nil
	})
	return o
}

// known waits until the server has found out whether the database is away.
func known(t *testing.T, s *Server, away bool) {
	t.Helper()
	for st := s.States()[0]; !st.Known || (st.Err != nil) != away; st = s.States()[0] {
		if t.Context().Err() != nil {
			t.Fatal("the server does not find out")
		}
		s.database.Doubt()
	}
}

// While the database is away calls are refused without asking it, and are not
// logged one by one; after its return they succeed.
func TestCallsWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	store := newOutage(t)
	store.EXPECT().Workflows(gomock.Any(), "", 100).AnyTimes().DoAndReturn(func(context.Context, string, int) ([]dao.Workflow, error) {
		store.calls.Add(1)
		return nil, nil
	})
	b := setup(t, testConfig(), store, nil)
	store.away.Store(true)
	known(t, b.server, true)
	for range 10 {
		_, err := b.client.ListWorkflows(asUser(t), &pb.ListWorkflowsRequest{})
		wantCode(t, err, codes.Unavailable)
	}
	_, err := b.client.ListWorkflows(t.Context(), &pb.ListWorkflowsRequest{})
	wantCode(t, err, codes.Unauthenticated)
	if n := store.calls.Load(); n != 0 {
		t.Errorf("the database was asked %d times while it was away", n)
	}
	store.away.Store(false)
	known(t, b.server, false)
	if _, err := b.client.ListWorkflows(asUser(t), &pb.ListWorkflowsRequest{}); err != nil {
		t.Errorf("after the return: %v", err)
	}
	if n := strings.Count(b.log.String(), "is away"); n != 1 {
		t.Errorf("the outage is logged %d times, want once:\n%s", n, b.log)
	}
}

// A call that a database has let hang ends with Unavailable once that is found
// out, not when its own time is up.
func TestCallsThatHangAreCutOff(t *testing.T) {
	t.Parallel()
	store := newOutage(t)
	entered := make(chan struct{})
	store.EXPECT().Workflows(gomock.Any(), "", 100).DoAndReturn(func(ctx context.Context, _ string, _ int) ([]dao.Workflow, error) {
		close(entered)
		<-ctx.Done()
		return nil, fmt.Errorf("list workflows: %w", ctx.Err())
	})
	b := setup(t, testConfig(), store, nil)
	known(t, b.server, false)
	called := make(chan error, 1)
	go func() {
		_, err := b.client.ListWorkflows(asUser(t), &pb.ListWorkflowsRequest{})
		called <- err
	}()
	<-entered
	store.away.Store(true)
	wantCode(t, <-called, codes.Unavailable)
}

// A database that answers is asked every two seconds, one that is away every second, and it
// takes no longer than that to notice.
func TestPings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newOutage(t)
		s := &Server{cfg: Config{}.withDefaults(), store: store, log: slog.New(slog.DiscardHandler), health: health.NewServer()}
		s.database = s.newDatabaseProbe()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = s.database.Run(ctx) }() // that ctx has ended
		during := func(length time.Duration) int {
			before := store.pings.Load()
			time.Sleep(length)
			synctest.Wait()
			return int(store.pings.Load() - before)
		}
		if n := during(time.Minute); n < 29 || n > 33 {
			t.Errorf("asked %d times in a minute, want once in two seconds", n)
		}
		store.away.Store(true)
		during(2 * time.Second)
		if s.database.Err() == nil {
			t.Error("nobody has noticed that it is away")
		}
		if n := during(time.Minute); n < 59 {
			t.Errorf("asked %d times in a minute while it is away, want once a second", n)
		}
		store.away.Store(false)
		during(time.Second)
		if err := s.database.Err(); err != nil {
			t.Errorf("nobody has noticed that it is back: %v", err)
		}
	})
}
