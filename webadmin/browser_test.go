package webadmin

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/test/browser"
)

// TestInBrowser opens every page as people do, on a phone and on a wide screen,
// light and dark, without JavaScript.
func TestInBrowser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fillGallery()
	server := httptest.NewServer(b.handler())
	t.Cleanup(server.Close)
	empty := httptest.NewServer(setup(t).handler())
	t.Cleanup(empty.Close)
	pages := map[string]string{
		"executions":       server.URL + "/",
		"executions-empty": empty.URL + "/",
		"filtered":         server.URL + "/?status=failed&status=scheduled&workflow=single",
		"execution":        server.URL + "/executions/1?refresh=off",
		"execution-failed": server.URL + "/executions/2",
		"execution-broken": server.URL + "/executions/4",
		"execution-waits":  server.URL + "/executions/3?refresh=off",
		"execution-long":   server.URL + "/executions/5?refresh=off",
		"task":             server.URL + "/tasks/1",
		"task-failed":      server.URL + "/tasks/10",
		"task-kept":        server.URL + "/tasks/3",
		"workflows":        server.URL + "/workflows",
		"workflow":         server.URL + "/workflows/1?version=1",
		"workflow-branchy": server.URL + "/workflows/5",
		"missing":          server.URL + "/executions/12",
	}
	chromium := browser.New(t)
	for name, url := range pages {
		for look, view := range map[string]browser.View{
			"phone-light": {Width: 360, Height: 740, NoScript: true},
			"phone-dark":  {Width: 360, Height: 740, NoScript: true, Dark: true},
			"wide-light":  {Width: 1600, Height: 900, NoScript: true},
			"wide-dark":   {Width: 1600, Height: 900, NoScript: true, Dark: true},
		} {
			t.Run(name+"/"+look, func(t *testing.T) {
				p := chromium.Open(t, url, view)
				checkPage(t, p, url, view.Width)
				p.Screenshot(fmt.Sprintf("webadmin-%s-%s.png", name, look))
			})
		}
	}
}

func checkPage(t *testing.T, p *browser.Page, url string, width int) {
	t.Helper()
	origin := strings.Join(strings.SplitN(url, "/", 4)[:3], "/")
	styled := false
	for _, asked := range p.Requests() {
		if !strings.HasPrefix(asked, origin+"/") {
			t.Errorf("the page asks another host: %s", asked)
		}
		styled = styled || strings.HasPrefix(asked, origin+"/static/style.css")
	}
	if !styled {
		t.Error("the page does not load its style sheet")
	}
	for _, text := range p.Errors() {
		if !strings.Contains(text, "404") || !strings.Contains(url, "/12") { // the page that is missing says so
			t.Errorf("the browser reports: %s", text)
		}
	}
	var scroll int
	p.Evaluate("document.documentElement.scrollWidth", &scroll)
	if scroll > width {
		t.Errorf("the page is %d pixels wide on a screen of %d: it scrolls sideways", scroll, width)
	}
	wantNone(t, p, "run over their box in the graph", `[...document.querySelectorAll(".graph .box text")].filter(text =>
		text.getBoundingClientRect().right > text.parentElement.querySelector(".face").getBoundingClientRect().right - 6)`)
}

// wantNone expects that a JavaScript expression gives no element.
func wantNone(t *testing.T, p *browser.Page, what, elements string) {
	t.Helper()
	var found []string
	p.Evaluate("("+elements+").map(e => e.textContent.trim())", &found)
	if len(found) > 0 {
		t.Errorf("these %s: %q", what, found)
	}
}

// TestWordsInBrowser looks at long texts beside short ones at every width that
// changes the layout: what is short stays whole, what is long has the room.
func TestWordsInBrowser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fillWords()
	server := httptest.NewServer(b.handler())
	t.Cleanup(server.Close)
	chromium := browser.New(t)
	for _, path := range []string{"/", "/executions/1", "/executions/2", "/tasks/1", "/workflows"} {
		for _, width := range []int{345, 390, 700, 900, 905, 1205, 1280} {
			t.Run(fmt.Sprintf("%s at %d", path, width), func(t *testing.T) {
				p := chromium.Open(t, server.URL+path, browser.View{Width: width, Height: 800, NoScript: true})
				checkPage(t, p, server.URL+path, width)
				wantNone(t, p, "short texts are broken", `[...document.querySelectorAll(".word, .tasks .main, .history .c-main, .top nav a")].filter(e => {
					const range = document.createRange();
					range.selectNodeContents(e);
					return e.textContent.length <= 18 && range.getClientRects().length > 1;
				})`)
				wantNone(t, p, "tables scroll sideways", `[...document.querySelectorAll(".table-box")].filter(e => e.scrollWidth > e.clientWidth)`)
				wantNone(t, p, "links are not beside the name in the header", `[...document.querySelectorAll(".top nav a")].filter(e =>
					e.getBoundingClientRect().top > document.querySelector(".brand").getBoundingClientRect().bottom)`)
				if width <= 900 {
					wantNone(t, p, "errors leave room at their right", `[...document.querySelectorAll(".list .error-line")].filter(e => {
						const row = e.closest("tr");
						return e.getBoundingClientRect().right < row.getBoundingClientRect().right - parseFloat(getComputedStyle(row).paddingRight) - 1;
					})`)
				}
			})
		}
	}
}

