package manager

import (
	"context"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/jobnetes/jobnetes/manager/kube"
)

// deleteBatch is how many Jobs one question to the database covers.
const deleteBatch = 500

// retentionInterval is how often Jobs to delete are looked for.
func retentionInterval(retention time.Duration) time.Duration {
	return min(max(retention/10, time.Second), time.Minute)
}

// deleteJobs removes the Jobs of tasks that have ended, with their pods: those
// that finished longer ago than the retention, and those that run on although
// their task is over, as after an abort. A Job whose end is not in the database
// yet stays: its pods hold the task's output.
func (m *Manager) deleteJobs(ctx context.Context) {
	pass, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	before := m.cfg.Now().Add(-m.cfg.JobRetention)
	due := map[uint64]*batchv1.Job{}
	for _, job := range m.jobs.List() {
		ended, finished := kube.EndedAt(job)
		id, err := strconv.ParseUint(job.Labels[kube.LabelTaskID], 10, 64)
		if err == nil && job.DeletionTimestamp == nil && (!finished || ended.Before(before)) {
			due[id] = job
		}
	}
	ids := make([]uint64, 0, len(due))
	for id := range due {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for batch := range slices.Chunk(ids, deleteBatch) {
		ended, err := m.store.EndedTasks(pass, batch)
		if err != nil {
			if ctx.Err() == nil {
				m.log.ErrorContext(ctx, "deleting Jobs failed, trying again later", "error", err)
			}
			return
		}
		for id, name := range ended {
			if job := due[id]; job.Name == name {
				if err := m.deleteJob(pass, job); err != nil && ctx.Err() == nil {
					m.log.ErrorContext(ctx, "deleting a Job failed, trying again later", "job", name, "task_id", id, "error", err)
				}
			}
		}
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
