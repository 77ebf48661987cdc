package manager

import (
	"context"
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// launch makes sure that the Job of a running task exists, and that its row says
// so. It returns the Job, or why there can never be one.
func (m *Manager) launch(ctx context.Context, h *held, row *dao.TaskExecution) (*batchv1.Job, *observed, error) {
	// Not after the lease's end, when another manager may have ended the task.
	ctx, cancel, err := m.whileLeased(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	defer cancel()
	job, failed, err := m.created(ctx, h, row)
	if job == nil {
		return nil, failed, err
	}
	uid := string(job.UID)
	if err := m.store.MarkLaunched(ctx, h.lease, row.ID, uid, m.cfg.Now()); err != nil {
		return nil, nil, err
	}
	h.unnoted.Delete(row.ID)
	row.JobUID = &uid
	m.takeUp(h, row, m.cfg.Now()) // from now on
	return job, nil, nil
}

// created returns the Job of a task: one that this manager has seen before and
// could not note, a new one, or the one that an earlier pass, here or in another
// manager, has created without living to note it; or why there can never be one.
func (m *Manager) created(ctx context.Context, h *held, row *dao.TaskExecution) (*batchv1.Job, *observed, error) {
	if job, ok := h.unnoted.Load(row.ID); ok {
		return job.(*batchv1.Job), nil, nil
	}
	job, err := m.build(h, row)
	if err != nil {
		return nil, nil, err
	}
	created, err := m.jobs.Create(ctx, job)
	if err != nil {
		var failed *observed
		if created, failed, err = m.adopt(ctx, row, job, err); created == nil {
			return nil, failed, err
		}
	}
	h.unnoted.Store(row.ID, created)
	return created, nil, nil
}

// adopt looks for the Job after its creation was refused, whatever the reason:
// an earlier try may have created it, and a policy or quota speak before the
// name does. It returns the Job, or why there can never be one.
func (m *Manager) adopt(ctx context.Context, row *dao.TaskExecution, job *batchv1.Job, refusal error) (*batchv1.Job, *observed, error) {
	existing, err := m.jobs.Get(ctx, job.Name)
	switch {
	case err == nil && kube.SameTask(job, existing):
		m.log.InfoContext(ctx, "Job adopted", "execution_id", row.WorkflowExecutionID, "task_id", row.ID, "job", job.Name)
		return existing, nil, nil
	case err == nil:
		return nil, failed(row, jobReplaced,
			fmt.Sprintf("a Job named %s exists that is not this task's (its labels differ: somebody's, or of another database's jobnetes in the same namespace): delete it, or give one of the two a namespace of its own", job.Name)), nil
	case apierrors.IsNotFound(err) && isPermanent(refusal):
		return nil, failed(row, jobInvalid, "the Job was refused: "+refusal.Error()), nil
	default:
		return nil, nil, fmt.Errorf("create the Job: %w", refusal)
	}
}

func (m *Manager) build(h *held, row *dao.TaskExecution) (*batchv1.Job, error) {
	token, err := m.tokens.Sign(row.ID, m.cfg.Now())
	if err != nil {
		return nil, fmt.Errorf("sign the token of task %d: %w", row.ID, err)
	}
	return kube.Build(kube.Task{
		Job: h.x.Definition(row.TaskName).Job, Name: *row.ExecutionName, Namespace: m.cfg.Namespace, Installation: m.cfg.Installation,
		Workflow: h.x.Row().WorkflowName, TaskName: row.TaskName,
		ExecutionID: row.WorkflowExecutionID, TaskID: row.ID, Attempt: row.Attempt, Indexed: row.IndexCount != nil,
		Input: row.Input, JobapiEndpoint: m.cfg.JobapiEndpoint, Token: token, Retention: m.cfg.JobRetention,
	}), nil
}

// isPermanent tells a Job that will never be accepted from trouble that passes:
// a quota gets free again; missing rights (which answer Forbidden, too, as an
// admission policy does) and a missing or terminating namespace are not the
// Job's fault.
func isPermanent(err error) bool {
	if apierrors.IsForbidden(err) {
		text := err.Error()
		return !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) &&
			!strings.Contains(text, "exceeded quota") && !strings.Contains(text, "cannot create resource")
	}
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err)
}
