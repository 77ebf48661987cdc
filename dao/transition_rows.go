package dao

import (
	"fmt"
	"maps"
	"slices"

	"gorm.io/gorm"

	"github.com/jobnetes/jobnetes/schema"
)

// One statement writes at most so many rows, with so many bytes of JSON between
// them: a database refuses statements over its max_allowed_packet.
const (
	insertRows  = 100
	updateRows  = 200
	insertBytes = 1 << 20
)

// insertTasks inserts the tasks that started, in order. Those that refer to a task
// before them wait until that has its id. It sets all that it has set before, should the
// transaction have been rolled back then.
func insertTasks(tx *gorm.DB, cs []*commit) error {
	var batch []*TaskExecution
	size := 0
	for _, c := range cs {
		for _, t := range c.transitions {
			if t.Type != EventTaskStarted {
				continue
			}
			row := t.Task
			size += len(row.Input) + len(row.Output)
			if slices.Contains(batch, t.Parent) || slices.Contains(batch, t.Prev) || len(batch) == insertRows || size > insertBytes {
				if err := insertBatch(tx, batch); err != nil {
					return err
				}
				batch, size = nil, len(row.Input)+len(row.Output)
			}
			row.ID, row.ExecutionName = 0, nil
			row.WorkflowExecutionID, row.CreatedAt, row.UpdatedAt = c.execution.ID, c.at, c.at
			if t.Parent != nil {
				row.ParentTaskExecutionID = &t.Parent.ID
			}
			if t.Prev != nil {
				row.PrevTaskExecutionID, t.Prev.NextTaskExecutionID = &t.Prev.ID, &row.ID
			}
			batch = append(batch, row)
		}
	}
	return insertBatch(tx, batch)
}

// insertBatch inserts the rows by one statement, and gives them their ids.
func insertBatch(tx *gorm.DB, rows []*TaskExecution) error {
	if len(rows) == 0 {
		return nil
	}
	if err := tx.Omit("NextTaskExecutionID").Create(&rows).Error; err != nil {
		return fmt.Errorf("start %d tasks, the first %q: %w", len(rows), rows[0].TaskName, err)
	}
	if len(rows) == 1 {
		return nil
	}
	// What the driver says of more than one goes by the first id and a step of 1,
	// which is another one where several servers take writes. Nobody else inserts
	// tasks of these executions: their rows are locked, be it only in share mode, by the
	// foreign key of what was inserted, and so nobody else can claim them.
	of := map[uint64][]*TaskExecution{}
	for _, row := range rows {
		of[row.WorkflowExecutionID] = append(of[row.WorkflowExecutionID], row)
	}
	var inserted []TaskExecution
	err := tx.Select("id, workflow_execution_id").Where("workflow_execution_id IN ? AND id >= ?", slices.Collect(maps.Keys(of)), rows[0].ID).Order("id").Find(&inserted).Error
	if err != nil {
		return fmt.Errorf("read the ids of %d tasks: %w", len(rows), err)
	}
	if len(inserted) != len(rows) {
		return fmt.Errorf("%d tasks have got %d ids", len(rows), len(inserted))
	}
	for _, i := range inserted {
		rest := of[i.WorkflowExecutionID]
		if len(rest) == 0 {
			return fmt.Errorf("execution %d has got ids of more tasks than have started", i.WorkflowExecutionID)
		}
		rest[0].ID, of[i.WorkflowExecutionID] = i.ID, rest[1:]
	}
	return nil
}

// updateTasks writes what the ids that the inserts gave are needed for, the Jobs' names
// and who follows whom, and with it the tasks that ended.
func updateTasks(tx *gorm.DB, cs []*commit, fence string) error {
	var rows []*taskUpdate
	of := map[*TaskExecution]*taskUpdate{}
	update := func(row *TaskExecution, column string, value any) *taskUpdate {
		if of[row] == nil {
			of[row] = &taskUpdate{row: row, set: map[string]any{}}
			rows = append(rows, of[row])
		}
		of[row].set[column] = value
		return of[row]
	}
	for _, c := range cs {
		for _, t := range c.transitions {
			switch row := t.Task; {
			case c.ends(t):
				row.UpdatedAt = c.at
				update(row, "updated_at", c.at).end()
			case t.Type != EventTaskStarted:
				continue
			case schema.Type(row.TaskType) == schema.KubeJob:
				name := schema.JobName(c.execution.WorkflowName, row.TaskName, row.ID, int(row.Attempt))
				row.ExecutionName = &name
				update(row, "execution_name", name)
			}
			if t.Type == EventTaskStarted && t.Prev != nil {
				update(t.Prev, "next_task_execution_id", t.Task.ID)
			}
		}
	}
	for batch := range batches(rows, updateRows, (*taskUpdate).size) {
		if err := writeUpdates(tx, batch, cs[0].lease, fence); err != nil {
			return err
		}
	}
	return nil
}

// taskUpdate is what is to be written into a row that is there.
type taskUpdate struct {
	row  *TaskExecution
	set  map[string]any // by column
	ends bool           // only if it runs, and nobody has recorded an output meanwhile
}

func (u *taskUpdate) size() int { return len(u.row.Output) }

// end has the row end.
func (u *taskUpdate) end() {
	u.ends = true
	row := u.row
	for column, value := range map[string]any{
		"status": row.Status, "output": row.Output, "error_reason": row.ErrorReason, "error_msg": row.ErrorMsg, "ended_at": row.EndedAt, "elapsed_sec": row.ElapsedSec,
	} {
		u.set[column] = value
	}
}

// writeUpdates writes rows by one statement.
func writeUpdates(tx *gorm.DB, rows []*taskUpdate, l Lease, fence string) error {
	where, args := "TRUE", []any{}
	var changes []change
	var ended []uint64
	var revs []change
	for _, u := range rows {
		changes = append(changes, change{u.row.ID, u.set})
		if u.ends {
			ended = append(ended, u.row.ID)
			revs = append(revs, change{u.row.ID, map[string]any{"recorded_rev": u.row.RecordedRev}})
		}
	}
	if len(ended) > 0 {
		rev, revArgs := caseOf("recorded_rev", revs)
		where = "(id NOT IN ? OR status = ? AND recorded_rev = " + rev + ")"
		args = append(append(args, ended, TaskRunning), revArgs...)
	}
	if fence != "" {
		where += " AND " + fence
		args = append(args, l.ExecutionID, l.Owner, l.Epoch)
	}
	if err := changeRows(tx, "task_executions", changes, where, args...); err != nil {
		return fmt.Errorf("write %d tasks, the first %d: %w", len(rows), rows[0].row.ID, err)
	}
	return nil
}
