package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/types/known/timestamppb"
	"sigs.k8s.io/yaml"

	pb "github.com/jobnetes/jobnetes/proto"
)

// What -o json prints. The names are those of webadmin's JSON API; keys are
// only ever added. docs/commands.md describes them.

type workflowView struct {
	ID         uint64          `json:"id"`
	Name       string          `json:"name"`
	Version    uint32          `json:"version"`
	CreatedAt  *time.Time      `json:"createdAt"`
	UpdatedAt  *time.Time      `json:"updatedAt"`
	Definition json.RawMessage `json:"definition,omitempty"`
}

type executionView struct {
	ID              uint64          `json:"id"`
	WorkflowID      uint64          `json:"workflowId"`
	Workflow        string          `json:"workflow"`
	WorkflowVersion uint32          `json:"workflowVersion"`
	Name            string          `json:"name"`
	Status          string          `json:"status"`
	Attempt         uint32          `json:"attempt"`
	Priority        int32           `json:"priority"`
	ErrorMsg        string          `json:"errorMsg"`
	CreatedAt       *time.Time      `json:"createdAt"`
	StartedAt       *time.Time      `json:"startedAt"`
	EndedAt         *time.Time      `json:"endedAt"`
	Cancel          *cancelView     `json:"cancel,omitempty"`
	Input           json.RawMessage `json:"input,omitempty"`
	Output          json.RawMessage `json:"output,omitempty"`
	TaskExecutions  []taskView      `json:"taskExecutions,omitempty"`
}

// cancelView is a request to cancel an execution that has not ended yet.
type cancelView struct {
	RequestedAt *time.Time `json:"requestedAt"`
	RequestedBy string     `json:"requestedBy"`
	Reason      string     `json:"reason"`
}

type taskView struct {
	ID            uint64          `json:"id"`
	ParentID      *uint64         `json:"parentId"`
	PrevID        *uint64         `json:"prevId"`
	NextID        *uint64         `json:"nextId"`
	SetNumber     uint32          `json:"setNumber,omitempty"`
	ExecutionName string          `json:"executionName"`
	TaskName      string          `json:"taskName"`
	TaskType      string          `json:"taskType"`
	Attempt       uint32          `json:"attempt"`
	Status        string          `json:"status"`
	Waiting       bool            `json:"waiting"`
	Creating      bool            `json:"creating"`
	Indexes       *indexesView    `json:"indexes,omitempty"`
	ErrorReason   string          `json:"errorReason"`
	ErrorMsg      string          `json:"errorMsg"`
	StartedAt     *time.Time      `json:"startedAt"`
	EndedAt       *time.Time      `json:"endedAt"`
	Input         json.RawMessage `json:"input"`
	Output        json.RawMessage `json:"output"`
}

// indexesView is how many indexes an indexed task has, and how many of them have succeeded.
type indexesView struct {
	Count uint32 `json:"count"`
	Done  uint32 `json:"done"`
}

func viewWorkflow(w *pb.Workflow) workflowView {
	return workflowView{
		ID: w.GetId(), Name: w.GetName(), Version: w.GetVersion(),
		CreatedAt: timeOf(w.GetCreatedAt()), UpdatedAt: timeOf(w.GetUpdatedAt()), Definition: definitionValue(w.GetDefinition()),
	}
}

