package webadmin

import (
	"fmt"
	"strings"
	"testing"
)

func TestExecutionList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one, night := b.apply("single", single), b.apply("nightly", nightly)
	b.runSingle(b.schedule(one, "first", "{}"), "", "")
	b.runSingle(b.schedule(one, "second", "{}"), "BackoffLimitExceeded", "exit code 3 <b>&\nsecond line")
	b.runNightly(b.schedule(night, "", "{}"))
	b.schedule(night, "", "{}")
	cases := map[string]struct {
		query string
		want  []string
	}{
		"all":                     {"", []string{"#4", "#3", "#2 second", "#1 first"}},
		"one status":              {"?status=failed", []string{"#2 second"}},
		"two statuses":            {"?status=failed&status=scheduled", []string{"#4", "#2 second"}},
		"workflow":                {"?workflow=single", []string{"#2 second", "#1 first"}},
		"workflow and status":     {"?workflow=nightly&status=running", []string{"#3"}},
		"an empty field":          {"?workflow=", []string{"#4", "#3", "#2 second", "#1 first"}},
		"nothing matches":         {"?workflow=nightly&status=failed", []string{}},
		"no workflow of the name": {"?workflow=nothing", []string{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantTexts(t, b.page("/"+tc.query), ".executions a.main", tc.want...)
		})
	}
	doc := b.page("/?status=failed&workflow=single")
	wantTexts(t, doc, ".executions .pill", "failed")
	wantTexts(t, doc, ".executions .c-took", "1.2 s")
	wantTexts(t, doc, ".executions .c-workflow", "single")
	wantTexts(t, doc, ".error-line", "task main (id 2) failed: BackoffLimitExceeded: exit code 3 <b>& …")
	wantTexts(t, doc, ".executions .c-started", "2026-11-23 04:00:01")
	if got := doc.Find(".executions time").AttrOr("datetime", ""); got != "2026-11-23T04:00:01.2Z" {
		t.Errorf("datetime %q", got)
	}
	if got := doc.Find(`input[name="status"][checked]`).AttrOr("value", ""); got != "failed" {
		t.Errorf("status %q is checked", got)
	}
	if got := doc.Find(`input[name="workflow"]`).AttrOr("value", ""); got != "single" {
		t.Errorf("the field holds %q", got)
	}
}

func TestEmptyLists(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cases := map[string]struct{ path, want string }{
		"nothing at all": {"/", "jobnetes start NAME"},
		"filter":         {"/?status=failed", "Clear the filter"},
		"workflow":       {"/?workflow=%3Cb%3E", "There is no workflow “<b>”"},
		"past the end":   {"/?before=1", "There is nothing older"},
		"no workflows":   {"/workflows", "jobnetes workflow apply -f FILE"},
		"past the last":  {"/workflows?after=zzz", "There are no more workflows"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := b.page(tc.path).Find(".empty").Text(); !strings.Contains(got, tc.want) {
				t.Errorf("the page says %q, want %q", got, tc.want)
			}
		})
	}
}

// Through all pages to the oldest and back to the newest, nothing is missed or
// shown twice, and the filter stays.
func TestPaging(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one, other := b.apply("single", single), b.apply("other", single)
	const n = 2*pageSize + 7
	for range n {
		b.schedule(one, "", "{}")
		b.schedule(other, "", "{}")
	}
	var want []string
	for id := 2*n - 1; id > 0; id -= 2 {
		want = append(want, fmt.Sprintf("#%d", id))
	}
	var forth []string
	path, pages := "/?workflow=single&status=scheduled", []string{}
	for path != "" {
		doc := b.page(path)
		forth = append(forth, texts(doc, ".executions a.main")...)
		pages = append(pages, path)
		path = doc.Find(`.pager a[rel="next"]`).AttrOr("href", "")
	}
	if strings.Join(forth, " ") != strings.Join(want, " ") {
		t.Errorf("forth: got %v, want %v", forth, want)
	}
	if len(pages) != 3 {
		t.Errorf("%d pages, want 3", len(pages))
	}
	// Back: each page ends where the one before it began, but for the newest,
	// which is whole.
	path = pages[len(pages)-1]
	var back []string
	for path != "" {
		doc := b.page(path)
		path = doc.Find(`.pager a[rel="prev"]`).AttrOr("href", "")
		rows := texts(doc, ".executions a.main")
		if path == "" {
			if strings.Join(rows, " ") != strings.Join(want[:pageSize], " ") {
				t.Errorf("the newest page shows %v", rows)
			}
			break
		}
		back = append(rows, back...)
	}
	if strings.Join(back, " ") != strings.Join(want[pageSize:], " ") {
		t.Errorf("back: got %v, want %v", back, want[pageSize:])
	}
	// Less than a page is newer than this: the newest page all the same.
	near := b.page("/?workflow=single&status=scheduled&after=" + strings.TrimPrefix(want[3], "#"))
	wantTexts(t, near, ".executions a.main", want[:pageSize]...)
}
