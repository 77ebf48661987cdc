package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	pb "github.com/jobnetes/jobnetes/proto"
)

func newExecutionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "execution ID",
		Short: "Show an execution and its tasks",
		Args:  one("the id of an execution"),
	}
	o := clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := parseID(args[0])
		if err != nil {
			return err
		}
		c, err := o.connect()
		if err != nil {
			return err
		}
		defer c.close()
		e, err := c.execution(cmd.Context(), id)
		if err != nil {
			return err
		}
		if o.output == outputJSON {
			return printJSON(cmd.OutOrStdout(), viewExecution(e))
		}
		return printExecution(cmd.OutOrStdout(), e, time.Now())
	}
	return cmd
}

func (c *client) execution(ctx context.Context, id uint64) (*pb.Execution, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	e, err := c.GetExecution(ctx, &pb.GetExecutionRequest{Id: id})
	if err != nil {
		return nil, c.explain(fmt.Sprintf("get execution %d", id), err)
	}
	return e, nil
}

// maxShown is how much of an input or output is shown, in characters.
const maxShown = 300

func printExecution(w io.Writer, e *pb.Execution, now time.Time) error {
	lines := [][2]string{
		{"workflow", fmt.Sprintf("%s (id %d, version %d)", e.GetWorkflowName(), e.GetWorkflowId(), e.GetWorkflowVersion())},
		{"name", oneLine(e.GetName())},
		{"created", utcTime(e.GetCreatedAt())},
		{"started", utcTime(e.GetStartedAt())},
		{"ended", utcTime(e.GetEndedAt())},
		{"duration", duration(e.GetStartedAt(), e.GetEndedAt(), now)},
		{"input", shown(e.GetInput())},
	}
	if e.GetStatus() == pb.ExecutionStatus_EXECUTION_STATUS_SUCCESS {
		lines = append(lines, [2]string{"output", shown(e.GetOutput())})
	}
	// First what somebody looks for who has been called.
	if _, err := fmt.Fprintf(w, "execution %d: %s\n", e.GetId(), executionStatus(e.GetStatus())); err != nil {
		return err
	}
	if e.GetPriority() != 0 {
		lines = append(lines, [2]string{"priority", strconv.Itoa(int(e.GetPriority()))})
	}
	if e.GetErrorMsg() != "" {
		lines = append([][2]string{{"error", errorLine(e.GetErrorMsg())}}, lines...)
	}
	if e.GetCancelRequestedAt() != nil {
		lines = append([][2]string{{"cancel", "requested " + utcTime(e.GetCancelRequestedAt()) + " by " + why(e.GetCancelRequestedBy(), e.GetCancelReason())}}, lines...)
	}
	for _, line := range lines {
		if _, err := fmt.Fprintf(w, "%-10s%s\n", line[0]+":", line[1]); err != nil {
			return err
		}
	}
	if len(e.GetTasks()) == 0 {
		return nil
	}
	var rows [][]string
	for _, row := range treeOf(e.GetTasks()) {
		t := row.task
		rows = append(rows, []string{row.label, strconv.FormatUint(t.GetId(), 10), t.GetTaskType(), taskState(t),
			duration(t.GetStartedAt(), t.GetEndedAt(), now), whyTask(t)})
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return printTable(w, "TASK ID TYPE STATUS DURATION WHY", rows)
}

// taskState is a task's status and, of an indexed task that has not succeeded, how many of
// its indexes are done.
func taskState(t *pb.TaskExecution) string {
	state := taskStatus(t.GetStatus())
	if t.GetIndexCount() > 0 && t.GetStatus() != pb.TaskStatus_TASK_STATUS_SUCCESS {
		state += fmt.Sprintf(", %d of %d done", t.GetIndexesDone(), t.GetIndexCount())
	}
	return state
}

// whyTask says why a task failed, or why it runs and has no Job yet.
func whyTask(t *pb.TaskExecution) string {
	switch {
	case t.GetWaiting():
		return "waits for its turn: a limit on running Jobs"
	case t.GetCreating():
		return "its Job is not created yet"
	default:
		return why(t.GetErrorReason(), t.GetErrorMsg())
	}
}

// shown shortens JSON for a terminal.
func shown(data []byte) string {
	text := oneLine(string(data))
	if utf8.RuneCountInString(text) <= maxShown {
		return text
	}
	return string([]rune(text)[:maxShown]) + "… (-o json shows all)"
}

// taskRow is a task's place in the tree of an execution's tasks.
type taskRow struct {
	task  *pb.TaskExecution
	label string // indented
}

// treeOf orders tasks, which come in the order they were started, as a tree:
// below a parallel its sets, numbered, each in the order its tasks follow one
// another.
func treeOf(tasks []*pb.TaskExecution) []taskRow {
	type place struct{ parent, prev uint64 }
	after := map[place][]*pb.TaskExecution{}
	for _, t := range tasks {
		p := place{t.GetParentId(), t.GetPrevId()}
		after[p] = append(after[p], t)
	}
	var (
		rows []taskRow
		list func(first *pb.TaskExecution, mark, indent string)
	)
	list = func(t *pb.TaskExecution, mark, indent string) {
		rows = append(rows, taskRow{t, mark + t.GetTaskName()})
		for _, head := range after[place{t.GetId(), 0}] {
			list(head, fmt.Sprintf("%s  [%d] ", indent, head.GetSetNumber()), indent+"      ")
		}
		for _, next := range after[place{t.GetParentId(), t.GetId()}] {
			list(next, indent, indent)
		}
	}
	for _, first := range after[place{}] {
		list(first, "", "")
	}
	return rows
}
