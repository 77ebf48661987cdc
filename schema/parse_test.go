package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// job is a Job that is right, for where only the definition around it matters.
const job = `{"spec":{"template":{"spec":{"containers":[{"name":"c"}]}}}}`

// kube is a kube-job with more properties.
func kube(name, more string) string {
	return fmt.Sprintf(`{"name":%q,"type":"kube-job","job":%s%s}`, name, job, more)
}

func workflow(tasks ...string) string {
	return `{"name":"w","tasks":[` + strings.Join(tasks, ",") + `]}`
}

// lines renders a Parse error, one problem per element.
func lines(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	problems, ok := errors.AsType[Problems](err)
	if !ok || len(problems) == 0 {
		t.Fatalf("the error is no Problems: %#v", err)
	}
	return strings.Split(problems.Error(), "\n")
}

// wantLines checks that each problem contains the text wanted at its place.
func wantLines(t *testing.T, err error, want []string) {
	t.Helper()
	got := lines(t, err)
	if len(got) != len(want) {
		t.Fatalf("%d problems, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("problem %d:\n got %s\nwant %s...", i, got[i], want[i])
		}
	}
}

func TestDidYouMean(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ word, want string }{
		"one letter, one wrong":   {"z", ""},
		"two letters, one wrong":  {"lz", ""},
		"three letters, one less": {"lod", "load"},
		"a letter too many":       {"loaad", "load"},
		"the case of letters":     {"LOAD", "load"},
		"two of six wrong":        {"repxxt", "report"},
		"three of six wrong":      {"repxxx", ""},
		"nothing":                 {"", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := closest(tc.word, []string{"a", "la", "load", "report"}); got != tc.want {
				t.Errorf("closest(%q) = %q, want %q", tc.word, got, tc.want)
			}
		})
	}
}

func TestParseAccepts(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"one job":                       workflow(kube("a", "")),
		"a chain":                       workflow(kube("a", `,"next":"b"`), kube("b", "")),
		"an empty next ends the list":   workflow(kube("a", `,"next":""`)),
		"forward and backward in order": workflow(kube("a", `,"next":"c"`), kube("b", ""), kube("c", `,"next":"b"`)),
		"parallel without sets":         workflow(`{"name":"p","type":"parallel","task-sets":[]}`),
		"aliases": workflow(`{"name":"a","type":"kubejob","next":"b","job":`+job+`}`,
			`{"name":"b","type":"parallel-job","next":"c","task-sets":[]}`,
			`{"name":"c","type":"choice-job","tasks":[],"default":"d"}`,
			`{"name":"d","type":"choice","tasks":[{"condition":"true","next":"e"}]}`, kube("e", "")),
		"two ways to one task": workflow(`{"name":"b","type":"branch","tasks":[{"condition":"$.x","next":"c"}],"default":"c"}`, kube("c", "")),
		"descriptions and your own": `{"$schema":"s","name":"w","description":"d","x-owner":{"a":1},"tasks":[` +
			`{"name":"b","type":"branch","description":"d","x-1":1,"tasks":[{"condition":"true","next":"a","description":"d","x-":1}]},` + kube("a", "") + `]}`,
		"the original's names": `{"name":"test_valid","tasks":[` + kube("task2-2", "") + `]}`,
		"names with all signs": `{"name":"My flow v1.2_3-x","tasks":[` + kube("1", "") + `]}`,
		"the longest name":     workflow(kube(strings.Repeat("n", MaxNameLength), "")),
		"yaml":                 "# nightly\nname: w\ntasks:\n- name: a\n  type: kube-job\n  job: " + job + "\n",
		"yaml with a marker":   "---\nname: w\ntasks: [" + kube("a", "") + "]\n...\n",
		"yaml with an anchor": "name: w\ntasks:\n- {name: a, type: kube-job, next: b, job: &job " + job + "}\n" +
			"- {name: b, type: kube-job, job: *job}\n",
		"nested thrice":     workflow(nested(3)),
		"as deep as may be": workflow(nested((MaxDepth - 12) / 3)),
	}
	for name, doc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Parse([]byte(doc)); err != nil {
				t.Errorf("Parse: %v", err)
			}
		})
	}
}

