package schema

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"
)

func TestJobName(t *testing.T) {
	t.Parallel()
	n, m := strings.Repeat("n", 100), strings.Repeat("m", 100)
	tests := map[string]struct {
		workflow, task string
		id             uint64
		attempt        int
		want           string
	}{
		"as they are":              {"nightly", "extract", 12, 1, "nightly-extract-12-1"},
		"signs and upper case":     {"test_valid v1.2", "Task A", 1, 2, "test-valid-v1-2-task-a-1-2"},
		"both long":                {n, m, 7, 1, n[:23] + "-" + m[:24] + "-7-1"},
		"a long workflow":          {n, "load", 7, 1, n[:43] + "-load-7-1"},
		"a long task":              {"etl", m, 7, 1, "etl-" + m[:44] + "-7-1"},
		"cut at a sign":            {n[:22] + "_" + n, m, 7, 1, n[:22] + "-" + m[:24] + "-7-1"},
		"the largest ids":          {n, m, math.MaxUint64, math.MaxInt, "nnnnn-mmmmm-18446744073709551615-9223372036854775807"},
		"names that Parse rejects": {"", "///", 7, 1, "workflow-task-7-1"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := JobName(tc.workflow, tc.task, tc.id, tc.attempt); got != tc.want {
				t.Errorf("JobName = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestJobNameIsALabelThatEndsInItsIDs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id, attempt := rapid.Uint64().Draw(t, "id"), rapid.Int().Draw(t, "attempt")
		name := JobName(rapid.String().Draw(t, "workflow"), rapid.StringMatching(`[a-c. _-]{0,80}`).Draw(t, "task"), id, attempt)
		// The last pod of an indexed Job has the name and an index.
		if errs := validation.IsDNS1123Label(name + "-2147483646"); len(errs) > 0 {
			t.Errorf("%q: %v", name, errs)
		}
		if suffix := fmt.Sprintf("-%d-%d", id, attempt); !strings.HasSuffix(name, suffix) {
			t.Errorf("%q does not end in %q", name, suffix)
		}
	})
}