// fillWords makes an execution with a long error, and one with names as long as
// they may be.
func (b *bundle) fillWords() {
	const message = "Job has reached the specified backoff limit; pod failing-set-check-orders-18-1-ktrv4: container check exited with code 1: 2 orders have no customer"
	r, big := b.runNightly(b.schedule(b.apply("failing-nightly", nightly), "", "{}"))
	r.fail(big, "BackoffLimitExceeded", message)
	r.end("{}", "task big failed: BackoffLimitExceeded: "+message)
	long := strings.Repeat("x", 255)
	r = b.begin(b.schedule(b.apply(long, strings.ReplaceAll(single, "main", "index-customers")), long, "{}"))
	r.fail(r.start(long, "kube-job", nil, nil, 0, "{}"), "BackoffLimitExceeded", message)
	r.end("{}", message)
}

// fillGallery makes one of everything that a page can show.
func (b *bundle) fillGallery() {
	night, one := b.apply("nightly", nightly), b.apply("single", single)
	r, _ := b.runNightly(b.schedule(night, "tuesday", `{"day": "2026-11-22"}`))
	failed := b.runSingle(b.schedule(one, "a-rather-long-name-of-an-execution-that-somebody-gave-it", "{}"), "BackoffLimitExceeded",
		"Job has reached the specified backoff limit: container main of pod single-main-10-1-x7k2p exited with code 137 (OOMKilled)")
	b.schedule(one, "", `{"n": 1}`)
	b.apply("broken", `{"name": "broken", "tasks": [{"name": "a", "type": "kube-job", "next": "nowhere", "job": {}}]}`)
	broken, err := b.store.WorkflowByName(b.t.Context(), "broken")
	if err != nil {
		b.t.Fatal(err)
	}
	b.runSingle(b.schedule(broken, "", "{}"), "JobInvalid", "the definition is not valid")
	b.schedule(b.apply("long", longDefinition(60)), "", "{}")
	b.apply("branchy", longDefinition(1))
	b.apply("nightly", strings.Replace(nightly, "1000", "2000", 1))
	b.fillPods(r, failed.ID)
	b.fillKept(3)
	b.pass(3*time.Minute + 4*time.Second)
}

// longDefinition is a chain with a wide branch and a wide parallel in it.
func longDefinition(n int) string {
	var tasks, choices, sets []string
	for i := range n {
		tasks = append(tasks, fmt.Sprintf(`{"name": "step-%02d", "type": "kube-job", "next": "step-%02d", "job": JOB}`, i, i+1))
	}
	tasks = append(tasks, fmt.Sprintf(`{"name": "step-%02d", "type": "branch", "tasks": [CHOICES], "default": "sets"}`, n))
	for i := range 5 {
		choices = append(choices, fmt.Sprintf(`{"condition": "$.kind == \"kind number %d of a few\"", "next": "choice-%d"}`, i, i))
		tasks = append(tasks, fmt.Sprintf(`{"name": "choice-%d", "type": "kube-job", "next": "sets", "job": JOB}`, i))
		sets = append(sets, fmt.Sprintf(`[{"name": "set-%d", "type": "kube-job", "job": JOB}]`, i))
	}
	tasks = append(tasks, `{"name": "sets", "type": "parallel", "task-sets": [`+strings.Join(sets, ",")+`]}`)
	text := `{"name": "long", "tasks": [` + strings.Join(tasks, ",\n") + `]}`
	return definition(strings.Replace(text, "CHOICES", strings.Join(choices, ","), 1))
}

func (b *bundle) fillPods(r *run, failedID uint64) {
	for _, id := range []uint64{1, failedID} {
		t, err := b.store.Task(r.t.Context(), id)
		if err != nil {
			b.t.Fatal(err)
		}
		pods := []corev1.Pod{finishedPod(*t.ExecutionName+"-x7k2p", "Error", 1, begin), finishedPod(*t.ExecutionName+"-qq41z", "OOMKilled", 137, begin.Add(time.Minute))}
		b.pods.byJob[*t.ExecutionName] = pods
		for _, p := range pods {
			b.pods.logs[p.Name+"/main"] = strings.Repeat("2026-11-23T04:00:01Z \x1b[32mINFO\x1b[0m read one more batch of rows from the source, which is fine\n", 40) +
				"\x1b[31mERROR\x1b[0m no space left on device: /var/lib/an-unreasonably-long-path-without-any-space-in-it/segment-00000000000000000042.tmp\n"
		}
	}
}

// fillKept keeps logs of a task whose pods are gone.
func (b *bundle) fillKept(taskID uint64) {
	const line = "2026-11-23T04:00:01Z \x1b[32mINFO\x1b[0m dropped one more row that has no customer\n"
	b.keep(&dao.TaskExecution{ID: taskID}, kept("nightly-clean-3-1-tz9k4", "prepare", ""), kept("nightly-clean-3-1-tz9k4", "main", "no connection\n"),
		kept("nightly-clean-3-1-q8d2w", "prepare", "connected\n"), keptEnd("nightly-clean-3-1-q8d2w", strings.Repeat(line, 60)))
}

func finishedPod(name, reason string, code int32, started time.Time) corev1.Pod {
	at := metav1.NewTime(started)
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: at},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}}},
		Status: corev1.PodStatus{Phase: corev1.PodFailed, StartTime: &at, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "main",
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: code, Reason: reason, StartedAt: at, FinishedAt: metav1.NewTime(started.Add(12 * time.Second)),
			}},
		}}},
	}
}
