package schema

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The functions that follow are the rules of the original project's schema,
// written out in Go, and the one rule that ours adds: known types.

func originalAccepts(v any) bool {
	doc, ok := v.(map[string]any)
	return ok && isText(doc["name"]) && originalTasks(doc["tasks"])
}

func originalTasks(v any) bool {
	tasks, ok := v.([]any)
	if !ok || len(tasks) == 0 {
		return false
	}
	for _, task := range tasks {
		matches := 0
		for _, shape := range []func(map[string]any) bool{hasJob, hasTaskSets, hasChoices} {
			if object, ok := task.(map[string]any); ok && isBase(object) && shape(object) {
				matches++
			}
		}
		if matches != 1 {
			return false
		}
	}
	return true
}

func isBase(task map[string]any) bool {
	next, hasNext := task["next"]
	return isText(task["name"]) && isText(task["type"]) && (!hasNext || isText(next))
}

func hasJob(task map[string]any) bool {
	_, ok := task["job"].(map[string]any)
	return ok
}

func hasTaskSets(task map[string]any) bool {
	sets, ok := task["task-sets"].([]any)
	return ok && !slices.ContainsFunc(sets, func(set any) bool { return !originalTasks(set) })
}

func hasChoices(task map[string]any) bool {
	choices, ok := task["tasks"].([]any)
	return ok && !slices.ContainsFunc(choices, func(v any) bool {
		choice, ok := v.(map[string]any)
		return !ok || !isText(choice["condition"]) || !isText(choice["next"])
	})
}

// typesKnown looks at the tasks of a list that the original accepted, and at
// those below it.
func typesKnown(tasks []any) bool {
	return !slices.ContainsFunc(tasks, func(v any) bool {
		task := v.(map[string]any)
		known := []any{"kube-job", "kubejob", "parallel", "parallel-job", "branch", "choice", "choice-job"}
		if !slices.Contains(known, task["type"]) {
			return true
		}
		return hasTaskSets(task) && slices.ContainsFunc(task["task-sets"].([]any), func(set any) bool {
			return !typesKnown(set.([]any))
		})
	})
}

func wantAccepted(v any) bool {
	return originalAccepts(v) && typesKnown(v.(map[string]any)["tasks"].([]any))
}

// The generators draw documents near the language: mostly right, with now and
// then a wrong value in the place of a right one.

// documentsPerCheck makes thousands of documents out of rapid's hundred checks.
const documentsPerCheck = 20

// rarely compares with a number from the middle, as rapid prefers small ones.
func rarely(t *rapid.T) bool { return rapid.IntRange(0, 49).Draw(t, "corrupt") == 37 }

func drawAny(t *rapid.T) any {
	return rapid.SampledFrom([]any{
		nil, true, json.Number("1"), json.Number("1.5"), "", "kube-job", []any{}, []any{nil}, []any{[]any{}},
		[]any{map[string]any{}}, map[string]any{}, map[string]any{"name": "x"},
	}).Draw(t, "any")
}

func drawText(t *rapid.T) any {
	if rarely(t) {
		return drawAny(t)
	}
	return rapid.SampledFrom([]string{"a", "b", "c-1", "d e", "", "$.v > 3"}).Draw(t, "text")
}

func drawType(t *rapid.T) any {
	if rarely(t) {
		return rapid.SampledFrom([]any{"job", "Branch", "", nil, json.Number("1")}).Draw(t, "unknown type")
	}
	return rapid.SampledFrom(typeOrder).Draw(t, "type")
}

func drawTasks(t *rapid.T, depth int) any {
	if rarely(t) {
		return drawAny(t)
	}
	tasks := []any{}
	for range rapid.IntRange(1, 3).Draw(t, "tasks") {
		tasks = append(tasks, drawTask(t, depth))
	}
	return tasks
}

func drawTask(t *rapid.T, depth int) any {
	if rarely(t) {
		return drawAny(t)
	}
	task := map[string]any{"name": drawText(t), "type": drawType(t)}
	shapes := []string{"job", "tasks"}
	if depth > 0 {
		shapes = append(shapes, "task-sets", "task-sets")
	}
	keys := []string{rapid.SampledFrom(shapes).Draw(t, "shape")}
	if rapid.IntRange(0, 11).Draw(t, "second shape") == 7 {
		keys = append(keys, rapid.SampledFrom(shapes).Draw(t, "shape"))
	}
	for _, extra := range []string{"next", "default", "x-extra"} {
		if rapid.IntRange(0, 2).Draw(t, extra) == 0 {
			keys = append(keys, extra)
		}
	}
	for _, key := range keys {
		task[key] = drawProperty(t, key, depth)
	}
	if rarely(t) {
		delete(task, rapid.SampledFrom([]string{"name", "type", keys[0]}).Draw(t, "missing"))
	}
	return task
}

func drawProperty(t *rapid.T, key string, depth int) any {
	if rarely(t) {
		return drawAny(t)
	}
	switch key {
	case "next":
		return drawText(t)
	case "job":
		return map[string]any{}
	case "task-sets":
		sets := []any{}
		for range rapid.IntRange(0, 2).Draw(t, "sets") {
			sets = append(sets, drawTasks(t, depth-1))
		}
		return sets
	case "tasks":
		choices := []any{}
		for range rapid.IntRange(0, 2).Draw(t, "choices") {
			choices = append(choices, map[string]any{"condition": drawText(t), "next": drawText(t)})
		}
		return choices
	}
	return drawAny(t)
}

