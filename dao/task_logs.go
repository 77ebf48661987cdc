package dao

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

const (
	// MaxLogBytes bounds one kept log, so that neither writing nor reading one
	// can cost more.
	MaxLogBytes = 1 << 20
	// maxTaskLogs bounds how many logs of a task are read. A manager keeps far
	// fewer.
	maxTaskLogs = 64
)

// TaskLog is the end of a container's log, kept when its task ended.
type TaskLog struct {
	TaskExecutionID uint64
	Pod, Container  string
	Position        int    // order among the logs of the task: pods oldest first, in each the init containers first
	Truncated       bool   // Text is only the end of the log
	Text            []byte // plain; the database has it compressed
}

// taskLog is a row of task_logs.
type taskLog struct {
	ID              uint64
	TaskExecutionID uint64
	Pod             string
	Container       string
	Position        int
	Truncated       bool
	Content         []byte // by compress
	CreatedAt       time.Time
}

// TableName tells gorm.
func (taskLog) TableName() string { return "task_logs" }

// KeepLogs keeps logs; one that is there already, of the same task, pod and
// container, is replaced. ErrRefused if a log is longer than MaxLogBytes, or
// its task does not exist; then none is kept.
func (s *Store) KeepLogs(ctx context.Context, logs []TaskLog, now time.Time) error {
	rows := make([]taskLog, 0, len(logs))
	for _, l := range logs {
		if len(l.Text) > MaxLogBytes {
			return fmt.Errorf("keep the log of container %s of pod %s, task %d: %w: it has %d bytes, over %d", l.Container, l.Pod, l.TaskExecutionID, ErrRefused, len(l.Text), MaxLogBytes)
		}
		rows = append(rows, taskLog{
			TaskExecutionID: l.TaskExecutionID, Pod: l.Pod, Container: l.Container, Position: l.Position,
			Truncated: l.Truncated, Content: compress(l.Text), CreatedAt: micros(now),
		})
	}
	err := s.tx(ctx, func(tx *gorm.DB) error {
		for i := range rows { // each on its own: together they may pass max_allowed_packet
			row := rows[i] // gorm writes the id into it, which a second run must not see
			if err := tx.Clauses(replaceLog).Create(&row).Error; err != nil {
				return fmt.Errorf("task %d, pod %s, container %s: %w", row.TaskExecutionID, row.Pod, row.Container, err)
			}
		}
		return nil
	})
	return translate(err, "keep %d logs", len(logs))
}

// replaceLog makes an insert replace the log that is there already.
var replaceLog = clause.OnConflict{
	Columns:   []clause.Column{{Name: "task_execution_id"}, {Name: "pod"}, {Name: "container"}},
	DoUpdates: clause.AssignmentColumns([]string{"position", "truncated", "content", "created_at"}),
}

// TaskLogs returns the kept logs of a task in order; none is no error.
func (s *Store) TaskLogs(ctx context.Context, taskID uint64) ([]TaskLog, error) {
	var rows []taskLog
	err := s.db.WithContext(ctx).Select("task_execution_id, pod, container, position, truncated, content").
		Where("task_execution_id = ?", taskID).Order("position, pod, container").Limit(maxTaskLogs).Find(&rows).Error
	if err != nil {
		return nil, translate(err, "read the logs of task %d", taskID)
	}
	logs := make([]TaskLog, 0, len(rows))
	for _, r := range rows {
		l, err := r.log()
		if err != nil {
			return nil, err
		}
		logs = append(logs, l)
	}
	return logs, nil
}

// TasksWithLogs says which of the tasks with those ids have kept logs.
func (s *Store) TasksWithLogs(ctx context.Context, taskIDs []uint64) (map[uint64]bool, error) {
	var ids []uint64
	err := s.db.WithContext(ctx).Model(&taskLog{}).Distinct("task_execution_id").Where("task_execution_id IN ?", taskIDs).Find(&ids).Error
	with := make(map[uint64]bool, len(ids))
	for _, id := range ids {
		with[id] = true
	}
	return with, translate(err, "look which tasks have logs")
}
