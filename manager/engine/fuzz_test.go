package engine

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/schema"
)

// FuzzDecide runs whatever definition Parse accepts, over whatever input, with
// jobs that end as a script says, a byte for each: in which order, and how. It
// checks that the execution ends, in rows that a database takes, and that a
// manager that loads it anew each time decides the same as one that keeps it.
func FuzzDecide(f *testing.F) {
	files, err := filepath.Glob("../../example/*.[jy]*")
	if err != nil || len(files) == 0 {
		f.Fatalf("no samples in example/: %v", err)
	}
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc, `{"value":1}`, []byte{0, 1, 2, 3})
	}
	f.Add([]byte(workflow(parallel("p", "b", []string{job("a", "")}, []string{parallel("q", "")}), branch("b", "d", "$[0].value > 3", "c"), job("c", ""), job("d", ""))), "[]", []byte{0, 5})
	f.Add([]byte(workflow(branch("b", "", "$.map(k, k)[0] == 'a'", "c"), job("c", ""))), `{"a":1,"b":2,"c":3}`, []byte{7})
	f.Fuzz(func(t *testing.T, doc []byte, input string, script []byte) {
		if _, err := schema.Parse(doc); err != nil {
			return
		}
		kept, reloaded := playScript(t, doc, input, script, false), playScript(t, doc, input, script, true)
		if !reflect.DeepEqual(kept.log, reloaded.log) || !reflect.DeepEqual(kept.row, reloaded.row) || !reflect.DeepEqual(kept.rows, reloaded.rows) {
			t.Errorf("kept in memory: %q, %+v\nloaded each time: %q, %+v", kept.log, kept.row, reloaded.log, reloaded.row)
		}
		wantEnded(t, kept)
	})
}

// maxJobs bounds a play: documents that fuzzing makes have fewer tasks.
const maxJobs = 10_000

func playScript(t *testing.T, doc []byte, input string, script []byte, reload bool) *play {
	t.Helper()
	p := newPlay(t, string(doc), input, map[string]result{})
	p.reload = reload
	p.decide(t)
	for n := 0; ; n++ {
		running := p.x.RunningJobs()
		if len(running) == 0 {
			return p
		}
		if n == maxJobs {
			t.Fatalf("%d jobs have ended and it still runs", n)
		}
		act := byte(0)
		if len(script) > 0 {
			act = script[n%len(script)]
		}
		row := running[int(act>>3)%len(running)]
		p.results[row.TaskName] = scriptedResult(act, row.Input)
		p.endJob(t, row)
	}
}

// scriptedResult is how a job ends that was given an input.
func scriptedResult(act byte, input string) result {
	return [...]result{
		{output: input}, {output: `{"value":5}`}, {}, {output: input},
		{output: "[" + input + "," + input + "]"}, {reason: "Boom"}, {output: `{"a":"b"}`}, {output: "3"},
	}[act&7]
}

func wantEnded(t *testing.T, p *play) {
	t.Helper()
	if !p.row.Status.Ended() || p.row.EndedAt == nil {
		t.Errorf("no job runs, and the execution is %s: %q", p.row.Status, p.log)
	}
	if (p.row.Status == dao.ExecutionFailed) != (p.row.ErrorMsg != "") {
		t.Errorf("the execution is %s for the reason %q", p.row.Status, p.row.ErrorMsg)
	}
	wantKept(t, p.row.ErrorMsg, maxMessage)
	if p.row.Status == dao.ExecutionSuccess && !json.Valid([]byte(p.row.Output)) {
		t.Errorf("the output is no JSON: %q", p.row.Output)
	}
	for _, r := range p.rows {
		if !r.Status.Ended() || r.EndedAt == nil || !json.Valid([]byte(r.Output)) || (r.Status == dao.TaskFailed) != (r.ErrorReason != "") {
			t.Errorf("the execution has ended, and task %+v", r)
		}
		wantKept(t, r.ErrorMsg, maxMessage)
		wantKept(t, r.ErrorReason, maxReason)
	}
}

func wantKept(t *testing.T, text string, limit int) {
	t.Helper()
	if len(text) > limit || !utf8.ValidString(text) {
		t.Errorf("%d bytes, at most %d, or no text: %q", len(text), limit, text)
	}
}
