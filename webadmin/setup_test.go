package webadmin

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gorm.io/gorm"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
)

var update = flag.Bool("update", false, "write the golden files anew")

// begin is when every test begins.
var begin = time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)

// bundle is what a test gets: a server on a real, empty database.
type bundle struct {
	t      testing.TB
	store  *dao.Store
	gdb    *gorm.DB
	pods   *fakePods
	config Config
	now    time.Time
}

func setup(t testing.TB) *bundle {
	t.Helper()
	gdb, err := db.Open(t.Context(), db.Config{Driver: db.SQLite, Path: filepath.Join(t.TempDir(), "x.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(gdb) })
	if _, err := db.Migrate(t.Context(), gdb); err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t, store: dao.New(gdb), gdb: gdb, pods: &fakePods{byJob: map[string][]corev1.Pod{}, logs: map[string]string{}}, now: begin}
	b.config = Config{Version: "test", Now: func() time.Time { return b.now }}
	return b
}

// handler returns the server's handler.
func (b *bundle) handler() http.Handler {
	b.t.Helper()
	return newHandler(b.t, b.config, b.store, b.pods)
}

func newHandler(t testing.TB, cfg Config, store Store, pods Pods) http.Handler {
	t.Helper()
	return newServer(t, cfg, store, pods).Handler()
}

func newServer(t testing.TB, cfg Config, store Store, pods Pods) *Server {
	t.Helper()
	s, err := New(cfg, store, pods, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	return rec
}

// page gets a page that must be there, and parses it.
func (b *bundle) page(path string) *goquery.Document {
	b.t.Helper()
	return parse(b.t, b.body(path))
}

// body gets what must be there.
func (b *bundle) body(path string) string {
	b.t.Helper()
	path, _, _ = strings.Cut(path, "#") // as a browser does
	rec := get(b.handler(), path)
	if rec.Code != http.StatusOK {
		b.t.Fatalf("GET %s: status %d, body %s", path, rec.Code, rec.Body)
	}
	return rec.Body.String()
}

func parse(t testing.TB, html string) *goquery.Document {
	t.Helper()
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(html))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// texts returns the texts of what a selector finds, each with its space squeezed.
func texts(doc *goquery.Document, selector string) []string {
	return doc.Find(selector).Map(func(_ int, s *goquery.Selection) string { return strings.Join(strings.Fields(s.Text()), " ") })
}

func wantTexts(t testing.TB, doc *goquery.Document, selector string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, texts(doc, selector), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", selector, diff)
	}
}

// wantGolden compares with a file under testdata, or writes it with -update.
func wantGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s; if that is meant, run the test with -update (-want +got):\n%s", path, diff)
	}
}

// fakePods are pods and logs in memory, the logs by pod/container.
type fakePods struct {
	byJob map[string][]corev1.Pod
	logs  map[string]string
	// podsErr and logsErr are why pods, or logs, cannot be read; nil: they can.
	podsErr, logsErr error
}

func (f *fakePods) Pods(_ context.Context, job string) ([]corev1.Pod, error) {
	return f.byJob[job], f.podsErr
}

func (f *fakePods) Logs(_ context.Context, pod, container string) (io.ReadCloser, error) {
	text, err := f.log(pod, container)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func (f *fakePods) LogTail(_ context.Context, pod, container string, bytes int) ([]byte, bool, error) {
	text, err := f.log(pod, container)
	if err != nil {
		return nil, false, err
	}
	end, truncated := lastLines([]byte(text), bytes)
	return end, truncated, nil
}

func (f *fakePods) log(pod, container string) (string, error) {
	text, ok := f.logs[pod+"/"+container]
	if !ok && f.logsErr == nil {
		return "", apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, pod)
	}
	return text, f.logsErr
}
