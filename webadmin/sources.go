package webadmin

import (
	"context"
	"io"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
)

//go:generate go tool mockgen -source=sources.go -destination=sources_mock_test.go -package=webadmin

// Store is where the rows come from; *dao.Store is one. Methods return errors
// that wrap dao.ErrNotFound and dao.ErrUnavailable.
type Store interface {
	ExecutionStore
	WorkflowStore
	Ping(ctx context.Context) error
}

// ExecutionStore reads executions and what belongs to them.
type ExecutionStore interface {
	Executions(ctx context.Context, f dao.ExecutionFilter) ([]dao.WorkflowExecution, error)
	Execution(ctx context.Context, id uint64) (dao.WorkflowExecution, error)
	Tasks(ctx context.Context, executionID uint64) ([]*dao.TaskExecution, error)
	Task(ctx context.Context, id uint64) (dao.TaskExecution, error)
	Indexes(ctx context.Context, taskID uint64) (dao.Indexes, error)
	WaitingTasks(ctx context.Context, executionIDs []uint64) (map[uint64]int, error)
	Events(ctx context.Context, executionID, afterID uint64, limit int) ([]dao.ExecutionEvent, error)
	TaskLogNames(ctx context.Context, taskID uint64) ([]dao.TaskLogName, error)
	TaskLog(ctx context.Context, taskID uint64, pod, container string) (dao.TaskLog, error)
}

// WorkflowStore reads workflows and their versions.
type WorkflowStore interface {
	Workflows(ctx context.Context, afterName string, limit int) ([]dao.Workflow, error)
	Workflow(ctx context.Context, id uint64) (dao.Workflow, error)
	WorkflowByName(ctx context.Context, name string) (dao.Workflow, error)
	WorkflowVersion(ctx context.Context, id uint64) (dao.WorkflowVersion, error)
	WorkflowVersions(ctx context.Context, workflowID uint64, limit int) ([]dao.WorkflowVersion, error)
}

// Pods is where pods and their logs come from: a cluster, or local processes.
type Pods interface {
	// Pods returns the pods that the Job of that name has, in any order.
	Pods(ctx context.Context, jobName string) ([]corev1.Pod, error)
	// Logs returns what the container has written so far. The error is one that
	// apierrors.IsNotFound knows if pod or log are gone.
	Logs(ctx context.Context, pod, container string) (io.ReadCloser, error)
	// LogTail returns at most the last bytes of what the container has written so
	// far, from the beginning of a line if there is one, and whether there was
	// more before. Its errors are those of Logs.
	LogTail(ctx context.Context, pod, container string, bytes int) (text []byte, truncated bool, err error)
}