func drawDocument(t *rapid.T) any {
	if rarely(t) {
		return drawAny(t)
	}
	doc := map[string]any{"name": drawText(t), "tasks": drawTasks(t, 3)}
	if rarely(t) {
		delete(doc, rapid.SampledFrom([]string{"name", "tasks"}).Draw(t, "missing"))
	}
	return doc
}

func TestSchemaEqualsTheOriginalWithKnownTypes(t *testing.T) {
	t.Parallel()
	accepted, checked := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		for range documentsPerCheck {
			doc := drawDocument(t)
			err, want := fitsSchema(doc), wantAccepted(doc)
			if got := err == nil; got != want {
				text, _ := json.Marshal(doc)
				t.Fatalf("accepted: %v, want %v: %v\n%s", got, want, err, text)
			}
			checked++
			if want {
				accepted++
			}
		}
	})
	// Both verdicts must be common, or the comparison proves nothing.
	if 5*accepted < checked || 5*accepted > 4*checked {
		t.Errorf("%d of %d documents were accepted, want a fifth to four fifths", accepted, checked)
	}
}

// What the schema rejects, Parse explains in its own words, never by the
// schema's.
func TestParseExplainsWhatTheSchemaRejects(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		for range documentsPerCheck {
			doc := drawDocument(t)
			text, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse(text)
			if rejected := fitsSchema(doc) != nil; rejected && err == nil {
				t.Fatalf("the schema rejects what Parse takes: %s", text)
			}
			if err != nil && strings.Contains(err.Error(), "does not fit the schema") {
				t.Fatalf("Parse: %v\n%s", err, text)
			}
		}
	})
}

func TestSchemaByItself(t *testing.T) {
	t.Parallel()
	const job = `{"name":"a","type":"kube-job","job":{}}`
	tests := map[string]struct {
		tasks string
		want  bool
	}{
		"a job":                                {`[` + job + `]`, true},
		"the original's test types":            {`[{"name":"a","type":"kubejob","job":{}},{"name":"b","type":"choice-job","tasks":[]}]`, true},
		"any type with any shape":              {`[{"name":"a","type":"branch","job":{}}]`, true},
		"empty names":                          {`[{"name":"","type":"kube-job","job":{},"next":""}]`, true},
		"extra properties":                     {`[{"name":"a","type":"kube-job","job":{},"whatever":1}]`, true},
		"empty task-sets":                      {`[{"name":"a","type":"parallel","task-sets":[]}]`, true},
		"default of any kind":                  {`[{"name":"a","type":"branch","tasks":[],"default":5}]`, true},
		"a next that nobody has":               {`[{"name":"a","type":"kube-job","job":{},"next":"gone"}]`, true},
		"job beside task-sets that fit not":    {`[{"name":"a","type":"kube-job","job":{},"task-sets":5}]`, true},
		"types inside what is no task":         {`[{"name":"a","type":"kube-job","job":{},"task-sets":[[{"type":"x"}]]}]`, true},
		"no tasks":                             {`[]`, false},
		"a set without tasks":                  {`[{"name":"a","type":"parallel","task-sets":[[]]}]`, false},
		"job and task-sets":                    {`[{"name":"a","type":"kube-job","job":{},"task-sets":[[` + job + `]]}]`, false},
		"job and task-sets with unknown types": {`[{"name":"a","type":"kube-job","job":{},"task-sets":[[{"name":"b","type":"x","job":{}}]]}]`, false},
		"job and choices":                      {`[{"name":"a","type":"kube-job","job":{},"tasks":[]}]`, false},
		"no shape":                             {`[{"name":"a","type":"kube-job"}]`, false},
		"an unknown type":                      {`[{"name":"a","type":"kube_job","job":{}}]`, false},
		"an unknown type three levels below":   {`[{"name":"a","type":"parallel","task-sets":[[{"name":"b","type":"parallel","task-sets":[[{"name":"c","type":"x","job":{}}]]}]]}]`, false},
		"a choice without next":                {`[{"name":"a","type":"branch","tasks":[{"condition":"true"}]}]`, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc, ok := readJSON([]byte(`{"name":"w","tasks":`+tc.tasks+`}`), &report{})
			if !ok {
				t.Fatal("the test's document is not JSON")
			}
			if err := fitsSchema(doc); (err == nil) != tc.want {
				t.Errorf("accepted: %v, want %v: %v", err == nil, tc.want, err)
			}
			if got := wantAccepted(doc); got != tc.want {
				t.Errorf("the reference says %v, want %v", got, tc.want)
			}
		})
	}
}

func TestJSONSchemaIsACopyOfAClosedSchema(t *testing.T) {
	t.Parallel()
	JSONSchema()[0] = 'x'
	text := JSONSchema()
	if !json.Valid(text) {
		t.Fatalf("JSONSchema is no JSON: %s", text)
	}
	if strings.Count(string(text), "$ref") != strings.Count(string(text), `"$ref": "#/$defs/`) {
		t.Error("the schema refers to something outside of it")
	}
}
