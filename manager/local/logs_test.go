package local

import (
	"os"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestLogTail(t *testing.T) {
	t.Parallel()
	r := setup(t)
	cases := map[string]struct {
		script        string
		limit         int
		want          string
		wantTruncated bool
	}{
		"nothing":                       {"true", 10, "", false},
		"all":                           {`printf 'one\ntwo\n'`, 8, "one\ntwo\n", false},
		"from the beginning of a line":  {`printf 'one\ntwo\n'`, 7, "two\n", true},
		"which is right at the limit":   {`printf 'one\ntwo\n'`, 4, "two\n", true},
		"from within a line":            {`printf 'one two\n'`, 4, "two\n", true},
		"whose end is missing":          {`printf 'one\ntwo'`, 5, "two", true},
		"what is no text":               {`printf 'x\n\000\377'`, 2, "\x00\xff", true},
		"of both outputs":               {`echo out; echo err >&2`, 8, "out\nerr\n", false},
		"a log far larger than is read": {`yes 123456789 | head -c 50000000; echo end`, 14, "123456789\nend\n", true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := strings.ReplaceAll(name, " ", "-")
			create(t, r, newJob(job, shell("c", tc.script)))
			waitJob(t, r, job)
			text, truncated, err := r.LogTail(t.Context(), pods(t, r, job)[0].Name, "c", tc.limit)
			if err != nil || string(text) != tc.want || truncated != tc.wantTruncated {
				t.Errorf("%q, truncated: %t, %v; want %q, %t", text, truncated, err, tc.want, tc.wantTruncated)
			}
		})
	}
	if _, _, err := r.LogTail(t.Context(), "none-xxxxx", "c", 10); !apierrors.IsNotFound(err) {
		t.Errorf("of no pod: %v", err)
	}
}

// A log is found without reading of all the Job's pods.
func TestLogIsFoundByItsFolder(t *testing.T) {
	t.Parallel()
	r := setup(t)
	create(t, r, newJob("large", shell("c", "echo here")))
	waitJob(t, r, "large")
	pod := pods(t, r, "large")[0].Name
	for _, path := range []string{r.jobDir("large").statusPath(), r.jobDir("large").endedPath()} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if text, _, err := r.LogTail(t.Context(), pod, "c", 10); err != nil || string(text) != "here\n" {
		t.Errorf("%q, %v", text, err)
	}
	for _, names := range [][2]string{{pod, "d"}, {"large-xxxxx", "c"}, {"large-/../" + pod, "c"}, {"large-xxxxx/../" + pod, "c"}} {
		if _, _, err := r.LogTail(t.Context(), names[0], names[1], 10); !apierrors.IsNotFound(err) {
			t.Errorf("container %s of pod %s: %v, want not found", names[1], names[0], err)
		}
	}
}
