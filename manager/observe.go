package manager

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/engine"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// The reasons of failure that the manager gives, in error_reason.
const (
	jobDeleted  = "JobDeleted"  // the Job vanished before its end was seen
	jobReplaced = "JobReplaced" // the Job's name belongs to a Job that is not the task's
	jobInvalid  = "JobInvalid"  // the API server will never accept the Job
)

const (
	// actAtOnce is how many Jobs of one execution are created or read at once.
	actAtOnce = 16
	// launchesPerPass is how many Jobs a pass creates before it lets other
	// executions have the worker: a wide parallel must not hold them up, and a
	// pass has to end in time.
	launchesPerPass = 200
)

// observe looks what became of the Jobs of the execution's running tasks, and
// creates those that are missing. It returns what it has seen, and the errors
// of the Jobs it could not see.
func (m *Manager) observe(ctx context.Context, h *held) ([]engine.Observation, error) {
	var (
		g    errgroup.Group
		mu   sync.Mutex
		seen []engine.Observation
		errs []error
	)
	g.SetLimit(actAtOnce)
	launches := 0
	h.more = false
	for _, row := range h.x.RunningJobs() {
		if row.JobUID == nil {
			if launches++; launches > launchesPerPass {
				h.more = true
				continue
			}
		}
		job := m.jobs.Cached(*row.ExecutionName)
		if row.JobUID != nil && job != nil && string(job.UID) == *row.JobUID && !kube.Finished(job) {
			continue // runs: by far the most frequent case, and it costs nothing
		}
		g.Go(func() error {
			o, err := m.observeJob(ctx, h, row, job)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("task %d (Job %s): %w", row.ID, *row.ExecutionName, err))
			}
			if o != nil {
				seen = append(seen, *o)
			}
			return nil
		})
	}
	_ = g.Wait() // each function keeps its own error
	return seen, errors.Join(errs...)
}

// observeJob returns what became of one Job, nil while it runs.
func (m *Manager) observeJob(ctx context.Context, h *held, row *dao.TaskExecution, job *batchv1.Job) (*engine.Observation, error) {
	var err error
	switch {
	case row.JobUID == nil:
		var failed *engine.Observation
		if job, failed, err = m.launch(ctx, h, row); failed != nil || err != nil {
			return failed, err
		}
	case job == nil || string(job.UID) != *row.JobUID:
		// The cache lags behind, or the Job is gone: only the API server knows.
		job, err = m.jobs.Get(ctx, *row.ExecutionName)
		if apierrors.IsNotFound(err) {
			return m.endedWithoutJob(ctx, row, jobDeleted, "the Job was deleted before its end was seen: somebody, or something, other than jobnetes removed it")
		}
		if err != nil {
			return nil, err
		}
		if string(job.UID) != *row.JobUID {
			return m.endedWithoutJob(ctx, row, jobReplaced, fmt.Sprintf("the task's Job (UID %s) was deleted, and another one (UID %s) made under its name", *row.JobUID, job.UID))
		}
	}
	if !kube.Finished(job) {
		return nil, nil
	}
	return m.outcome(ctx, row, job)
}

// outcome reads what a finished Job has left.
func (m *Manager) outcome(ctx context.Context, row *dao.TaskExecution, job *batchv1.Job) (*engine.Observation, error) {
	recorded, rev, err := m.store.RecordedOutput(ctx, row.ID)
	if err != nil {
		return nil, err
	}
	pods, err := m.jobs.Pods(ctx, job.Name)
	if err != nil {
		return nil, fmt.Errorf("read its pods: %w", err)
	}
	o := kube.OutcomeOf(job, pods)
	if o.Note != "" && recorded == nil {
		m.log.WarnContext(ctx, "a job's output was not taken", "execution_id", row.WorkflowExecutionID, "task_id", row.ID, "job", job.Name, "why", o.Note)
	}
	return &engine.Observation{
		TaskID: row.ID, Succeeded: o.Succeeded, Output: o.Output, Recorded: recorded, RecordedRev: rev, Reason: o.Reason, Message: o.Message,
	}, nil
}

func (m *Manager) endedWithoutJob(ctx context.Context, row *dao.TaskExecution, reason, message string) (*engine.Observation, error) {
	recorded, rev, err := m.store.RecordedOutput(ctx, row.ID)
	if err != nil {
		return nil, err
	}
	return &engine.Observation{TaskID: row.ID, Recorded: recorded, RecordedRev: rev, Reason: reason, Message: message}, nil
}
