package manager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang/mock/gomock"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// runningJob is the Job of task 5, none of whose pods is ready.
func runningJob(started time.Time) *batchv1.Job {
	job := &batchv1.Job{}
	job.Name, job.UID = "w-a-5-1", "u1"
	job.Labels = map[string]string{kube.LabelTaskID: "5"}
	job.Status = batchv1.JobStatus{StartTime: &metav1.Time{Time: started}, Active: 1, Ready: new(int32)}
	return job
}

func withConditions(job *batchv1.Job, types ...batchv1.JobConditionType) *batchv1.Job {
	job = job.DeepCopy()
	for _, c := range types {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{Type: c, Status: corev1.ConditionTrue, Reason: "DeadlineExceeded", Message: "too long"})
	}
	return job
}

// podOf is a pod with one container in that state.
func podOf(started time.Time, state corev1.ContainerState) corev1.Pod {
	p := corev1.Pod{}
	p.Name, p.UID = "w-a-5-1-abcde", "pod"
	p.Spec.Containers = []corev1.Container{{Name: "c", Image: "nope:1"}}
	p.Status = corev1.PodStatus{Phase: corev1.PodPending, StartTime: &metav1.Time{Time: started}, ContainerStatuses: []corev1.ContainerStatus{{Name: "c", State: state}}}
	return p
}

var (
	pullFails = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "Back-off pulling image"}}
	creating  = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}
	runs      = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
)

// launched is newMocked after its first pass, in which the task's Job was made;
// then the watch says *job of it.
func launched(t *testing.T) (m *mocked, job **batchv1.Job) {
	t.Helper()
	m = newMocked(t)
	m.loads(1)
	m.commits()
	m.creates(nil)
	m.store.EXPECT().MarkLaunched(gomock.Any(), gomock.Any(), uint64(5), "u1", gomock.Any()).Return(nil)
	job = new(*batchv1.Job)
	m.jobs.EXPECT().Cached("w-a-5-1").AnyTimes().DoAndReturn(func(string) *batchv1.Job { return *job })
	m.reconcile(t.Context(), 1)
	return m, job
}

func (m *mocked) pods(pods ...corev1.Pod) {
	m.jobs.EXPECT().Pods(gomock.Any(), "w-a-5-1").Return(pods, nil)
}

// fails expects the commit of the task's failure, by a reason and a message with
// those parts.
func (m *mocked) fails(t *testing.T, reason string, parts ...string) *gomock.Call {
	t.Helper()
	return m.store.EXPECT().Commit(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).
		DoAndReturn(func(_ context.Context, _ dao.Lease, _ *dao.WorkflowExecution, ts []dao.Transition, _ time.Time) error {
			task := ts[0].Task
			if task.Status != dao.TaskFailed || task.ErrorReason != reason {
				t.Errorf("the task is %s by %s, want failed by %s", task.Status, task.ErrorReason, reason)
			}
			for _, part := range parts {
				if !strings.Contains(task.ErrorMsg, part) {
					t.Errorf("error_msg %q has no %q", task.ErrorMsg, part)
				}
			}
			return nil
		})
}

// A Job whose image cannot be pulled fails after StartTimeout, and its pods are
// looked at twice before: once near its end, and at its end. It is deleted once
// that is written; a deletion that fails is left to the retention pass.
func TestHeldUpJobFails(t *testing.T) {
	t.Parallel()
	m, job := launched(t)
	m.cfg.StartTimeout = 5 * time.Minute
	began := m.now
	*job = runningJob(began)
	p := podOf(began, pullFails)
	for at := time.Duration(0); at < m.cfg.StartTimeout; at += time.Second {
		m.now = began.Add(at)
		if at == 4*time.Minute {
			m.pods(p)
		}
		m.reconcile(t.Context(), 1) // any other call of Pods would fail the test
	}
	m.now = began.Add(m.cfg.StartTimeout)
	m.pods(p)
	written := m.fails(t, "ImagePullBackOff", "pod w-a-5-1-abcde: container c could not be started for 5m0s (ImagePullBackOff)", `"nope:1"`, "Back-off pulling image", "imagePullSecrets")
	m.jobs.EXPECT().Delete(gomock.Any(), "w-a-5-1", (*job).UID).After(written).Return(errors.New("the API server is away"))
	m.reconcile(t.Context(), 1)

	m.jobs.EXPECT().List().Return([]*batchv1.Job{*job})
	m.store.EXPECT().EndedTasks(gomock.Any(), []uint64{5}).Return(map[uint64]dao.EndedTask{5: {JobName: "w-a-5-1"}}, nil)
	m.jobs.EXPECT().Get(gomock.Any(), "w-a-5-1").Return(*job, nil)
	m.jobs.EXPECT().Delete(gomock.Any(), "w-a-5-1", (*job).UID).Return(nil)
	m.deleteJobs(t.Context())
}

