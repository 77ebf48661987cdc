package manager

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/jobnetes/jobnetes/dao"
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

// retained is a Job that there may be something to do with.
type retained struct {
	taskID uint64
	job    *batchv1.Job
	due    bool // to be deleted
}

// deleteJobs removes the Jobs of tasks that have ended, with their pods: those
// that finished longer ago than the retention, and those that run on although
// their task is over, as after an abort. A Job whose end is not in the database
// yet stays: its pods hold the task's output. So does one whose logs are not kept
// yet; those that were left unkept, as by a crash, are kept here, once all that can
// be deleted is.
func (m *Manager) deleteJobs(ctx context.Context) {
	if m.database.Err() != nil || m.cluster.Err() != nil {
		return
	}
	unkept, err := m.deleteKept(ctx, m.retainedJobs())
	if err != nil {
		if ctx.Err() == nil {
			m.log.ErrorContext(ctx, "deleting Jobs failed, trying again later", "error", err)
		}
		return
	}
	m.keepUnkept(ctx, unkept)
}

// left says whether the Job is left of a task that has ended so. One whose task has
// succeeded by its pod comes to its end by itself, and then is kept as all are.
func (r retained) left(t dao.EndedTask) bool {
	return t.JobName == r.job.Name && (!t.Succeeded || kube.Finished(r.job))
}

// retainedJobs returns, by task, the Jobs that there may be something to do with
// now.
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
		due, unkept := !finished || ended.Before(now.Add(-m.cfg.JobRetention)), m.unkept(id)
		if unkept && now.Before(m.keeper.task(id).again) {
			continue
		}
		if due || unkept && ended.Before(now.Add(-keepGrace)) {
			found[id] = retained{id, job, due}
		}
	}
	m.keeper.forget(func(id uint64) bool { return all[id] })
	return found
}

// unkept says whether the logs of a task may still have to be kept.
func (m *Manager) unkept(taskID uint64) bool {
	return m.cfg.KeptLogBytes > 0 && !m.keeper.task(taskID).settled
}

// deleteKept deletes those of the Jobs that are due and whose tasks have ended and
// have their logs kept. It returns those of ended tasks that may lack logs.
func (m *Manager) deleteKept(ctx context.Context, found map[uint64]retained) (unkept []retained, err error) {
	pass, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	for batch := range slices.Chunk(slices.Sorted(maps.Keys(found)), deleteBatch) {
		over, err := m.store.EndedTasks(pass, batch)
		if err != nil {
			return nil, err
		}
		ids := slices.DeleteFunc(slices.Clone(batch), func(id uint64) bool { return !found[id].left(over[id]) })
		if err := m.settleKept(pass, ids, found); err != nil {
			return nil, err
		}
		var g errgroup.Group
		g.SetLimit(keepers)
		for _, id := range ids {
			switch r := found[id]; {
			case m.unkept(id):
				unkept = append(unkept, r)
			case r.due:
				g.Go(func() error { m.deleteDue(pass, r); return nil })
			}
		}
		_ = g.Wait()
	}
	return unkept, nil
}

// settleKept notes which of those tasks have their logs in the database. Of a
// task that succeeded these are all, or none; of one that failed it may be what
// could be read when it ended, and only its pods tell what is lacking.
func (m *Manager) settleKept(ctx context.Context, ids []uint64, found map[uint64]retained) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id uint64) bool { return !m.unkept(id) || kube.FailedBy(found[id].job) != "" })
	if len(ids) == 0 {
		return nil
	}
	kept, err := m.store.TasksWithLogs(ctx, ids)
	for id := range kept {
		m.keeper.settle(id)
	}
	return err
}

// keepUnkept keeps the logs of those tasks, as far as the pass has time to begin
// with them, and deletes their Jobs that are due. Those that were tried less come
// first, so that logs that cannot be read hold up no others for long.
func (m *Manager) keepUnkept(ctx context.Context, unkept []retained) {
	pass, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	slices.SortStableFunc(unkept, func(a, b retained) int {
		return cmp.Compare(m.keeper.task(a.taskID).tries, m.keeper.task(b.taskID).tries)
	})
	var g errgroup.Group
	g.SetLimit(keepers)
	for _, r := range unkept {
		g.Go(func() error {
			if pass.Err() == nil && m.keepMissing(ctx, r) && r.due {
				m.deleteDue(ctx, r)
			}
			return nil
		})
	}
	_ = g.Wait()
}

// deleteDue deletes one Job; an error is logged, and tried again by the next pass.
func (m *Manager) deleteDue(ctx context.Context, r retained) {
	err := m.safely(ctx, slog.Uint64("task_id", r.taskID), func() error { return m.deleteJob(ctx, r.job) })
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		m.log.ErrorContext(ctx, "deleting a Job failed, trying again later", "job", r.job.Name, "task_id", r.taskID, "error", err)
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
