package dao

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/jobnetes/jobnetes/dao/gather"
	"github.com/jobnetes/jobnetes/schema"
)

// TaskStatus is the status column of task_executions.
type TaskStatus uint8

// The statuses of a task. The numbers are those of the original.
const (
	TaskRunning TaskStatus = 0
	TaskSuccess TaskStatus = 1
	TaskFailed  TaskStatus = 2
)

// String is the word for it in views, pages and commands.
func (s TaskStatus) String() string {
	switch s {
	case TaskRunning:
		return "running"
	case TaskSuccess:
		return "success"
	case TaskFailed:
		return "failed"
	default:
		return "unknown"
	}
}

// Ended says whether the status is final.
func (s TaskStatus) Ended() bool { return s != TaskRunning }

// TaskExecution is a row of task_executions: one attempt at one task.
type TaskExecution struct {
	ID                    uint64
	WorkflowExecutionID   uint64
	ParentTaskExecutionID *uint64 // the parallel that it is part of
	PrevTaskExecutionID   *uint64 // the task of the same list before it
	NextTaskExecutionID   *uint64 // the task of the same list after it
	SetIndex              *uint32 // which set of the parallel
	ExecutionName         *string // the Job's name; kube-job only
	TaskName              string
	TaskType              string // a schema.Type
	Scope                 string
	Attempt               uint32
	Status                TaskStatus
	Input                 string // JSON
	Output                string // JSON
	// RecordedOutput is what the job said by RecordTaskOutput, and RecordedRev
	// how often: jobapi's columns.
	RecordedOutput *string
	RecordedRev    uint32
	// JobUID is that of the Job in Kubernetes, once it is known to exist.
	JobUID      *string
	ErrorReason string
	ErrorMsg    string
	StartedAt   time.Time
	EndedAt     *time.Time
	ElapsedSec  uint32 // rounded up, as in the original
	// Slot says whether a limit on running Jobs lets the Job run: SlotWaiting,
	// SlotGranted, or nil: no limit counts it. QueueRank, the negative of the
	// execution's priority, is for that.
	Slot      *uint8
	QueueRank int32
	// Namespace is where the Job is, or will be; kube-job only. Empty in rows of the
	// build before.
	Namespace string
	// IndexCount is how many indexes an indexed task has; nil: it is not indexed.
	// IndexesClosed says that its Job has ended, so that no index records any more.
	IndexCount    *uint32
	IndexesClosed bool
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Waits says whether the task's Job waits for its turn, by a limit on running Jobs.
// (A manager of the build before may have created the Job regardless.)
func (t *TaskExecution) Waits() bool {
	return t.Status == TaskRunning && t.JobUID == nil && t.Slot != nil && *t.Slot == SlotWaiting
}

// Creating says whether the task's Job is not known to exist yet, and waits for no
// turn: its manager is about to create it, or cannot.
func (t *TaskExecution) Creating() bool {
	return t.Status == TaskRunning && t.ExecutionName != nil && t.JobUID == nil && !t.Waits()
}

// TableName tells gorm.
func (TaskExecution) TableName() string { return "task_executions" }

const taskColumns = "id, workflow_execution_id, parent_task_execution_id, prev_task_execution_id, next_task_execution_id, set_index, execution_name, " +
	"task_name, task_type, scope, attempt, status, input, output, recorded_output, recorded_rev, job_uid, error_reason, error_msg, " +
	"started_at, ended_at, elapsed_sec, slot, namespace, queue_rank, index_count, indexes_closed, created_at, updated_at"

// Task returns the task execution with that id.
func (s *Store) Task(ctx context.Context, id uint64) (TaskExecution, error) {
	var t TaskExecution
	err := s.db.WithContext(ctx).Select(taskColumns).Where("id = ?", id).Take(&t).Error
	return t, translate(err, "read task %d", id)
}

// TaskKind is what a task is, whatever has become of it.
type TaskKind struct {
	ID         uint64
	TaskName   string
	TaskType   string  // a schema.Type
	IndexCount *uint32 // nil: it is not indexed
}

// TaskKind returns what the task with that id is, without its input and outputs, which
// may be large.
func (s *Store) TaskKind(ctx context.Context, id uint64) (TaskKind, error) {
	var k TaskKind
	err := s.db.WithContext(ctx).Model(&TaskExecution{}).Select("id, task_name, task_type, index_count").Where("id = ?", id).Take(&k).Error
	return k, translate(err, "read what task %d is", id)
}

// Tasks returns an execution's tasks in the order they were started.
func (s *Store) Tasks(ctx context.Context, executionID uint64) ([]*TaskExecution, error) {
	var ts []*TaskExecution
	err := s.db.WithContext(ctx).Select(taskColumns).Where("workflow_execution_id = ?", executionID).Order("id").Find(&ts).Error
	return ts, translate(err, "list the tasks of execution %d", executionID)
}

// WaitingTasks returns how many tasks of each of these executions wait for their
// turn, by a limit on running Jobs. Executions without such tasks are left out.
func (s *Store) WaitingTasks(ctx context.Context, executionIDs []uint64) (map[uint64]int, error) {
	var rows []struct {
		WorkflowExecutionID uint64
		Waiting             int
	}
	err := s.db.WithContext(ctx).Table("task_executions").Select("workflow_execution_id, COUNT(*) AS waiting").
		Where("workflow_execution_id IN ? AND status = ? AND slot = ? AND job_uid IS NULL", executionIDs, TaskRunning, SlotWaiting).
		Group("workflow_execution_id").Find(&rows).Error
	counts := make(map[uint64]int, len(rows))
	for _, r := range rows {
		counts[r.WorkflowExecutionID] = r.Waiting
	}
	return counts, translate(err, "count the tasks of %d executions that wait for their turn", len(executionIDs))
}

// RecordOutput keeps data as the output of a running task; the last one counts.
// ErrNotFound if there is no such task, ErrConflict if it has ended.
func (s *Store) RecordOutput(ctx context.Context, taskID uint64, data string, now time.Time) error {
	res := s.exec(ctx, "UPDATE task_executions SET recorded_output = ?, recorded_rev = recorded_rev + 1, updated_at = ? WHERE id = ? AND status = ?",
		data, micros(now), taskID, TaskRunning)
	if res.Error != nil || res.RowsAffected == 1 {
		return translate(res.Error, "record the output of task %d", taskID)
	}
	if _, err := s.Task(ctx, taskID); err != nil {
		return err
	}
	return translate(ErrConflict, "record the output of task %d: it has ended", taskID)
}

// TaskOutput is what a job has sent as the output of its task.
type TaskOutput struct {
	TaskID uint64
	Data   string
}

// RecordOutputs is RecordOutput for many, in one transaction, and says of each whether
// it was recorded. One is not if it is not that of a running kube-job without indexes, if
// another one of the same task comes before it, or if somebody has locked the row, which
// the others do not wait for: RecordOutput says which. With ErrRefused, which may be because
// of one of them, nothing was written.
func (s *Store) RecordOutputs(ctx context.Context, outputs []TaskOutput, now time.Time) ([]bool, error) {
	ids := make([]uint64, len(outputs))
	for i, o := range outputs {
		ids[i] = o.TaskID
	}
	var recorded []bool
	err := s.tx(ctx, func(tx *gorm.DB) error {
		recorded = make([]bool, len(outputs))
		var free []uint64
		err := tx.Model(&TaskExecution{}).Clauses(lockFree(tx)...).Where("id IN ? AND status = ? AND task_type = ? AND index_count IS NULL", ids, TaskRunning, schema.KubeJob).Pluck("id", &free).Error
		if err != nil || len(free) == 0 {
			return err
		}
		var changes []change
		for i, o := range outputs {
			if slices.Contains(free, o.TaskID) && !slices.Contains(ids[:i], o.TaskID) {
				recorded[i] = true
				changes = append(changes, change{o.TaskID, map[string]any{"recorded_output": o.Data}})
			}
		}
		output, args := caseOf("recorded_output", changes)
		res := tx.Exec("UPDATE task_executions SET recorded_output = "+output+", recorded_rev = recorded_rev + 1, updated_at = ? WHERE id IN ?",
			append(args, micros(now), free)...)
		return res.Error
	})
	return recorded, translate(err, "record the outputs of %d tasks", len(outputs))
}

// Recorded is what a task's job has recorded, nil if nothing, and how often.
type Recorded struct {
	Output *string
	Rev    uint32
}

// recordedBatch is how many tasks one statement of RecordedOutputs covers.
const recordedBatch = 500

// RecordedOutputs returns what the jobs of the tasks with those ids have recorded.
func (s *Store) RecordedOutputs(ctx context.Context, taskIDs []uint64) (map[uint64]Recorded, error) {
	all := make(map[uint64]Recorded, len(taskIDs))
	for batch := range slices.Chunk(taskIDs, recordedBatch) {
		var rows []TaskExecution
		err := s.db.WithContext(ctx).Select("id, recorded_output, recorded_rev").Where("id IN ?", batch).Find(&rows).Error
		if err != nil {
			return nil, translate(err, "read the recorded outputs of %d tasks", len(taskIDs))
		}
		for _, t := range rows {
			all[t.ID] = Recorded{t.RecordedOutput, t.RecordedRev}
		}
	}
	return all, nil
}

// mark is a call of MarkLaunched.
type mark struct {
	lease  Lease
	taskID uint64
	uid    string
	at     time.Time
}

// MarkLaunched notes that a running task's Job exists. ErrConflict if l is no
// longer in force, the task has ended, or the row says that it is another Job. Calls
// that come at the same time may share a transaction.
func (s *Store) MarkLaunched(ctx context.Context, l Lease, taskID uint64, uid string, now time.Time) error {
	err := s.marks.Do(ctx, mark{lease: l, taskID: taskID, uid: uid, at: micros(now)})
	return translate(err, "mark the Job of task %d as launched", taskID)
}

func (s *Store) markAlone(ctx context.Context, m mark) error {
	return one(s.db.WithContext(ctx).Exec("UPDATE task_executions SET job_uid = ?, updated_at = ? WHERE id = ? AND status = ? AND (job_uid IS NULL OR job_uid = ?) "+
		"AND "+inForce(s.db), m.uid, m.at, m.taskID, TaskRunning, m.uid, m.lease.ExecutionID, m.lease.Owner, m.lease.Epoch))
}

// lockTasks locks the tasks with these ids, but for those that somebody else has locked.
// It returns those that there are, as they are, and says which it has locked.
func lockTasks(tx *gorm.DB, ids []uint64) (tasks map[uint64]TaskExecution, locked map[uint64]bool, err error) {
	tasks, locked = map[uint64]TaskExecution{}, map[uint64]bool{}
	find := func(tx *gorm.DB, ids []uint64) error {
		if len(ids) == 0 {
			return nil
		}
		var rows []TaskExecution
		err := tx.Select("id, status, job_uid").Where("id IN ?", ids).Order("id").Find(&rows).Error
		for _, row := range rows {
			tasks[row.ID] = row
		}
		return err
	}
	if err := find(tx.Clauses(lockFree(tx)...), ids); err != nil {
		return nil, nil, err
	}
	for id := range tasks {
		locked[id] = true
	}
	rest := slices.DeleteFunc(slices.Clone(ids), func(id uint64) bool { return locked[id] })
	return tasks, locked, find(tx, rest)
}

// markTogether leaves out executions and tasks that somebody has locked, so that nobody
// waits for them.
func (s *Store) markTogether(ctx context.Context, ms []mark) (each []error, err error) {
	leases, ids := make([]Lease, len(ms)), make([]uint64, len(ms))
	for i, m := range ms {
		leases[i], ids[i] = m.lease, m.taskID
	}
	err = s.tx(ctx, func(tx *gorm.DB) error {
		_, each, err = lockInForce(tx, leases)
		if err != nil {
			return err
		}
		tasks, locked, err := lockTasks(tx, ids)
		if err != nil {
			return err
		}
		var changes []change
		for i, m := range ms {
			switch t, ok := tasks[m.taskID]; {
			case each[i] != nil:
			case !ok || t.Status != TaskRunning || t.JobUID != nil && *t.JobUID != m.uid:
				each[i] = ErrConflict
			case !locked[m.taskID]:
				each[i] = gather.ErrLeft
			default:
				changes = append(changes, change{m.taskID, map[string]any{"job_uid": m.uid, "updated_at": m.at}})
			}
		}
		return changeRows(tx, "task_executions", changes, "TRUE")
	})
	return each, translate(err, "mark %d Jobs as launched", len(ms))
}

// EndedTask is what EndedTasks says of a task.
type EndedTask struct {
	JobName   string
	Succeeded bool
}

// EndedTasks returns those of the tasks with Jobs that have ended, by id.
func (s *Store) EndedTasks(ctx context.Context, taskIDs []uint64) (map[uint64]EndedTask, error) {
	var rows []TaskExecution
	err := s.db.WithContext(ctx).Select("id, execution_name, status").Where("id IN ? AND status <> ? AND execution_name IS NOT NULL", taskIDs, TaskRunning).Find(&rows).Error
	ended := make(map[uint64]EndedTask, len(rows))
	for _, r := range rows {
		ended[r.ID] = EndedTask{*r.ExecutionName, r.Status == TaskSuccess}
	}
	return ended, translate(err, "look which tasks have ended")
}