// nested is a kube-job inside of n parallels.
func nested(n int) string {
	task := kube("inner", "")
	for i := range n {
		task = fmt.Sprintf(`{"name":"p%d","type":"parallel","task-sets":[[%s]]}`, i, task)
	}
	return task
}

// The example of the design, with a Job in each job.
func TestParseDefinition(t *testing.T) {
	t.Parallel()
	doc := workflow(
		kube("extract", `,"next":"fan","description":"get it"`),
		`{"name":"fan","type":"parallel-job","next":"check","task-sets":[[`+kube("a", "")+`],[`+kube("b", `,"next":"b2"`)+`,`+kube("b2", "")+`]]}`,
		`{"name":"check","type":"choice","tasks":[{"condition":"$.value > 3","next":"big"},{"condition":"$.value <= 3","next":"small"}],"default":"small"}`,
		kube("big", ""), kube("small", ""),
	)
	d, err := Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	var walked []string
	d.Walk(func(task, parent *Task, set int) {
		in := "-"
		if parent != nil {
			in = parent.Name
		}
		walked = append(walked, fmt.Sprintf("%s %s %s %d next=%q", task.Name, task.Type, in, set, task.Next))
		if d.Task(task.Name) != task {
			t.Errorf("Task(%q) is another task", task.Name)
		}
	})
	want := []string{
		`extract kube-job - 0 next="fan"`, `fan parallel - 0 next="check"`,
		`a kube-job fan 0 next=""`, `b kube-job fan 1 next="b2"`, `b2 kube-job fan 1 next=""`,
		`check branch - 0 next=""`, `big kube-job - 0 next=""`, `small kube-job - 0 next=""`,
	}
	if !slices.Equal(walked, want) {
		t.Errorf("Walk:\n%s\nwant\n%s", strings.Join(walked, "\n"), strings.Join(want, "\n"))
	}
	if d.Name != "w" || d.Tasks[0].Description != "get it" || d.Task("nobody") != nil {
		t.Errorf("unexpected definition: %+v", d)
	}
	check := d.Task("check")
	if len(check.Choices) != 2 || check.Default != "small" || check.Choices[0].Next != "big" || check.Choices[1].Condition.String() != "$.value <= 3" {
		t.Errorf("unexpected branch: %+v", check)
	}
	if policy := d.Task("a").Job.Spec.Template.Spec.RestartPolicy; policy != corev1.RestartPolicyNever {
		t.Errorf("an empty restartPolicy became %q, want Never", policy)
	}
}