// What cannot start once may start yet: a Job fails only if two looks in a row
// have found so, and it has been so for StartTimeout.
func TestHeldUpForAWhileOnly(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		states    []corev1.ContainerState // one a minute, from the fourth on
		begins    time.Duration           // of the pod
		wantFails bool                    // at the last
	}{
		"a pull that took long, and failed":   {[]corev1.ContainerState{creating, creating, pullFails}, 0, false},
		"and failed again":                    {[]corev1.ContainerState{creating, creating, pullFails, pullFails}, 0, true},
		"one that is under way again between": {[]corev1.ContainerState{pullFails, creating, pullFails}, 0, false},
		"a pod that found room late":          {[]corev1.ContainerState{pullFails, pullFails, pullFails}, 3 * time.Minute, false},
		"one that never finds room":           {[]corev1.ContainerState{{}, {}, {}, {}, {}, {}, {}, {}}, 0, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, job := launched(t)
			m.cfg.StartTimeout = 5 * time.Minute
			began := m.now
			*job = runningJob(began)
			for i, state := range tc.states {
				m.now = began.Add(time.Duration(4+i) * time.Minute)
				m.pods(podOf(began.Add(tc.begins), state))
				if tc.wantFails && i == len(tc.states)-1 {
					m.fails(t, "ImagePullBackOff")
					m.jobs.EXPECT().Delete(gomock.Any(), gomock.Any(), gomock.Any()).Return(nil)
				}
				m.reconcile(t.Context(), 1)
				m.reconcile(t.Context(), 1) // too early for another look
			}
		})
	}
}

// A Job fails when its pod has waited for StartTimeout, and is not looked at
// between.
func TestHeldUpJobFailsInTime(t *testing.T) {
	t.Parallel()
	m, job := launched(t)
	m.cfg.StartTimeout = 5 * time.Minute
	began := m.now
	*job = runningJob(began)
	p := podOf(began.Add(20*time.Second), pullFails)
	for _, at := range []time.Duration{4 * time.Minute, 5 * time.Minute} {
		m.now = began.Add(at)
		m.pods(p)
		m.reconcile(t.Context(), 1)
	}
	m.now = began.Add(5*time.Minute + 19*time.Second)
	m.reconcile(t.Context(), 1)
	m.now = m.now.Add(time.Second)
	m.pods(p)
	m.fails(t, "ImagePullBackOff", "for 5m0s")
	m.jobs.EXPECT().Delete(gomock.Any(), gomock.Any(), gomock.Any()).Return(nil)
	m.reconcile(t.Context(), 1)
}

// With StartTimeout 0, and while a pod is ready, nobody looks.
func TestNobodyLooks(t *testing.T) {
	t.Parallel()
	m, job := launched(t)
	*job = runningJob(m.now)
	m.now = m.now.Add(30 * time.Minute)
	m.reconcile(t.Context(), 1)
	m.cfg.StartTimeout = time.Minute
	*(*job).Status.Ready = 1
	m.reconcile(t.Context(), 1)
}

// failing is a manager that keeps logs, whose Job's pod runs and says what it is
// at when the Job is about to fail.
func failing(t *testing.T) (m *mocked, job **batchv1.Job) {
	t.Helper()
	m, job = launched(t)
	m.cfg.KeptLogBytes = 1 << 16
	return m, job
}

