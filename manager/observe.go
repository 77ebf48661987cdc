package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

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
	// actAtOnce is how many Jobs of one execution are created, read or deleted at once. How
	// many requests the API server gets is the client's to find out (kube): this is enough
	// for it to have some at hand while others wait for the database. The sooner Jobs are
	// there, the more changes of each the Job controller takes up at one go.
	actAtOnce = 64
	// launchesPerPass is how many Jobs a pass creates before it lets other
	// executions have the worker: a wide parallel must not hold them up, and a
	// pass has to end in time.
	launchesPerPass = 200
)

// observe looks what became of the Jobs of those running tasks, all of the execution's
// or some, and creates those that are missing. An error with one Job is logged, and has
// that task wait; it does not keep the others from going on. The error it returns is
// about the execution: what is in memory is out of date, or it can never go on.
func (m *Manager) observe(ctx context.Context, h *held, rows []*dao.TaskExecution, all bool) ([]observed, error) {
	var (
		g    errgroup.Group
		mu   sync.Mutex
		seen []observed
	)
	if m.cluster.Err() != nil {
		return nil, nil //nolint:nilerr // all of this needs it, and its return wakes the execution: no error of the execution's
	}
	g.SetLimit(actAtOnce)
	launches := 0
	now := m.cfg.Now()
	paused := func(taskID uint64) bool {
		mu.Lock()
		defer mu.Unlock()
		return m.paused(h.pauses[taskID])
	}
	waiting := 0
	if !all { // those that were seen before wait, too
		waiting = h.waiting
	}
	for _, row := range rows {
		if m.waits(h, row) {
			waiting++
			continue
		}
		if paused(row.ID) {
			continue
		}
		if row.JobUID == nil {
			if launches++; launches > launchesPerPass {
				h.rest = append(h.rest, row)
				continue
			}
		}
		l, due := h.looks[row.ID], m.takeUp(h, row, now)
		if row.JobUID != nil && !due && m.jobs.Quiet(*row.ExecutionName, types.UID(*row.JobUID)) {
			continue // by far the most frequent case, and it costs nothing
		}
		job := m.jobs.Cached(*row.ExecutionName)
		if row.JobUID != nil && job != nil && string(job.UID) == *row.JobUID && !m.ended(job) {
			switch worth := m.worthALook(job, l, now); {
			case !worth && !due:
				continue // runs
			case !worth:
				l = nil
			case l == nil:
				l = &look{}
				h.looks[row.ID] = l
			}
		}
		g.Go(func() error {
			var o *observed
			err := m.safely(ctx, slog.Uint64("execution_id", row.WorkflowExecutionID), func() (err error) {
				if due {
					if err := m.keepIndexes(ctx, h, row, false); err != nil {
						return fmt.Errorf("keep the outputs of its indexes: %w", err)
					}
				}
				o, err = m.observeJob(ctx, h, row, job, l)
				return err
			})
			mu.Lock()
			defer mu.Unlock()
			if o != nil {
				seen = append(seen, *o)
			}
			return m.afterTask(ctx, h, row, err)
		})
	}
	h.noteWaiting(waiting)
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(seen, func(a, b observed) int { return cmp.Compare(a.TaskID, b.TaskID) }) // whoever was first to look
	return seen, m.addRecorded(ctx, h, seen)
}

// afterTask has a task wait after an error with its Job. It returns the errors
// that are not the task's alone.
func (m *Manager) afterTask(ctx context.Context, h *held, row *dao.TaskExecution, err error) error {
	if err == nil {
		delete(h.pauses, row.ID)
		return nil
	}
	if errors.Is(err, dao.ErrConflict) || whyNever(err) != nil {
		return err
	}
	p := m.pauseAfter(h.pauses[row.ID])
	h.pauses[row.ID] = p
	m.database.Doubt()
	m.cluster.Doubt()
	m.log.ErrorContext(ctx, "a task's Job cannot be created or read, trying again",
		"execution_id", row.WorkflowExecutionID, "task_id", row.ID, "task", row.TaskName, "job", *row.ExecutionName, "errors", p.errors, "again_at", p.until, "error", err)
	return nil
}

