package webadmin

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

// The page of an execution that has all there is. Look at the difference, then
// run with -update.
func TestExecutionGolden(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r, big := b.runNightly(b.schedule(b.apply("nightly", nightly), "tuesday", `{"day": "2026-11-22"}`))
	r.endNightly(big)
	version := regexp.MustCompile(`\?v=[0-9a-f]+`) // of an asset: another matter
	wantGolden(t, "execution.html", version.ReplaceAllString(b.body("/executions/1"), "?v=0"))
}

func TestRunningExecution(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.runNightly(b.schedule(b.apply("nightly", nightly), "", "{}"))
	b.pass(3*time.Minute + 4*time.Second)
	doc := b.page("/executions/1")
	if got := doc.Find(`meta[http-equiv="refresh"]`).AttrOr("content", ""); got != "5" {
		t.Errorf("it reloads after %q s, want 5", got)
	}
	wantTexts(t, doc, "head title", "nightly #1: running · jobnetes")
	wantTexts(t, doc, ".title .pill", "running")
	wantTexts(t, doc, ".crumbs > *", "Executions", "all of nightly", "#1")
	// All tasks of the definition are in the graph, with what became of them.
	wantTexts(t, doc, ".graph .box .name", "extract", "fan", "clean", "load", "inner", "thumbs", "index", "check", "big", "small", "report")
	wantTexts(t, doc, ".graph .box.running .state", "running · 3 m 04 s")
	wantTexts(t, doc, ".graph .box.idle .name", "small", "report")
	wantTexts(t, doc, ".graph .box.idle .state", "not started", "not started")
	wantTexts(t, doc, ".graph .edge.taken > title", "extract to fan: taken", "fan to check: taken", "check to big, if $[0].rows > 1000: taken", "clean to load: taken")
	wantTexts(t, doc, ".graph .label-text", "$[0].rows > 1000", "default")
	if doc.Find(".graph .box.idle a").Length() != 0 {
		t.Error("a task that has not started links to a page that it has not")
	}
	for _, word := range []string{"11 tasks", "8 success", "1 running", "2 not started"} {
		if got := doc.Find(".graph desc").Text(); !strings.Contains(got, word) {
			t.Errorf("the description %q lacks %q", got, word)
		}
	}
	// The table is a tree.
	wantTexts(t, doc, ".tasks .c-main", "extract", "fan", "clean set 1", "load set 1", "inner set 2", "thumbs set 1", "index set 2", "check", "big")
	wantTexts(t, doc, ".tasks .d1 a", "clean", "load", "inner")
	wantTexts(t, doc, ".tasks .d2 a", "thumbs", "index")

	paused := b.page("/executions/1?refresh=off")
	if paused.Find(`meta[http-equiv="refresh"]`).Length() != 0 {
		t.Error("refresh=off does not stop it")
	}
}

func TestExecutionToBeCancelled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	apply := b.apply("nightly", nightly)
	for reason, want := range map[string]string{
		"":                 "user ann wants it to be cancelled, since 2026-11-23 04:00:00",
		"<b>the wrong day": "user ann wants it to be cancelled, since 2026-11-23 04:00:00: <b>the wrong day",
	} {
		r := b.begin(b.schedule(apply, "", "{}"))
		if err := b.store.RequestCancel(t.Context(), r.row.ID, "user ann", reason, b.now); err != nil {
			t.Fatal(err)
		}
		path := fmt.Sprintf("/executions/%d", r.row.ID)
		wantTexts(t, b.page(path), "#cancel", want)
		r.end("{}", "Cancelled by user ann")
		wantTexts(t, b.page(path), "#cancel")
	}
}

