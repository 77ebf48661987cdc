package bench

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jobnetes/jobnetes/schema"
)

func TestPercentiles(t *testing.T) {
	t.Parallel()
	hundred := make(sample, 100) // 100 to 1
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	cases := map[string]struct {
		sample                  sample
		wantP50, wantP99, wantM float64
	}{
		"a hundred": {hundred, 50, 99, 50.5},
		"three":     {sample{3, 1, 2}, 2, 3, 2},
		"one":       {sample{7}, 7, 7, 7},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := slices.Clone(tc.sample)
			got := []float64{tc.sample.percentile(50), tc.sample.percentile(99), tc.sample.median()}
			if diff := cmp.Diff([]float64{tc.wantP50, tc.wantP99, tc.wantM}, got); diff != "" {
				t.Errorf("p50, p99 and median (-want +got):\n%s", diff)
			}
			if !slices.Equal(before, tc.sample) {
				t.Error("the sample's order has changed")
			}
		})
	}
}

func TestNewResult(t *testing.T) {
	t.Parallel()
	got := newResult("chain", "work", "time", "s", sample{3, 1, 2}, only(4))
	want := result{
		Scenario: "chain", Work: "work", Metric: "time", Unit: "s",
		Ours: new(2.0), Floor: new(4.0), Ratio: new(0.5), Runs: 3, OursRange: &[2]float64{1, 3},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := newResult("chain", "work", "time", "s", only(1), nil); got.Floor != nil || got.Ratio != nil {
		t.Errorf("got floor %v and ratio %v of what has no floor, want none", got.Floor, got.Ratio)
	}
}

func TestMergeFileReplacesAScenario(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "results.json")
	row := func(scenario, metric string) result { return newResult(scenario, "work", metric, "s", only(1), nil) }
	for _, results := range [][]result{
		{row("idle", "old")},
		{row("chain", "old"), row("chain", "old, too")},
		{row("burst", "new")},
		{row("chain", "new")},
	} {
		if err := mergeFile(file, results); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, r := range got {
		rows = append(rows, r["scenario"].(string)+" "+r["metric"].(string))
		for _, key := range []string{"unit", "ours", "floor", "ratio"} {
			if _, ok := r[key]; !ok {
				t.Errorf("a row has no %s: %v", key, r)
			}
		}
	}
	if diff := cmp.Diff([]string{"chain new", "burst new", "idle old"}, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestMergeFileKeepsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "results.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := mergeFile(file, nil)
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got error %v, want one that names the file", err)
	}
	if text, _ := os.ReadFile(file); string(text) != "{" {
		t.Errorf("the file is %q now", text)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	b := &bench{scenario: "chain"}
	b.add("chain of 10", "time", "s", sample{0.5, 0.4, 0.7}, only(0.25))
	b.add("chain of 10", requestsPerTask, "requests", only(1), only(1))
	b.addPercentiles("chain of 10", "gap", sample{1, 2, 1234.5}, nil)
	b.add("chain of 10", memoryPeak, "MiB", only(60.04), nil)
	var got strings.Builder
	if err := writeTable(&got, b.results); err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"scenario", "work", "metric", "ours", "floor", "ratio", "runs", "requests/task", "statements/task", "commits/task", "CPU s", "cluster's CPU s", "memory MiB"},
		{"chain", "chain of 10", "time, s", "0.500 (0.400 to 0.700)", "0.250", "2.00", "3", "1.00 [1.00]", "60.0"},
		{"gap, p50, ms", "2.00", "-", "-", "3"},
		{"gap, p99, ms", "1234", "-", "-", "3"},
	}
	var rows [][]string
	for line := range strings.Lines(got.String()) {
		cells := strings.Split(strings.TrimSpace(line), "  ")
		cells = slices.DeleteFunc(cells, func(cell string) bool { return strings.TrimSpace(cell) == "" })
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPlotIsAPicture(t *testing.T) {
	t.Parallel()
	p := plot{title: "a < b", x: "tasks", y: "ms & more", curves: []curve{
		{"ours", []point{{100, 30}, {1000, 33}, {10000, 47}}},
		{"floor", []point{{100, 28}, {1000, 27}, {10000, 28}}},
	}}
	svg := p.svg()
	var texts []string
	for decoder := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, svg)
		}
		if text, ok := token.(xml.CharData); ok && strings.TrimSpace(string(text)) != "" {
			texts = append(texts, string(text))
		}
	}
	want := []string{"a < b", "ours", "floor", "0", "20", "40", "60", "100", "1,000", "10,000", "tasks", "ms & more"}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
	// The sizes are powers of ten, so on a logarithmic axis they are equally far apart.
	x, y := p.axes()
	if left, right := x.place(1000)-x.place(100), x.place(10000)-x.place(1000); left != right || left <= 0 {
		t.Errorf("the sizes are %g and %g apart", left, right)
	}
	if got := y.place(0); got != plotBottom {
		t.Errorf("0 is at %g, want it at the bottom", got)
	}
}

