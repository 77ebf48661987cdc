package engine

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/schema"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// result is what a job of a test does: it leaves an output, or fails.
type result struct {
	output string
	reason string // not empty: it fails
}

// fataler is a *testing.T or a *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// play runs an execution to its end, or to where only Jobs that have no result
// are left, and keeps the log of its transitions. Between two decisions it does
// what Commit does to rows: it gives them ids and links.
type play struct {
	x       *Execution
	def     *schema.Definition
	row     *dao.WorkflowExecution
	rows    []*dao.TaskExecution
	results map[string]result
	now     time.Time
	log     []string
	// reload builds the execution anew from its rows before each decision.
	reload bool
	// pick chooses which running Job ends next; nil: the first.
	pick func(n int) int
}

func newPlay(t fataler, definition, input string, results map[string]result) *play {
	t.Helper()
	def, err := schema.Parse([]byte(definition))
	if err != nil {
		t.Fatalf("definition: %v", err)
	}
	p := &play{def: def, row: &dao.WorkflowExecution{ID: 1, Input: input, Output: "{}"}, results: results, now: start}
	p.load(t)
	return p
}

func (p *play) load(t fataler) {
	t.Helper()
	x, err := Load(p.def, p.row, p.rows)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	p.x = x
}

// run decides, and ends one Job at a time, until nothing moves any more.
func (p *play) run(t fataler) {
	t.Helper()
	p.decide(t)
	for {
		var ready []*dao.TaskExecution
		for _, r := range p.x.RunningJobs() {
			if _, ok := p.results[r.TaskName]; ok {
				ready = append(ready, r)
			}
		}
		if len(ready) == 0 {
			return
		}
		i := 0
		if p.pick != nil {
			i = p.pick(len(ready))
		}
		p.endJob(t, ready[i])
	}
}

func (p *play) endJob(t fataler, r *dao.TaskExecution) {
	t.Helper()
	p.now = p.now.Add(time.Second)
	res := p.results[r.TaskName]
	p.decide(t, Observation{TaskID: r.ID, Succeeded: res.reason == "", Output: res.output, Reason: res.reason, Message: "it broke"})
}

func (p *play) decide(t fataler, observed ...Observation) {
	t.Helper()
	if p.reload {
		p.load(t)
	}
	for _, tr := range p.x.Decide(observed, p.now) {
		p.apply(tr)
	}
}

func (p *play) apply(tr dao.Transition) {
	line := string(tr.Type)
	if tr.Task != nil {
		line += " " + tr.Task.TaskName
	}
	if tr.Reason != "" {
		line += " " + tr.Reason
	}
	p.log = append(p.log, line)
	if tr.Type != dao.EventTaskStarted {
		return
	}
	tr.Task.ID = uint64(len(p.rows) + 1)
	p.rows = append(p.rows, tr.Task)
	if tr.Parent != nil {
		tr.Task.ParentTaskExecutionID = &tr.Parent.ID
	}
	if tr.Prev != nil {
		tr.Task.PrevTaskExecutionID, tr.Prev.NextTaskExecutionID = &tr.Prev.ID, &tr.Task.ID
	}
}

func (p *play) task(t fataler, name string) *dao.TaskExecution {
	t.Helper()
	for _, r := range p.rows {
		if r.TaskName == name {
			return r
		}
	}
	t.Fatalf("task %q was not started", name)
	return nil
}

// The builders of definitions: workflow(job("a", "b"), job("b", "")).

func workflow(tasks ...string) string {
	return `{"name": "w", "tasks": [` + strings.Join(tasks, ",") + `]}`
}

func job(name, next string) string {
	return fmt.Sprintf(`{"name": %q, "type": "kube-job"%s, "job": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "busybox"}]}}}}}`, name, nextOf(next))
}

func parallel(name, next string, sets ...[]string) string {
	var lists []string
	for _, s := range sets {
		lists = append(lists, "["+strings.Join(s, ",")+"]")
	}
	return fmt.Sprintf(`{"name": %q, "type": "parallel"%s, "task-sets": [%s]}`, name, nextOf(next), strings.Join(lists, ","))
}

func branch(name, fallback string, choices ...string) string {
	var cs []string
	for i := 0; i < len(choices); i += 2 {
		cs = append(cs, fmt.Sprintf(`{"condition": %s, "next": %q}`, quote(choices[i]), choices[i+1]))
	}
	def := ""
	if fallback != "" {
		def = fmt.Sprintf(`, "default": %q`, fallback)
	}
	return fmt.Sprintf(`{"name": %q, "type": "branch"%s, "tasks": [%s]}`, name, def, strings.Join(cs, ","))
}

func nextOf(next string) string {
	if next == "" {
		return ""
	}
	return fmt.Sprintf(`, "next": %q`, next)
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}
