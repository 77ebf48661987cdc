package schema

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/yaml"
)

// FuzzParse checks that every document is either a definition, and the same one
// however it is written down, or refused with a list of problems; in bounded
// time and memory.
func FuzzParse(f *testing.F) {
	addSamples(f)
	for _, doc := range []string{
		workflow(kube("a", "")), workflow(nested(2)), "name: w\ntasks:\n- {name: a, type: branch, tasks: [], default: b}\n",
		`{"name":"w","tasks":[{"name":"b","type":"choice","tasks":[{"condition":"$.a > 3","next":"b"}]}]}`,
		"a: &a [*a]", "[[[", "---\n---\n", "? {a: b}\n: c", "<<: {name: w}\n", "tasks: !!float .inf", "a: 1\n\tb: [",
		`{"tasks":[{"job":{"spec":{"template":{"spec":{"restartPolicy":"Ever","contCainers":[1],"containers":[{"name":"c","command":["\u0000"],"env":[{"name":"JOBNETES_X"}]}]}}}}}]}`,
		`{"name":"w","tasks":[{"job":{"spec":{"backoffLimit":1.5}}}]}`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var d *Definition
		var err error
		wantBounded(t, func() { d, err = Parse(doc) })
		if (d == nil) == (err == nil) {
			t.Fatalf("Parse returns %v and %v", d, err)
		}
		if err != nil {
			wantProblems(t, err)
			return
		}
		d.Walk(func(task, _ *Task, _ int) { wantTask(t, task) })
		// JSON may be indented, and YAML be converted to JSON.
		same, err := json.MarshalIndent(json.RawMessage(doc), "", "\t")
		if !json.Valid(doc) {
			same, err = yaml.YAMLToJSONStrict(doc)
		}
		if err != nil {
			t.Fatalf("a document that Parse takes cannot be converted: %v", err)
		}
		again, err := Parse(same)
		if err != nil {
			t.Fatalf("Parse takes the document, but not the same in JSON: %v\n%s", err, same)
		}
		if !reflect.DeepEqual(plain(d), plain(again)) {
			t.Fatalf("the document and the same in JSON are not the same definition:\n%s", same)
		}
	})
}

// addSamples makes the definitions of example/ seeds.
func addSamples(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("../example/*.[jy]*")
	if err != nil || len(files) == 0 {
		f.Fatalf("no samples in ../example: %v", err)
	}
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
}

// wantBounded runs something that must not take seconds, nor much memory. What is
// allowed suffices for the largest document, and fuzzing has small ones.
func wantBounded(t *testing.T, run func()) {
	t.Helper()
	const (
		maxTime  = 10 * time.Second
		maxBytes = 1 << 30
	)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	run()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; took > maxTime || allocated > maxBytes {
		t.Errorf("it took %s and allocated %d MiB", took, allocated>>20)
	}
}

func wantProblems(t *testing.T, err error) {
	t.Helper()
	problems, ok := errors.AsType[Problems](err)
	if !ok || len(problems) == 0 || len(problems) > maxProblems+1 {
		t.Fatalf("the error is not from 1 to %d problems: %#v", maxProblems+1, err)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Path, "$") || p.Message == "" || !utf8.ValidString(p.Path+p.Message) {
			t.Errorf("problem %+q has no path, no message, or is no text", p)
		}
	}
}

// wantTask checks what engine and managers rely on.
func wantTask(t *testing.T, task *Task) {
	t.Helper()
	if task.Name == "" || (task.Type == KubeJob) != (task.Job != nil) {
		t.Errorf("task %+v passed", task)
	}
	for _, set := range task.Sets {
		if len(set) == 0 {
			t.Errorf("task %q has an empty set", task.Name)
		}
	}
	if task.Job == nil {
		return
	}
	text, err := json.Marshal(task.Job)
	if err != nil {
		t.Fatalf("the Job of task %q cannot be written: %v", task.Name, err)
	}
	if err := json.Unmarshal(text, &batchv1.Job{}); err != nil {
		t.Errorf("the Job of task %q cannot be read back: %v\n%s", task.Name, err, text)
	}
}

// plain returns the tasks of a definition as values that can be compared: Jobs as
// JSON, conditions as their source.
func plain(d *Definition) []any {
	all := []any{d.Name, d.Description}
	d.Walk(func(task, parent *Task, set int) {
		job, _ := json.Marshal(task.Job) // wantTask reports an error
		all = append(all, task.Name, task.Description, task.Type, task.Next, task.Default, string(job), len(task.Sets), set, parent == nil)
		for _, c := range task.Choices {
			all = append(all, c.Condition.String(), c.Next)
		}
	})
	return all
}

// FuzzCondition checks that a condition is always decided in the same way, in
// bounded time and memory, and only over JSON.
func FuzzCondition(f *testing.F) {
	const input = `{"value":4,"a":"x","b":"(","l":[1,2.5],"n":null,"m":{"k":1,"o":"p"}}`
	for _, source := range []string{
		"$.value > 3", "$ == '$'", `r'\' + $.a == "x"`, "$.l.all(x, x > $.n)", "$$", "'''", "// $", "_", "$.a.matches($.b)",
		`has($.m.k) && $.m.exists(k, $.m[k] == "p")`, `$.map(k, k)[0] == "value"`, "{1: $.l, true: 2}[$.value]", `timestamp($.a).getHours("UTC") < 3 ? $.n : !$.n`,
		`size($.a.split("") + [$.b]) in [1, 2u, 3.0]`, `$.l.filter(x, x % 2 == 0).exists_one(x, duration("1h") > duration(string(x)))`,
	} {
		f.Add(source, []byte(input))
	}
	f.Fuzz(func(t *testing.T, source string, input []byte) {
		if !utf8.ValidString(source) {
			return // Parse takes no such document
		}
		var c Condition
		var err error
		wantBounded(t, func() { c, err = CompileCondition(source) })
		if err != nil {
			wantConditionError(t, err)
			return
		}
		if c.String() != source {
			t.Errorf("String() = %q, want %q", c.String(), source)
		}
		var got bool
		wantBounded(t, func() { got, err = c.Eval(input) })
		if err != nil {
			wantConditionError(t, err)
			if got {
				t.Errorf("Eval is true beside the error %v", err)
			}
		} else if !json.Valid(input) {
			t.Errorf("Eval takes %q, which is no JSON", input)
		}
		// Maps of Go come in another order each time; a few times are telling.
		for range 3 {
			again, errAgain := c.Eval(input)
			if again != got || (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() {
				t.Fatalf("Eval first gives %v, %v and then %v, %v", got, err, again, errAgain)
			}
		}
	})
}

func wantConditionError(t *testing.T, err error) {
	t.Helper()
	if text := err.Error(); len(text) > 4*(maxQuoted+maxReason)+100 || !utf8.ValidString(text) {
		t.Errorf("the error has %d bytes, or is no text: %q", len(text), text)
	}
	if strings.Contains(err.Error(), "internal error") {
		t.Errorf("CEL has panicked: %v", err)
	}
}