var errPodGone = fmt.Errorf("read: %w", apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "p"))

// When Kubernetes says that a Job is about to fail, its pods and logs are read at
// once: they are gone when it has failed.
func TestPodsGoBeforeTheirJobHasFailed(t *testing.T) {
	t.Parallel()
	m, job := failing(t)
	m.pods(podOf(m.now, runs))
	m.store.EXPECT().TaskLogs(gomock.Any(), uint64(5)).Return(nil, nil)
	m.jobs.EXPECT().LogTail(gomock.Any(), "w-a-5-1-abcde", "c", 1<<16).Return([]byte("at work\n"), false, nil)
	m.store.EXPECT().KeepLogs(gomock.Any(), []dao.TaskLog{{TaskExecutionID: 5, Pod: "w-a-5-1-abcde", Container: "c", Text: []byte("at work\n")}}, gomock.Any()).Return(nil)
	*job = withConditions(runningJob(m.now), batchv1.JobFailureTarget)
	m.reconcile(t.Context(), 1)
	m.reconcile(t.Context(), 1) // too early for another look

	m.pods()
	m.jobs.EXPECT().LogTail(gomock.Any(), "w-a-5-1-abcde", "c", 1<<16).Return(nil, false, errPodGone)
	m.fails(t, "DeadlineExceeded", "pod w-a-5-1-abcde: container c was still running; too long; last lines of the log of container c of pod w-a-5-1-abcde:\nat work")
	*job = withConditions(runningJob(m.now), batchv1.JobFailureTarget, batchv1.JobFailed)
	m.reconcile(t.Context(), 1)
}

// What was read of a Job that was about to fail is written at its end, if it could
// not be before.
func TestLogsThatCouldNotBeWritten(t *testing.T) {
	t.Parallel()
	m, job := failing(t)
	m.pods(podOf(m.now, runs))
	m.store.EXPECT().TaskLogs(gomock.Any(), uint64(5)).Return(nil, nil)
	m.jobs.EXPECT().LogTail(gomock.Any(), "w-a-5-1-abcde", "c", 1<<16).Return([]byte("at work\n"), false, nil)
	kept := []dao.TaskLog{{TaskExecutionID: 5, Pod: "w-a-5-1-abcde", Container: "c", Text: []byte("at work\n")}}
	m.store.EXPECT().KeepLogs(gomock.Any(), kept, gomock.Any()).Return(dao.ErrUnavailable)
	*job = withConditions(runningJob(m.now), batchv1.JobFailureTarget)
	m.reconcile(t.Context(), 1)

	m.pods()
	m.jobs.EXPECT().LogTail(gomock.Any(), "w-a-5-1-abcde", "c", 1<<16).Return(nil, false, errPodGone)
	m.store.EXPECT().KeepLogs(gomock.Any(), kept, gomock.Any()).Return(nil)
	m.fails(t, "DeadlineExceeded", "at work")
	*job = withConditions(runningJob(m.now), batchv1.JobFailureTarget, batchv1.JobFailed)
	m.reconcile(t.Context(), 1)
}

