package dao

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// WorkflowVersion is a row of workflow_versions: one definition that a workflow
// has had. It is never changed.
type WorkflowVersion struct {
	ID         uint64
	WorkflowID uint64
	Version    uint32
	Definition string
	CreatedAt  time.Time
}

// TableName tells gorm.
func (WorkflowVersion) TableName() string { return "workflow_versions" }

const versionColumns = "id, workflow_id, version, definition, created_at"

// WorkflowVersion returns the version with that id.
func (s *Store) WorkflowVersion(ctx context.Context, id uint64) (WorkflowVersion, error) {
	var v WorkflowVersion
	err := s.db.WithContext(ctx).Select(versionColumns).Where("id = ?", id).Take(&v).Error
	return v, translate(err, "read workflow version %d", id)
}

// WorkflowVersions returns a workflow's versions, newest first, without their
// definitions.
func (s *Store) WorkflowVersions(ctx context.Context, workflowID uint64, limit int) ([]WorkflowVersion, error) {
	var vs []WorkflowVersion
	err := s.db.WithContext(ctx).Select("id, workflow_id, version, created_at").
		Where("workflow_id = ?", workflowID).Order("version DESC").Limit(limit).Find(&vs).Error
	return vs, translate(err, "list versions of workflow %d", workflowID)
}

// PresentVersion says which version holds a workflow's definition.
type PresentVersion struct {
	WorkflowID   uint64
	WorkflowName string
	VersionID    uint64 // 0: none does, as after an INSERT or UPDATE by SQL
}

// PresentVersion returns that of the workflow with that id or, if it is 0, with that name.
func (s *Store) PresentVersion(ctx context.Context, workflowID uint64, name string) (PresentVersion, error) {
	where := s.db.Where("w.id = ?", workflowID)
	if workflowID == 0 {
		where = s.db.Where("w.name = ?", name)
	}
	var p PresentVersion
	// Spaces at the end are nothing to a comparison, but they are to its lengths.
	err := s.db.WithContext(ctx).Table("workflows w").
		Select("w.id AS workflow_id, w.name AS workflow_name, CASE WHEN v.definition = w.definition AND LENGTH(v.definition) = LENGTH(w.definition) THEN v.id ELSE 0 END AS version_id").
		Joins("LEFT JOIN workflow_versions v ON v.workflow_id = w.id").Where(where).Order("v.version DESC").Limit(1).Take(&p).Error
	return p, translate(err, "look which version workflow %d %q has", workflowID, name)
}

// ensureVersion returns the version that holds w's definition, making it if the
// latest one differs: users may INSERT and UPDATE workflows by SQL. The caller
// has w's row locked since it was read, so that versions are made one after
// another, and none of a definition that is out of date.
func ensureVersion(tx *gorm.DB, w Workflow, now time.Time) (WorkflowVersion, error) {
	var last WorkflowVersion
	err := notFoundIsNil(tx.Select(versionColumns).Where("workflow_id = ?", w.ID).Order("version DESC").Take(&last).Error)
	if err != nil || (last.Version > 0 && last.Definition == w.Definition) {
		return last, err
	}
	v := WorkflowVersion{WorkflowID: w.ID, Version: last.Version + 1, Definition: w.Definition, CreatedAt: micros(now)}
	return v, tx.Create(&v).Error
}
