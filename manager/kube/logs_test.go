package kube

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/bits"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"pgregory.net/rapid"
)

// kubelet gives the first limit bytes of the last lines of log, and counts what
// it gave. Its runtime splits lines, if asked to.
type kubelet struct {
	log    []byte
	splits bool
	gave   int
	asked  int
}

func (k *kubelet) read(lines, limit int64) ([]byte, error) {
	k.asked++
	start := len(k.log)
	for ; lines > 0 && start > 0; lines-- {
		start = k.lineAt(start)
	}
	text := k.log[start:]
	text = text[:min(int64(len(text)), limit)]
	k.gave += len(text)
	return text, nil
}

// lineAt returns where the line, or the last piece of it, begins that ends at end.
func (k *kubelet) lineAt(end int) int {
	start := bytes.LastIndexByte(k.log[:end-1], '\n') + 1
	if k.splits {
		start += (end - 1 - start) / (lineBytes - 1) * (lineBytes - 1)
	}
	return start
}

func TestSearchTail(t *testing.T) {
	t.Parallel()
	const want = 1000
	repeat := strings.Repeat
	long := repeat("0123456789abcdef", 15) + "\n" // 241 bytes
	cases := map[string]struct {
		log           string
		wantTail      string
		wantTruncated bool
		wantAsked     int // at the most
	}{
		"empty":                                {"", "", false, 1},
		"short":                                {"one\ntwo\n", "one\ntwo\n", false, 1},
		"without a final newline":              {"one\ntwo", "one\ntwo", false, 1},
		"as long as is wanted":                 {repeat("x", want-1) + "\n", repeat("x", want-1) + "\n", false, 1},
		"empty lines":                          {repeat("\n", 5*want), repeat("\n", want), true, 1},
		"a byte longer":                        {"x" + repeat("\n", want), repeat("\n", want-1), true, 1},
		"a little longer":                      {repeat("123456789\n", 150), repeat("123456789\n", 100), true, 1},
		"much longer":                          {repeat("123456789\n", 1e6), repeat("123456789\n", 100), true, 2},
		"cut at a line's beginning":            {repeat(long, 1e4), repeat(long, 4), true, 3},
		"short lines, then long ones":          {repeat("\n", 1e4) + repeat(long, 50), repeat(long, 4), true, tailTries},
		"long lines, then short ones":          {repeat(long, 1e4) + repeat("12345\n", 300), repeat("12345\n", 166), true, tailTries},
		"a line over what is wanted":           {repeat("x\n", 10) + repeat("y", 2*want) + "\n", repeat("y", want-1) + "\n", true, tailTries},
		"many lines over what is wanted":       {repeat(repeat("x", 2*want)+"\n", 9) + repeat("y", 2*want) + "\n", repeat("y", want-1) + "\n", true, tailTries},
		"a line after one over all the limits": {repeat("y", 99*want) + "\nend\n", "end\n", true, tailTries},
		"a line that has not ended":            {repeat(long, 100) + "end", repeat(long, 4) + "end", true, 3},
		"bytes that are no text survive":       {"\x00\xff\xfe\r\n", "\x00\xff\xfe\r\n", false, 1},
		"a last line over all the limits":      {repeat("x\n", 10) + repeat("y", 99*want) + "z", repeat("y", want), true, tailTries},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &kubelet{log: []byte(tc.log)}
			tail, truncated, err := searchTail(want, k.read)
			if err != nil || truncated != tc.wantTruncated || string(tail) != tc.wantTail {
				t.Errorf("%d bytes, truncated: %t, %v; want %d, %t\n%.99q", len(tail), truncated, err, len(tc.wantTail), tc.wantTruncated, tail)
			}
			if k.asked > tc.wantAsked || k.gave > k.asked*answerLimit(want) {
				t.Errorf("%d answers with %d bytes; want at most %d answers", k.asked, k.gave, tc.wantAsked)
			}
		})
	}
}