func TestParseRejects(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", MaxNameLength+1)
	branch := func(more string) string { return `{"name":"b","type":"branch"` + more + `}` }
	tests := map[string]struct {
		doc  string
		want []string
	}{
		// The definition and its tasks.
		"an array":            {`[]`, []string{`$: is an array; a definition is an object`}},
		"a YAML string":       {`hello`, []string{`$: is a string; a definition is an object`}},
		"nothing in it":       {`{}`, []string{`$: a definition needs "name"`, `$: a definition needs "tasks"`}},
		"no list":             {`{"name":"w","tasks":{}}`, []string{`$.tasks: is an object; a list of tasks is an array`}},
		"an empty list":       {`{"name":"w","tasks":[]}`, []string{`$.tasks: is empty; a list needs at least one task`}},
		"a task that is none": {workflow(`5`), []string{`$.tasks[0]: is a number; a task is an object`}},
		"name and description of other types": {`{"name":1,"description":[],"tasks":[` + kube("a", "") + `]}`,
			[]string{`$.name: is a number; it must be a string, so put it in quotes`, `$.description: is an array; it must be a string`}},
		"a task without anything": {workflow(`{}`), []string{`$.tasks[0]: a task needs "name"`, `$.tasks[0]: a task needs "type"`}},
		"null where text belongs": {workflow(`{"name":null,"type":null,"next":null}`), []string{
			`$.tasks[0].name: is null`, `$.tasks[0].type: is null`, `$.tasks[0].next: is null`}},
		"an unknown type": {workflow(`{"name":"a","type":"kube_job","job":` + job + `}`), []string{
			`$.tasks[0].type: there is no type "kube_job"; the types are kube-job, kubejob, parallel, parallel-job, branch, choice and choice-job; did you mean "kube-job"?`}},
		"an unknown type and what is in it": {workflow(`{"name":"a","type":"fan","task-sets":[[{"name":"b","type":"kube-job"}]]}`), []string{
			`$.tasks[0].type: there is no type "fan"`, `$.tasks[0].task-sets[0][0]: a kube-job needs "job"`}},
		"each type without its property": {workflow(`{"name":"a","type":"kube-job","next":"p"}`, `{"name":"p","type":"parallel","next":"b"}`, branch("")), []string{
			`$.tasks[0]: a kube-job needs "job"`, `$.tasks[1]: a parallel needs "task-sets"`, `$.tasks[2]: a branch needs "tasks"`}},
		"each property of another type": {workflow(`{"name":"a","type":"kube-job","job":1,"next":"p"}`, `{"name":"p","type":"parallel","task-sets":{},"next":"b"}`, branch(`,"tasks":"x"`)), []string{
			`$.tasks[0].job: is a number`, `$.tasks[1].task-sets: is an object`, `$.tasks[2].tasks: is a string`}},
		"properties of other types": {workflow(kube("a", `,"tasks":[],"task-sets":[],"default":"a"`)), []string{
			`$.tasks[0].default: a kube-job does not use "default", only a branch does`,
			`$.tasks[0].task-sets: a kube-job does not use "task-sets", only a parallel does`,
			`$.tasks[0].tasks: a kube-job does not use "tasks", only a branch does`}},
		"unknown properties": {`{"name":"w","Tasks":1,"tasks":[` + kube("a", `,"task_sets":1,"nxt":"b","wholly new":1`) + `]}`, []string{
			`$.Tasks: unknown property; did you mean "tasks"?`,
			`$.tasks[0].nxt: unknown property; did you mean "next"?`,
			`$.tasks[0].task_sets: unknown property; a kube-job has name, type, description, next, job and indexed, and x-...`,
			`$.tasks[0]["wholly new"]: unknown property; a kube-job has`}},
		"an empty set": {workflow(`{"name":"p","type":"parallel","task-sets":[[]]}`), []string{`$.tasks[0].task-sets[0]: is empty`}},

		// Names.
		"empty names": {`{"name":"","tasks":[` + kube("", "") + `]}`, []string{`$.name: the name is empty`, `$.tasks[0].name: the name is empty`}},
		"names that fit no label": {workflow(kube("-a", `,"next":"b."`), kube("b.", `,"next":"ü"`), kube("ü", `,"next":"c/d"`), kube("c/d", `,"next":"`+long+`"`), kube(long, "")), []string{
			`$.tasks[0].name: the name "-a" becomes part of a Job's name; it must begin and end with a letter or digit`,
			`$.tasks[1].name: the name "b." becomes part`,
			`$.tasks[2].name: the name "ü" has the character 'ü'`,
			`$.tasks[3].name: the name "c/d" has the character '/'`,
			`$.tasks[4].name: the name has 256 bytes; at most 255`}},
		"a name twice, in different lists": {workflow(kube("a", `,"next":"p"`), `{"name":"p","type":"parallel","task-sets":[[`+kube("a", "")+`]]}`), []string{
			`$.tasks[1].task-sets[0][0].name: the name "a" is already that of $.tasks[0];`}},

		// What follows what.
		"an unknown next": {workflow(kube("a", `,"next":"lod"`), kube("load", "")), []string{`$.tasks[0].next: no task is named "lod"; did you mean "load"?`, `$.tasks[1]: nothing leads`}},
		"next into a list below": {workflow(kube("a", `,"next":"x"`), `{"name":"p","type":"parallel","task-sets":[[`+kube("x", "")+`]]}`), []string{
			`$.tasks[0].next: "x" is in another list, $.tasks[1].task-sets[0]; only a task of this list, $.tasks, can follow`, `$.tasks[1]: nothing leads`}},
		"next into a sister list": {workflow(`{"name":"p","type":"parallel","task-sets":[[` + kube("x", `,"next":"y"`) + `],[` + kube("y", "") + `]]}`), []string{
			`$.tasks[0].task-sets[0][0].next: "y" is in another list, $.tasks[0].task-sets[1]`}},
		"itself": {workflow(kube("a", `,"next":"a"`)), []string{`$.tasks[0].next: "a" names its own task`}},
		"a loop": {workflow(kube("a", `,"next":"b"`), kube("b", `,"next":"c"`), kube("c", `,"next":"b"`)), []string{`$.tasks[2].next: this closes a loop: b -> c -> b;`}},
		"a loop by default": {workflow(kube("a", `,"next":"b"`), branch(`,"tasks":[{"condition":"true","next":"a"}],"default":"a"`)), []string{
			`$.tasks[1].tasks[0].next: this closes a loop: a -> b -> a`, `$.tasks[1].default: this closes a loop: a -> b -> a`}},
		"unreachable": {workflow(kube("a", ""), kube("b", `,"next":"c"`), kube("c", ""), kube("d", "")), []string{
			`$.tasks[1]: nothing leads from the list's first task, "a", to "b", so it would never run (nor would 1 after it)`,
			`$.tasks[3]: nothing leads from the list's first task, "a", to "d", so it would never run;`}},
		"an unreachable loop": {workflow(kube("a", ""), kube("b", `,"next":"c"`), kube("c", `,"next":"b"`)), []string{
			`$.tasks[2].next: this closes a loop: b -> c -> b`, `$.tasks[1]: nothing leads`}},
		"unreachable in a set": {workflow(`{"name":"p","type":"parallel","task-sets":[[` + kube("x", "") + `,` + kube("y", "") + `]]}`), []string{
			`$.tasks[0].task-sets[0][1]: nothing leads`}},

		// Branches.
		"a branch with next":  {workflow(branch(`,"next":"a","tasks":[{"condition":"true","next":"a"}]`), kube("a", "")), []string{`$.tasks[0].next: a branch has no next; its choices and its default name what follows`}},
		"a branch to nowhere": {workflow(branch(`,"tasks":[]`)), []string{`$.tasks[0].tasks: a branch without a choice and without a default`}},
		"an unknown default":  {workflow(branch(`,"tasks":[],"default":"zz"`)), []string{`$.tasks[0].default: no task is named "zz"`}},
		"default no string":   {workflow(branch(`,"tasks":[],"default":5`)), []string{`$.tasks[0].default: is a number`}},
		"choices that are none": {workflow(branch(`,"tasks":[5,{},{"condition":1,"next":"","when":"x"}],"default":"a"`), kube("a", "")), []string{
			`$.tasks[0].tasks[0]: is a number`,
			`$.tasks[0].tasks[1]: a choice needs "next"`, `$.tasks[0].tasks[1]: a choice needs "condition"`,
			`$.tasks[0].tasks[2].when: unknown property`, `$.tasks[0].tasks[2].next: is empty`, `$.tasks[0].tasks[2].condition: is a number`}},
		"a condition that does not compile": {workflow(branch(`,"tasks":[{"condition":"$.a >","next":"a"},{"condition":"1 + 1","next":"a"}]`), kube("a", "")), []string{
			"$.tasks[0].tasks[0].condition: condition `$.a >`: column 6: unexpected end", "$.tasks[0].tasks[1].condition: condition `1 + 1`: its result is of type int"}},

		// Documents.
		"empty":               {" \n", []string{`$: the document is empty`}},
		"only a comment":      {"# nothing\n", []string{`$: the document is empty`}},
		"a byte order mark":   {"\xef\xbb\xbf{}", []string{`$: the document begins with a byte order mark`}},
		"not UTF-8":           {"{\"name\":\"\xff\"}", []string{`$: the document is not UTF-8 text`}},
		"broken JSON":         {"{\n \"name\": \"é\" x\n}", []string{`$: line 2, column 14: the document is not JSON: invalid character 'x'`}},
		"JSON cut short":      {"{\"name\":\n", []string{`$: line 2, column 1: the document is not JSON: unexpected end`}},
		"two JSON documents":  {workflow(kube("a", "")) + "\n{}", []string{`$: line 2, column 1: the document is not JSON`}},
		"JSON keys twice":     {`{"name":"w","name":"v","tasks":[` + kube("a", `,"job":`+job) + `]}`, []string{`$.name: the key is given more than once`, `$.tasks[0].job: the key is given more than once`}},
		"broken YAML":         {"name: w\n tasks: x\n", []string{`$: line 2: mapping values are not allowed`}},
		"an infinity in YAML": {"name: w\ntasks:\n- x-limit: .inf\n", []string{`$: line 3: JSON has no number .inf; put it in quotes`}},
		"no number in YAML":   {"name: w\ntasks: [{x-a: {b: -.Inf}}, .NaN]\n", []string{`$: line 2: JSON has no number -.Inf`}},
		"the canonical type":  {workflow(`{"name":"a","type":"kubjob","job":` + job + `}`), []string{`$.tasks[0].type: there is no type "kubjob"; the types are kube-job, kubejob, parallel, parallel-job, branch, choice and choice-job; did you mean "kube-job"?`}},
		"two YAML documents":  {"name: w\n---\nname: v\n", []string{`$: line 2: a second document begins`}},
		"YAML keys twice":     {"name: w\nname: v\ntasks:\n- name: a\n  name: b\n", []string{`$: line 2: key "name" already set in map`, `$: line 5: key "name" already set in map`}},
		"YAML text that is none": {"name: 1.0\ntasks: [{name: yes, type: kube-job, job: " + job + "}]", []string{
			`$.name: is a number; it must be a string, so put it in quotes`, `$.tasks[0].name: is a boolean; it must be a string, so put it in quotes`}},
		"too large":          {strings.Repeat(" ", MaxDocumentSize) + "{}", []string{`$: the document has 1048578 bytes; at most 1048576 are allowed`}},
		"too deep":           {strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1), []string{`$: the document is nested more than 1000 levels deep`}},
		"hostile depth":      {strings.Repeat("[", MaxDocumentSize), []string{`$: line 1, column`}},
		"hostile YAML depth": {"x: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), []string{`$: line 1: the document is nested more than 1000`}},
		"an endless alias":   {"a: &a [*a]", []string{`$: `}},
		"a bomb of aliases":  {bomb(), []string{`$: line`}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := Parse([]byte(tc.doc))
			if d != nil {
				t.Errorf("Parse returns a definition beside the error %v", err)
			}
			wantLines(t, err, tc.want)
		})
	}
}

