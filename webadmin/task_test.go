package webadmin

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/golang/mock/gomock"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobnetes/jobnetes/dao"
)

func podName(task *dao.TaskExecution) string { return *task.ExecutionName + "-abcde" }

// addPod gives a task a pod whose container, main, has left a log.
func (b *bundle) addPod(task *dao.TaskExecution, log string) {
	p := finishedPod(podName(task), "Error", 3, begin)
	b.pods.byJob[*task.ExecutionName] = append(b.pods.byJob[*task.ExecutionName], p)
	b.pods.logs[p.Name+"/main"] = log
}

// failed makes a task that has failed.
func (b *bundle) failed() *dao.TaskExecution {
	b.t.Helper()
	return b.runSingle(b.schedule(b.apply("single", single), "", `{"n": 1}`), "BackoffLimitExceeded", "exit code 3\n<i>and</i> more")
}

func TestTask(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.failed()
	b.addPod(task, "one\n\x1b[31mtwo\x1b[0m <script>alert(1)</script>\r\nbad \xff byte\n")
	doc := b.page("/tasks/1")
	wantTexts(t, doc, "head title", "main, task #1: failed · jobnetes")
	wantTexts(t, doc, ".alert h2", "Why it failed: BackoffLimitExceeded")
	wantTexts(t, doc, ".alert pre", "exit code 3 <i>and</i> more")
	wantTexts(t, doc, ".pod summary .code", podName(task))
	wantTexts(t, doc, ".container h3", "main failed exit code 3, Error · 12.0 s")
	wantTexts(t, doc, ".container h4", "Log whole log")
	if got, want := doc.Find(".log").Text(), "one\ntwo <script>alert(1)</script>\nbad \uFFFD byte\n"; got != want {
		t.Errorf("the log is %q, want %q", got, want)
	}
	if doc.Find("script").Length() != 0 {
		t.Error("a log became a script")
	}
	if got := b.body(doc.Find(".container a.more").AttrOr("href", "")); got != b.pods.logs[podName(task)+"/main"] {
		t.Errorf("the whole log is %q", got)
	}
}

func TestIndexedTask(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.schedule(b.apply("single", single), "", "{}")
	r := b.begin(id)
	task := r.start("main", "kube-job", nil, nil, 0, "{}", func(t *dao.TaskExecution) { t.IndexCount = new(uint32(5000)) })
	if err := b.store.KeepIndexes(t.Context(), r.lease, task.ID, []dao.IndexOutput{{Index: 0, Output: "{}"}, {Index: 7, Output: "{}"}}, false, b.now); err != nil {
		t.Fatal(err)
	}
	if err := b.store.RecordIndexOutput(t.Context(), task.ID, 9, "1", b.now); err != nil {
		t.Fatal(err)
	}
	b.addPod(task, "")
	b.pods.byJob[*task.ExecutionName][0].Annotations = map[string]string{"batch.kubernetes.io/job-completion-index": "7"}
	doc := b.page("/tasks/1")
	wantTexts(t, doc, "dl.facts div:nth-child(3)", "Indexes2 of 5000 done")
	wantTexts(t, doc, ".pod summary small:nth-of-type(1)", "index 7")
	wantTexts(t, doc, ".card > .note")
	for range manyPods {
		b.addPod(task, "")
	}
	if notes := texts(b.page("/tasks/1"), ".card > .note"); len(notes) != 1 || !strings.HasPrefix(notes[0], "Of a Job with over 500 pods some are shown") {
		t.Errorf("notes %q", notes)
	}
	wantTexts(t, b.page("/executions/1"), ".tasks .c-workflow .word", "kube-job × 5000")
}