// After many short lines the few that fit are found in a few steps.
func TestSearchTailFindsTheLastWords(t *testing.T) {
	t.Parallel()
	const want = 1 << 16
	k := &kubelet{log: []byte(strings.Repeat(".\n", 200_000) + strings.Repeat(strings.Repeat("y", 15_000)+"\n", 20) + "FATAL")}
	tail, truncated, err := searchTail(want, k.read)
	if err != nil || !truncated || !bytes.HasSuffix(tail, []byte("\nFATAL")) || len(tail) < want-15_001 {
		t.Errorf("%d bytes, truncated: %t, %v, ... %q", len(tail), truncated, err, tail[max(0, len(tail)-9):])
	}
}

// Whatever the lengths of the lines, what is found is the log's end.
func TestSearchTailIsTheEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SampledFrom([]int{100, 1 << 10, 4 << 10, 1 << 16}).Draw(t, "want")
		k := &kubelet{log: anyLog(t), splits: rapid.Bool().Draw(t, "splits lines")}
		tail, truncated, err := searchTail(want, k.read)
		if err != nil || k.asked > tailTries || k.gave > tailTries*answerLimit(want) {
			t.Fatalf("%d answers with %d bytes, %v", k.asked, k.gave, err)
		}
		if len(tail) > want || truncated != (len(tail) < len(k.log)) || len(k.log) <= want && truncated {
			t.Fatalf("%d bytes of %d, truncated: %t", len(tail), len(k.log), truncated)
		}
		last := len(k.log) - (bytes.LastIndexByte(k.log[:max(len(k.log)-1, 0)], '\n') + 1)
		if !bytes.HasSuffix(k.log, tail) && (k.splits || last < answerLimit(want)) {
			t.Fatalf("of %d bytes, the last line of %d, the end is missing: %.99q", len(k.log), last, tail)
		}
		if len(k.log) > 0 && len(tail) == 0 {
			t.Fatalf("nothing of %d bytes", len(k.log))
		}
	})
}

// anyLog returns a log whose lines are alike for a while, then others. It may end
// within a line.
func anyLog(t *rapid.T) []byte {
	var log []byte
	for range rapid.IntRange(0, 6).Draw(t, "stretches") {
		// Both grow as digits do: many short lines are as likely as few long ones.
		length := 1 << rapid.IntRange(0, 16).Draw(t, "digits of a line's length")
		length += rapid.IntRange(0, length).Draw(t, "length")
		lines := rapid.IntRange(1, 1<<rapid.IntRange(0, max(20-bits.Len(uint(length)), 1)).Draw(t, "digits of lines")).Draw(t, "lines")
		for i := range lines {
			log = fmt.Appendf(log, "%.*s\n", length-1, fmt.Sprint(i, strings.Repeat("x", length)))
		}
	}
	if len(log) > 0 && rapid.Bool().Draw(t, "in a line") {
		log = log[:len(log)-1]
	}
	return log
}

// What a kubelet says in place of a log is not a log.
func TestNoLog(t *testing.T) {
	t.Parallel()
	status := func(reason, message string, code int) string {
		return fmt.Sprintf(`{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": %q, "message": %q, "code": %d}`, reason, message, code)
	}
	cases := map[string]struct {
		code         int
		answer       string
		wantText     string
		wantNotFound bool
		wantErr      string
	}{
		"a log":               {200, "one\ntwo\n", "one\ntwo\n", false, ""},
		"an empty one":        {200, "", "", false, ""},
		"no pod":              {404, status("NotFound", `pods "p" not found`, 404), "", true, `pods "p" not found`},
		"not begun":           {400, status("BadRequest", `container "c" in pod "p" is waiting to start: image can't be pulled`, 400), "", true, "waiting to start"},
		"removed":             {200, "unable to retrieve container logs for containerd://abc", "", true, "containerd://abc"},
		"a log that says so":  {200, "unable to retrieve container logs for x\n", "unable to retrieve container logs for x\n", false, ""},
		"a node that is away": {500, status("InternalError", "dial tcp: no route to host", 500), "", false, "no route to host"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tail := fmt.Sprintf("&limitBytes=%d&tailLines=101", answerLimit(100))
				if r.URL.Path != "/api/v1/namespaces/n/pods/p/log" || strings.TrimSuffix(r.URL.RawQuery, tail) != "container=c" {
					t.Errorf("asked for %s", r.URL)
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tc.code)
				_, _ = w.Write([]byte(tc.answer))
			}))
			defer server.Close()
			c, err := New(&rest.Config{Host: server.URL}, Config{Namespace: "n"}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			text, truncated, err := c.LogTail(t.Context(), "p", "c", 100)
			if string(text) != tc.wantText || truncated || apierrors.IsNotFound(err) != tc.wantNotFound {
				t.Errorf("%q, truncated: %t, %v", text, truncated, err)
			}
			for _, want := range []string{tc.wantErr, "container c of pod n/p"} {
				if (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q", err, want)
				}
			}
			whole, err := readAll(c.Logs(t.Context(), "p", "c"))
			if string(whole) != tc.wantText || apierrors.IsNotFound(err) != tc.wantNotFound || (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("whole: %q, %v", whole, err)
			}
		})
	}
}

