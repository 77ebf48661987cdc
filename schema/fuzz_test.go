package schema

import (
	"encoding/json"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, doc := range []string{
		workflow(kube("a", "")), workflow(nested(2)), "name: w\ntasks:\n- {name: a, type: branch, tasks: [], default: b}\n",
		`{"name":"w","tasks":[{"name":"b","type":"choice","tasks":[{"condition":"$.a > 3","next":"b"}]}]}`,
		"a: &a [*a]", "[[[", "---\n---\n", "? {a: b}\n: c", "<<: {name: w}\n", `{"name":"w","tasks":[{"job":{"spec":{"backoffLimit":1.5}}}]}`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		d, err := Parse(doc)
		if (d == nil) == (err == nil) {
			t.Fatalf("Parse returns %v and %v", d, err)
		}
		if err != nil {
			lines(t, err)
			return
		}
		d.Walk(func(task, _ *Task, _ int) {
			if task.Type == KubeJob && task.Job == nil || task.Name == "" {
				t.Errorf("task %+v passed", task)
			}
		})
	})
}

func FuzzCondition(f *testing.F) {
	for _, source := range []string{"$.value > 3", "$ == '$'", `r'\' + $.a == "x"`, "$.l.all(x, x > $.n)", "$$", "'''", "// $", "_", "$.a.matches($.b)"} {
		f.Add(source, []byte(`{"value":4,"a":"x","b":"(","l":[1,2.5],"n":null}`))
	}
	f.Fuzz(func(t *testing.T, source string, input []byte) {
		c, err := CompileCondition(source)
		if err != nil {
			return
		}
		if c.String() != source {
			t.Errorf("String() = %q, want %q", c.String(), source)
		}
		got, err := c.Eval(input)
		if err != nil && got {
			t.Errorf("Eval is true beside the error %v", err)
		}
		if err == nil && !json.Valid(input) {
			t.Errorf("Eval takes %q, which is no JSON", input)
		}
	})
}