// bomb is YAML that grows to 10^9 elements when its aliases are expanded.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 x\n")
	for i := range 9 {
		alias := fmt.Sprintf("*a%d,", i)
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i+1, i+1, strings.Repeat(alias, 10))
	}
	return b.String()
}

func TestParseReportsAHundredProblemsAtMost(t *testing.T) {
	t.Parallel()
	tasks := slices.Repeat([]string{`{"name":"a","type":"kube-job","next":"b"}`}, 5000)
	got := lines(t, second(Parse([]byte(workflow(tasks...)))))
	if len(got) != maxProblems+1 {
		t.Fatalf("%d problems, want %d", len(got), maxProblems+1)
	}
	if last := got[maxProblems]; !strings.HasPrefix(last, "$: and ") {
		t.Errorf("the last line is %q, want the number of problems left out", last)
	}
}

func second[A, B any](_ A, b B) B { return b }

// A document may be large and full of references and still be checked at once.
func TestParseLongList(t *testing.T) {
	t.Parallel()
	const n = 5000
	tasks := make([]string, n)
	for i := range tasks {
		tasks[i] = fmt.Sprintf(`{"name":"%d","type":"kube-job","job":%s,"next":"%d"}`, i, job, (i+1)%n)
	}
	wantLines(t, second(Parse([]byte(workflow(tasks...)))), []string{
		`$.tasks[4999].next: this closes a loop: 0 -> 1 -> 2 -> 3 -> 4 -> 5 -> 6 -> 7 -> 8 -> 9 -> 10 -> 11 -> 12 -> 13 -> 14 -> 15 -> 16 -> 17 -> 18 -> 19 -> (4980 more) -> 0;`,
	})
}