func TestEndedExecution(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r, big := b.runNightly(b.schedule(b.apply("nightly", nightly), "", "{}"))
	r.pass(time.Minute)
	r.fail(big, "BackoffLimitExceeded", "pod big-x exited with code 3")
	r.end("{}", "task big failed: BackoffLimitExceeded")
	doc := b.page("/executions/1")
	if doc.Find(`meta[http-equiv="refresh"]`).Length() != 0 {
		t.Error("an ended execution reloads its page")
	}
	wantTexts(t, doc, ".graph .box.failed .name", "big")
	wantTexts(t, doc, ".graph .box.idle .state", "not run", "not run")
	wantTexts(t, doc, ".alert pre", "task big failed: BackoffLimitExceeded")
	wantTexts(t, doc, ".alert a", "See task big and its logs")
	wantTexts(t, doc, ".tasks .error-line", "BackoffLimitExceeded: pod big-x exited with code 3")
	if got := doc.Find(".alert a").AttrOr("href", ""); got != fmt.Sprintf("/tasks/%d", big.ID) {
		t.Errorf("it leads to %s", got)
	}
}

// The task to look at is the one whose failure the others' follows from.
func TestCulprit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.begin(b.schedule(b.apply("nightly", nightly), "", "{}"))
	fan := r.start("fan", "parallel", nil, nil, 0, "{}")
	clean := r.start("clean", "kube-job", nil, fan, 0, "{}")
	r.fail(clean, "Failed", "x")
	r.fail(fan, "SetFailed", "set 1 failed")
	r.end("{}", "task clean failed")
	wantTexts(t, b.page("/executions/1"), ".alert a", "See task clean and its logs")
}

func TestScheduledExecution(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.schedule(b.apply("single", single), "", "{}")
	doc := b.page("/executions/1")
	wantTexts(t, doc, ".title .pill", "scheduled")
	wantTexts(t, doc, ".graph .state", "not started")
	if got := doc.Find("main").Text(); !strings.Contains(got, "waits for a manager to take it up, or for its turn") {
		t.Error("the page does not say what it waits for")
	}
}

// A task whose Job has not been created says so, wherever it is shown.
func TestTasksWithoutAJob(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		slot             any
		pill, why, inRow string
	}{
		"it waits for its turn":   {dao.SlotWaiting, "waits", "Its Job waits for its turn", "1 task waits for its turn"},
		"its turn has come":       {dao.SlotGranted, "no Job", "Its Job is not created yet", ""},
		"there is no limit on it": {nil, "no Job", "Its Job is not created yet", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			workflow := b.apply("single", single)
			r := b.begin(b.schedule(workflow, "", "{}"))
			task := r.start("main", "kube-job", nil, nil, 0, "{}")
			if err := b.gdb.Exec("UPDATE task_executions SET job_uid = NULL, slot = ? WHERE id = ?", tc.slot, task.ID).Error; err != nil {
				t.Fatal(err)
			}
			b.pass(11 * time.Second)
			doc := b.page("/executions/1")
			wantTexts(t, doc, ".graph .box.waiting .state", tc.pill+" · 11.0 s")
			wantTexts(t, doc, ".tasks .pill", tc.pill)
			if got := doc.Find(".tasks .wait-line").Text(); !strings.Contains(got, tc.why) {
				t.Errorf("the table says %q, want %q", got, tc.why)
			}
			if got := doc.Find(".graph desc").Text(); !strings.Contains(got, "Tasks: 1 "+tc.pill+".") {
				t.Errorf("the description is %q", got)
			}
			doc = b.page(fmt.Sprintf("/tasks/%d", task.ID))
			wantTexts(t, doc, ".title .pill", tc.pill)
			if got := doc.Find(".note").Text(); !strings.Contains(got, tc.why) {
				t.Errorf("the task's page says %q, want %q", got, tc.why)
			}
			for _, path := range []string{"/", fmt.Sprintf("/workflows/%d", workflow.ID)} {
				if got := b.page(path).Find(".executions .wait-line").Text(); got != tc.inRow {
					t.Errorf("the list at %s says %q, want %q", path, got, tc.inRow)
				}
			}
		})
	}
}

