package webadmin

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/jobnetes/jobnetes/dao"
)

const (
	// latestExecutions is how many executions the page of a workflow shows.
	latestExecutions = 10
	// latestVersions is how many versions it lists.
	latestVersions = 50
)

// workflowsBody is what workflows.html shows.
type workflowsBody struct {
	Rows  []dao.Workflow
	First bool
	Next  string // address of the names that follow
}

func (s *Server) listWorkflows(w http.ResponseWriter, r *http.Request) error {
	after := r.URL.Query().Get("after")
	rows, err := s.store.Workflows(r.Context(), after, pageSize+1)
	if err != nil {
		return err
	}
	body := workflowsBody{Rows: rows, First: after == ""}
	if len(rows) > pageSize {
		body.Rows = rows[:pageSize]
		body.Next = "/workflows?" + url.Values{"after": {rows[pageSize-1].Name}}.Encode()
	}
	return s.render(w, http.StatusOK, "workflows.html", page{Title: "Workflows", Nav: "workflows", Body: body})
}

// workflowBody is what workflow.html shows.
type workflowBody struct {
	dao.Workflow
	Shown        dao.WorkflowVersion // ID 0: the present one, which has no version yet
	IsPresent    bool
	Definition   valueView
	Graph        graphView
	Versions     []dao.WorkflowVersion
	MoreVersions bool
	Executions   []executionRow
	All          string // address of all its executions
}

// workflow returns the workflow that the path names.
func (s *Server) workflow(r *http.Request) (dao.Workflow, error) {
	id, err := pathID(r)
	if err != nil {
		return dao.Workflow{}, err
	}
	w, err := s.store.Workflow(r.Context(), id)
	return w, missing(err, "workflow", id)
}

func (s *Server) showWorkflow(w http.ResponseWriter, r *http.Request) error {
	workflow, err := s.workflow(r)
	if err != nil {
		return err
	}
	shown, err := s.version(r, workflow)
	if err != nil {
		return err
	}
	versions, err := s.store.WorkflowVersions(r.Context(), workflow.ID, latestVersions+1)
	if err != nil {
		return err
	}
	executions, err := s.store.Executions(r.Context(), dao.ExecutionFilter{WorkflowID: workflow.ID, Limit: latestExecutions})
	if err != nil {
		return err
	}
	rows, err := s.executionRows(r.Context(), executions)
	if err != nil {
		return err
	}
	raw := fmt.Sprintf("/workflows/%d/definition", workflow.ID)
	if shown.Version != 0 {
		raw += fmt.Sprintf("?version=%d", shown.Version)
	}
	body := workflowBody{
		Workflow:     workflow,
		Shown:        shown,
		IsPresent:    shown.Version == workflow.Version,
		Definition:   newValue("Definition", shown.Definition, raw, definitionLimit),
		Graph:        newGraph(shown.Definition),
		Versions:     versions[:min(len(versions), latestVersions)],
		MoreVersions: len(versions) > latestVersions,
		Executions:   rows,
		All:          filter{Workflow: workflow.Name}.url("", 0),
	}
	return s.render(w, http.StatusOK, "workflow.html", page{Title: "Workflow " + workflow.Name, Nav: "workflows", Body: body})
}

// version returns the version of the workflow that the address asks for; its
// present definition if it asks for none.
func (s *Server) version(r *http.Request, w dao.Workflow) (dao.WorkflowVersion, error) {
	text := r.URL.Query().Get("version")
	if text == "" {
		return dao.WorkflowVersion{WorkflowID: w.ID, Version: w.Version, Definition: w.Definition, CreatedAt: w.UpdatedAt}, nil
	}
	number, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return dao.WorkflowVersion{}, problem{kind: errBadRequest, message: fmt.Sprintf("%q is no version: versions are numbers, see the list on the workflow's page.", text)}
	}
	if number > 0 && number <= uint64(w.Version) {
		// Versions are numbered without gaps, newest first: it is the last of those.
		versions, err := s.store.WorkflowVersions(r.Context(), w.ID, int(uint64(w.Version)-number)+1)
		if err != nil {
			return dao.WorkflowVersion{}, err
		}
		for _, v := range versions {
			if uint64(v.Version) == number {
				return s.store.WorkflowVersion(r.Context(), v.ID)
			}
		}
	}
	return dao.WorkflowVersion{}, problem{kind: errNotFound, message: fmt.Sprintf("Workflow %s has no version %d; its latest is %d.", w.Name, number, w.Version)}
}

// workflowDefinition sends a definition byte for byte as it was applied.
func (s *Server) workflowDefinition(w http.ResponseWriter, r *http.Request) error {
	workflow, err := s.workflow(r)
	if err != nil {
		return err
	}
	v, err := s.version(r, workflow)
	if err != nil {
		return err
	}
	return writeValue(w, v.Definition)
}
