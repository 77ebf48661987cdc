package dao

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// IndexOutput is what one index of an indexed task has left.
type IndexOutput struct {
	Index  uint32
	Output string // JSON
}

func (o IndexOutput) size() int { return len(o.Output) }

// taskIndex is a row of task_indexes.
type taskIndex struct {
	TaskExecutionID uint64
	Idx             uint32
	Output          string
	RecordedAt      *time.Time // nil: Output is what its pod has left
	SucceededAt     *time.Time // nil: it is not known to have succeeded
}

// TableName tells gorm.
func (taskIndex) TableName() string { return "task_indexes" }

// RecordIndexOutput keeps data as the output of one index of a running task; the
// last one counts. ErrNotFound if there is no such task, ErrConflict if its Job has
// ended. The caller has checked that the task has that index.
func (s *Store) RecordIndexOutput(ctx context.Context, taskID uint64, index uint32, data string, now time.Time) error {
	at := micros(now)
	// The lock holds up the end of the task, and no other index.
	lock, update := " LOCK IN SHARE MODE", "ON DUPLICATE KEY UPDATE output = VALUES(output), recorded_at = VALUES(recorded_at)"
	if s.db.Name() == sqliteDialect { // whose transactions are one at a time
		lock, update = "", "ON CONFLICT (task_execution_id, idx) DO UPDATE SET output = excluded.output, recorded_at = excluded.recorded_at"
	}
	res := s.exec(ctx, "INSERT INTO task_indexes (task_execution_id, idx, output, recorded_at) "+
		"SELECT id, ?, ?, ? FROM task_executions WHERE id = ? AND status = ? AND indexes_closed = 0"+lock+" "+update,
		index, data, at, taskID, TaskRunning)
	if res.Error != nil || res.RowsAffected > 0 {
		return translate(res.Error, "record the output of index %d of task %d", index, taskID)
	}
	if _, err := s.Task(ctx, taskID); err != nil {
		return err
	}
	return translate(ErrConflict, "record the output of index %d of task %d: its Job has ended", index, taskID)
}

// KeepIndexes notes which indexes of a running task have succeeded, and what their
// pods have left; what an index has recorded stays its output. With last, since the
// Job has ended, no index records any more. ErrConflict, and nothing written, if l is
// no longer in force or the task has ended.
func (s *Store) KeepIndexes(ctx context.Context, l Lease, taskID uint64, outputs []IndexOutput, last bool, now time.Time) error {
	at := micros(now)
	err := s.tx(ctx, func(tx *gorm.DB) error {
		res := tx.Exec("UPDATE task_executions SET updated_at = ?, indexes_closed = (indexes_closed OR ?) WHERE id = ? AND status = ? AND "+inForce(tx),
			at, last, taskID, TaskRunning, l.ExecutionID, l.Owner, l.Epoch)
		if err := one(res); err != nil {
			return err
		}
		for batch := range batches(outputs, indexRows, IndexOutput.size) {
			rows := make([]taskIndex, len(batch))
			for i, o := range batch {
				rows[i] = taskIndex{TaskExecutionID: taskID, Idx: o.Index, Output: o.Output, SucceededAt: &at}
			}
			if err := tx.Clauses(succeededAt(at)).Create(&rows).Error; err != nil {
				return err
			}
		}
		return nil
	})
	return translate(err, "keep the outputs of %d indexes of task %d", len(outputs), taskID)
}

// succeededAt makes an insert keep the output that is there, and when the index is known
// to have succeeded: another manager may see the same pods again.
func succeededAt(at time.Time) clause.OnConflict {
	return clause.OnConflict{
		Columns:   []clause.Column{{Name: "task_execution_id"}, {Name: "idx"}},
		DoUpdates: clause.Assignments(map[string]any{"succeeded_at": gorm.Expr("COALESCE(task_indexes.succeeded_at, ?)", at)}),
	}
}

// indexRows is how many indexes one statement writes, unless insertBytes are reached.
const indexRows = 1000

// Indexes is what is known of the indexes of a task.
type Indexes struct {
	Succeeded int   // how many are known to have succeeded
	Outputs   int   // how many have an output, whether they have succeeded or not
	Bytes     int64 // of all outputs together
}

// Indexes returns what is known of a task's indexes.
func (s *Store) Indexes(ctx context.Context, taskID uint64) (Indexes, error) {
	length := "LENGTH(output)"
	if s.db.Name() == sqliteDialect { // where that of a text is in characters
		length = "LENGTH(CAST(output AS BLOB))"
	}
	var n Indexes
	err := s.db.WithContext(ctx).Raw("SELECT COUNT(succeeded_at) AS succeeded, COUNT(*) AS outputs, COALESCE(SUM("+length+"), 0) AS bytes FROM task_indexes WHERE task_execution_id = ?", taskID).Scan(&n).Error
	return n, translate(err, "count the indexes of task %d", taskID)
}

// IndexesDone returns how many indexes of an execution's indexed tasks are known to have
// succeeded, by task. Tasks of which none is are left out.
func (s *Store) IndexesDone(ctx context.Context, executionID uint64) (map[uint64]int, error) {
	var rows []struct {
		ID   uint64
		Done int
	}
	err := s.db.WithContext(ctx).Raw("SELECT t.id, COUNT(*) AS done FROM task_executions t JOIN task_indexes i ON i.task_execution_id = t.id "+
		"WHERE t.workflow_execution_id = ? AND i.idx < t.index_count AND i.succeeded_at IS NOT NULL GROUP BY t.id", executionID).Scan(&rows).Error
	done := make(map[uint64]int, len(rows))
	for _, r := range rows {
		done[r.ID] = r.Done
	}
	return done, translate(err, "count the indexes that are done of execution %d", executionID)
}

// IndexOutputs returns the outputs of a task's indexes, in their order, of those that
// have one. Ask Indexes before how many bytes they are.
func (s *Store) IndexOutputs(ctx context.Context, taskID uint64) ([]IndexOutput, error) {
	var rows []IndexOutput
	err := s.db.WithContext(ctx).Raw("SELECT idx AS `index`, output FROM task_indexes WHERE task_execution_id = ? ORDER BY idx", taskID).Scan(&rows).Error
	return rows, translate(err, "read the outputs of the indexes of task %d", taskID)
}
