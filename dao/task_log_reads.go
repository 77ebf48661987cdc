package dao

import (
	"context"
	"fmt"
)

// TaskLogName is a TaskLog of a task without its text, which may be large.
type TaskLogName struct {
	Pod, Container string
	Position       int
	Truncated      bool
}

// TaskLogNames returns which logs of a task are kept, in order; none is no
// error. It reads none of their texts.
func (s *Store) TaskLogNames(ctx context.Context, taskID uint64) ([]TaskLogName, error) {
	var names []TaskLogName
	err := s.db.WithContext(ctx).Model(&taskLog{}).Select("pod, container, position, truncated").
		Where("task_execution_id = ?", taskID).Order("position, pod, container").Limit(maxTaskLogs).Find(&names).Error
	return names, translate(err, "list the logs of task %d", taskID)
}

// TaskLog returns what is kept of one container's log. The names are those that
// TaskLogNames gives: others may be compared, or refused, in the database's own
// way.
func (s *Store) TaskLog(ctx context.Context, taskID uint64, pod, container string) (TaskLog, error) {
	var row taskLog
	err := s.db.WithContext(ctx).Select("task_execution_id, pod, container, position, truncated, content").
		Where("task_execution_id = ? AND pod = ? AND container = ?", taskID, pod, container).Take(&row).Error
	if err != nil {
		return TaskLog{}, translate(err, "read the log of container %s of pod %s, task %d", container, pod, taskID)
	}
	return row.log()
}

// log returns the row with its text uncompressed.
func (r taskLog) log() (TaskLog, error) {
	text, err := uncompress(r.Content)
	if err != nil {
		return TaskLog{}, fmt.Errorf("read the log of container %s of pod %s, task %d, from task_logs: %w", r.Container, r.Pod, r.TaskExecutionID, err)
	}
	return TaskLog{
		TaskExecutionID: r.TaskExecutionID, Pod: r.Pod, Container: r.Container, Position: r.Position, Truncated: r.Truncated, Text: text,
	}, nil
}
