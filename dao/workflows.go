package dao

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Workflow is a row of workflows: a name and its present definition.
type Workflow struct {
	ID         uint64
	Name       string
	Definition string // as it was applied, byte for byte: JSON or YAML
	UserID     uint64
	CreatedAt  time.Time
	UpdatedAt  time.Time
	// Version is that of Definition; 0 if nobody has applied or started it yet,
	// as after an INSERT by SQL. It is not a column of workflows.
	Version uint32 `gorm:"->"`
}

// TableName tells gorm.
func (Workflow) TableName() string { return "workflows" }

// ApplyResult says what ApplyWorkflow did.
type ApplyResult int

// The results of ApplyWorkflow.
const (
	Unchanged ApplyResult = iota
	Created
	Updated
)

const (
	workflowColumns     = "workflows.id, workflows.name, workflows.user_id, workflows.created_at, workflows.updated_at"
	workflowDefinition  = ", workflows.definition"
	workflowLastVersion = ", COALESCE((SELECT MAX(v.version) FROM workflow_versions v WHERE v.workflow_id = workflows.id), 0) AS version"
)

// Workflow returns the workflow with that id.
func (s *Store) Workflow(ctx context.Context, id uint64) (Workflow, error) {
	return s.workflow(ctx, s.db.Where("workflows.id = ?", id), id)
}

// WorkflowByName returns the workflow with that name.
func (s *Store) WorkflowByName(ctx context.Context, name string) (Workflow, error) {
	return s.workflow(ctx, s.db.Where("workflows.name = ?", name), name)
}

func (s *Store) workflow(ctx context.Context, where *gorm.DB, key any) (Workflow, error) {
	var w Workflow
	err := s.db.WithContext(ctx).Select(workflowColumns + workflowDefinition + workflowLastVersion).Where(where).Take(&w).Error
	return w, translate(err, "read workflow %v", key)
}

// Workflows returns at most limit workflows whose names sort after afterName,
// by name, without their definitions.
func (s *Store) Workflows(ctx context.Context, afterName string, limit int) ([]Workflow, error) {
	var ws []Workflow
	err := s.db.WithContext(ctx).Select(workflowColumns+workflowLastVersion).
		Where("workflows.name > ?", afterName).Order("workflows.name").Limit(limit).Find(&ws).Error
	return ws, translate(err, "list workflows")
}

// ApplyWorkflow creates the workflow, or gives it a new version if the
// definition differs from the present one.
func (s *Store) ApplyWorkflow(ctx context.Context, name, definition string, userID uint64, now time.Time) (Workflow, ApplyResult, error) {
	var (
		w      Workflow
		result ApplyResult
	)
	err := s.tx(ctx, func(tx *gorm.DB) error {
		var err error
		w, result, err = updateWorkflow(tx, name, definition, now)
		if errors.Is(err, gorm.ErrRecordNotFound) {
			w, result = Workflow{Name: name, Definition: definition, UserID: userID, CreatedAt: micros(now), UpdatedAt: micros(now)}, Created
			err = tx.Omit("Version").Create(&w).Error
		}
		if errors.Is(err, gorm.ErrDuplicatedKey) { // somebody else created it just now
			w, result, err = updateWorkflow(tx, name, definition, now)
		}
		if err != nil {
			return err
		}
		v, err := ensureVersion(tx, w, now)
		w.Version = v.Version
		return err
	})
	return w, result, translate(err, "apply workflow %q", name)
}

func updateWorkflow(tx *gorm.DB, name, definition string, now time.Time) (Workflow, ApplyResult, error) {
	var w Workflow
	err := tx.Clauses(lockRow(tx)...).Select(workflowColumns+workflowDefinition).Where("name = ?", name).Take(&w).Error
	if err != nil || w.Definition == definition {
		return w, Unchanged, err
	}
	w.Definition, w.UpdatedAt = definition, micros(now)
	err = one(tx.Exec("UPDATE workflows SET definition = ?, updated_at = ? WHERE id = ?", definition, w.UpdatedAt, w.ID))
	return w, Updated, err
}

// lockRow makes a read keep its row locked until the transaction ends. SQLite
// locks the whole file when the transaction begins.
func lockRow(tx *gorm.DB) []clause.Expression {
	if tx.Name() == sqliteDialect {
		return nil
	}
	return []clause.Expression{clause.Locking{Strength: "UPDATE"}}
}

// lockFree is lockRow for those rows that nobody else has locked.
func lockFree(tx *gorm.DB) []clause.Expression {
	if tx.Name() == sqliteDialect { // whose transactions are one at a time
		return nil
	}
	return []clause.Expression{clause.Locking{Strength: clause.LockingStrengthUpdate, Options: clause.LockingOptionsSkipLocked}}
}

// notFoundIsNil is for reads whose absence is an answer.
func notFoundIsNil(err error) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil
	}
	return err
}