func viewExecution(e *pb.Execution) executionView {
	v := executionView{
		ID: e.GetId(), WorkflowID: e.GetWorkflowId(), Workflow: e.GetWorkflowName(), WorkflowVersion: e.GetWorkflowVersion(),
		Name: e.GetName(), Status: executionStatus(e.GetStatus()), Attempt: e.GetAttempt(), Priority: e.GetPriority(), ErrorMsg: e.GetErrorMsg(),
		CreatedAt: timeOf(e.GetCreatedAt()), StartedAt: timeOf(e.GetStartedAt()), EndedAt: timeOf(e.GetEndedAt()),
		Input: jsonValue(e.GetInput()), Output: jsonValue(e.GetOutput()),
	}
	if at := timeOf(e.GetCancelRequestedAt()); at != nil {
		v.Cancel = &cancelView{at, e.GetCancelRequestedBy(), e.GetCancelReason()}
	}
	for _, t := range e.GetTasks() {
		task := taskView{
			ID: t.GetId(), ParentID: idOf(t.GetParentId()), PrevID: idOf(t.GetPrevId()), NextID: idOf(t.GetNextId()), SetNumber: t.GetSetNumber(),
			ExecutionName: t.GetExecutionName(), TaskName: t.GetTaskName(), TaskType: t.GetTaskType(), Attempt: t.GetAttempt(),
			Status: taskStatus(t.GetStatus()), Waiting: t.GetWaiting(), Creating: t.GetCreating(), ErrorReason: t.GetErrorReason(), ErrorMsg: t.GetErrorMsg(),
			StartedAt: timeOf(t.GetStartedAt()), EndedAt: timeOf(t.GetEndedAt()), Input: jsonValue(t.GetInput()), Output: jsonValue(t.GetOutput()),
		}
		if n := t.GetIndexCount(); n > 0 {
			task.Indexes = &indexesView{n, t.GetIndexesDone()}
		}
		v.TaskExecutions = append(v.TaskExecutions, task)
	}
	return v
}

const (
	executionStatusPrefix = "EXECUTION_STATUS_"
	taskStatusPrefix      = "TASK_STATUS_"
)

// executionStatus is the word for a status: that of SQL, pages and flags.
func executionStatus(s pb.ExecutionStatus) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), executionStatusPrefix))
}

func taskStatus(s pb.TaskStatus) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), taskStatusPrefix))
}

// jsonValue returns data as a value to embed: what is no JSON becomes a string.
func jsonValue(data []byte) json.RawMessage {
	if len(data) == 0 {
		return nil
	}
	if json.Valid(data) {
		return data
	}
	quoted, _ := json.Marshal(string(data)) // never fails
	return quoted
}

// definitionValue is the same for a definition, which may be YAML.
func definitionValue(definition []byte) json.RawMessage {
	if len(definition) == 0 || json.Valid(definition) {
		return jsonValue(definition)
	}
	converted, err := yaml.YAMLToJSON(definition)
	if err != nil {
		return jsonValue(definition)
	}
	return jsonValue(converted)
}

func timeOf(t *timestamppb.Timestamp) *time.Time {
	if t == nil {
		return nil
	}
	at := t.AsTime()
	return &at
}

func idOf(id uint64) *uint64 {
	if id == 0 {
		return nil
	}
	return &id
}

// printJSON prints v indented, with numbers and strings as they were sent.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printTable prints rows in columns.
func printTable(w io.Writer, header string, rows [][]string) error {
	var text bytes.Buffer
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{strings.Fields(header)}, rows...) {
		if _, err := fmt.Fprintln(tw, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	// An empty last cell leaves the padding of the one before it.
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// timeOnly is how times of the same day are shown: in UTC, as everywhere.
const timeOnly = time.TimeOnly + "Z"

// utcTime is a time for people, in UTC as in SQL and on the pages; "-" for none.
func utcTime(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	return t.AsTime().UTC().Format(time.DateTime) + "Z"
}

// duration is how long something took, or has taken so far; "-" before it starts.
func duration(start, end *timestamppb.Timestamp, now time.Time) string {
	if start == nil {
		return "-"
	}
	if end != nil {
		now = end.AsTime()
	}
	d := now.Sub(start.AsTime())
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

// errorLine makes an error message fit a line, with marks where its lines end: it may
// have the last lines of a log.
func errorLine(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		if line = oneLine(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.ReplaceAll(strings.Join(lines, " | "), ": | ", ": ")
}

// oneLine makes a text fit a line of a terminal: jobs write error messages, so
// they may hold anything.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}
