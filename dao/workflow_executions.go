package dao

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// ExecutionStatus is the status column of workflow_executions.
type ExecutionStatus uint8

// The statuses of an execution. The numbers are those of the original.
const (
	ExecutionScheduled ExecutionStatus = 0
	ExecutionRunning   ExecutionStatus = 1
	ExecutionSuccess   ExecutionStatus = 2
	ExecutionFailed    ExecutionStatus = 3
)

// ExecutionStatuses are all of them, in the order of their numbers.
var ExecutionStatuses = [...]ExecutionStatus{ExecutionScheduled, ExecutionRunning, ExecutionSuccess, ExecutionFailed}

// String is the word for it in views, pages and commands.
func (s ExecutionStatus) String() string {
	switch s {
	case ExecutionScheduled:
		return "scheduled"
	case ExecutionRunning:
		return "running"
	case ExecutionSuccess:
		return "success"
	case ExecutionFailed:
		return "failed"
	default:
		return "unknown"
	}
}

// Ended says whether the status is final.
func (s ExecutionStatus) Ended() bool { return s == ExecutionSuccess || s == ExecutionFailed }

// WorkflowExecution is a row of workflow_executions: one run of a workflow.
type WorkflowExecution struct {
	ID         uint64
	WorkflowID uint64
	// WorkflowVersionID is nil until a manager has taken up an execution that
	// was inserted by SQL.
	WorkflowVersionID *uint64
	Name              string
	Status            ExecutionStatus
	Input             string // JSON
	Output            string // JSON
	Attempt           uint32
	ErrorMsg          string
	StartedAt         *time.Time
	EndedAt           *time.Time
	LeaseOwner        *string
	LeaseEpoch        uint64
	LeaseUntil        *time.Time
	// WakeAt is when a manager that does not hold the lease may take the
	// execution up; nil once it has ended.
	WakeAt *time.Time
	// RequestID is the caller's own id of the start, if it gave one. It is only
	// written; nobody reads it but the start of the same id.
	RequestID *string `gorm:"<-:create"`
	// CancelRequestedAt is when somebody asked for it to be cancelled, and
	// CancelRequestedBy who; nil if nobody has, and once it has ended.
	CancelRequestedAt *time.Time
	CancelRequestedBy *string
	CancelReason      *string
	// Priority says whose Jobs go first where a limit has them wait: the greater.
	Priority  int32 `gorm:"<-:create"`
	CreatedAt time.Time
	UpdatedAt time.Time

	// Of the workflow and its version, by joins. No name: the workflow's row is missing,
	// as in a database that was restored in part.
	WorkflowName    string `gorm:"->"`
	WorkflowVersion uint32 `gorm:"->"`
}

// TableName tells gorm.
func (WorkflowExecution) TableName() string { return "workflow_executions" }

const (
	executionSummary = "workflow_executions.id, workflow_executions.workflow_id, workflow_executions.workflow_version_id, workflow_executions.name, " +
		"workflow_executions.status, workflow_executions.priority, workflow_executions.attempt, workflow_executions.error_msg, workflow_executions.started_at, workflow_executions.ended_at, " +
		"workflow_executions.lease_owner, workflow_executions.lease_epoch, workflow_executions.lease_until, workflow_executions.wake_at, " +
		"workflow_executions.cancel_requested_at, workflow_executions.cancel_requested_by, workflow_executions.cancel_reason, " +
		"workflow_executions.created_at, workflow_executions.updated_at, COALESCE(w.name, '') AS workflow_name, COALESCE(v.version, 0) AS workflow_version"
	executionData  = ", workflow_executions.input, workflow_executions.output"
	executionJoins = "LEFT JOIN workflows w ON w.id = workflow_executions.workflow_id LEFT JOIN workflow_versions v ON v.id = workflow_executions.workflow_version_id"
)

// emptyJSON is the input and the output of whoever gave none.
const emptyJSON = "{}"

