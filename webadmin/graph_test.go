package webadmin

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/schema"
)

// random makes definitions: tasks that lead forward only, of every type, nested.
type random struct {
	*rand.Rand
	made int
}

func (r *random) name() string {
	r.made++
	return fmt.Sprintf("%s-%d", strings.Repeat("nm", r.IntN(20)), r.made)
}

func (r *random) tasks(t testing.TB, most, depth int) []*schema.Task {
	list := make([]*schema.Task, 1+r.IntN(most))
	next := make([][]string, len(list))
	for i := range list {
		list[i] = &schema.Task{Name: r.name(), Type: schema.KubeJob}
		if depth > 0 && r.IntN(4) == 0 {
			list[i].Type = schema.Parallel
			for range 1 + r.IntN(3) {
				list[i].Sets = append(list[i].Sets, r.tasks(t, most/2+1, depth-1))
			}
		}
	}
	for i := 1; i < len(list); i++ {
		from := i - 1 // every task is reached from one before it ...
		if j := r.IntN(i); list[j].Type != schema.Parallel {
			from = j
		}
		next[from] = append(next[from], list[i].Name)
		if j := r.IntN(i); list[j].Type != schema.Parallel && r.IntN(2) == 0 { // ... or from two
			next[j] = append(next[j], list[i].Name)
		}
	}
	for i, task := range list {
		switch {
		case len(next[i]) > 1:
			makeBranch(t, task, next[i])
		case len(next[i]) == 1:
			task.Next = next[i][0]
		}
	}
	return list
}

func makeBranch(t testing.TB, task *schema.Task, next []string) {
	task.Type, task.Default = schema.Branch, next[0]
	for n, to := range next[1:] {
		condition, err := schema.CompileCondition(fmt.Sprintf("$.value == %d", n))
		if err != nil {
			t.Fatal(err)
		}
		task.Choices = append(task.Choices, schema.Choice{Condition: condition, Next: to})
	}
}

// rect is a place in the whole drawing.
type rect struct{ x, y, w, h int }

func (a rect) overlaps(b rect) bool {
	return a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h
}

func (a rect) holds(b rect) bool {
	return a.x <= b.x && a.y <= b.y && b.x+b.w <= a.x+a.w && b.y+b.h <= a.y+a.h
}

// Whatever the definition: every task is drawn once, nothing overlaps, all that
// is nested is inside, and time goes to the right.
func TestLayout(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := &random{Rand: rand.New(rand.NewPCG(seed, 1))}
		def := &schema.Definition{Name: "w", Tasks: r.tasks(t, 12, 3)}
		g := draw(def)
		c := checker{t: t, seed: seed, drawn: map[string]int{}}
		c.lane(g.Top, rect{0, 0, g.W, g.H})
		if n := countTasks(def.Tasks); n != r.made || len(c.drawn) != n {
			t.Errorf("seed %d: %d tasks made, %d counted, %d drawn", seed, r.made, n, len(c.drawn))
		}
		if t.Failed() {
			return
		}
	}
}

type checker struct {
	t     *testing.T
	seed  uint64
	drawn map[string]int
}

func (c *checker) lane(l *lane, parent rect) {
	frame := rect{parent.x + l.X, parent.y + l.Y, l.W, l.H}
	c.inside(parent, frame, "lane "+l.Title)
	inner := rect{frame.x + l.InX, frame.y + l.InY, 0, 0}
	places := map[string]rect{}
	var all []rect
	for _, b := range l.Boxes {
		place := rect{inner.x + b.X, inner.y + b.Y, b.W, b.H}
		c.drawn[b.Task.Name]++
		places[b.Task.Name], all = place, append(all, place)
		c.inside(frame, place, b.Task.Name)
		if got := iconTextX + textWidth(b.Name); got > b.W {
			c.t.Errorf("seed %d: the name of %s is wider than its box", c.seed, b.Task.Name)
		}
		var lanes []rect
		for _, nested := range b.Lanes {
			c.lane(nested, place)
			lanes = append(lanes, rect{place.x + nested.X, place.y + nested.Y, nested.W, nested.H})
		}
		c.apart(append(lanes, rect{place.x, place.y, b.W, b.HeadH()}))
	}
	for _, e := range l.Edges {
		from, to := places[e.From], places[e.To]
		if from.x+from.w >= to.x {
			c.t.Errorf("seed %d: %s goes back", c.seed, e.Title())
		}
		if e.HeadX != to.x-inner.x || e.HeadY != to.y-inner.y+to.h/2 {
			c.t.Errorf("seed %d: the arrow of %s misses its box", c.seed, e.Title())
		}
		if e.Label != nil {
			label := rect{inner.x + e.Label.X, inner.y + e.Label.Y, e.Label.W, e.Label.H}
			c.inside(frame, label, "label of "+e.Title())
			all = append(all, label)
		}
	}
	c.apart(all)
}

