package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	// logTimeout bounds reading one log; one that takes longer hangs.
	logTimeout = 2 * time.Second
	// writeTimeout bounds writing the logs of a task.
	writeTimeout = 3 * time.Second
)

// logsOf returns which logs of a Job are read.
func (m *Manager) logsOf(job *batchv1.Job, pods []corev1.Pod) []kube.Log {
	if m.cfg.KeptLogBytes == 0 {
		return kube.LogsOf(job, pods, 1, keptLogs)
	}
	return kube.LogsOf(job, pods, keptPods, keptLogs)
}

// readLogs reads the ends of those logs, the last one first, as far as the time
// allows, and returns in their order those that could be read. What is gone is no
// error, since it stays gone. If a log hangs, its node is away, and the others of
// its pod are not tried.
func (m *Manager) readLogs(ctx context.Context, logs []kube.Log) ([]kube.Log, error) {
	var (
		read   []kube.Log
		failed []error
		away   string // the pod whose log has hung
	)
	for _, l := range slices.Backward(logs) {
		if ctx.Err() != nil {
			failed = append(failed, fmt.Errorf("no time was left for the log of container %s of pod %s, and those before: %w", l.Container, l.Pod, ctx.Err()))
			break
		}
		if l.Pod == away {
			continue
		}
		hung, err := m.readLog(ctx, &l)
		switch {
		case err == nil:
			read = append(read, l)
		case !apierrors.IsNotFound(err):
			failed = append(failed, err)
		}
		if hung {
			away = l.Pod
			m.hurryUp()
		}
	}
	slices.Reverse(read)
	return read, errors.Join(failed...)
}

// readLog reads the end of one log, and says whether it hung.
func (m *Manager) readLog(ctx context.Context, l *kube.Log) (hung bool, err error) {
	one, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	l.Text, l.Truncated, err = m.jobs.LogTail(one, l.Pod, l.Container, cmp.Or(m.cfg.KeptLogBytes, messageLogBytes))
	return err != nil && one.Err() != nil && ctx.Err() == nil, err
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

// merge makes rows of those of the Job's logs that were read. What was read before
// keeps its position. The others stand as the Job has them, after what was read
// before of pods that are gone; places stay free for what could not be read, which
// may be later. It returns the rows, and with them those from before that were not
// read again, in order.
func merge(taskID uint64, before []dao.TaskLog, logs, read []kube.Log) (fresh, all []dao.TaskLog) {
	all = slices.Clone(before)
	first := 0
	for _, b := range before {
		if !slices.ContainsFunc(logs, func(l kube.Log) bool { return same(b, l) }) {
			first = max(first, b.Position+1)
		}
	}
	for _, r := range read {
		row := dao.TaskLog{TaskExecutionID: taskID, Pod: r.Pod, Container: r.Container, Truncated: r.Truncated, Text: r.Text}
		row.Position = first + slices.IndexFunc(logs, func(l kube.Log) bool { return same(row, l) })
		if i := slices.IndexFunc(all, func(b dao.TaskLog) bool { return same(b, r) }); i >= 0 {
			row.Position = all[i].Position
			all[i] = row
		} else {
			all = append(all, row)
		}
		fresh = append(fresh, row)
	}
	slices.SortStableFunc(all, func(a, b dao.TaskLog) int { return cmp.Compare(a.Position, b.Position) })
	return fresh, all
}

// same says whether both are of the same container.
func same(t dao.TaskLog, l kube.Log) bool { return t.Pod == l.Pod && t.Container == l.Container }
