package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	pb "github.com/jobnetes/jobnetes/proto"
)

// kubeJob is the type of the tasks that have logs.
const kubeJob = "kube-job"

// logTask is a task whose logs are asked for.
type logTask struct {
	id   uint64
	name string // empty if only the id is known
}

func (t logTask) String() string {
	if t.name == "" {
		return fmt.Sprintf("task %d", t.id)
	}
	return fmt.Sprintf("%s (task %d)", t.name, t.id)
}

func newLogsCommand() *cobra.Command {
	var (
		task, container string
		taskID          uint64
	)
	cmd := &cobra.Command{
		Use:   "logs EXECUTION_ID",
		Short: "Print the logs of an execution's jobs, or of one task's",
		Example: `  jobnetes logs 12 --task extract
  jobnetes logs --task-id 40 --container main`,
		Args: cobra.MaximumNArgs(1),
	}
	o := clientFlags(cmd)
	cmd.Flags().StringVar(&task, "task", "", "only those of the task of this name")
	cmd.Flags().Uint64Var(&taskID, "task-id", 0, "the task, in place of an execution")
	cmd.Flags().StringVar(&container, "container", "", "only those of the container of this name")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (len(args) == 1) == (taskID != 0) || taskID != 0 && task != "" {
			return errors.New("whose logs? give an execution's id, with --task for one of its tasks, or only --task-id")
		}
		c, err := o.connect()
		if err != nil {
			return err
		}
		defer c.close()
		tasks := []logTask{{id: taskID}}
		if taskID == 0 {
			if tasks, err = c.logTasks(cmd, args[0], task); err != nil {
				return err
			}
		}
		var printer logPrinter = &textLogs{w: cmd.OutOrStdout(), notes: cmd.ErrOrStderr(), atLineStart: true}
		if o.output == outputJSON {
			printer = &jsonLogs{w: cmd.OutOrStdout(), logs: []logView{}}
		}
		return c.printLogs(cmd, tasks, container, printer)
	}
	return cmd
}

// logTasks returns the kube-jobs of an execution: all, or the one of that name. If
// it has none yet, stderr says why.
func (c *client) logTasks(cmd *cobra.Command, arg, name string) ([]logTask, error) {
	id, err := parseID(arg)
	if err != nil {
		return nil, err
	}
	e, err := c.execution(cmd.Context(), id)
	if err != nil {
		return nil, err
	}
	var tasks []logTask
	for _, t := range e.GetTasks() {
		if t.GetTaskType() == kubeJob && (name == "" || name == t.GetTaskName()) {
			tasks = append(tasks, logTask{t.GetId(), t.GetTaskName()})
		}
	}
	if len(tasks) == 0 && name != "" {
		return nil, fmt.Errorf("execution %d has started no kube-job task %q: `jobnetes execution %d` lists those it has", id, name, id)
	}
	if len(tasks) == 0 {
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), noKubeJob(e))
	}
	return tasks, nil
}

// noKubeJob says why an execution has no task with logs.
func noKubeJob(e *pb.Execution) string {
	text := fmt.Sprintf("execution %d has no logs: ", e.GetId())
	switch e.GetStatus() {
	case pb.ExecutionStatus_EXECUTION_STATUS_SCHEDULED:
		return text + "it waits for a manager, or for its turn, by a limit on running Jobs"
	case pb.ExecutionStatus_EXECUTION_STATUS_RUNNING:
		return text + "none of its tasks that have begun is a kube-job"
	default:
		return text + "it ended without a kube-job"
	}
}

// printLogs prints what there is. A task whose logs are gone is named on stderr
// and does not hide the others'; the error is then errSaid.
func (c *client) printLogs(cmd *cobra.Command, tasks []logTask, container string, p logPrinter) error {
	var failed error
	for _, t := range tasks {
		err := c.copyLogs(cmd.Context(), t, container, p)
		if err != nil && (cmd.Context().Err() != nil || status.Code(err) == codes.Unauthenticated || c.conn.GetState() != connectivity.Ready) {
			return c.explain("get logs", err) // the others will not do better
		}
		if err != nil {
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), c.explain("logs of "+t.String(), err))
			failed = errSaid
		}
	}
	return errors.Join(failed, p.end())
}

