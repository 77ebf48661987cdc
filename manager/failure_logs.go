package manager

import (
	"context"
	"errors"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
)

const (
	// failureLogTime is how long the logs of all the failed Jobs of one execution
	// are read in one pass.
	failureLogTime = 3 * time.Second
	// hurriedLogTime is that after logs have hung, for hurryFor: each of a thousand
	// executions with Jobs on a node that is away holds up a worker.
	hurriedLogTime = 300 * time.Millisecond
	hurryFor       = 30 * time.Second
)

// logTime is what the logs of failed Jobs take of one pass at the most, so that
// the commit has its time, however many they are. It begins with the first.
type logTime struct {
	once        sync.Once
	read, write time.Time // until when logs are read and written
}

// logTimeOf returns until when, in the pass in hand, logs are read and written.
func (m *Manager) logTimeOf(h *held) (read, write time.Time) {
	t := h.logTime
	t.once.Do(func() {
		now, limit := time.Now(), failureLogTime
		m.mu.Lock()
		defer m.mu.Unlock()
		if now.Before(m.hurry) {
			limit = hurriedLogTime
		}
		t.read, t.write = now.Add(limit), now.Add(limit+writeTimeout)
	})
	return t.read, t.write
}

// hurryUp notes that a log has hung.
func (m *Manager) hurryUp() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hurry = time.Now().Add(hurryFor)
}

// failureLogs returns the ends of the logs of a Job that has failed, or is about
// to, and keeps them: those that can be read now, as far as the pass has time for
// it, and those that could be before. Nothing that goes wrong with logs keeps a
// task from ending; what is not kept here the retention pass keeps. It says
// whether there was time to begin.
func (m *Manager) failureLogs(ctx context.Context, h *held, taskID uint64, job *batchv1.Job, pods []corev1.Pod, l *look) (logs []kube.Log, begun bool) {
	before, errBefore := m.logsBefore(ctx, taskID, l)
	readUntil, writeUntil := m.logTimeOf(h)
	ctx, cancel := context.WithDeadline(ctx, writeUntil)
	defer cancel()
	reading, stop := context.WithDeadline(ctx, readUntil)
	defer stop()
	begun = reading.Err() == nil
	toRead := m.logsOf(job, pods)
	read, errRead := m.readLogs(reading, toRead)
	fresh, all := merge(taskID, before, toRead, read)
	if l != nil && l.unkept {
		fresh = all
	}
	errKeep := m.keep(ctx, fresh)
	if l != nil {
		l.logs, l.unkept = all, errKeep != nil
	}
	err := errors.Join(errBefore, errRead, errKeep)
	switch {
	case err != nil:
		m.log.WarnContext(ctx, "not all logs of a failed Job could be read and kept", "job", job.Name, "task_id", taskID, "read", len(read), "of", len(toRead), "error", err)
	case kube.Finished(job):
		m.keeper.settle(taskID)
	}
	for _, t := range all {
		logs = append(logs, kube.Log{Pod: t.Pod, Container: t.Container, Text: t.Text, Truncated: t.Truncated})
	}
	return logs, begun
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