func TestTaskLogs(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change   func(b *bundle, task *dao.TaskExecution)
		wantNote string
		wantLog  func(string) bool
	}{
		"long": {
			change: func(b *bundle, task *dao.TaskExecution) {
				b.addPod(task, strings.Repeat("0123456789abcdef\n", 10_000)+"the last line\n")
			},
			wantNote: "Only the end is shown.",
			wantLog: func(log string) bool {
				return strings.HasSuffix(log, "the last line\n") && strings.HasPrefix(log, "0123456789abcdef\n") && len(log) <= logTail && len(log) > logTail-20
			},
		},
		"empty": {
			change:   func(b *bundle, task *dao.TaskExecution) { b.addPod(task, "") },
			wantNote: "The log is empty",
		},
		"gone": {
			change: func(b *bundle, task *dao.TaskExecution) {
				b.addPod(task, "")
				clear(b.pods.logs)
			},
			wantNote: "The log is gone, and nothing was kept of it",
		},
		"not started": {
			change: func(b *bundle, task *dao.TaskExecution) {
				b.addPod(task, "")
				b.pods.byJob[*task.ExecutionName][0].Status.ContainerStatuses[0].State = corev1.ContainerState{
					Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"},
				}
			},
			wantNote: "has not started",
		},
		"pods gone": {
			change:   func(*bundle, *dao.TaskExecution) {},
			wantNote: "There are no pods, and no logs were kept",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tc.change(b, b.failed())
			doc := b.page("/tasks/1")
			if got := doc.Find(".note").Text(); !strings.Contains(got, tc.wantNote) {
				t.Errorf("the page says %q, want %q", got, tc.wantNote)
			}
			if log := doc.Find(".log").Text(); tc.wantLog != nil && !tc.wantLog(log) {
				t.Errorf("the log has %d bytes: %.40q … %q", len(log), log, log[max(0, len(log)-40):])
			}
		})
	}
}

// A cluster that is away must not hide why a task failed.
func TestTaskWithoutCluster(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.failed()
	pods := NewMockPods(gomock.NewController(t))
	pods.EXPECT().Pods(gomock.Any(), "single-main-1-1").Return(nil, errors.New("dial tcp 10.0.0.1:443")).Times(3)
	h := newHandler(t, b.config, b.store, pods)
	rec := get(h, "/tasks/1")
	doc := parse(t, rec.Body.String())
	wantTexts(t, doc, ".alert h2", "Why it failed: BackoffLimitExceeded")
	if got := doc.Find(".note").Text(); rec.Code != http.StatusOK || !strings.Contains(got, "could not be read") || strings.Contains(got, "10.0.0.1") {
		t.Errorf("status %d, the page says %q", rec.Code, got)
	}
	for _, path := range []string{"/api/v1/task/1/pod", "/api/v1/task/1/pod/p/main/log"} {
		if rec := get(h, path); rec.Code != http.StatusServiceUnavailable || strings.Contains(rec.Body.String(), "10.0.0.1") {
			t.Errorf("%s: status %d, body %s", path, rec.Code, rec.Body)
		}
	}
}

// A task's page is no window on other tasks' pods.
func TestForeignPods(t *testing.T) {
	t.Parallel()
	b := setup(t)
	mine, other := b.failed(), b.failed()
	b.addPod(mine, "mine")
	b.addPod(other, "other's")
	cases := map[string]struct {
		pod, container string
		want           int
	}{
		"own":               {podName(mine), "main", 200},
		"another task's":    {podName(other), "main", 404},
		"unknown":           {"kube-apiserver", "main", 404},
		"unknown container": {podName(mine), "sidecar", 404},
		"a path":            {"..%2F" + podName(other), "main", 404},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, format := range []string{"/tasks/%d/pods/%s/%s/log", "/api/v1/task/%d/pod/%s/%s/log"} {
				path := fmt.Sprintf(format, mine.ID, tc.pod, tc.container)
				if rec := get(b.handler(), path); rec.Code != tc.want || strings.Contains(rec.Body.String(), "other's") {
					t.Errorf("%s: status %d, body %s", path, rec.Code, rec.Body)
				}
			}
		})
	}
}

// A message that the log ends with stands there once.
func TestContainerMessage(t *testing.T) {
	t.Parallel()
	const logHead, merged = "Log whole log", "Log it ends with the message that the container left whole log"
	cases := map[string]struct {
		message, log string
		want         []string // headings
		wantMessage  []string
	}{
		"no message":          {"", "out of memory\n", []string{logHead}, nil},
		"another one":         {"out of memory", "one\ntwo\n", []string{"Message", logHead}, []string{"out of memory"}},
		"the log":             {"one\ntwo\n", "one\ntwo\n", []string{merged}, nil},
		"its end":             {"two", "one\ntwo\n", []string{merged}, nil},
		"the end of a line":   {"wo", "one\ntwo\n", []string{"Message", logHead}, []string{"wo"}},
		"of an empty log":     {"lost", "", []string{"Message", logHead}, []string{"lost"}},
		"in other characters": {"\x1b[31mtwo\x1b[0m", "one\ntwo\r\n", []string{merged}, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			task := b.failed()
			b.addPod(task, tc.log)
			b.pods.byJob[*task.ExecutionName][0].Status.ContainerStatuses[0].State.Terminated.Message = tc.message
			doc := b.page("/tasks/1")
			wantTexts(t, doc, ".container h4", tc.want...)
			if got := texts(doc, ".container > pre"); !slices.Equal(got, tc.wantMessage) {
				t.Errorf("the message is %q, want %q", got, tc.wantMessage)
			}
		})
	}
}

