package webadmin

import (
	"fmt"
	"strings"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/schema"
)

// maxGraphTasks is the largest definition that is drawn; beyond it a picture
// says less than the table.
const maxGraphTasks = 500

// taskState is how far a task has come in an execution.
type taskState struct {
	Pill pill
	Took string // how long; empty if it has not begun
	Href string // its page; empty if it has none
}

// Text is the state in words.
func (s taskState) Text() string {
	if s.Took == "" {
		return s.Pill.Word
	}
	return s.Pill.Word + " · " + s.Took
}

// graphView is a graph on a page, or why there is none.
type graphView struct {
	*graph
	Note string
}

// newGraph draws the definition.
func newGraph(definition string) graphView {
	def, err := schema.Parse([]byte(definition))
	if err != nil {
		return graphView{Note: "There is no graph: the definition is not valid.\n" + err.Error()}
	}
	if n := countTasks(def.Tasks); n > maxGraphTasks {
		return graphView{Note: fmt.Sprintf("There is no graph: with %d tasks it would be too large to read (at most %d are drawn).", n, maxGraphTasks)}
	}
	g := draw(def)
	g.Desc = fmt.Sprintf("%s of workflow %s, from left to right.", plural(countTasks(def.Tasks), "task"), def.Name)
	return graphView{graph: g}
}

// overlay lays the execution's tasks over the drawing of its definition: all of
// the definition's tasks are there, those without a row as not started.
func (g *graph) overlay(e dao.WorkflowExecution, tasks []*dao.TaskExecution, now time.Time) {
	latest := make(map[string]*dao.TaskExecution, len(tasks))
	counts := map[string]int{}
	for _, t := range tasks { // in the order of their ids: the last attempt wins
		latest[t.TaskName] = t
	}
	idle := notStarted
	if e.Status.Ended() {
		idle = notRun
	}
	g.Top.each(func(l *lane) {
		for _, b := range l.Boxes {
			b.State = stateOf(latest[b.Task.Name], idle, now)
			counts[b.State.Pill.Word]++
		}
		for _, edge := range l.Edges {
			from, to := latest[edge.From], latest[edge.To]
			edge.Taken = from != nil && to != nil && to.PrevTaskExecutionID != nil && *to.PrevTaskExecutionID == from.ID
		}
	})
	var words []string
	for _, word := range []string{dao.TaskSuccess.String(), dao.TaskRunning.String(), taskWaits.Word, noJob.Word, dao.TaskFailed.String(), idle.Word} {
		if counts[word] > 0 {
			words = append(words, fmt.Sprintf("%d %s", counts[word], word))
		}
	}
	g.Desc += " Tasks: " + strings.Join(words, ", ") + "."
}

func stateOf(t *dao.TaskExecution, idle pill, now time.Time) taskState {
	if t == nil {
		return taskState{Pill: idle}
	}
	return taskState{
		Pill: taskPill(t),
		Took: elapsed(&t.StartedAt, t.EndedAt, now),
		Href: fmt.Sprintf("/tasks/%d", t.ID),
	}
}

// each calls fn with the lane and all that are nested in it.
func (l *lane) each(fn func(*lane)) {
	fn(l)
	for _, b := range l.Boxes {
		for _, inner := range b.Lanes {
			inner.each(fn)
		}
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