// What a container writes in its grace period is read and kept, too, about once a
// second until it has ended.
func TestGracePeriodIsRead(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		ends        corev1.ContainerState // as it is last seen
		wantMessage string
	}{
		"to its end":                   {corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}, "container c exited with code 1; too long"},
		"as long as the pod was there": {runs, "container c was still running; too long"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, job := failing(t)
			*job = withConditions(runningJob(m.now), batchv1.JobFailureTarget)
			m.store.EXPECT().TaskLogs(gomock.Any(), uint64(5)).Return(nil, nil)
			p := podOf(m.now, runs)
			p.Status.Phase = corev1.PodRunning
			look := func(text string) {
				m.pods(p)
				m.jobs.EXPECT().LogTail(gomock.Any(), p.Name, "c", 1<<16).Return([]byte(text), false, nil)
				m.store.EXPECT().KeepLogs(gomock.Any(), []dao.TaskLog{{TaskExecutionID: 5, Pod: p.Name, Container: "c", Text: []byte(text)}}, gomock.Any()).Return(nil)
				m.reconcile(t.Context(), 1)
				m.now = m.now.Add(time.Second / 2)
				m.reconcile(t.Context(), 1) // too early for another look
				m.now = m.now.Add(time.Second / 2)
			}
			look("at work\n")
			look("at work\nstopping\n")
			p = podOf(m.now, tc.ends)
			look("at work\nstopping\nstopped\n")
			if tc.ends.Terminated != nil {
				m.reconcile(t.Context(), 1) // nothing more will come
			}

			m.pods()
			m.jobs.EXPECT().LogTail(gomock.Any(), p.Name, "c", 1<<16).Return(nil, false, errPodGone)
			m.fails(t, "DeadlineExceeded", tc.wantMessage, "\nat work\nstopping\nstopped")
			*job = withConditions(runningJob(m.now), batchv1.JobFailureTarget, batchv1.JobFailed)
			m.reconcile(t.Context(), 1)
		})
	}
}

// Looks at a Job whose logs are slow to read are rare.
func TestSlowLogsAreReadRarely(t *testing.T) {
	t.Parallel()
	m, job := failing(t)
	*job = withConditions(runningJob(m.now), batchv1.JobFailureTarget)
	m.store.EXPECT().TaskLogs(gomock.Any(), uint64(5)).AnyTimes().Return(nil, nil)
	looks := 0
	m.jobs.EXPECT().Pods(gomock.Any(), "w-a-5-1").AnyTimes().DoAndReturn(func(context.Context, string) ([]corev1.Pod, error) {
		looks++
		return []corev1.Pod{podOf(m.now, runs)}, nil
	})
	m.jobs.EXPECT().LogTail(gomock.Any(), gomock.Any(), "c", 1<<16).AnyTimes().DoAndReturn(func(context.Context, string, string, int) ([]byte, bool, error) {
		m.now = m.now.Add(2 * time.Second)
		return nil, false, errors.New("the node is away")
	})
	for began := m.now; m.now.Sub(began) < time.Minute; m.now = m.now.Add(time.Second) {
		m.reconcile(t.Context(), 1)
	}
	if looks != 2 {
		t.Errorf("%d looks in a minute, each of which took 2 s", looks)
	}
}

// A manager that has not seen it tells the last lines of what another has kept.
func TestKeptLogsTellAfterATakeover(t *testing.T) {
	t.Parallel()
	m, job := failing(t)
	m.pods()
	m.store.EXPECT().TaskLogs(gomock.Any(), uint64(5)).Return([]dao.TaskLog{{TaskExecutionID: 5, Pod: "gone", Container: "c", Text: []byte("at work\n")}}, nil)
	m.fails(t, "DeadlineExceeded", "too long; last lines of the log of container c of pod gone:\nat work")
	*job = withConditions(runningJob(m.now), batchv1.JobFailed)
	m.reconcile(t.Context(), 1)
}

// A kubelet that hangs delays a failure by seconds, and does no more: what could
// be read is kept.
func TestFailureWithALogThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // in which time passes at once
		m, job := failing(t)
		p := podOf(m.now, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}})
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "d"})
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: "d", State: runs})
		m.pods(p)
		m.store.EXPECT().TaskLogs(gomock.Any(), uint64(5)).Return(nil, errors.New("a broken row"))
		m.jobs.EXPECT().LogTail(gomock.Any(), p.Name, "d", 1<<16).Return([]byte("one\n"), true, nil)
		m.jobs.EXPECT().LogTail(gomock.Any(), p.Name, "c", 1<<16).DoAndReturn(func(ctx context.Context, _, _ string, _ int) ([]byte, bool, error) {
			<-ctx.Done()
			return nil, false, ctx.Err()
		})
		kept := []dao.TaskLog{{TaskExecutionID: 5, Pod: p.Name, Container: "d", Position: 1, Truncated: true, Text: []byte("one\n")}}
		m.store.EXPECT().KeepLogs(gomock.Any(), kept, gomock.Any()).DoAndReturn(func(ctx context.Context, _ []dao.TaskLog, _ time.Time) error {
			return ctx.Err()
		})
		m.fails(t, "DeadlineExceeded", "exited with code 3")
		*job = withConditions(runningJob(m.now), batchv1.JobFailed)
		var log bytes.Buffer
		m.log = slog.New(slog.NewTextHandler(&log, nil))
		began := time.Now()
		m.reconcile(t.Context(), 1)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the failure took %s", took)
		}
		if !strings.Contains(log.String(), "read=1 of=2") || !strings.Contains(log.String(), "deadline exceeded") || !strings.Contains(log.String(), "a broken row") {
			t.Errorf("log: %s", log.String())
		}
	})
}