func (c *checker) inside(outer, inner rect, what string) {
	if !outer.holds(inner) {
		c.t.Errorf("seed %d: %s at %v is not inside %v", c.seed, what, inner, outer)
	}
}

func (c *checker) apart(places []rect) {
	for i, a := range places {
		for _, b := range places[:i] {
			if a.overlaps(b) {
				c.t.Errorf("seed %d: %v overlaps %v", c.seed, a, b)
			}
		}
	}
}

// A chain is a straight line, and so is what surrounds a branch.
func TestLayoutIsStraight(t *testing.T) {
	t.Parallel()
	def, err := schema.Parse([]byte(nightly))
	if err != nil {
		t.Fatal(err)
	}
	middle := map[string]int{}
	for _, b := range draw(def).Top.Boxes {
		middle[b.Task.Name] = b.Y + b.H/2
	}
	line := middle["extract"]
	for _, name := range []string{"fan", "check", "report"} {
		if middle[name] != line {
			t.Errorf("%s is at %d, extract at %d", name, middle[name], line)
		}
	}
	if middle["big"] >= line || middle["small"] <= line || line-middle["big"] != middle["small"]-line {
		t.Errorf("big is at %d, small at %d: not on either side of %d", middle["big"], middle["small"], line)
	}
}

// Conditions that lead to the same task share an edge.
func TestEdgesOf(t *testing.T) {
	t.Parallel()
	def, err := schema.Parse([]byte(definition(`{"name": "w", "tasks": [
	  {"name": "b", "type": "branch", "default": "x", "tasks": [
	    {"condition": "$.n == 1", "next": "x"}, {"condition": "$.n == 2", "next": "y"}]},
	  {"name": "x", "type": "kube-job", "job": JOB}, {"name": "y", "type": "kube-job", "job": JOB}]}`)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range edgesOf(def.Task("b")) {
		got = append(got, e.Title()+" | "+e.Label.Text)
	}
	want := []string{"b to x, if $.n == 1 or default | $.n == 1 or default", "b to y, if $.n == 2 | $.n == 2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An edge turns between columns only, and ends at its arrow.
func TestTrace(t *testing.T) {
	t.Parallel()
	e := &edge{}
	e.trace([]waypoint{{100, 120, 26}, {160, 200, 80}, {240, 240, 80}})
	if want := "m100 26h20c20 0 20 54 40 54h40h32"; e.Path != want {
		t.Errorf("path %q, want %q", e.Path, want)
	}
}

// That both ends of an edge have started does not mean that it was taken.
func TestEdgeNotTaken(t *testing.T) {
	t.Parallel()
	g := newGraph(definition(`{"name": "w", "tasks": [
	  {"name": "b", "type": "branch", "default": "end", "tasks": [{"condition": "$.n == 1", "next": "x"}]},
	  {"name": "x", "type": "kube-job", "next": "end", "job": JOB}, {"name": "end", "type": "kube-job", "job": JOB}]}`))
	one, two := uint64(1), uint64(2)
	g.overlay(dao.WorkflowExecution{Status: dao.ExecutionRunning}, []*dao.TaskExecution{
		{ID: 1, TaskName: "b"}, {ID: 2, TaskName: "x", PrevTaskExecutionID: &one}, {ID: 3, TaskName: "end", PrevTaskExecutionID: &two},
	}, begin)
	var got []string
	for _, e := range g.Top.Edges {
		got = append(got, e.Title())
	}
	want := []string{"b to x, if $.n == 1: taken", "b to end, if default", "x to end: taken"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGraphGolden(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.runNightly(b.schedule(b.apply("nightly", nightly), "", "{}"))
	e, err := b.store.Execution(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := b.store.Tasks(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	g := newGraph(nightly)
	g.overlay(e, tasks, b.now)
	s, err := New(b.config, b.store, b.pods, nil)
	if err != nil {
		t.Fatal(err)
	}
	var svg bytes.Buffer
	if err := s.templates["execution.html"].ExecuteTemplate(&svg, "graph", g); err != nil {
		t.Fatal(err)
	}
	wantGolden(t, "graph.svg.html", svg.String())
}

// The largest definition that is drawn is drawn while somebody waits.
func BenchmarkDraw(b *testing.B) {
	r := &random{Rand: rand.New(rand.NewPCG(1, 1))}
	var def schema.Definition
	for n := 0; n < maxGraphTasks/2 || n > maxGraphTasks; n = countTasks(def.Tasks) {
		def.Tasks = r.tasks(b, 60, 2)
	}
	for b.Loop() {
		draw(&def)
	}
}