func TestNoGraph(t *testing.T) {
	t.Parallel()
	var many []string
	for i := range maxGraphTasks {
		many = append(many, fmt.Sprintf(`{"name": "t%d", "type": "kube-job", "next": "t%d", "job": JOB}`, i, i+1))
	}
	many = append(many, fmt.Sprintf(`{"name": "t%d", "type": "kube-job", "job": JOB}`, maxGraphTasks))
	cases := map[string]struct{ definition, want string }{
		"not valid": {`{"name": "w", "tasks": [{"name": "a", "type": "kube-job", "next": "nowhere", "job": {}}]}`, "the definition is not valid"},
		"no JSON":   {`{"name": <script>`, "the definition is not valid"},
		"too large": {definition(`{"name": "w", "tasks": [` + strings.Join(many, ",") + `]}`), "with 501 tasks it would be too large"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.runSingle(b.schedule(b.apply("w", tc.definition), "", "{}"), "", "")
			doc := b.page("/executions/1")
			if doc.Find(".graph").Length() != 0 {
				t.Error("there is a graph")
			}
			if got := doc.Find(".note").Text(); !strings.Contains(got, tc.want) {
				t.Errorf("the page says %q, want %q", got, tc.want)
			}
			wantTexts(t, doc, ".tasks .c-main", "main")
		})
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	b := setup(t)
	large := `{"items": "` + strings.Repeat("é<", valueLimit) + `"}`
	b.schedule(b.apply("single", single), "", large)
	doc := b.page("/executions/1")
	input := doc.Find(".value").First()
	if got := input.Find("pre").Text(); len(got) > valueLimit || strings.ContainsRune(got, '\uFFFD') || !strings.HasPrefix(got, `{`) {
		t.Errorf("the page shows %d bytes", len(got))
	}
	if got := input.Find(".note").Text(); !strings.Contains(got, "48.0 KiB") {
		t.Errorf("the note says %q", got)
	}
	rec := get(b.handler(), input.Find("h2 a").AttrOr("href", ""))
	if rec.Body.String() != large || rec.Header().Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("the whole has %d bytes of %s, want %d", rec.Body.Len(), rec.Header().Get("Content-Type"), len(large))
	}
	if rec := get(b.handler(), "/executions/1/secret"); rec.Code != http.StatusNotFound {
		t.Errorf("an unknown value: status %d", rec.Code)
	}
}

// The {} of what has not succeeded is no output.
func TestNoOutput(t *testing.T) {
	t.Parallel()
	none, result := []string{"Output", "none"}, []string{"Output 2 B raw", "{}"}
	cases := map[string]struct {
		run                     func(r *run, task *dao.TaskExecution)
		wantExecution, wantTask []string // heading and value
	}{
		"running": {func(*run, *dao.TaskExecution) {}, []string{"Output", "none yet"}, []string{"Output", "none yet"}},
		"failed": {func(r *run, task *dao.TaskExecution) {
			r.fail(task, "Failed", "x")
			r.end("{}", "task main failed")
		}, none, none},
		"success": {func(r *run, task *dao.TaskExecution) {
			r.succeed(task, "{}")
			r.end("{}", "")
		}, result, result},
		"recorded": {func(r *run, task *dao.TaskExecution) {
			if err := r.store.RecordOutput(r.t.Context(), task.ID, "{}", r.now); err != nil {
				r.t.Fatal(err)
			}
		}, []string{"Output", "none yet"}, result},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := b.begin(b.schedule(b.apply("single", single), "", "{}"))
			tc.run(r, r.start("main", "kube-job", nil, nil, 0, "{}"))
			wantTexts(t, b.page("/executions/1"), ".value:last-child > *", tc.wantExecution...)
			wantTexts(t, b.page("/tasks/1"), ".value:last-child > *", tc.wantTask...)
		})
	}
}

func TestHistoryPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.begin(b.schedule(b.apply("single", single), "", "{}"))
	var ts []dao.Transition
	for range historyPage {
		ts = append(ts, dao.Transition{Type: "Noted", Message: "so <b>it</b> was"})
	}
	r.commit(ts...)
	doc := b.page("/executions/1")
	if n := doc.Find(".history tbody tr").Length(); n != historyPage {
		t.Errorf("%d events, want %d", n, historyPage)
	}
	later := b.page(doc.Find(`#history a:contains("Later")`).AttrOr("href", ""))
	wantTexts(t, later, ".history .c-why", "so <b>it</b> was", "so <b>it</b> was")
}