// A task's page names the tasks around it, and leads to them.
func TestRelatives(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.runNightly(b.schedule(b.apply("nightly", nightly), "", "{}"))
	for path, want := range map[string]string{
		"/tasks/1": "Then fan /tasks/2",
		"/tasks/2": "After extract /tasks/1, Then check /tasks/8",
		"/tasks/7": "Part of fan /tasks/2, After clean /tasks/3",
	} {
		links := b.page(path).Find(".facts a").Map(func(_ int, a *goquery.Selection) string {
			return a.Closest("div").Find("dt").Text() + " " + a.Text() + " " + a.AttrOr("href", "")
		})
		if got := strings.Join(links, ", "); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

// What a running job has recorded is its output as far as it is known.
func TestRecordedOutput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.begin(b.schedule(b.apply("single", single), "", "{}"))
	task := r.start("main", "kube-job", nil, nil, 0, "{}")
	if err := b.store.RecordOutput(t.Context(), task.ID, `{"seen":7}`, b.now); err != nil {
		t.Fatal(err)
	}
	doc := b.page("/tasks/1")
	wantTexts(t, doc, ".value:last-child pre", `{ "seen": 7 }`)
	if got := b.body("/tasks/1/output"); got != `{"seen":7}` {
		t.Errorf("the whole is %q", got)
	}
	if doc.Find(`meta[http-equiv="refresh"]`).Length() != 1 {
		t.Error("a running task does not reload its page")
	}
	if got := doc.Find(".note").Text(); !strings.Contains(got, "There is no pod yet. If this lasts, `kubectl describe job single-main-1-1` says why") {
		t.Errorf("the page says %q", got)
	}
}

func TestParallelHasNoPods(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.begin(b.schedule(b.apply("nightly", nightly), "", "{}"))
	r.start("fan", "parallel", nil, nil, 0, "{}")
	if got := texts(b.page("/tasks/1"), "h2"); strings.Join(got, ",") != "Input 2 B raw,Output" {
		t.Errorf("the page has %q", got)
	}
}

func TestPodView(t *testing.T) {
	t.Parallel()
	started := metav1.NewTime(begin)
	v := newPodView(corev1.Pod{
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "prepare"}},
			Containers:     []corev1.Container{{Name: "main"}, {Name: "side"}, {Name: "late"}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, StartTime: &started,
			InitContainerStatuses: []corev1.ContainerStatus{{Name: "prepare", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				Reason: "Completed", StartedAt: started, FinishedAt: started, // whole seconds: not 0 ms
			}}}},
			ContainerStatuses: []corev1.ContainerStatus{ // in another order than the containers
				{Name: "side", RestartCount: 2, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}},
				{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}},
			},
		},
	}, begin.Add(90*time.Second))
	var got []string
	for _, c := range v.Containers {
		got = append(got, fmt.Sprintf("%s: %s, %q, %q, log %v", c.Name, c.State.Word, c.Detail, c.Took, c.begun))
	}
	want := []string{
		`prepare: succeeded, "exit code 0, Completed", "< 1 s", log true`,
		`main: running, "", "1 m 30 s", log true`,
		`side: waiting, "CrashLoopBackOff, 2 restarts", "", log true`,
		`late: waiting, "", "", log false`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestPodsNoteOfOneThatWaits(t *testing.T) {
	t.Parallel()
	slot, name := dao.SlotWaiting, "w-a-1-1"
	if note := podsNote(dao.TaskExecution{ExecutionName: &name, Slot: &slot}, false, 0, 0); !strings.Contains(note, "waits for its turn") {
		t.Errorf("the page says %q", note)
	}
}
