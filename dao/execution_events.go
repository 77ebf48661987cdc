package dao

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// EventType is the type column of execution_events: what happened.
type EventType string

// The types of event. docs/state-machine.md says when each is written.
const (
	EventExecutionScheduled EventType = "ExecutionScheduled"
	EventCancelRequested    EventType = "CancelRequested"
	EventExecutionStarted   EventType = "ExecutionStarted"
	EventExecutionSucceeded EventType = "ExecutionSucceeded"
	EventExecutionFailed    EventType = "ExecutionFailed"
	EventTaskStarted        EventType = "TaskStarted"
	EventTaskSucceeded      EventType = "TaskSucceeded"
	EventTaskFailed         EventType = "TaskFailed"
	// Acts of `jobnetes verify --repair`.
	EventExecutionWoken EventType = "ExecutionWoken"
	EventJobDeleted     EventType = "JobDeleted"
)

// ExecutionEvent is a row of execution_events, which only ever grows: one
// transition, when, by whom and why.
type ExecutionEvent struct {
	ID                  uint64
	WorkflowExecutionID uint64
	TaskExecutionID     *uint64 // nil: the execution itself
	At                  time.Time
	Type                EventType
	Actor               string
	Reason              string
	Message             string

	TaskName string `gorm:"->"` // of the task, by a join
}

// TableName tells gorm.
func (ExecutionEvent) TableName() string { return "execution_events" }

// Events returns at most limit events of an execution with ids above afterID,
// oldest first.
func (s *Store) Events(ctx context.Context, executionID, afterID uint64, limit int) ([]ExecutionEvent, error) {
	var es []ExecutionEvent
	err := s.db.WithContext(ctx).
		Select("execution_events.id, execution_events.workflow_execution_id, execution_events.task_execution_id, execution_events.at, execution_events.type, "+
			"execution_events.actor, execution_events.reason, execution_events.message, COALESCE(t.task_name, '') AS task_name").
		Joins("LEFT JOIN task_executions t ON t.id = execution_events.task_execution_id").
		Where("execution_events.workflow_execution_id = ? AND execution_events.id > ?", executionID, afterID).
		Order("execution_events.id").Limit(limit).Find(&es).Error
	return es, translate(err, "list the events of execution %d", executionID)
}

func insertEvents(tx *gorm.DB, es []ExecutionEvent) error {
	return tx.Omit("TaskName").CreateInBatches(es, 100).Error
}