// On a real control plane: a Job whose pod cannot pull its image fails its task,
// and is deleted.
func TestImageThatCannotBePulled(t *testing.T) {
	t.Parallel()
	w, c := newUnplayed(t)
	run(t, w.manager(t, "m1", func(c *Config, _ *Store, _ *Jobs) { c.StartTimeout, c.KeptLogBytes = 2*time.Second, 1<<16 }))
	id := w.start(t, workflow(`{"name": "a", "type": "kube-job", "job": {"spec": {"template": {"spec": {"restartPolicy": "Never",
		"nodeSelector": {"jobnetes.test/node": "none"}, "containers": [{"name": "c", "image": "nope:1"}]}}}}}`), "{}")
	a := w.task(t, id, "a")
	pods := c.Client.CoreV1().Pods(w.ns)
	await(t, "the pod's trouble", func() bool {
		list, err := pods.List(t.Context(), metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + *a.ExecutionName})
		if err != nil || len(list.Items) == 0 {
			return false
		}
		p := list.Items[0]
		p.Status = podOf(time.Now(), pullFails).Status
		_, err = pods.UpdateStatus(t.Context(), &p, metav1.UpdateOptions{})
		return err == nil
	})
	w.ended(t, id)
	if a = w.task(t, id, "a"); a.ErrorReason != "ImagePullBackOff" || !strings.Contains(a.ErrorMsg, `image "nope:1"`) {
		t.Errorf("%s: %s", a.ErrorReason, a.ErrorMsg)
	}
	await(t, "the Job's deletion", func() bool { return !w.there(t, *a.ExecutionName) })
}

// On a real control plane: a pod that somebody deletes fails its task, and is
// not taken for one that the Job's controller has ended.
func TestPodDeletedByHand(t *testing.T) {
	t.Parallel()
	w, c := newUnplayed(t)
	run(t, w.manager(t, "m1", keeping(talking{w.jobs, one})))
	id := w.start(t, workflow(`{"name": "a", "type": "kube-job", "job": {"spec": {"backoffLimit": 0, "template": {"spec": {
		"restartPolicy": "Never", "nodeName": "jobnetes-test-none", "containers": [{"name": "c", "image": "nope:1"}]}}}}}`), "{}")
	a := w.task(t, id, "a")
	pods := c.Client.CoreV1().Pods(w.ns)
	var p corev1.Pod
	await(t, "the pod", func() bool {
		list, err := pods.List(t.Context(), metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + *a.ExecutionName})
		if err != nil || len(list.Items) == 0 {
			return false
		}
		p = list.Items[0]
		p.Status = podOf(time.Now(), runs).Status
		p.Status.Phase = corev1.PodRunning
		_, err = pods.UpdateStatus(t.Context(), &p, metav1.UpdateOptions{})
		return err == nil
	})
	if err := pods.Delete(t.Context(), p.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "its log", func() bool { return len(w.logs(t, a.ID)) == 1 })
	// No kubelet says that the container has ended.
	if err := pods.Delete(t.Context(), p.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		t.Fatal(err)
	}
	w.ended(t, id)
	if a = w.task(t, id, "a"); a.ErrorReason != "PodDeleted" || !strings.Contains(a.ErrorMsg, "pod "+p.Name+" was deleted (not by jobnetes) while container c ran") {
		t.Errorf("%s: %s", a.ErrorReason, a.ErrorMsg)
	}
}
