package manager

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// cancelBatch is how many executions one look takes up at the most.
const cancelBatch = 100

// takeCancels looks for executions to cancel whenever a poll has seen that there are
// some, or somebody has told so, until ctx ends.
func (m *Manager) takeCancels(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-m.cancels:
			if ctx.Err() != nil {
				return
			}
			m.findCancelled(ctx)
			idle(ctx, wakeRest)
		}
	}
}

// findCancelled takes up the executions that somebody wants to be cancelled: those
// held here, and those that nobody holds, though there may be no room for them, or
// their turn has not come: they end at once.
func (m *Manager) findCancelled(ctx context.Context) {
	if m.database.Err() != nil {
		return
	}
	pass, done := m.database.While(ctx)
	defer done()
	pass, cancel := context.WithTimeout(pass, passTimeout)
	defer cancel()
	now := m.cfg.Now()
	leases, err := m.store.ClaimCancelled(pass, m.claimant(), now, now.Add(m.cfg.Lease), cancelBatch)
	if err != nil && ctx.Err() == nil {
		m.log.Log(ctx, m.errorLevel(), "looking for executions to cancel failed, trying again", "error", err)
	}
	m.noteTakeovers(ctx, leases)
	for _, l := range leases {
		m.hold(l)
		m.mu.Lock()
		if h := m.held[l.ExecutionID]; h != nil && !h.toCancel { // once: a pass that failed is tried again after its pause
			h.toCancel = true
			h.cancel.Store(true)
		}
		m.mu.Unlock()
		m.queue.add(l.ExecutionID) // its row is read anew
	}
	if ctx.Err() != nil { // the manager has begun to stop, and may have handed over all else
		m.handBack(ctx, leases)
	}
}

// errCancelled is why an execution is not to go on though it could.
var errCancelled = &unrunnable{reason: dao.Cancelled, err: errors.New("somebody wants it to be cancelled")}

// stopJobs deletes the Jobs of the tasks that an abort has ended, and before that
// keeps what their logs say by now, as far as there is time for that: the time that
// the logs of failed Jobs have, for all of them together. What it leaves undone the
// retention pass does.
func (m *Manager) stopJobs(ctx context.Context, h *held, aborted []dao.Transition) {
	var g errgroup.Group
	g.SetLimit(actAtOnce)
	for _, t := range aborted {
		if t.Task == nil || t.Task.ExecutionName == nil {
			continue
		}
		g.Go(func() error {
			err := m.safely(ctx, slog.Uint64("task_id", t.Task.ID), func() error { return m.stopJob(ctx, h, t.Task) })
			if err != nil {
				m.log.ErrorContext(ctx, "deleting the Job of a task that was ended failed, trying again later", "job", *t.Task.ExecutionName, "task_id", t.Task.ID, "error", err)
			}
			return nil
		})
	}
	_ = g.Wait()
}

func (m *Manager) stopJob(ctx context.Context, h *held, row *dao.TaskExecution) error {
	job, err := m.jobOf(ctx, h, row)
	if err != nil || job == nil || kube.Finished(job) { // one that has finished is kept for the retention
		return err
	}
	m.keepLast(ctx, h, row.ID, job)
	return m.deleteJob(ctx, job)
}

// jobOf returns the Job of a task; nil if there is none, or none is known.
func (m *Manager) jobOf(ctx context.Context, h *held, row *dao.TaskExecution) (*batchv1.Job, error) {
	job := m.jobs.Cached(*row.ExecutionName)
	if created, ok := h.unnoted.Load(row.ID); ok && job == nil {
		job = created.(*batchv1.Job)
	}
	if job == nil && row.JobUID != nil { // the watch lags behind, or it is gone
		var err error
		job, err = m.jobs.Get(ctx, *row.ExecutionName)
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	if job == nil || job.Labels[kube.LabelTaskID] != strconv.FormatUint(row.ID, 10) || row.JobUID != nil && *row.JobUID != string(job.UID) {
		return nil, nil
	}
	return job, nil
}

// keepLast keeps the logs of a Job that runs and is to be deleted.
func (m *Manager) keepLast(ctx context.Context, h *held, taskID uint64, job *batchv1.Job) {
	if m.cfg.KeptLogBytes == 0 {
		return
	}
	until, _ := m.logTimeOf(h)
	if !time.Now().Before(until) {
		return
	}
	reading, stop := context.WithDeadline(ctx, until)
	defer stop()
	pods, err := m.jobs.Pods(reading, job.Name)
	if err != nil {
		m.log.WarnContext(ctx, "the logs of a Job that is to be deleted cannot be read", "job", job.Name, "task_id", taskID, "error", err)
		return
	}
	m.failureLogs(ctx, h, taskID, job, pods, h.looks[taskID])
}
