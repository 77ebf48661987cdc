package jobapi

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang/mock/gomock"
	"google.golang.org/grpc/codes"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
)

// No more calls work at once than there is room for. More wait, as long as they have
// time, and then have not begun.
func TestCallsWaitInLine(t *testing.T) {
	t.Parallel()
	store := newOutage(t)
	entered, release := make(chan struct{}, callsAtOnce+1), make(chan struct{})
	var begun atomic.Int64
	store.EXPECT().Workflows(gomock.Any(), "", 100).AnyTimes().DoAndReturn(func(context.Context, string, int) ([]dao.Workflow, error) {
		begun.Add(1)
		entered <- struct{}{}
		<-release
		return nil, nil
	})
	cfg := testConfig()
	cfg.RequestTimeout = 200 * time.Millisecond
	b := setup(t, cfg, store, nil)
	known(t, b.server, false)
	call := func() error {
		ctx, cancel := context.WithTimeout(asUser(t), 10*time.Second)
		defer cancel()
		_, err := b.client.ListWorkflows(ctx, &pb.ListWorkflowsRequest{})
		return err
	}
	var calls sync.WaitGroup
	for range callsAtOnce {
		calls.Go(func() {
			if err := call(); err != nil {
				t.Errorf("one that has begun: %v", err)
			}
		})
	}
	for range callsAtOnce {
		<-entered
	}
	wantCode(t, call(), codes.Unavailable)
	if n := begun.Load(); n != callsAtOnce {
		t.Errorf("%d calls have begun, want %d", n, callsAtOnce)
	}
	close(release)
	calls.Wait()
	if err := call(); err != nil {
		t.Errorf("after the others: %v", err)
	}
}
