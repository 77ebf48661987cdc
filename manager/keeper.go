package manager

import (
	"context"
	"errors"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

const (
	// keepers is how many tasks' logs are kept at once, and keepQueue how many may
	// wait for it.
	keepers   = 8
	keepQueue = 1024
	// keepTries is how often logs that cannot be read are tried, one retention
	// pass apart, before they are given up.
	keepTries = 5
)

// endedTask is a task that has ended, with its Job and pods.
type endedTask struct {
	taskID uint64
	job    *batchv1.Job
	pods   []corev1.Pod
}

// keeper remembers whose logs are still to be kept. It is only about saving
// work: what it has not, or forgets, the retention pass finds by the database.
type keeper struct {
	queue chan endedTask // tasks that succeeded just now: nobody waits for their logs

	mu sync.Mutex
	// tries counts, by task, the tries that failed; settled, that there is nothing
	// left to do.
	tries map[uint64]int
}

const settled = -1

func newKeeper() *keeper {
	return &keeper{queue: make(chan endedTask, keepQueue), tries: map[uint64]int{}}
}

func (k *keeper) settle(taskID uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tries[taskID] = settled
}

func (k *keeper) settled(taskID uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tries[taskID] == settled
}

// try counts a try and says whether it is the last one.
func (k *keeper) try(taskID uint64) (last bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tries[taskID]++
	return k.tries[taskID] >= keepTries
}

// forget drops all tasks but those that there are Jobs of.
func (k *keeper) forget(but func(taskID uint64) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range k.tries {
		if !but(id) {
			delete(k.tries, id)
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
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-m.keeper.queue:
			if err := m.keepLogs(context.WithoutCancel(ctx), e, false); err != nil {
				m.log.WarnContext(ctx, "the logs of a Job cannot be kept yet, trying again later", "job", e.job.Name, "task_id", e.taskID, "error", err)
				continue
			}
			m.keeper.settle(e.taskID)
		}
	}
}

// keepLogs keeps the logs of a task that has ended. If one cannot be read, none
// is kept, so that all are tried again; unless this is the last try.
func (m *Manager) keepLogs(ctx context.Context, e endedTask, last bool) error {
	logs, err := m.readLogs(ctx, keepTimeout, e.job, e.pods)
	if err != nil && !last {
		return err
	}
	rows, _ := merge(e.taskID, nil, logs)
	return errors.Join(err, m.keep(ctx, rows))
}

// keepMissing keeps the logs of a task that has ended, which nobody has kept. It
// says whether nothing is left to be done: they are kept, gone, or given up.
func (m *Manager) keepMissing(ctx context.Context, taskID uint64, job *batchv1.Job) bool {
	if ctx.Err() != nil {
		return false // out of time: that is no try
	}
	last := m.keeper.try(taskID)
	pods, err := m.jobs.Pods(ctx, job.Name)
	if err == nil {
		err = m.keepLogs(ctx, endedTask{taskID: taskID, job: job, pods: pods}, last)
	}
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.Canceled): // the manager stops
		return false
	case last:
		m.log.ErrorContext(ctx, "the logs of a Job could not be kept and are given up: they go with its pods", "job", job.Name, "task_id", taskID, "tries", keepTries, "error", err)
	default:
		m.log.WarnContext(ctx, "the logs of a Job cannot be kept yet, trying again later", "job", job.Name, "task_id", taskID, "error", err)
		return false
	}
	m.keeper.settle(taskID)
	return true
}