// Execution returns the execution with that id.
func (s *Store) Execution(ctx context.Context, id uint64) (WorkflowExecution, error) {
	var e WorkflowExecution
	err := s.db.WithContext(ctx).Select(executionSummary+executionData).Joins(executionJoins).
		Where("workflow_executions.id = ?", id).Take(&e).Error
	return e, translate(err, "read execution %d", id)
}

// OpenRows returns what it takes to fail an execution, however large it is: its
// row and those of its running tasks, without what they were given and have sent.
func (s *Store) OpenRows(ctx context.Context, id uint64) (WorkflowExecution, []*TaskExecution, error) {
	var (
		e  WorkflowExecution
		ts []*TaskExecution
	)
	err := s.tx(ctx, func(tx *gorm.DB) error {
		ts = nil
		if err := tx.Select(executionSummary).Joins(executionJoins).Where("workflow_executions.id = ?", id).Take(&e).Error; err != nil {
			return err
		}
		return tx.Select("id, workflow_execution_id, execution_name, task_name, task_type, status, recorded_rev, job_uid, started_at").
			Where("workflow_execution_id = ? AND status = ?", id, TaskRunning).Order("id").Find(&ts).Error
	})
	e.Output = emptyJSON
	for _, t := range ts {
		t.Output = emptyJSON
	}
	return e, ts, translate(err, "read the open rows of execution %d", id)
}

// ExecutionFilter selects executions for a list.
type ExecutionFilter struct {
	WorkflowID uint64            // 0: all
	Statuses   []ExecutionStatus // none: all
	BeforeID   uint64            // only smaller ids: the page after that one; 0: the first page
	AfterID    uint64            // only greater ids: the page before that one, nearest first reversed to newest first
	Limit      int
}

// Executions returns executions, newest first, without input and output.
func (s *Store) Executions(ctx context.Context, f ExecutionFilter) ([]WorkflowExecution, error) {
	q := s.db.WithContext(ctx).Select(executionSummary).Joins(executionJoins).Limit(f.Limit)
	if f.WorkflowID != 0 {
		q = q.Where("workflow_executions.workflow_id = ?", f.WorkflowID)
	}
	if len(f.Statuses) > 0 {
		q = q.Where("workflow_executions.status IN ?", f.Statuses)
	}
	if f.BeforeID != 0 {
		q = q.Where("workflow_executions.id < ?", f.BeforeID)
	}
	var es []WorkflowExecution
	if f.AfterID != 0 {
		q = q.Where("workflow_executions.id > ?", f.AfterID).Order("workflow_executions.id")
	} else {
		q = q.Order("workflow_executions.id DESC")
	}
	err := q.Find(&es).Error
	if f.AfterID != 0 {
		for i, j := 0, len(es)-1; i < j; i, j = i+1, j-1 {
			es[i], es[j] = es[j], es[i]
		}
	}
	return es, translate(err, "list executions")
}

// PinVersion gives an execution that was inserted by SQL the version of its
// workflow's present definition, and returns that version.
func (s *Store) PinVersion(ctx context.Context, l Lease, now time.Time) (WorkflowVersion, error) {
	var v WorkflowVersion
	err := s.tx(ctx, func(tx *gorm.DB) error {
		var w Workflow
		err := tx.Clauses(lockRow(tx)...).Select(workflowColumns+workflowDefinition).
			Where("id = (SELECT workflow_id FROM workflow_executions WHERE id = ?)", l.ExecutionID).Take(&w).Error
		if err != nil {
			return err
		}
		if v, err = ensureVersion(tx, w, now); err != nil {
			return err
		}
		return one(tx.Exec("UPDATE workflow_executions SET workflow_version_id = ?, updated_at = ? WHERE id = ? AND workflow_version_id IS NULL AND lease_owner = ? AND lease_epoch = ?",
			v.ID, micros(now), l.ExecutionID, l.Owner, l.Epoch))
	})
	return v, translate(err, "pin the version of execution %d", l.ExecutionID)
}
