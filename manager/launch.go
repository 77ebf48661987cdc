package manager

import (
	"context"
	"errors"
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/engine"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// launch makes sure that the Job of a running task exists: it creates it, or
// adopts the one that an earlier pass, here or in another manager, has created
// without living to note it. It returns the Job, or why there can never be one.
func (m *Manager) launch(ctx context.Context, h *held, row *dao.TaskExecution) (*batchv1.Job, *engine.Observation, error) {
	if !m.leased(h) {
		return nil, nil, errors.New("the lease has run out and could not be renewed yet: no Job is created without one")
	}
	job, err := m.build(h, row)
	if err != nil {
		return nil, nil, err
	}
	created, err := m.jobs.Create(ctx, job)
	if apierrors.IsAlreadyExists(err) {
		if created, err = m.jobs.Get(ctx, job.Name); err != nil {
			return nil, nil, err // deleted in this moment: the next pass sees
		}
		if !kube.SameTask(job, created) {
			o, err := m.endedWithoutJob(ctx, row, jobReplaced, fmt.Sprintf("a Job named %s exists that is not this task's (its labels differ): delete or rename it", job.Name))
			return nil, o, err
		}
		m.log.InfoContext(ctx, "Job adopted", "execution_id", row.WorkflowExecutionID, "task_id", row.ID, "job", job.Name)
	}
	if err != nil {
		if isPermanent(err) {
			o, err := m.endedWithoutJob(ctx, row, jobInvalid, "the Job was refused: "+err.Error())
			return nil, o, err
		}
		return nil, nil, fmt.Errorf("create the Job: %w", err)
	}
	uid := string(created.UID)
	if err := m.store.MarkLaunched(ctx, row.ID, uid, m.cfg.Now()); err != nil {
		return nil, nil, err
	}
	row.JobUID = &uid
	return created, nil, nil
}

func (m *Manager) build(h *held, row *dao.TaskExecution) (*batchv1.Job, error) {
	token, err := m.tokens.Sign(row.ID, m.cfg.Now())
	if err != nil {
		return nil, fmt.Errorf("sign the token of task %d: %w", row.ID, err)
	}
	return kube.Build(kube.Task{
		Job: h.x.Definition(row.TaskName).Job, Name: *row.ExecutionName, Namespace: m.cfg.Namespace,
		Workflow: h.x.Row().WorkflowName, TaskName: row.TaskName,
		ExecutionID: row.WorkflowExecutionID, TaskID: row.ID, Attempt: row.Attempt,
		Input: row.Input, JobapiEndpoint: m.cfg.JobapiEndpoint, Token: token, Retention: m.cfg.JobRetention,
	}), nil
}

// isPermanent tells a Job that will never be accepted from trouble that passes:
// a quota gets free again, and missing rights (both answer Forbidden, as an
// admission policy does) or a missing namespace are not the Job's fault.
func isPermanent(err error) bool {
	if apierrors.IsForbidden(err) {
		text := err.Error()
		return !strings.Contains(text, "exceeded quota") && !strings.Contains(text, "cannot create resource")
	}
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err)
}

func (m *Manager) deleteJobOf(ctx context.Context, row *dao.TaskExecution) error {
	var uid types.UID
	if row.JobUID != nil {
		uid = types.UID(*row.JobUID)
	}
	return m.jobs.Delete(ctx, *row.ExecutionName, uid)
}