func (c *client) copyLogs(ctx context.Context, t logTask, container string, p logPrinter) error {
	stream, err := c.GetTaskLogs(ctx, &pb.GetTaskLogsRequest{TaskId: t.id, Container: container})
	if err != nil {
		return err
	}
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := p.print(t, chunk); err != nil {
			return fmt.Errorf("print the logs: %w", err)
		}
	}
}

// logPrinter prints logs as they come: those of a container in one piece.
type logPrinter interface {
	print(t logTask, chunk *pb.TaskLog) error
	end() error
}

// logKey tells containers apart.
type logKey struct {
	task           uint64
	pod, container string
}

// textLogs prints each container's log under a header to w, and to notes which
// containers have none because they wait.
type textLogs struct {
	w, notes    io.Writer
	last        logKey
	atLineStart bool
}

func (l *textLogs) print(t logTask, chunk *pb.TaskLog) error {
	if chunk.GetWaiting() != "" {
		if err := l.end(); err != nil { // both may go to one terminal
			return err
		}
		_, err := fmt.Fprintf(l.notes, "%s, pod %s, container %s waits: %s\n", t, chunk.GetPod(), chunk.GetContainer(), oneLine(chunk.GetWaiting()))
		return err
	}
	if key := (logKey{t.id, chunk.GetPod(), chunk.GetContainer()}); key != l.last {
		if err := l.end(); err != nil {
			return err
		}
		l.last = key
		if _, err := fmt.Fprintf(l.w, "==> %s, pod %s, container %s%s <==\n", t, chunk.GetPod(), chunk.GetContainer(), origin(chunk)); err != nil {
			return err
		}
	}
	if len(chunk.GetData()) > 0 {
		l.atLineStart = bytes.HasSuffix(chunk.GetData(), []byte("\n"))
	}
	_, err := l.w.Write(chunk.GetData())
	return err
}

// origin says of a log that was kept in the database that it is one, and whether
// it is only its end; of a pod's own log nothing.
func origin(chunk *pb.TaskLog) string {
	text := ""
	if chunk.GetKept() {
		text += ", kept"
	}
	if chunk.GetTruncated() {
		text += ", only the end"
	}
	return text
}

// end ends the line that a log left open.
func (l *textLogs) end() error {
	if l.atLineStart {
		return nil
	}
	l.atLineStart = true
	_, err := fmt.Fprintln(l.w)
	return err
}

// logView is what -o json prints for each container.
type logView struct {
	TaskID    uint64 `json:"taskId"`
	TaskName  string `json:"taskName,omitempty"`
	Pod       string `json:"pod"`
	Container string `json:"container"`
	Kept      bool   `json:"kept"`
	Truncated bool   `json:"truncated"`
	Waiting   string `json:"waiting"`
	Log       string `json:"log"`

	data []byte
}

// jsonLogs prints everything at the end.
type jsonLogs struct {
	w    io.Writer
	logs []logView
}

func (l *jsonLogs) print(t logTask, chunk *pb.TaskLog) error {
	n := len(l.logs)
	if n == 0 || l.logs[n-1].TaskID != t.id || l.logs[n-1].Pod != chunk.GetPod() || l.logs[n-1].Container != chunk.GetContainer() {
		l.logs = append(l.logs, logView{
			TaskID: t.id, TaskName: t.name, Pod: chunk.GetPod(), Container: chunk.GetContainer(),
			Kept: chunk.GetKept(), Truncated: chunk.GetTruncated(), Waiting: chunk.GetWaiting(),
		})
		n++
	}
	l.logs[n-1].data = append(l.logs[n-1].data, chunk.GetData()...)
	return nil
}

func (l *jsonLogs) end() error {
	for i := range l.logs {
		l.logs[i].Log = string(l.logs[i].data)
	}
	return printJSON(l.w, l.logs)
}
