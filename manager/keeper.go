package manager

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
)

const (
	// keepers is how many tasks' logs are kept at once, and keepQueue how many may
	// wait for it.
	keepers   = 8
	keepQueue = 1024
	// keepTries is how often logs that cannot be read are tried before they are
	// given up, first keepPause apart, then twice as long each time: in all 15
	// minutes.
	keepTries = 5
	keepPause = time.Minute
	// keepTimeout is how long the logs of one task are read in one try.
	keepTimeout = 10 * time.Second
)

// endedTask is a task that has ended, with its Job and pods.
type endedTask struct {
	taskID uint64
	job    *batchv1.Job
	pods   []corev1.Pod // nil: they are to be listed
}

// keeper remembers whose logs are still to be kept. It is only about saving
// work: what it has not, or forgets, the retention pass finds by the database.
type keeper struct {
	queue chan endedTask // tasks that succeeded just now: nobody waits for their logs

	mu    sync.Mutex
	tasks map[uint64]keepState
}

// keepState is how far the keeping of a task's logs is.
type keepState struct {
	settled bool      // nothing is left to be done
	tries   int       // that failed
	again   time.Time // when the next one may be
}

func newKeeper() *keeper {
	return &keeper{queue: make(chan endedTask, keepQueue), tasks: map[uint64]keepState{}}
}

func (k *keeper) task(taskID uint64) keepState {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tasks[taskID]
}

func (k *keeper) settle(taskID uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tasks[taskID] = keepState{settled: true}
}

// failed counts a try that failed, and has the task wait.
func (k *keeper) failed(taskID uint64, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.tasks[taskID]
	t.again = now.Add(keepPause << t.tries)
	t.tries++
	k.tasks[taskID] = t
}

// forget drops all tasks but those that there are Jobs of.
func (k *keeper) forget(but func(taskID uint64) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range k.tasks {
		if !but(id) {
			delete(k.tasks, id)
		}
	}
}

// keepLater has the logs of a task that succeeded kept soon, without waiting for
// it. If too many wait, it is left to the retention pass.
func (m *Manager) keepLater(e endedTask) {
	if m.cfg.KeptLogBytes == 0 {
		return
	}
	select {
	case m.keeper.queue <- e:
	default:
		m.log.Warn("too many logs are to be kept at once: these are kept later", "job", e.job.Name, "task_id", e.taskID, "waiting", keepQueue)
	}
}

// keepQueued keeps the logs of queued tasks until ctx ends. What it has in hand
// then it ends.
func (m *Manager) keepQueued(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case e := <-m.keeper.queue:
			if ctx.Err() != nil {
				return
			}
			err := m.safely(ctx, slog.Uint64("task_id", e.taskID), func() error { return m.keepNew(context.WithoutCancel(ctx), e) })
			if err != nil {
				m.log.WarnContext(ctx, "the logs of a Job cannot be kept yet, trying again later", "job", e.job.Name, "task_id", e.taskID, "error", err)
				continue
			}
			m.keeper.settle(e.taskID)
		}
	}
}

// keepNew keeps the logs of a task that succeeded, of which none are kept.
func (m *Manager) keepNew(ctx context.Context, e endedTask) (err error) {
	if e.pods == nil {
		if e.pods, err = m.jobs.Pods(ctx, e.job.Name); err != nil {
			return err
		}
	}
	return m.keepLogs(ctx, e, nil, false)
}

// keepLogs keeps what before lacks of the logs of a task that has ended. If one
// cannot be read, none is kept, so that all are tried again, and a task that
// succeeded has all of its logs or none; unless this is the last try.
func (m *Manager) keepLogs(ctx context.Context, e endedTask, before []dao.TaskLog, last bool) error {
	logs := m.logsOf(e.job, e.pods)
	lacking := slices.DeleteFunc(slices.Clone(logs), func(l kube.Log) bool {
		return slices.ContainsFunc(before, func(b dao.TaskLog) bool { return same(b, l) })
	})
	reading, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	read, err := m.readLogs(reading, lacking)
	if err != nil && !last {
		return err
	}
	fresh, _ := merge(e.taskID, before, logs, read)
	return errors.Join(err, m.keep(ctx, fresh))
}

// keepMissing keeps the logs of a task that has ended, as far as nobody has kept
// them. It says whether nothing is left to be done: they are kept, gone, or given
// up.
func (m *Manager) keepMissing(ctx context.Context, r retained) bool {
	try, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	last := m.keeper.task(r.taskID).tries+1 == keepTries
	err := m.safely(try, slog.Uint64("task_id", r.taskID), func() error {
		pods, err := m.jobs.Pods(try, r.job.Name)
		if err != nil {
			return err
		}
		before, err := m.store.TaskLogs(try, r.taskID)
		if err != nil {
			return err
		}
		return m.keepLogs(try, endedTask{taskID: r.taskID, job: r.job, pods: pods}, before, last)
	})
	switch {
	case err == nil:
	case ctx.Err() != nil: // the manager stops
		return false
	case last:
		m.log.ErrorContext(ctx, "the logs of a Job could not be kept and are given up: they go with its pods", "job", r.job.Name, "task_id", r.taskID, "tries", keepTries, "error", err)
	default:
		m.keeper.failed(r.taskID, m.cfg.Now())
		m.log.WarnContext(ctx, "the logs of a Job cannot be kept yet, trying again later", "job", r.job.Name, "task_id", r.taskID, "again_at", m.keeper.task(r.taskID).again, "error", err)
		return false
	}
	m.keeper.settle(r.taskID)
	return true
}
