package webadmin

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

const (
	// maxTaskRows is how many tasks the table shows.
	maxTaskRows = 2000
	// maxIndent is how deep the table indents; deeper tasks stand like those.
	maxIndent = 8
)

// taskRow is a task in the table of an execution's tasks.
type taskRow struct {
	*dao.TaskExecution
	Set   string // which set of its parallel; empty at the top
	Depth int
	Took  string
	Wait  string // why it has no Job yet
	Error string
}

// taskRows returns the tasks as a tree: under each parallel its sets, one after
// another, each in the order its tasks started; and how many were left out.
func taskRows(tasks []*dao.TaskExecution, now time.Time) (rows []taskRow, leftOut int) {
	children := map[uint64][]*dao.TaskExecution{}
	for _, t := range tasks {
		parent := deref(t.ParentTaskExecutionID)
		children[parent] = append(children[parent], t)
	}
	var walk func(parent uint64, depth int)
	walk = func(parent uint64, depth int) {
		list := children[parent]
		slices.SortStableFunc(list, func(a, b *dao.TaskExecution) int {
			return cmp.Or(cmp.Compare(deref(a.SetIndex), deref(b.SetIndex)), cmp.Compare(a.ID, b.ID))
		})
		for _, t := range list {
			if len(rows) == maxTaskRows {
				leftOut++
			} else {
				rows = append(rows, newTaskRow(t, depth, now))
			}
			walk(t.ID, depth+1)
		}
	}
	walk(0, 0)
	return rows, leftOut
}

func newTaskRow(t *dao.TaskExecution, depth int, now time.Time) taskRow {
	row := taskRow{TaskExecution: t, Depth: min(depth, maxIndent), Took: elapsed(&t.StartedAt, t.EndedAt, now), Wait: whyNoJob(t)}
	if t.SetIndex != nil {
		row.Set = fmt.Sprintf("set %d", *t.SetIndex+1)
	}
	if t.Status == dao.TaskFailed {
		row.Error = oneLine(cleanText([]byte(t.ErrorReason+": "+t.ErrorMsg)), errorLimit)
	}
	return row
}

// deref is the value, or 0 for none.
func deref[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}
