package manager

import (
	"context"
	"errors"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
)

const (
	// keptPods and keptLogs bound what is kept of one task.
	keptPods = 10
	keptLogs = 32
	// messageLogBytes is how much of a log is read for error_msg alone, when none
	// are kept.
	messageLogBytes = 4 << 10
	// failureLogTimeout bounds what the end of a failed task waits for its logs;
	// keepTimeout, how long those of one task are read that nothing waits for.
	failureLogTimeout = 3 * time.Second
	keepTimeout       = 10 * time.Second
	// writeTimeout bounds writing them.
	writeTimeout = 3 * time.Second
)

// readLogs reads the ends of the logs that tell how a Job went, the last one
// first, as far as the time allows, and returns in their order those that could
// be read. What is gone is no error, since it stays gone.
func (m *Manager) readLogs(ctx context.Context, timeout time.Duration, job *batchv1.Job, pods []corev1.Pod) ([]kube.Log, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	maxPods, limit := keptPods, m.cfg.KeptLogBytes
	if limit == 0 {
		maxPods, limit = 1, messageLogBytes
	}
	var (
		logs   []kube.Log
		failed []error
	)
	for _, l := range slices.Backward(kube.LogsOf(job, pods, maxPods, keptLogs)) {
		var err error
		l.Text, l.Truncated, err = m.jobs.LogTail(ctx, l.Pod, l.Container, limit)
		switch {
		case err == nil:
			logs = append(logs, l)
		case !apierrors.IsNotFound(err):
			failed = append(failed, err)
		}
	}
	slices.Reverse(logs)
	return logs, errors.Join(failed...)
}

// failureLogs returns the ends of the logs of a Job that has failed, or is about
// to, and keeps them: those that can be read now, and those that could be before.
// It takes a few seconds at the most. Nothing that goes wrong with logs keeps
// a task from ending.
func (m *Manager) failureLogs(ctx context.Context, taskID uint64, job *batchv1.Job, pods []corev1.Pod, l *look) []kube.Log {
	before, errBefore := m.logsBefore(ctx, taskID, l)
	read, errRead := m.readLogs(ctx, failureLogTimeout, job, pods)
	fresh, all := merge(taskID, before, read)
	if l != nil {
		l.logs = all
	}
	if err := errors.Join(errBefore, errRead, m.keep(ctx, fresh)); err != nil {
		m.log.WarnContext(ctx, "not all logs of a failed Job could be read and kept", "job", job.Name, "task_id", taskID, "kept", len(fresh), "error", err)
	}
	logs := make([]kube.Log, 0, len(all))
	for _, t := range all {
		logs = append(logs, kube.Log{Pod: t.Pod, Container: t.Container, Text: t.Text, Truncated: t.Truncated})
	}
	return logs
}

// logsBefore returns what was read of a task's logs before: by this manager, or
// else what any has kept.
func (m *Manager) logsBefore(ctx context.Context, taskID uint64, l *look) ([]dao.TaskLog, error) {
	if l != nil && l.logs != nil {
		return l.logs, nil
	}
	if m.cfg.KeptLogBytes == 0 {
		return nil, nil
	}
	return m.store.TaskLogs(ctx, taskID)
}

// keep writes logs, unless none are to be kept.
func (m *Manager) keep(ctx context.Context, logs []dao.TaskLog) error {
	if m.cfg.KeptLogBytes == 0 || len(logs) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return m.store.KeepLogs(ctx, logs, m.cfg.Now())
}

// merge makes rows of logs, in which those that were read before keep their
// positions and others come after them: pods go, so that what is read now may be
// only the last of all. It returns the rows, and with them those from before that
// were not read again, in order.
func merge(taskID uint64, before []dao.TaskLog, read []kube.Log) (fresh, all []dao.TaskLog) {
	all = slices.Clone(before)
	next := 0
	for _, b := range before {
		next = max(next, b.Position+1)
	}
	for _, r := range read {
		row := dao.TaskLog{TaskExecutionID: taskID, Pod: r.Pod, Container: r.Container, Position: next, Truncated: r.Truncated, Text: r.Text}
		i := slices.IndexFunc(all, func(b dao.TaskLog) bool { return b.Pod == r.Pod && b.Container == r.Container })
		if i >= 0 {
			row.Position = all[i].Position
			all[i] = row
		} else {
			all = append(all, row)
			next++
		}
		fresh = append(fresh, row)
	}
	return fresh, all
}
