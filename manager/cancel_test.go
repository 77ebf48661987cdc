package manager

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang/mock/gomock"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// unlisted hides the Jobs from the retention pass.
type unlisted struct{ Jobs }

func (unlisted) List() []*batchv1.Job { return nil }

// A cancel ends the execution and deletes its Jobs at once: here no retention pass
// would.
func TestCancel(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		run(t, w.manager(t, "m1", keeping(unlisted{w.chatty("half done\n")})))
		said := fmt.Sprintf("echo half done; mktemp %s/said.XXXXXXXX >/dev/null; sleep 300", w.ran)
		id := w.start(t, workflow(fmt.Sprintf(`{"name": "fan", "type": "parallel", "next": "c", "task-sets": [[%s], [%s]]}`, w.job("a", "", said), w.job("b", "", "")),
			w.job("c", "", "")), "{}")
		await(t, "b's end, while a runs", func() bool {
			return w.task(t, id, "b").Status == dao.TaskSuccess && w.runs(t)["said"] == 1
		})
		if err := w.RequestCancel(t.Context(), id, "user ann", "wrong day", time.Now()); err != nil {
			t.Fatal(err)
		}
		e := w.ended(t, id)
		if e.Status != dao.ExecutionFailed || e.ErrorMsg != "Cancelled by user ann: wrong day" || e.CancelRequestedAt != nil {
			t.Errorf("execution: %+v", e)
		}
		a := w.task(t, id, "a")
		for _, task := range []*dao.TaskExecution{a, w.task(t, id, "fan")} {
			if task.ErrorReason != dao.Cancelled || task.ErrorMsg != "the execution was cancelled by user ann: wrong day" {
				t.Errorf("task %s: %s: %s", task.TaskName, task.ErrorReason, task.ErrorMsg)
			}
		}
		await(t, "the Job's deletion", func() bool { return !w.there(t, *a.ExecutionName) })
		if !w.there(t, *w.task(t, id, "b").ExecutionName) {
			t.Error("a Job that had succeeded is deleted before its time")
		}
		if logs := w.logs(t, a.ID); len(logs) != 1 || string(logs[0].Text) != "half done\n" {
			t.Errorf("kept logs: %+v", logs)
		}
	})
}

// toCancel expects n passes over the execution, with a request to cancel it.
func (m *mocked) toCancel(n int, tasks func() []*dao.TaskExecution) {
	owner, at, by := "m1", m.now, "user ann"
	row := dao.WorkflowExecution{ID: 1, WorkflowName: "w", Input: "{}", Output: "{}", LeaseOwner: &owner, LeaseEpoch: 1, CancelRequestedAt: &at, CancelRequestedBy: &by}
	m.store.EXPECT().Execution(gomock.Any(), uint64(1)).Times(n).Return(row, nil)
	m.store.EXPECT().OpenRows(gomock.Any(), uint64(1)).Times(n).DoAndReturn(func(context.Context, uint64) (dao.WorkflowExecution, []*dao.TaskExecution, error) {
		return row, tasks(), nil
	})
}

func noTasks() []*dao.TaskExecution { return nil }

// isCancelled expects the commit of a cancel, which gives err.
func (m *mocked) isCancelled(t *testing.T, err error) *gomock.Call {
	return m.store.EXPECT().Commit(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).
		DoAndReturn(func(_ context.Context, _ dao.Lease, e *dao.WorkflowExecution, _ []dao.Transition, _ time.Time) error {
			if e.Status != dao.ExecutionFailed || e.ErrorMsg != "Cancelled by user ann" {
				t.Errorf("%s: %s", e.Status, e.ErrorMsg)
			}
			return err
		})
}

func (m *mocked) finds(leases ...dao.Lease) {
	m.store.EXPECT().ClaimCancelled(gomock.Any(), m.claimant(), m.now, m.now.Add(m.cfg.Lease), cancelBatch).Return(leases, nil)
}

// A manager that is full takes up what is to be cancelled nevertheless.
func TestCancelNeedsNoRoom(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.cfg.MaxExecutions = 1 // and holds it
	m.finds(dao.Lease{ExecutionID: 2, Owner: "m1", Epoch: 7})
	m.findCancelled(t.Context())
	if !m.holds(2) {
		t.Error("the execution is not held")
	}
}

// An execution that waits after an error, and is known, is read again at once.
func TestCancelDoesNotWait(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.loads(1)
	m.store.EXPECT().Commit(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).Return(fmt.Errorf("move: %w", dao.ErrUnavailable))
	m.reconcile(t.Context(), 1)

	m.finds(dao.Lease{ExecutionID: 1, Owner: "m1", Epoch: 1})
	m.findCancelled(t.Context())
	m.toCancel(1, noTasks)
	m.isCancelled(t, nil)
	m.reconcile(t.Context(), 1)
	if m.holds(1) {
		t.Error("the execution is still held")
	}
}

// A job that records its output at the last moment delays a cancel, no more.
func TestCancelMeetsARecord(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.toCancel(2, noTasks)
	first := m.isCancelled(t, fmt.Errorf("end task 5: %w", dao.ErrConflict))
	m.isCancelled(t, nil).After(first)
	for range 2 {
		id, ok := m.queue.tryTake(trusted)
		if !ok {
			t.Fatal("the execution does not wait for a worker")
		}
		m.reconcile(t.Context(), id)
		m.queue.done(id)
	}
	if m.holds(1) {
		t.Error("the execution is still held")
	}
}

