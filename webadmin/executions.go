package webadmin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/jobnetes/jobnetes/dao"
)

// pageSize is how many rows a page of a list has.
const pageSize = 50

// filter is what the list of executions is narrowed to, as its address says.
type filter struct {
	Statuses []dao.ExecutionStatus
	Workflow string // a name
}

func parseFilter(q url.Values) (filter, error) {
	f := filter{Workflow: strings.TrimSpace(q.Get("workflow"))}
	for _, word := range q["status"] {
		i := slices.IndexFunc(dao.ExecutionStatuses[:], func(s dao.ExecutionStatus) bool { return s.String() == word })
		if i < 0 {
			return f, problem{kind: errBadRequest, message: fmt.Sprintf("There is no status %q: use scheduled, running, success or failed.", word)}
		}
		if !f.Has(dao.ExecutionStatuses[i]) {
			f.Statuses = append(f.Statuses, dao.ExecutionStatuses[i])
		}
	}
	return f, nil
}

// Has says whether executions of that status were asked for by name.
func (f filter) Has(s dao.ExecutionStatus) bool { return slices.Contains(f.Statuses, s) }

// Any says whether anything is filtered out.
func (f filter) Any() bool { return len(f.Statuses) > 0 || f.Workflow != "" }

// url returns the address of the list with that filter, from a cursor on.
func (f filter) url(cursor string, id uint64) string {
	q := url.Values{}
	for _, s := range f.Statuses {
		q.Add("status", s.String())
	}
	if f.Workflow != "" {
		q.Set("workflow", f.Workflow)
	}
	if id != 0 {
		q.Set(cursor, strconv.FormatUint(id, 10))
	}
	return (&url.URL{Path: "/", RawQuery: q.Encode()}).String()
}

// forStore resolves the workflow's name; ErrNotFound if there is none of it.
func (f filter) forStore(ctx context.Context, store WorkflowStore) (dao.ExecutionFilter, error) {
	out := dao.ExecutionFilter{Statuses: f.Statuses}
	if f.Workflow == "" {
		return out, nil
	}
	w, err := store.WorkflowByName(ctx, f.Workflow)
	out.WorkflowID = w.ID
	return out, err
}

// executionRow is an execution in a list.
type executionRow struct {
	dao.WorkflowExecution
	Took  string
	Wait  string // how many of its tasks wait for their turn
	Error string
}

// executionsBody is what executions.html shows.
type executionsBody struct {
	Filter       filter
	Statuses     []dao.ExecutionStatus
	Workflows    []string // for completion; not all of very many
	NoWorkflow   bool     // there is none of the filter's name
	Rows         []executionRow
	Newer, Older string // addresses; empty: there is nothing more
}

// completions is how many workflows the filter's field offers.
const completions = 200

func (s *Server) listExecutions(w http.ResponseWriter, r *http.Request) error {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		return err
	}
	body := executionsBody{Filter: f, Statuses: dao.ExecutionStatuses[:]}
	workflows, err := s.store.Workflows(r.Context(), "", completions)
	if err != nil {
		return err
	}
	for _, w := range workflows {
		body.Workflows = append(body.Workflows, w.Name)
	}
	query, err := f.forStore(r.Context(), s.store)
	switch {
	case errors.Is(err, dao.ErrNotFound):
		body.NoWorkflow = true
	case err != nil:
		return err
	default:
		if err := s.fillPage(r, query, &body); err != nil {
			return err
		}
	}
	return s.render(w, http.StatusOK, "executions.html", page{Title: "Executions", Nav: "executions", Body: body})
}

// fillPage reads the page that the address asks for. One row more than fits
// tells whether there is another page.
func (s *Server) fillPage(r *http.Request, query dao.ExecutionFilter, body *executionsBody) error {
	var err error
	if query.BeforeID, err = queryID(r, "before"); err != nil {
		return err
	}
	if query.AfterID, err = queryID(r, "after"); err != nil {
		return err
	}
	query.Limit = pageSize + 1
	es, err := s.store.Executions(r.Context(), query)
	if err != nil {
		return err
	}
	if query.AfterID != 0 && len(es) <= pageSize { // the first page, or nearly: show it whole
		query.AfterID = 0
		if es, err = s.store.Executions(r.Context(), query); err != nil {
			return err
		}
	}
	newer, older := query.BeforeID != 0, query.AfterID != 0
	if len(es) > pageSize {
		if query.AfterID != 0 {
			es, newer = es[1:], true
		} else {
			es, older = es[:pageSize], true
		}
	}
	if body.Rows, err = s.executionRows(r.Context(), es); err != nil {
		return err
	}
	switch {
	case len(es) == 0:
		if newer {
			body.Newer = body.Filter.url("", 0)
		}
	default:
		if newer {
			body.Newer = body.Filter.url("after", es[0].ID)
		}
		if older {
			body.Older = body.Filter.url("before", es[len(es)-1].ID)
		}
	}
	return nil
}

// errorLimit is how many characters of an error message a list shows.
const errorLimit = 160

func (s *Server) executionRows(ctx context.Context, es []dao.WorkflowExecution) ([]executionRow, error) {
	var running []uint64
	for _, e := range es {
		if e.Status == dao.ExecutionRunning {
			running = append(running, e.ID)
		}
	}
	waiting := map[uint64]int{}
	if len(running) > 0 {
		var err error
		if waiting, err = s.store.WaitingTasks(ctx, running); err != nil {
			return nil, err
		}
	}
	now, rows := s.cfg.Now(), make([]executionRow, 0, len(es))
	for _, e := range es {
		row := executionRow{WorkflowExecution: e, Took: elapsed(e.StartedAt, e.EndedAt, now), Error: oneLine(cleanText([]byte(e.ErrorMsg)), errorLimit)}
		switch n := waiting[e.ID]; n {
		case 0:
		case 1:
			row.Wait = "1 task waits for its turn"
		default:
			row.Wait = fmt.Sprintf("%d tasks wait for their turn", n)
		}
		rows = append(rows, row)
	}
	return rows, nil
}
