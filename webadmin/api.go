package webadmin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/jobnetes/jobnetes/dao"
)

const (
	// apiLimit is how many items the JSON API lists at most, as the original did.
	apiLimit = 100
	// apiBytes is after how much data a list of the JSON API ends early: its
	// items may each hold megabytes, and are in memory together.
	apiBytes = 16 << 20
)

// The types of the JSON API have the original's fields, their names and types:
// ids are 0 for none, statuses are dao's numbers, and inputs, outputs and
// definitions are strings that hold JSON.

type apiWorkflow struct {
	ID         uint64 `json:"id"`
	Name       string `json:"name"`
	Definition string `json:"definition"`
}

type apiExecution struct {
	ID             uint64              `json:"id"`
	Workflow       apiWorkflow         `json:"workflow"`
	TaskExecutions []apiTask           `json:"taskExecutions"` // null in lists, as in the original
	Name           string              `json:"name"`
	StartedAt      *time.Time          `json:"startedAt"`
	EndedAt        *time.Time          `json:"endedAt"`
	Status         dao.ExecutionStatus `json:"status"`
	Input          string              `json:"input"`
	Output         string              `json:"output"`
	Definition     string              `json:"definition"`
	Attempt        uint32              `json:"attempt"`
	ErrorMsg       string              `json:"errorMsg"`
}

type apiTask struct {
	ID            uint64         `json:"id"`
	ParentID      uint64         `json:"parentId"`
	NextID        uint64         `json:"nextId"`
	PrevID        uint64         `json:"prevId"`
	ExecutionName string         `json:"executionName"`
	TaskName      string         `json:"taskName"`
	TaskType      string         `json:"taskType"`
	StartedAt     time.Time      `json:"startedAt"`
	EndedAt       *time.Time     `json:"endedAt"`
	ElapsedSec    uint32         `json:"elapsedSec"`
	Status        dao.TaskStatus `json:"status"`
	Input         string         `json:"input"`
	Output        string         `json:"output"`
	ErrorReason   string         `json:"errorReason"`
	ErrorMsg      string         `json:"errorMsg"`
}

func newAPIWorkflow(w dao.Workflow) apiWorkflow {
	return apiWorkflow{w.ID, w.Name, asJSON(w.Definition)}
}

func newAPITask(t *dao.TaskExecution) apiTask {
	return apiTask{
		ID: t.ID, ParentID: deref(t.ParentTaskExecutionID), NextID: deref(t.NextTaskExecutionID), PrevID: deref(t.PrevTaskExecutionID),
		ExecutionName: deref(t.ExecutionName), TaskName: t.TaskName, TaskType: t.TaskType,
		StartedAt: t.StartedAt, EndedAt: t.EndedAt, ElapsedSec: t.ElapsedSec, Status: t.Status,
		Input: t.Input, Output: t.Output, ErrorReason: t.ErrorReason, ErrorMsg: t.ErrorMsg,
	}
}

// asJSON returns a definition as JSON: as it is, unless it was applied as YAML.
// What is neither stays too.
func asJSON(definition string) string {
	if json.Valid([]byte(definition)) {
		return definition
	}
	converted, err := yaml.YAMLToJSON([]byte(definition))
	if err != nil {
		return definition
	}
	return string(converted)
}

type items[T any] struct {
	Items []T `json:"items"`
}

type item[T any] struct {
	Item T `json:"item"`
}

// apiLimitOf returns how many items the address asks for.
func apiLimitOf(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return apiLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > apiLimit {
		return 0, problem{kind: errBadRequest, message: fmt.Sprintf("limit is %q: it must be a number from 1 to %d.", text, apiLimit)}
	}
	return n, nil
}

// apiWorkflows lists workflows by name.
func (s *Server) apiWorkflows(w http.ResponseWriter, r *http.Request) error {
	limit, err := apiLimitOf(r)
	if err != nil {
		return err
	}
	rows, err := s.store.Workflows(r.Context(), r.URL.Query().Get("after"), limit)
	if err != nil {
		return err
	}
	out := items[apiWorkflow]{Items: []apiWorkflow{}}
	size := 0
	for _, row := range rows {
		full, err := s.store.Workflow(r.Context(), row.ID)
		if errors.Is(err, dao.ErrNotFound) {
			continue // deleted in between
		}
		if err != nil {
			return err
		}
		out.Items = append(out.Items, newAPIWorkflow(full))
		if size += len(full.Definition); size > apiBytes {
			break
		}
	}
	return writeJSON(w, http.StatusOK, out)
}

// apiExecutions lists executions, newest first, by the filter of the page.
func (s *Server) apiExecutions(w http.ResponseWriter, r *http.Request) error {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		return err
	}
	limit, err := apiLimitOf(r)
	if err != nil {
		return err
	}
	out := items[apiExecution]{Items: []apiExecution{}}
	query, err := f.forStore(r.Context(), s.store)
	if errors.Is(err, dao.ErrNotFound) {
		return writeJSON(w, http.StatusOK, out) // no such workflow: it has no executions
	}
	if err != nil {
		return err
	}
	query.Limit = limit
	if query.BeforeID, err = queryID(r, "before"); err != nil {
		return err
	}
	rows, err := s.store.Executions(r.Context(), query)
	if err != nil {
		return err
	}
	definitions, size := newDefinitions(s.store), 0
	for _, row := range rows {
		e, err := s.store.Execution(r.Context(), row.ID) // with its input and output
		if errors.Is(err, dao.ErrNotFound) {
			continue // deleted in between
		}
		if err != nil {
			return err
		}
		view, err := definitions.execution(r.Context(), e)
		if err != nil {
			return err
		}
		out.Items = append(out.Items, view)
		if size += len(view.Input) + len(view.Output) + len(view.Definition) + len(view.Workflow.Definition); size > apiBytes {
			break
		}
	}
	return writeJSON(w, http.StatusOK, out)
}

func (s *Server) apiExecution(w http.ResponseWriter, r *http.Request) error {
	e, err := s.execution(r)
	if err != nil {
		return err
	}
	view, err := newDefinitions(s.store).execution(r.Context(), e)
	if err != nil {
		return err
	}
	tasks, err := s.store.Tasks(r.Context(), e.ID)
	if err != nil {
		return err
	}
	view.TaskExecutions = []apiTask{}
	for _, t := range tasks {
		view.TaskExecutions = append(view.TaskExecutions, newAPITask(t))
	}
	return writeJSON(w, http.StatusOK, item[apiExecution]{view})
}
