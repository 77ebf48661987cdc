package webadmin

import (
	"context"

	"github.com/jobnetes/jobnetes/dao"
)

// definitions reads what the executions of one answer have in common, their
// workflows and versions, once each.
type definitions struct {
	store     WorkflowStore
	workflows map[uint64]apiWorkflow
	versions  map[uint64]string
}

func newDefinitions(store WorkflowStore) *definitions {
	return &definitions{store, map[uint64]apiWorkflow{}, map[uint64]string{}}
}

// execution is e without its tasks.
func (d *definitions) execution(ctx context.Context, e dao.WorkflowExecution) (apiExecution, error) {
	w, err := d.workflow(ctx, e.WorkflowID)
	if err != nil {
		return apiExecution{}, err
	}
	definition := w.Definition // until a manager has pinned a version
	if e.WorkflowVersionID != nil {
		if definition, err = d.version(ctx, *e.WorkflowVersionID); err != nil {
			return apiExecution{}, err
		}
	}
	return apiExecution{
		ID: e.ID, Workflow: w, Name: e.Name, StartedAt: e.StartedAt, EndedAt: e.EndedAt, Status: e.Status,
		Input: e.Input, Output: e.Output, Definition: definition, Attempt: e.Attempt, ErrorMsg: e.ErrorMsg,
	}, nil
}

func (d *definitions) workflow(ctx context.Context, id uint64) (apiWorkflow, error) {
	if w, ok := d.workflows[id]; ok {
		return w, nil
	}
	row, err := d.store.Workflow(ctx, id)
	if err != nil {
		return apiWorkflow{}, err
	}
	d.workflows[id] = newAPIWorkflow(row)
	return d.workflows[id], nil
}

func (d *definitions) version(ctx context.Context, id uint64) (string, error) {
	if definition, ok := d.versions[id]; ok {
		return definition, nil
	}
	v, err := d.store.WorkflowVersion(ctx, id)
	if err != nil {
		return "", err
	}
	d.versions[id] = asJSON(v.Definition)
	return d.versions[id], nil
}
