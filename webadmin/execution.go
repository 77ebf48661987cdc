package webadmin

import (
	"context"
	"fmt"
	"net/http"

	"github.com/jobnetes/jobnetes/dao"
)

const (
	// refreshSeconds is how often the page of something that runs is loaded again.
	refreshSeconds = 5
	// historyPage is how many events a page shows.
	historyPage = 200
)

// executionBody is what execution.html shows.
type executionBody struct {
	dao.WorkflowExecution
	Took          string
	Refresh       refreshView
	Error         string
	Culprit       *dao.TaskExecution // the task that made it fail, if it is known
	Graph         graphView
	Tasks         []taskRow
	TasksLeftOut  int
	NoTasks       string // why there are none, if there are none
	Input, Output valueView
	Events        []dao.ExecutionEvent
	MoreEvents    string // the address of those that follow
	Earlier       bool   // events before the first one shown exist
}

// refreshView lets a reader stop a page that loads itself again.
type refreshView struct {
	Seconds int // 0: it does not
	Toggle  string
}

// newRefresh returns what the page of something that may still run does.
func newRefresh(r *http.Request, ended bool) refreshView {
	switch {
	case ended:
		return refreshView{}
	case r.URL.Query().Get("refresh") == "off":
		return refreshView{Toggle: r.URL.Path}
	default:
		return refreshView{refreshSeconds, r.URL.Path + "?refresh=off"}
	}
}

// execution returns the execution that the path names.
func (s *Server) execution(r *http.Request) (dao.WorkflowExecution, error) {
	id, err := pathID(r)
	if err != nil {
		return dao.WorkflowExecution{}, err
	}
	e, err := s.store.Execution(r.Context(), id)
	return e, missing(err, "execution", id)
}

func (s *Server) showExecution(w http.ResponseWriter, r *http.Request) error {
	e, err := s.execution(r)
	if err != nil {
		return err
	}
	after, err := queryID(r, "events-after")
	if err != nil {
		return err
	}
	tasks, err := s.store.Tasks(r.Context(), e.ID)
	if err != nil {
		return err
	}
	definition, err := s.definitionOf(r.Context(), e)
	if err != nil {
		return err
	}
	events, err := s.store.Events(r.Context(), e.ID, after, historyPage+1)
	if err != nil {
		return err
	}
	now, path := s.cfg.Now(), fmt.Sprintf("/executions/%d", e.ID)
	body := executionBody{
		WorkflowExecution: e,
		Took:              elapsed(e.StartedAt, e.EndedAt, now),
		Refresh:           newRefresh(r, e.Status.Ended()),
		Error:             cleanText([]byte(e.ErrorMsg)),
		Graph:             s.undrawn.graph(e.WorkflowVersionID, definition),
		Input:             newValue("Input", e.Input, path+"/input", valueLimit),
		Output:            newOutput(e.Output, path+"/output", e.Status.Ended(), e.Status == dao.ExecutionSuccess),
		Events:            events,
		Earlier:           after != 0,
	}
	if body.Graph.graph != nil {
		body.Graph.overlay(e, tasks, now)
	}
	if e.Status == dao.ExecutionFailed {
		body.Culprit = firstFailed(tasks)
	}
	body.Tasks, body.TasksLeftOut = taskRows(tasks, now)
	body.NoTasks = noTasks(e)
	if len(events) > historyPage {
		body.Events = events[:historyPage]
		body.MoreEvents = fmt.Sprintf("%s?events-after=%d#history", path, events[historyPage-1].ID)
	}
	return s.render(w, http.StatusOK, "execution.html", page{
		Title: fmt.Sprintf("%s #%d: %s", e.WorkflowName, e.ID, e.Status), Nav: "executions", Refresh: body.Refresh.Seconds, Body: body,
	})
}

// noTasks says why an execution has no task, if it has none.
func noTasks(e dao.WorkflowExecution) string {
	switch {
	case e.Status.Ended():
		return "No task was started: the execution ended before."
	case e.LeaseOwner != nil:
		return "No task has started yet: a manager has taken the execution up, and is about to start the first."
	default:
		return "No task has started yet: the execution waits for a manager to take it up, or for its turn, if there is a limit on running Jobs. " +
			"If it waits for long, look whether a manager runs, and whether other executions have tasks that wait."
	}
}

// definitionOf returns the definition that the execution runs by: that of its
// version, or the workflow's present one if no manager has taken it up yet.
func (s *Server) definitionOf(ctx context.Context, e dao.WorkflowExecution) (string, error) {
	if e.WorkflowVersionID == nil {
		w, err := s.store.Workflow(ctx, e.WorkflowID)
		return w.Definition, err
	}
	v, err := s.store.WorkflowVersion(ctx, *e.WorkflowVersionID)
	return v.Definition, err
}

// firstFailed returns the task whose failure the others' follows from: the first
// to end as failed, the inner one of those that ended together.
func firstFailed(tasks []*dao.TaskExecution) *dao.TaskExecution {
	var first *dao.TaskExecution
	for _, t := range tasks {
		if t.Status != dao.TaskFailed || t.EndedAt == nil {
			continue
		}
		if first == nil || !t.EndedAt.After(*first.EndedAt) {
			first = t
		}
	}
	return first
}

// executionValue sends an input or an output whole.
func (s *Server) executionValue(w http.ResponseWriter, r *http.Request) error {
	e, err := s.execution(r)
	if err != nil {
		return err
	}
	switch r.PathValue("value") {
	case "input":
		return writeValue(w, e.Input)
	case "output":
		return writeValue(w, e.Output)
	default:
		return s.noPage(w, r)
	}
}