func readAll(log io.ReadCloser, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(log)
	return text, errors.Join(err, log.Close())
}

func TestLogsOf(t *testing.T) {
	t.Parallel()
	good := func(name string, second int64) corev1.Pod {
		return at(pod(name, corev1.PodSucceeded, ended("c", 0, "Completed", "")), second)
	}
	bad := func(name string, second int64) corev1.Pod {
		return at(pod(name, corev1.PodFailed, ended("c", 1, "Error", "")), second)
	}
	prepared := good("i", 1)
	prepared.Spec.InitContainers = []corev1.Container{{Name: "first"}, {Name: "second"}}
	prepared.Status.InitContainerStatuses = []corev1.ContainerStatus{ended("second", 0, "Completed", ""), ended("first", 0, "Completed", "")}
	restarted := pod("r", corev1.PodRunning, held("CrashLoopBackOff", ""))
	restarted.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1}
	late := pod("p", corev1.PodFailed, ended("a", 0, "", ""), ended("b", 0, "", ""), ended("c", 0, "", ""),
		finished(ended("d", 1, "", ""), 3), finished(ended("e", 1, "", ""), 2), finished(ended("f", 1, "", ""), 1), finished(ended("g", 1, "", ""), 4), finished(ended("h", 1, "", ""), 5))
	stranger := good("x", 9)
	stranger.Labels = map[string]string{batchv1.ControllerUidLabel: "u0"}

	cases := map[string]struct {
		pods []corev1.Pod
		want string
	}{
		"none":                              {nil, ""},
		"the oldest pod first":              {[]corev1.Pod{good("b", 2), good("a", 3), good("c", 1)}, "c/c b/c a/c"},
		"init containers first":             {[]corev1.Pod{prepared}, "i/first i/second i/c"},
		"one that runs":                     {[]corev1.Pod{pod("r", corev1.PodRunning, running("c"))}, "r/c"},
		"one that waits to be restarted":    {[]corev1.Pod{restarted}, "r/c"},
		"not one that never ran":            {[]corev1.Pod{pod("w", corev1.PodPending, held("ErrImagePull", ""), ended("d", 0, "", ""))}, "w/d"},
		"not another Job's":                 {[]corev1.Pod{stranger}, ""},
		"of many pods the last":             {[]corev1.Pod{good("a", 1), good("b", 2), good("c", 3), good("d", 4)}, "b/c c/c d/c"},
		"but those that failed go before":   {[]corev1.Pod{bad("a", 1), good("b", 2), good("c", 3), bad("d", 4)}, "a/c c/c d/c"},
		"of many containers the last pods'": {[]corev1.Pod{good("b", 3), prepared, good("a", 2)}, "a/c b/c"},
		"of too many in one pod, the first": {[]corev1.Pod{pod("p", corev1.PodFailed, ended("a", 0, "", ""), ended("b", 0, "", ""), ended("c", 0, "", ""), ended("d", 0, "", ""), ended("e", 0, "", ""))}, "p/a p/b p/c p/d"},
		"but first those that failed first": {[]corev1.Pod{late}, "p/d p/e p/f p/g"},
	}
	for name, tc := range cases {
		var got []string
		for _, l := range LogsOf(jobWith(), tc.pods, 3, 4) {
			got = append(got, l.Pod+"/"+l.Container)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %v, want %s", name, got, tc.want)
		}
	}
}
