package chaos

import (
	"encoding/json"
	"testing"

	"github.com/jobnetes/jobnetes/schema"
)

func TestShapesAreValid(t *testing.T) {
	t.Parallel()
	for _, s := range shapes {
		if _, err := schema.Parse(s.definition()); (err != nil) != s.corrupt {
			t.Errorf("%s: %v, corrupt: %t", s.name, err, s.corrupt)
		}
	}
}

func TestExpect(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		shape  int
		value  int
		want   string // the output; empty: it fails
		tasks  int
		reason string
	}{
		"chain":       {shape: 0, value: 1, want: `{"task":"fourth","was":{"task":"third","was":{"task":"second","was":{"task":"first","was":{"value":1}}}}}`, tasks: 4},
		"choice high": {shape: 2, value: 5, want: `{"task":"answer","was":{"task":"big","was":{"task":"ask","was":{"value":5}}}}`, tasks: 4},
		"choice low":  {shape: 2, value: 4, want: `{"task":"answer","was":{"task":"small","was":{"task":"ask","was":{"value":4}}}}`, tasks: 4},
		"nested": {shape: 3, value: 4, tasks: 9,
			want: `{"task":"end","was":[{"task":"on","was":{"task":"down","was":{"value":4}}},{"task":"z","was":[{"task":"x","was":{"value":4}},{"task":"y","was":{"value":4}}]}]}`},
		"failure":     {shape: 4, value: 1, tasks: 2, reason: "BackoffLimitExceeded"},
		"failing set": {shape: 5, value: 1, tasks: 4, reason: "BackoffLimitExceeded"},
		"retry":       {shape: 6, value: 1, want: `{"task":"then","was":{"task":"flaky","was":{"value":1}}}`, tasks: 2},
		"endless":     {shape: 7, value: 1, tasks: 5, reason: "Cancelled"},
		"refusal":     {shape: 8, value: 1, tasks: 2, reason: "JobInvalid"},
		"corrupt":     {shape: 9, value: 1, reason: "InvalidDefinition"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := shapes[tc.shape].expect(tc.value)
			if got.succeeded != (tc.want != "") || len(got.tasks) != tc.tasks {
				t.Errorf("got success %t and tasks %v, want %d tasks", got.succeeded, got.tasks, tc.tasks)
			}
			if got.reason != tc.reason || shapes[tc.shape].endless() != (tc.reason == "Cancelled") {
				t.Errorf("got reason %q, want %q", got.reason, tc.reason)
			}
			if tc.want == "" {
				return
			}
			output, err := json.Marshal(got.output)
			if err != nil {
				t.Fatal(err)
			}
			if string(output) != tc.want {
				t.Errorf("got output %s, want %s", output, tc.want)
			}
		})
	}
}
