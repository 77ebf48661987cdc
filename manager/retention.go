package manager

import (
	"context"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/jobnetes/jobnetes/manager/kube"
)

// deleteBatch is how many Jobs one question to the database covers.
const deleteBatch = 500

// retentionInterval is how often finished Jobs are looked for.
func retentionInterval(retention time.Duration) time.Duration {
	return min(max(retention/10, time.Second), time.Minute)
}

// deleteFinishedJobs removes the Jobs that ended longer ago than the retention,
// with their pods. A Job whose end is not in the database yet stays: its pods
// hold the task's output.
func (m *Manager) deleteFinishedJobs(ctx context.Context) {
	before := m.cfg.Now().Add(-m.cfg.JobRetention)
	due := map[uint64]*batchv1.Job{}
	for _, job := range m.jobs.List() {
		ended, ok := kube.EndedAt(job)
		id, err := strconv.ParseUint(job.Labels[kube.LabelTaskID], 10, 64)
		if ok && err == nil && ended.Before(before) && job.DeletionTimestamp == nil {
			due[id] = job
		}
	}
	ids := make([]uint64, 0, len(due))
	for id := range due {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for batch := range slices.Chunk(ids, deleteBatch) {
		ended, err := m.store.EndedTasks(ctx, batch)
		if err != nil {
			if ctx.Err() == nil {
				m.log.ErrorContext(ctx, "deleting finished Jobs failed, trying again later", "error", err)
			}
			return
		}
		for _, id := range ended {
			job := due[id]
			if err := m.jobs.Delete(ctx, job.Name, job.UID); err != nil && ctx.Err() == nil {
				m.log.ErrorContext(ctx, "deleting a finished Job failed, trying again later", "job", job.Name, "task_id", id, "error", err)
			}
		}
	}
}
