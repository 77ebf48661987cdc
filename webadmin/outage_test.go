package webadmin

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang/mock/gomock"

	"github.com/jobnetes/jobnetes/dao"
)

// A page does not wait for a database that hangs, and not at all for one that is
// known to; the outage is logged once, whoever asks for what.
func TestPagesWhileTheDatabaseHangs(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/executions/1", "/api/v1/workflow/execution/1", "/tasks/1/pods/p/c/log"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var (
					log   bytes.Buffer
					hangs atomic.Bool
				)
				answer := func(ctx context.Context) error {
					if !hangs.Load() {
						return nil
					}
					<-ctx.Done()
					return fmt.Errorf("%w: %w", dao.ErrUnavailable, ctx.Err())
				}
				store := NewMockStore(gomock.NewController(t))
				store.EXPECT().Ping(gomock.Any()).DoAndReturn(answer).AnyTimes()
				store.EXPECT().Execution(gomock.Any(), uint64(1)).MaxTimes(1).DoAndReturn(func(ctx context.Context, _ uint64) (dao.WorkflowExecution, error) {
					return dao.WorkflowExecution{}, answer(ctx)
				})
				store.EXPECT().Task(gomock.Any(), uint64(1)).MaxTimes(1).DoAndReturn(func(ctx context.Context, _ uint64) (dao.TaskExecution, error) {
					return dao.TaskExecution{}, answer(ctx)
				})
				s := newServer(t, Config{}, store, &fakePods{})
				s.log = slog.New(slog.NewTextHandler(&log, nil))
				h := s.Handler()
				ctx, cancel := context.WithCancel(t.Context())
				go s.Run(ctx)
				synctest.Wait()
				hangs.Store(true)
				for _, most := range []time.Duration{9 * time.Second, 0} {
					began := time.Now()
					if rec := get(h, path); rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), "could not be reached") {
						t.Errorf("status %d, %s", rec.Code, rec.Body)
					}
					if took := time.Since(began); took > most {
						t.Errorf("it took %s, want %s at the most", took, most)
					}
				}
				cancel()
				synctest.Wait()
				if strings.Contains(log.String(), "request failed") {
					t.Errorf("requests are logged beside the outage:\n%s", &log)
				}
			})
		})
	}
}

// A database that takes no write is one to read from.
func TestPagesOfAReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	store := NewMockStore(gomock.NewController(t))
	store.EXPECT().Ping(gomock.Any()).Return(dao.ErrReadOnly)
	store.EXPECT().Workflows(gomock.Any(), gomock.Any(), gomock.Any())
	s := newServer(t, Config{}, store, &fakePods{})
	s.database.Look(t.Context())
	if rec := get(s.Handler(), "/workflows"); rec.Code != http.StatusOK {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
}