// Which Job is deleted after a cancel: that of the task, if it is known and runs.
func TestCancelledJob(t *testing.T) {
	t.Parallel()
	now := time.Now()
	another := runningJob(now)
	another.Labels = map[string]string{kube.LabelTaskID: "6"}
	uid, notFound := "u1", apierrors.NewNotFound(jobsResource, "w-a-5-1")
	cases := map[string]struct {
		noted   *string
		unnoted *batchv1.Job // created, and not noted
		cached  *batchv1.Job
		get     *batchv1.Job // what the API server has
		err     error        // of asking it
		want    bool
	}{
		"it runs":                             {noted: &uid, cached: runningJob(now), get: runningJob(now), want: true},
		"the watch lags behind":               {noted: &uid, get: runningJob(now), want: true},
		"it was just created":                 {unnoted: runningJob(now), get: runningJob(now), want: true},
		"an earlier manager did not note it":  {cached: runningJob(now), get: runningJob(now), want: true},
		"there is none":                       {noted: &uid, err: notFound},
		"there was never one":                 {},
		"it has finished":                     {noted: &uid, cached: withConditions(runningJob(now), batchv1.JobComplete)},
		"it has, and the watch lags behind":   {noted: &uid, cached: runningJob(now), get: withConditions(runningJob(now), batchv1.JobComplete)},
		"another task's":                      {cached: another},
		"another one under the same name":     {noted: new(string), cached: runningJob(now)},
		"the API server is away: tried later": {noted: &uid, cached: runningJob(now), err: errors.New("connection refused")},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMocked(t)
			job := "w-a-5-1"
			m.toCancel(1, func() []*dao.TaskExecution {
				return []*dao.TaskExecution{{ID: 5, TaskName: "a", TaskType: "kube-job", ExecutionName: &job, JobUID: tc.noted}}
			})
			m.isCancelled(t, nil)
			if tc.unnoted != nil {
				m.held[1].unnoted.Store(uint64(5), tc.unnoted)
			}
			m.jobs.EXPECT().Cached(job).AnyTimes().Return(tc.cached)
			m.jobs.EXPECT().Get(gomock.Any(), job).AnyTimes().Return(tc.get, tc.err)
			deleted := false
			m.jobs.EXPECT().Delete(gomock.Any(), job, types.UID("u1")).AnyTimes().DoAndReturn(func(context.Context, string, types.UID) error {
				deleted = true
				return nil
			})
			m.reconcile(t.Context(), 1)
			if deleted != tc.want {
				t.Errorf("deleted: %t, want %t", deleted, tc.want)
			}
		})
	}
}

// Logs that hang, as of a node that is away, do not keep Jobs for long.
func TestCancelWithLogsThatHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMocked(t)
		m.cfg.KeptLogBytes = 1 << 16
		const jobs = 50
		uid := "u1"
		m.toCancel(1, func() (tasks []*dao.TaskExecution) {
			for i := range jobs {
				name := fmt.Sprintf("job-%d", i+1)
				tasks = append(tasks, &dao.TaskExecution{ID: uint64(i + 1), TaskName: name, TaskType: "kube-job", ExecutionName: &name, JobUID: &uid})
			}
			return tasks
		})
		m.isCancelled(t, nil)
		known := func(name string) *batchv1.Job {
			job := runningJob(time.Now())
			job.Name, job.Labels = name, map[string]string{kube.LabelTaskID: strings.TrimPrefix(name, "job-")}
			return job
		}
		m.jobs.EXPECT().Cached(gomock.Any()).AnyTimes().DoAndReturn(known)
		m.jobs.EXPECT().Get(gomock.Any(), gomock.Any()).AnyTimes().DoAndReturn(func(_ context.Context, name string) (*batchv1.Job, error) { return known(name), nil })
		m.jobs.EXPECT().Pods(gomock.Any(), gomock.Any()).AnyTimes().DoAndReturn(func(_ context.Context, job string) ([]corev1.Pod, error) {
			return []corev1.Pod{twoContainers(job)}, nil
		})
		m.jobs.EXPECT().LogTail(gomock.Any(), gomock.Any(), gomock.Any(), 1<<16).AnyTimes().DoAndReturn(hang)
		m.store.EXPECT().TaskLogs(gomock.Any(), gomock.Any()).AnyTimes().Return(nil, nil)
		m.jobs.EXPECT().Delete(gomock.Any(), gomock.Any(), types.UID("u1")).Times(jobs).Return(nil)
		began := time.Now()
		m.reconcile(t.Context(), 1)
		if took := time.Since(began); took > failureLogTime {
			t.Errorf("it took %s", took)
		}
	})
}

// A cancel that fails waits for its pause like all that fails, though every look
// finds that it is still to be cancelled.
func TestCancelThatFailsIsPaused(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	lease := dao.Lease{ExecutionID: 1, Owner: "m1", Epoch: 1, Until: m.now.Add(time.Hour)}
	m.store.EXPECT().ClaimCancelled(gomockAny, gomockAny, gomockAny, gomockAny, gomockAny).Times(3).Return([]dao.Lease{lease}, nil)
	m.store.EXPECT().Execution(gomockAny, uint64(1)).Return(dao.WorkflowExecution{}, dao.ErrUnavailable) // once
	for range 3 {
		m.findCancelled(t.Context())
		m.reconcile(t.Context(), 1)
	}
}
