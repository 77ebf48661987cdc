package webadmin

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestWorkflow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.apply("nightly", single)
	w := b.apply("nightly", nightly)
	b.schedule(w, "tuesday", "{}")
	doc := b.page("/workflows/1")
	wantTexts(t, doc, "h1", "nightly version 2")
	wantTexts(t, doc, ".versions a", "version 2", "version 1")
	wantTexts(t, doc, ".executions a.main", "#1 tuesday")
	wantTexts(t, doc, ".graph .box.branch .state", "branch")
	if doc.Find(".graph .box a, .graph .taken").Length() != 0 {
		t.Error("a definition shows an execution's states")
	}
	older := b.page(doc.Find(".versions a").Last().AttrOr("href", ""))
	wantTexts(t, older, "h1", "nightly version 1")
	wantTexts(t, older, ".graph .name", "main")
	if got := older.Find(".note").Text(); !strings.Contains(got, "Show the present one, 2") {
		t.Errorf("the page says %q", got)
	}
	if got := b.body(older.Find(".value h2 a").AttrOr("href", "")); got != single {
		t.Errorf("the raw definition is %q, want what was applied", got)
	}
	if got := b.body("/workflows/1/definition"); got != nightly {
		t.Errorf("the present definition is %q, want what was applied", got)
	}
}

func TestNoSuchVersion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.apply("single", single)
	cases := map[string]struct {
		version string
		want    int
		says    string
	}{
		"too new":   {"2", http.StatusNotFound, "has no version 2; its latest is 1"},
		"zero":      {"0", http.StatusNotFound, "has no version 0"},
		"no number": {"x", http.StatusBadRequest, "is no version"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := "/workflows/1?version=" + tc.version
			rec := get(b.handler(), path)
			if got := saying(t, path, rec.Body.String()); rec.Code != tc.want || !strings.Contains(got, tc.says) {
				t.Errorf("status %d, it says %q", rec.Code, got)
			}
		})
	}
}

// What somebody wrote into the table by SQL, or a build long ago, is shown as
// what it is.
func TestInvalidWorkflow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.apply("odd", "name: odd # <b>\ntasks: []\n")
	doc := b.page("/workflows/1")
	if got := doc.Find(".note").First().Text(); !strings.Contains(got, "the definition is not valid") {
		t.Errorf("the page says %q", got)
	}
	if got := doc.Find(".value pre").Text(); got != "name: odd # <b>\ntasks: []\n" {
		t.Errorf("it shows %q", got)
	}
}

func TestWorkflowPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var want []string
	for i := range pageSize + 3 {
		name := fmt.Sprintf("workflow-%03d", i)
		b.apply(name, single)
		want = append(want, name)
	}
	first := b.page("/workflows")
	second := b.page(first.Find(`.pager a[rel="next"]`).AttrOr("href", ""))
	wantTexts(t, first, ".workflows a.main", want[:pageSize]...)
	wantTexts(t, second, ".workflows a.main", want[pageSize:]...)
	if second.Find(`.pager a[rel="next"]`).Length() != 0 {
		t.Error("the last page leads further")
	}
}