func TestProcess(t *testing.T) {
	t.Parallel()
	used, err := parseCPU([]byte("42 (a) b (c) S 1 42 42 0 -1 4194560 1000 0 0 0 250 50 0 0 20 0 8 0 100 0 0"))
	if err != nil || used != 3 {
		t.Errorf("got %g s and error %v, want 3 s", used, err)
	}
	if _, err := parseCPU([]byte("42 (a) S")); err == nil {
		t.Error("got no error for what is cut off")
	}
	now, err := parseMemory("Name:\ta\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\n", "VmRSS:")
	if err != nil || now != 2 {
		t.Errorf("got %g MiB and error %v, want 2 MiB", now, err)
	}
	if _, _, err := memory(os.Getpid()); err != nil {
		t.Error(err)
	}
}

func TestParseRequests(t *testing.T) {
	t.Parallel()
	metrics := `# HELP apiserver_flowcontrol_dispatched_requests_total [BETA] Number of requests executed
apiserver_flowcontrol_dispatched_requests_total{flow_schema="bench-ours-create",priority_level="workload-low"} 12
apiserver_flowcontrol_dispatched_requests_total{flow_schema="bench-ours-create",priority_level="bench-tight"} 5
apiserver_flowcontrol_dispatched_requests_total{flow_schema="bench-ours-watch",priority_level="workload-low"} 1e+06
apiserver_flowcontrol_dispatched_requests_total{flow_schema="service-accounts",priority_level="workload-low"} 7
apiserver_flowcontrol_rejected_requests_total{flow_schema="bench-ours-create",priority_level="bench-tight",reason="queue-full"} 3
apiserver_flowcontrol_rejected_requests_total{flow_schema="bench-ours-create",priority_level="bench-tight",reason="time-out"} 1
`
	cases := map[string]struct {
		counter, level string
		want           map[string]float64
	}{
		"taken up":                 {dispatched, "", map[string]float64{"ours-create": 17, "ours-watch": 1e6}},
		"taken up by one level":    {dispatched, "bench-tight", map[string]float64{"ours-create": 5}},
		"rejected, for any reason": {rejected, "", map[string]float64{"ours-create": 4}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseRequests(metrics, tc.counter, tc.level)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestSelected(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		list string
		want []string // nil is an error
	}{
		"all":     {all, names()},
		"some":    {"idle,chain", []string{"idle", "chain"}},
		"unknown": {"chain,chains", nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, err := selected(tc.list)
			if (err != nil) != (tc.want == nil) {
				t.Errorf("got error %v", err)
			}
			var got []string
			for _, s := range found {
				got = append(got, s.name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestGapsAreFromOneStepToTheNext(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	w := &world{pods: &podWatch{succeeded: map[string]time.Time{"a": at(100), "b": at(205), "x": at(300)}}}
	created := map[string]time.Time{"a": at(90), "b": at(103), "c": at(210), "x": at(220), "y": at(290)}
	got := w.gaps([][]string{{"a", "b", "c"}, {"x", "y"}, {"gone", "a"}}, created)
	if diff := cmp.Diff(sample{3, 5, -10}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDefinitionsAreValid(t *testing.T) {
	t.Parallel()
	for name, text := range map[string][]byte{"chain": chain("chain", 3), "node": chainOf("node", 3, nodeJob()), "fan": fan("fan", 30, suspendedJob())} {
		if _, err := schema.Parse(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if size := len(fan("fan", 10_000, simulatedJob())); size > schema.MaxDocumentSize {
		t.Errorf("10,000 tasks are a document of %d bytes, more than may be", size)
	}
}

func TestDocumentWritesWhatIsBetweenItsMarks(t *testing.T) {
	t.Parallel()
	docs := t.TempDir()
	file := filepath.Join(docs, "performance.md")
	if err := os.WriteFile(file, []byte("before\n"+figuresBegin+"old\n"+figuresEnd+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(docs, "images"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(docs, "images", "bench-growth.svg"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := &bench{scenario: "growth"}
	b.add("fan-out of 100", "time", "s", only(2), only(1))
	b.add("fan-out of 100", requestsPerTask, "requests", only(1), nil)
	b.results[0].At = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for range 2 { // the second time, in place of the first
		if err := document(docs, b.results); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := "before\n" + figuresBegin + "\nMeasured on " + processor() + ".\n\n`growth`, 2026-01-02:\n\n" +
		"| work | metric | ours | floor | ratio | runs | requests/task |\n| --- | --- | --- | --- | --- | --- | --- |\n" +
		"| fan-out of 100 | time, s | 2.00 | 1.00 | 2.00 | 1 | 1.00 |\n\n![growth](images/bench-growth.svg)\n\n" + figuresEnd + "after\n"
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := os.WriteFile(file, []byte("no marks"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := document(docs, b.results); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got error %v, want one that names the file", err)
	}
}

func TestNeighbourSampleWithin(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	s := neighbourSample{asked: []neighbourRequest{
		{at: at(1), took: time.Millisecond},
		{at: at(10), took: 2 * time.Millisecond},
		{at: at(20), refused: true},
		{at: at(30), took: 4 * time.Millisecond},
		{at: at(31), refused: true},
	}}
	got := s.within(at(10), at(30))
	if diff := cmp.Diff(sample{2, 4}, got.took); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(only(100./3), got.refused()); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	if got := s.within(at(100), at(200)).refused(); got != nil {
		t.Errorf("got %v of no requests, want nothing", got)
	}
}