// observed is what was seen of a task that is to end, and what it takes to act on
// it once that is written.
type observed struct {
	engine.Observation
	job    *batchv1.Job // nil: there is none
	pods   []corev1.Pod // of a Job that succeeded
	note   string       // why it has left no output
	heldUp bool         // the Job cannot start, and is to be deleted
}

func observations(seen []observed) []engine.Observation {
	var os []engine.Observation
	for _, o := range seen {
		os = append(os, o.Observation)
	}
	return os
}

// observeJob returns what became of one Job, nil while it runs; l is what it has
// shown while it ran, if anything.
func (m *Manager) observeJob(ctx context.Context, h *held, row *dao.TaskExecution, job *batchv1.Job, l *look) (*observed, error) {
	var err error
	switch {
	case row.JobUID == nil:
		var failed *observed
		if job, failed, err = m.launch(ctx, h, row); failed != nil || err != nil {
			return failed, err
		}
	case job == nil || string(job.UID) != *row.JobUID:
		// The cache lags behind, or the Job is gone: only the API server knows.
		job, err = m.jobs.Get(ctx, *row.ExecutionName)
		if apierrors.IsNotFound(err) {
			return failed(row, jobDeleted, "the Job was deleted before its end was seen: somebody, or something, other than jobnetes removed it"), nil
		}
		if err != nil {
			return nil, err
		}
		if string(job.UID) != *row.JobUID {
			return failed(row, jobReplaced, fmt.Sprintf("the task's Job (UID %s) was deleted, and another one (UID %s) made under its name", *row.JobUID, job.UID)), nil
		}
	}
	pod := m.jobs.Succeeded(job) // asked once: it may be forgotten
	switch {
	case pod != nil || kube.Finished(job):
		return m.outcome(ctx, h, row, job, pod, l)
	case l != nil:
		return m.observeRunning(ctx, h, row, job, l)
	default:
		return nil, nil
	}
}

// ended says whether a Job has ended, or its pod has shown that it succeeds: what
// the Job controller makes of it later changes the task no more.
func (m *Manager) ended(job *batchv1.Job) bool {
	return kube.Finished(job) || m.jobs.Succeeded(job) != nil
}

// outcome reads what a Job that has ended has left; pod is that by which it succeeded,
// if it is known.
func (m *Manager) outcome(ctx context.Context, h *held, row *dao.TaskExecution, job *batchv1.Job, pod *corev1.Pod, l *look) (*observed, error) {
	if row.IndexCount != nil {
		n, done, err := m.closeIndexes(ctx, h, row, job)
		if err != nil {
			return nil, fmt.Errorf("keep the outputs of its indexes: %w", err)
		}
		if !done {
			return nil, nil
		}
		if kube.FailedBy(job) == "" {
			return m.indexedSuccess(ctx, h, row, job, n)
		}
	}
	var pods []corev1.Pod
	if pod != nil {
		pods = []corev1.Pod{*pod}
	} else {
		var err error
		if pods, err = m.jobs.Pods(ctx, job.Name); err != nil {
			return nil, fmt.Errorf("read its pods: %w", err)
		}
	}
	var logs []kube.Log
	if kube.FailedBy(job) != "" {
		pods = l.withGone(pods)
		logs, _ = m.failureLogs(ctx, h, row.ID, job, pods, l)
	}
	o := kube.OutcomeOf(job, pods, logs)
	return &observed{job: job, pods: pods, note: o.Note, Observation: engine.Observation{
		TaskID: row.ID, Succeeded: o.Succeeded, Output: o.Output, Reason: o.Reason, Message: o.Message,
	}}, nil
}

// failed is what is seen of a task whose Job will not say how it ended.
func failed(row *dao.TaskExecution, reason, message string) *observed {
	return &observed{Observation: engine.Observation{TaskID: row.ID, Reason: reason, Message: message}}
}
