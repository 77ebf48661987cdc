package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/schema"
)

// compare compares the rows of an execution with what playing it again has given.
func (l *look) compare(h *dao.History, p *played, kept map[string]*dao.TaskExecution, aborted bool) {
	e := &h.Execution
	if !aborted && p.row.Status != e.Status {
		l.addOf(e.ID, nil, ExecutionDiffers, "its status is %s, and its definition and the ends of its Jobs make it %s", e.Status, p.row.Status)
	}
	if aborted && p.row.Status.Ended() {
		l.addOf(e.ID, nil, ExecutionDiffers, "it was aborted, and its definition and the ends of its Jobs make it %s", p.row.Status)
	}
	if !aborted && p.row.Status == dao.ExecutionSuccess && p.row.Output != e.Output {
		l.addOf(e.ID, nil, ExecutionDiffers, "its output is %s, and that of its last task %s", short(e.Output), short(p.row.Output))
	}
	names := map[uint64]string{}
	for _, t := range h.Tasks {
		names[t.ID] = t.TaskName
	}
	for _, name := range slices.Sorted(maps.Keys(p.tasks)) {
		if kept[name] == nil {
			l.addOf(e.ID, nil, TaskMissing, "task %q has no row, and by the definition and the ends of the other tasks it has begun", name)
			continue
		}
		l.compareTask(e, p.tasks[name], kept[name], p.names, names, aborted)
	}
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		if p.tasks[name] == nil {
			l.addOf(e.ID, kept[name], TaskUnexpected, "task %q has a row, and by the definition and the ends of the other tasks it has not begun", name)
		}
	}
}

// compareTask compares the rows of a task.
func (l *look) compareTask(e *dao.WorkflowExecution, want, have *dao.TaskExecution, wantNames, haveNames map[uint64]string, aborted bool) {
	var differ []string
	differs := func(column, have, want string) {
		if have != want {
			differ = append(differ, fmt.Sprintf("%s is %s and should be %s", column, short(have), short(want)))
		}
	}
	if aborted && !want.Status.Ended() {
		if !endedWith(e, have) && have.Status.Ended() {
			differ = append(differ, fmt.Sprintf("status is %s and should be failed, with the execution's ended_at", have.Status))
		}
	} else {
		differs("status", have.Status.String(), want.Status.String())
		differs("output", have.Output, want.Output)
		differs("error_reason", have.ErrorReason, want.ErrorReason)
	}
	differs("task_type", have.TaskType, want.TaskType)
	differs("input", have.Input, want.Input)
	differs("set_index", number(have.SetIndex), number(want.SetIndex))
	differs("index_count", number(have.IndexCount), number(want.IndexCount))
	differs("parent_task_execution_id", task(have.ParentTaskExecutionID, haveNames), task(want.ParentTaskExecutionID, wantNames))
	differs("prev_task_execution_id", task(have.PrevTaskExecutionID, haveNames), task(want.PrevTaskExecutionID, wantNames))
	differs("next_task_execution_id", task(have.NextTaskExecutionID, haveNames), task(want.NextTaskExecutionID, wantNames))
	if have.TaskType == string(schema.KubeJob) {
		name := ""
		if have.ExecutionName != nil {
			name = *have.ExecutionName
		}
		differs("execution_name", name, schema.JobName(e.WorkflowName, have.TaskName, have.ID, int(have.Attempt)))
	}
	if len(differ) > 0 {
		l.addOf(e.ID, have, TaskDiffers, "of task %q, by the definition and the ends of the other tasks, %s", have.TaskName, strings.Join(differ, "; "))
	}
}

// task names a neighbour.
func task(id *uint64, names map[uint64]string) string {
	if id == nil {
		return "NULL"
	}
	if name, ok := names[*id]; ok {
		return fmt.Sprintf("that of %q", name)
	}
	return fmt.Sprintf("%d (of another execution)", *id)
}

func number(n *uint32) string {
	if n == nil {
		return "NULL"
	}
	return fmt.Sprint(*n)
}

// maxShown is how many bytes of a value a message shows.
const maxShown = 120

// short makes a value fit a message.
func short(value string) string {
	switch {
	case value == "":
		return "empty"
	case len(value) <= maxShown:
		return value
	default:
		return fmt.Sprintf("%s... (%d bytes)", strings.ToValidUTF8(value[:maxShown], ""), len(value))
	}
}
