package engine

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/schema"
)

// TestAgreesWithInterpreter runs random definitions, with random results and in
// random order, and compares with a plain recursive reading of the rules.
func TestAgreesWithInterpreter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := generator{t: t, results: map[string]result{}}
		definition := workflow(g.list(3)...)
		input := g.value()
		p := newPlay(t, definition, input, g.results)
		p.reload = rapid.Bool().Draw(t, "reload")
		p.pick = func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") }
		p.run(t)

		want := interpreter{results: g.results, ran: map[string]string{}}
		output, failed := want.list(p.def.Tasks, p.def, input)
		if failed == "" {
			if p.row.Status != dao.ExecutionSuccess || p.row.Output != output {
				t.Fatalf("%s: status %s, output %s; want success, %s", definition, p.row.Status, p.row.Output, output)
			}
		} else if p.row.Status != dao.ExecutionFailed || !strings.Contains(p.row.ErrorMsg, fmt.Sprintf("task %q failed", failed)) {
			t.Fatalf("%s: status %s, error %q; want that of task %q", definition, p.row.Status, p.row.ErrorMsg, failed)
		}
		if len(p.rows) != len(want.ran) {
			t.Fatalf("%s: %d tasks ran, want %d: %v", definition, len(p.rows), len(want.ran), p.log)
		}
		for _, r := range p.rows {
			if in, ok := want.ran[r.TaskName]; !ok || in != r.Input || !r.Status.Ended() {
				t.Fatalf("%s: task %s ran with %s (status %s), want %s", definition, r.TaskName, r.Input, r.Status, in)
			}
		}
	})
}

// interpreter runs a definition by plain recursion: it returns a list's output,
// or the name of the task that failed it.
type interpreter struct {
	results map[string]result
	ran     map[string]string // task -> input
}

func (i interpreter) list(tasks []*schema.Task, def *schema.Definition, input string) (output, failed string) {
	for t := tasks[0]; ; {
		i.ran[t.Name] = input
		next := t.Next
		switch t.Type {
		case schema.KubeJob:
			r := i.results[t.Name]
			if r.reason != "" {
				return "", t.Name
			}
			output = r.output
		case schema.Branch:
			output, next = input, t.Default
			for _, c := range t.Choices {
				ok, err := c.Condition.Eval([]byte(input))
				if err != nil {
					return "", t.Name
				}
				if ok {
					next = c.Next
					break
				}
			}
			if next == "" {
				return "", t.Name
			}
		case schema.Parallel:
			var outputs []string
			broken := false
			for _, set := range t.Sets {
				o, f := i.list(set, def, input)
				outputs = append(outputs, o)
				broken = broken || f != ""
			}
			if broken {
				return "", t.Name
			}
			output = "[" + strings.Join(outputs, ",") + "]"
		}
		if next == "" {
			return output, ""
		}
		input, t = output, def.Task(next)
	}
}

// generator makes lists of tasks that follow one another, with some branches
// that skip ahead, and results for their jobs.
type generator struct {
	t       *rapid.T
	results map[string]result
	n       int
}

func (g *generator) name() string {
	g.n++
	return fmt.Sprintf("t%d", g.n)
}

func (g *generator) value() string {
	return fmt.Sprintf(`{"value":%d}`, rapid.IntRange(0, 9).Draw(g.t, "value"))
}

// list makes a list: each task goes on with the one behind it; a branch chooses
// between the two behind it, of which the first skips the second.
func (g *generator) list(depth int) []string {
	n := rapid.IntRange(1, 4).Draw(g.t, "tasks")
	names := make([]string, n)
	for i := range names {
		names[i] = g.name()
	}
	next := func(i int) string {
		if i+1 < n {
			return names[i+1]
		}
		return ""
	}
	var tasks []string
	for i := 0; i < n; i++ {
		kind := rapid.IntRange(0, 5).Draw(g.t, "kind")
		switch {
		case kind == 0 && depth > 0:
			var sets [][]string
			for range rapid.IntRange(0, 3).Draw(g.t, "sets") {
				sets = append(sets, g.list(depth-1))
			}
			tasks = append(tasks, parallel(names[i], next(i), sets...))
		case kind == 1 && i+2 < n:
			fallback := rapid.SampledFrom([]string{"", names[i+1]}).Draw(g.t, "default")
			tasks = append(tasks, branch(names[i], fallback, "$.value > 6", names[i+1], "$.value > 2", names[i+2]))
		default:
			tasks = append(tasks, job(names[i], next(i)))
			r := result{output: g.value()}
			if rapid.IntRange(0, 9).Draw(g.t, "fails") == 0 {
				r = result{reason: "Boom"}
			}
			g.results[names[i]] = r
		}
	}
	return tasks
}
