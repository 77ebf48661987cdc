package webadmin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang/mock/gomock"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
)

// atOnce is how many logs the JSON API reads at once.
const atOnce = logRoom / apiLogBytes

// crowd asks for one log many times at once, where no log can be read before
// release is called.
type crowd struct {
	handler http.Handler
	release func()
	asked   atomic.Int32  // how often the cluster was asked for the log
	slow    time.Duration // how long reading takes for those who had to wait
}

// newCrowd returns a crowd of nobody. Something was kept of the log, but nobody is
// to get it: the log is there. Task 2 has a pod that has not started.
func newCrowd(t *testing.T) *crowd {
	t.Helper()
	released, name, pending := make(chan struct{}), "job", "pending"
	ctrl := gomock.NewController(t)
	store, pods := NewMockStore(ctrl), NewMockPods(ctrl)
	c := &crowd{handler: newHandler(t, Config{}, store, pods), release: func() { close(released) }}
	store.EXPECT().Task(gomock.Any(), uint64(1)).AnyTimes().Return(dao.TaskExecution{ID: 1, TaskType: "kube-job", ExecutionName: &name}, nil)
	store.EXPECT().Task(gomock.Any(), uint64(2)).AnyTimes().Return(dao.TaskExecution{ID: 2, TaskType: "kube-job", ExecutionName: &pending}, nil)
	store.EXPECT().Execution(gomock.Any(), gomock.Any()).AnyTimes().Return(dao.WorkflowExecution{}, nil)
	store.EXPECT().TaskLogNames(gomock.Any(), gomock.Any()).AnyTimes().Return([]dao.TaskLogName{{Pod: "p", Container: "main"}}, nil)
	pods.EXPECT().Pods(gomock.Any(), name).AnyTimes().Return([]corev1.Pod{finishedPod("p", "Error", 1, begin)}, nil)
	notStarted := finishedPod("p", "Error", 1, begin)
	notStarted.Status = corev1.PodStatus{Phase: corev1.PodPending}
	pods.EXPECT().Pods(gomock.Any(), pending).AnyTimes().Return([]corev1.Pod{notStarted}, nil)
	pods.EXPECT().LogTail(gomock.Any(), "p", "main", dao.MaxLogBytes).AnyTimes().DoAndReturn(func(ctx context.Context, _, _ string, _ int) ([]byte, bool, error) {
		if c.asked.Add(1) <= atOnce {
			<-released
			return []byte("end"), true, nil
		}
		time.Sleep(c.slow)
		return []byte("end"), true, ctx.Err()
	})
	return c
}

// join sends a request, and returns where its answer will be.
func (c *crowd) join(ctx context.Context) *httptest.ResponseRecorder {
	return c.get(ctx, "/api/v1/task/1/pod/p/main/log")
}

func (c *crowd) get(ctx context.Context, path string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	go c.handler.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
	synctest.Wait()
	return rec
}

// Only so many logs are read at once; the others wait, and then are read, too.
func TestLogRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t)
		var answers []*httptest.ResponseRecorder
		for range atOnce + 3 {
			answers = append(answers, c.join(t.Context()))
		}
		if n := c.asked.Load(); n != 8 {
			t.Errorf("%d logs are read at once, want 8", n)
		}
		c.release()
		synctest.Wait()
		for _, rec := range answers {
			if rec.Code != http.StatusOK || rec.Body.String() != "{\"item\":\"end\"}\n" {
				t.Errorf("status %d, body %s", rec.Code, rec.Body)
			}
		}
	})
}

// Who waits gives up in time and is told so; what was kept is no substitute for a
// log that is there. Whoever has left is not waited for.
func TestNoLogRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t)
		for range atOnce {
			c.join(t.Context())
		}
		late, page := c.join(t.Context()), c.get(t.Context(), "/tasks/1")
		if page := c.get(t.Context(), "/tasks/2"); page.Body.Len() == 0 {
			t.Error("a page on which there is no log to read waits for room")
		}
		left, leave := context.WithCancel(t.Context())
		c.join(left)
		leave()
		time.Sleep(roomTimeout)
		synctest.Wait()
		if late.Code != http.StatusServiceUnavailable || !strings.Contains(late.Body.String(), "Try again soon") {
			t.Errorf("status %d, body %s", late.Code, late.Body)
		}
		wantTexts(t, parse(t, page.Body.String()), ".note", noteBusy)
		c.release()
		synctest.Wait()
		last := c.join(t.Context())
		if n := c.asked.Load(); last.Code != http.StatusOK || n != atOnce+1 {
			t.Errorf("afterwards: status %d, body %s, %d logs were read", last.Code, last.Body, n)
		}
	})
}

// Waiting takes nothing of the time to read.
func TestLogRoomLeavesTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t)
		c.slow = podsTimeout - time.Second
		for range atOnce {
			c.join(t.Context())
		}
		rec := c.join(t.Context())
		time.Sleep(roomTimeout - time.Second)
		c.release()
		time.Sleep(c.slow)
		synctest.Wait()
		if rec.Code != http.StatusOK || rec.Body.String() != "{\"item\":\"end\"}\n" || rec.Header().Get(keptHeader) != "" {
			t.Errorf("status %d, header %v, body %s", rec.Code, rec.Header(), rec.Body)
		}
	})
}
