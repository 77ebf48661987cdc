package jobapi

import (
	"context"
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

//go:generate go tool mockgen -source=store.go -destination=store_mock_test.go -package=jobapi

// Store is what jobapi asks of the database. *dao.Store is one, and describes
// the methods. Their errors wrap those of dao.
type Store interface {
	WorkflowStore
	ExecutionStore
	TaskStore
	// Ping asks the database for a sign of life.
	Ping(ctx context.Context) error
}

// WorkflowStore is the part of Store about workflows.
type WorkflowStore interface {
	Workflow(ctx context.Context, id uint64) (dao.Workflow, error)
	PresentVersion(ctx context.Context, workflowID uint64, name string) (dao.PresentVersion, error)
	WorkflowVersion(ctx context.Context, id uint64) (dao.WorkflowVersion, error)
	Workflows(ctx context.Context, afterName string, limit int) ([]dao.Workflow, error)
	ApplyWorkflow(ctx context.Context, name, definition string, userID uint64, now time.Time) (dao.Workflow, dao.ApplyResult, error)
}

// ExecutionStore is the part of Store about executions.
type ExecutionStore interface {
	CreateExecution(ctx context.Context, n dao.NewExecution, now time.Time) (uint64, error)
	CreateExecutions(ctx context.Context, ns []dao.NewExecution, now time.Time) ([]dao.Start, error)
	RequestCancel(ctx context.Context, executionID uint64, actor, reason string, now time.Time) error
	Execution(ctx context.Context, id uint64) (dao.WorkflowExecution, error)
	Executions(ctx context.Context, f dao.ExecutionFilter) ([]dao.WorkflowExecution, error)
	Events(ctx context.Context, executionID, afterID uint64, limit int) ([]dao.ExecutionEvent, error)
}

// TaskStore is the part of Store about tasks.
type TaskStore interface {
	Task(ctx context.Context, id uint64) (dao.TaskExecution, error)
	TaskKind(ctx context.Context, id uint64) (dao.TaskKind, error)
	Tasks(ctx context.Context, executionID uint64) ([]*dao.TaskExecution, error)
	IndexesDone(ctx context.Context, executionID uint64) (map[uint64]int, error)
	TaskLogNames(ctx context.Context, taskID uint64) ([]dao.TaskLogName, error)
	TaskLog(ctx context.Context, taskID uint64, pod, container string) (dao.TaskLog, error)
	RecordOutput(ctx context.Context, taskID uint64, data string, now time.Time) error
	RecordOutputs(ctx context.Context, outputs []dao.TaskOutput, now time.Time) ([]bool, error)
	RecordIndexOutput(ctx context.Context, taskID uint64, index uint32, data string, now time.Time) error
}
