package manager

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/jobnetes/jobnetes/manager/kube"
)

const (
	// deleteBatch is how many Jobs one question to the database covers.
	deleteBatch = 500
	// keepGrace is how long after a Job's end its logs are left to the manager
	// that saw it end; then any keeps them.
	keepGrace = time.Minute
)

// retentionInterval is how often Jobs to delete are looked for.
func retentionInterval(retention time.Duration) time.Duration {
	return min(max(retention/10, time.Second), time.Minute)
}

// retained is a Job that the retention pass looks at.
type retained struct {
	job *batchv1.Job
	due bool // to be deleted
}

// deleteJobs removes the Jobs of tasks that have ended, with their pods: those
// that finished longer ago than the retention, and those that run on although
// their task is over, as after an abort. A Job whose end is not in the database
// yet stays: its pods hold the task's output. So does one whose logs are not kept
// yet; those that a crash has left unkept are kept here.
func (m *Manager) deleteJobs(ctx context.Context) {
	pass, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	found := m.retainedJobs()
	for batch := range slices.Chunk(slices.Sorted(maps.Keys(found)), deleteBatch) {
		if err := m.retain(pass, batch, found); err != nil {
			if ctx.Err() == nil {
				m.log.ErrorContext(ctx, "deleting Jobs failed, trying again later", "error", err)
			}
			return
		}
	}
}

// retainedJobs returns, by task, the Jobs that there may be something to do with.
func (m *Manager) retainedJobs() map[uint64]retained {
	now := m.cfg.Now()
	found, all := map[uint64]retained{}, map[uint64]bool{}
	for _, job := range m.jobs.List() {
		id, err := strconv.ParseUint(job.Labels[kube.LabelTaskID], 10, 64)
		if err != nil || job.DeletionTimestamp != nil {
			continue
		}
		all[id] = true
		ended, finished := kube.EndedAt(job)
		due := !finished || ended.Before(now.Add(-m.cfg.JobRetention))
		if due || m.unkept(id) && ended.Before(now.Add(-keepGrace)) {
			found[id] = retained{job, due}
		}
	}
	m.keeper.forget(func(id uint64) bool { return all[id] })
	return found
}

// unkept says whether the logs of a task may still have to be kept.
func (m *Manager) unkept(taskID uint64) bool {
	return m.cfg.KeptLogBytes > 0 && !m.keeper.settled(taskID)
}

// retain does with the Jobs of those tasks what is to be done once the task has
// ended: it keeps their logs, and deletes them if they are due.
func (m *Manager) retain(ctx context.Context, ids []uint64, found map[uint64]retained) error {
	over, err := m.store.EndedTasks(ctx, ids)
	if err != nil {
		return err
	}
	unkept := slices.DeleteFunc(slices.Collect(maps.Keys(over)), func(id uint64) bool { return !m.unkept(id) })
	if len(unkept) > 0 {
		kept, err := m.store.TasksWithLogs(ctx, unkept)
		if err != nil {
			return err
		}
		for id := range kept {
			m.keeper.settle(id)
		}
	}
	var g errgroup.Group
	g.SetLimit(keepers)
	for id, name := range over {
		r := found[id]
		if r.job.Name != name {
			continue
		}
		g.Go(func() error {
			if (!m.unkept(id) || m.keepMissing(ctx, id, r.job)) && r.due {
				m.deleteDue(ctx, id, r.job)
			}
			return nil
		})
	}
	return g.Wait()
}

// deleteDue deletes one Job; an error is logged, and tried again by the next pass.
func (m *Manager) deleteDue(ctx context.Context, taskID uint64, job *batchv1.Job) {
	if err := m.deleteJob(ctx, job); err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		m.log.ErrorContext(ctx, "deleting a Job failed, trying again later", "job", job.Name, "task_id", taskID, "error", err)
	}
}

// deleteJob removes one Job. One that the watch has as running may have finished
// since, and then it is kept for the retention: the API server knows.
func (m *Manager) deleteJob(ctx context.Context, job *batchv1.Job) error {
	if !kube.Finished(job) {
		now, err := m.jobs.Get(ctx, job.Name)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil || kube.Finished(now) || now.UID != job.UID {
			return err
		}
	}
	return m.jobs.Delete(ctx, job.Name, job.UID)
}
