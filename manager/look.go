package manager

import (
	"context"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// look is what a running Job has shown that is worth remembering until its task
// ends. A manager that takes the execution over begins anew: that may delay the
// end of a Job that cannot start, and loses of pods that are gone what their kept
// logs do not say.
type look struct {
	captured bool          // the Job is about to fail, its logs were read, if only in part, and nothing writes any more
	again    time.Time     // until then they are not read again
	pods     []corev1.Pod  // as they were when it was about to fail, and the logs were last read
	logs     []dao.TaskLog // as they were then
	unkept   bool          // logs are not all in the database
	next     time.Time     // when to look again whether it can start
	heldUp   time.Time     // since when each look has found that it cannot; zero: the last one has not
}

// startLooks is how many looks at a Job whose pods are not ready fit into
// StartTimeout. A Job fails after two of them in a row at the earliest, so that a
// pull that took long and failed once is tried again.
const startLooks = 5

const (
	// captureEvery is the time between two looks at a Job that is about to fail, if
	// they cost little: a little less than the default of PollInterval.
	captureEvery = 900 * time.Millisecond
	// captureRest is how much longer than a look, as at logs that hang, the time
	// to the next one is.
	captureRest = 20
)

// worthALook says whether a Job that runs, as far as the watch says, shows
// trouble: it is about to fail, when Kubernetes deletes the pods that still run,
// which may say more until they have ended; or its pods have not been ready for
// long.
func (m *Manager) worthALook(job *batchv1.Job, l *look, now time.Time) bool {
	if kube.FailedBy(job) != "" {
		return l == nil || !l.captured && !now.Before(l.again)
	}
	timeout := m.cfg.StartTimeout
	return timeout > 0 && kube.MayBeHeldUp(job, timeout-timeout/startLooks, now) && (l == nil || !now.Before(l.next))
}

// observeRunning looks at the pods of a Job that is worthALook. It returns that
// the task has failed if the Job could not start for StartTimeout.
func (m *Manager) observeRunning(ctx context.Context, h *held, row *dao.TaskExecution, job *batchv1.Job, l *look) (*observed, error) {
	pods, err := m.jobs.Pods(ctx, job.Name)
	if err != nil {
		return nil, err
	}
	if kube.FailedBy(job) != "" {
		m.capture(ctx, h, row.ID, job, pods, l)
		return nil, nil
	}
	now := m.cfg.Now()
	l.next = now.Add(m.cfg.StartTimeout / startLooks)
	by := kube.HeldUpBy(job, pods, now)
	if by == nil {
		l.heldUp = time.Time{}
		return nil, nil
	}
	if l.heldUp.IsZero() {
		l.heldUp = now
	}
	due := by.Since.Add(m.cfg.StartTimeout)
	if again := l.heldUp.Add(m.cfg.StartTimeout / startLooks); due.Before(again) {
		due = again
	}
	if now.Before(due) {
		if due.Before(l.next) {
			l.next = due
		}
		return nil, nil
	}
	m.failureLogs(ctx, h, row.ID, job, pods, l) // of init containers, and of earlier pods
	o := failed(row, by.Reason, by.Message)
	o.job, o.heldUp = job, true
	return o, nil
}

// capture reads what the pods of a Job that is about to fail show, since soon they
// are gone: again and again, until they show no more.
func (m *Manager) capture(ctx context.Context, h *held, taskID uint64, job *batchv1.Job, pods []corev1.Pod, l *look) {
	all := l.withGone(pods)
	began := m.cfg.Now()
	_, begun := m.failureLogs(ctx, h, taskID, job, all, l)
	l.pods = kube.Telling(job, all, keptPods)
	if begun {
		l.captured = !kube.MayWrite(pods)
		ended := m.cfg.Now()
		l.again = ended.Add(max(captureEvery, captureRest*ended.Sub(began)))
	}
}

// withGone returns pods and, of those that were there when the Job was about to
// fail, the ones that are gone.
func (l *look) withGone(pods []corev1.Pod) []corev1.Pod {
	if l == nil {
		return pods
	}
	all := slices.Clone(pods)
	for _, p := range l.pods {
		if !slices.ContainsFunc(pods, func(q corev1.Pod) bool { return q.UID == p.UID }) {
			all = append(all, p)
		}
	}
	return all
}
