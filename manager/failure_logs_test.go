package manager

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang/mock/gomock"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
)

// wide is a manager that keeps logs and holds an execution with that many Jobs at
// once; then the watch says *state of each, and its pod has failed.
func wide(t *testing.T, jobs int) (m *mocked, state **batchv1.Job) {
	t.Helper()
	m = newMocked(t)
	m.cfg.KeptLogBytes = 1 << 16
	var sets []string
	for i := range jobs {
		sets = append(sets, fmt.Sprintf(`[{"name": "t%d", "type": "kube-job", "job": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "x"}]}}}}}]`, i))
	}
	owner, version := "m1", uint64(1)
	m.store.EXPECT().Execution(gomock.Any(), uint64(1)).AnyTimes().Return(dao.WorkflowExecution{ID: 1, WorkflowVersionID: &version, WorkflowName: "w", Input: "{}", LeaseOwner: &owner, LeaseEpoch: 1}, nil)
	m.store.EXPECT().Tasks(gomock.Any(), uint64(1)).AnyTimes().Return(nil, nil)
	m.store.EXPECT().WorkflowVersion(gomock.Any(), version).AnyTimes().Return(dao.WorkflowVersion{Version: 1,
		Definition: `{"name": "w", "tasks": [{"name": "fan", "type": "parallel", "task-sets": [` + strings.Join(sets, ",") + `]}]}`}, nil)
	m.store.EXPECT().Commit(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).
		DoAndReturn(func(_ context.Context, _ dao.Lease, _ *dao.WorkflowExecution, ts []dao.Transition, _ time.Time) error {
			for i, tr := range ts {
				if tr.Type == dao.EventTaskStarted {
					name := fmt.Sprintf("w-%s-1-1", tr.Task.TaskName)
					tr.Task.ID, tr.Task.ExecutionName = uint64(i), &name
				}
			}
			return nil
		})
	state = new(*batchv1.Job)
	m.jobs.EXPECT().Cached(gomock.Any()).AnyTimes().DoAndReturn(func(name string) *batchv1.Job {
		if *state == nil {
			return nil
		}
		job := (*state).DeepCopy()
		job.Name = name
		return job
	})
	m.jobs.EXPECT().Create(gomock.Any(), gomock.Any()).Times(jobs).DoAndReturn(func(_ context.Context, job *batchv1.Job) (*batchv1.Job, error) {
		job.UID = "u1"
		return job, nil
	})
	m.store.EXPECT().MarkLaunched(gomock.Any(), gomock.Any(), gomock.Any(), "u1", gomock.Any()).Times(jobs).Return(nil)
	m.reconcile(t.Context(), 1)

	m.jobs.EXPECT().Pods(gomock.Any(), gomock.Any()).AnyTimes().DoAndReturn(func(_ context.Context, job string) ([]corev1.Pod, error) {
		p := podOf(m.now, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}})
		p.Name = job + "-pod"
		return []corev1.Pod{p}, nil
	})
	m.store.EXPECT().TaskLogs(gomock.Any(), gomock.Any()).AnyTimes().Return(nil, nil)
	m.store.EXPECT().RecordedOutputs(gomock.Any(), gomock.Any()).AnyTimes().Return(nil, nil)
	return m, state
}

func hang(ctx context.Context, _, _ string, _ int) ([]byte, bool, error) {
	<-ctx.Done()
	return nil, false, ctx.Err()
}

// However many Jobs of an execution have failed, logs that hang leave the commit
// its time, and all its tasks end in one pass. Those of the next pass, as of
// another execution, are not waited for as long.
func TestManyFailuresWithLogsThatHang(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		readHangs bool
		writes    bool // and those hang
		wantTime  time.Duration
		wantAgain time.Duration
	}{
		"to be read":    {true, false, failureLogTime, hurriedLogTime},
		"to be written": {false, true, failureLogTime + writeTimeout, failureLogTime},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				for range 2 {
					m, state := wide(t, 120)
					tail := m.jobs.EXPECT().LogTail(gomock.Any(), gomock.Any(), "c", 1<<16).AnyTimes()
					if tail.Return([]byte("one\n"), false, nil); tc.readHangs {
						tail.DoAndReturn(hang)
					}
					if tc.writes {
						m.store.EXPECT().KeepLogs(gomock.Any(), gomock.Any(), gomock.Any()).AnyTimes().DoAndReturn(func(ctx context.Context, _ []dao.TaskLog, _ time.Time) error {
							<-ctx.Done()
							return ctx.Err()
						})
					}
					ended := 0
					m.store.EXPECT().Commit(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).
						DoAndReturn(func(ctx context.Context, _ dao.Lease, _ *dao.WorkflowExecution, ts []dao.Transition, _ time.Time) error {
							for _, tr := range ts {
								if tr.Type == dao.EventTaskFailed && tr.Task.TaskType == "kube-job" && strings.Contains(tr.Task.ErrorMsg, "exited with code 3") {
									ended++
								}
							}
							return ctx.Err()
						})
					*state = withConditions(runningJob(m.now), batchv1.JobFailed)
					began := time.Now()
					m.reconcile(t.Context(), 1)
					if took := time.Since(began); ended != 120 || took > tc.wantTime {
						t.Errorf("%d tasks have ended in %s, want all in %s", ended, took, tc.wantTime)
					}
					if _, until := m.logTimeOf(&held{logTime: &logTime{}}); time.Until(until) > tc.wantAgain+writeTimeout {
						t.Errorf("the next ones take until %s", time.Until(until))
					}
				}
			})
		})
	}
}

// A Job that is about to fail when the pass has no time left for its logs has them
// read in the next one.
func TestLogsThatThereWasNoTimeFor(t *testing.T) {
	t.Parallel()
	const tasks = 5 * actAtOnce
	synctest.Test(t, func(t *testing.T) {
		m, state := wide(t, tasks)
		var hangs atomic.Bool
		hangs.Store(true)
		m.jobs.EXPECT().LogTail(gomock.Any(), gomock.Any(), "c", 1<<16).AnyTimes().DoAndReturn(func(ctx context.Context, pod, container string, limit int) ([]byte, bool, error) {
			if hangs.Load() {
				return hang(ctx, pod, container, limit)
			}
			return []byte("one\n"), false, nil
		})
		var kept atomic.Int32
		m.store.EXPECT().KeepLogs(gomock.Any(), gomock.Any(), gomock.Any()).AnyTimes().DoAndReturn(func(context.Context, []dao.TaskLog, time.Time) error {
			kept.Add(1)
			return nil
		})
		*state = withConditions(runningJob(m.now), batchv1.JobFailureTarget)
		m.reconcile(t.Context(), 1)
		hangs.Store(false)
		m.reconcile(t.Context(), 1)
		if n := kept.Load(); n < tasks-2*actAtOnce {
			t.Errorf("the logs of %d Jobs are kept", n)
		}
		kept.Store(0)
		m.reconcile(t.Context(), 1)
		if n := kept.Load(); n > 0 {
			t.Errorf("the logs of %d Jobs are kept twice", n)
		}
	})
}
