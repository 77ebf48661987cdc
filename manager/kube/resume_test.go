package kube

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// hasty is an API server that closes each watch after one event.
type hasty struct {
	mu       sync.Mutex
	versions int  // the newest; each is a new Job's
	oldest   int  // that a watch can begin with
	refuses  bool // at once, and not by an event
	lists    int
	froms    []int // what watches of Jobs began with
	more     chan struct{}
}

func (h *hasty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	from, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	switch {
	case r.URL.Path != "/apis/batch/v1/namespaces/jobs/jobs":
		w.WriteHeader(http.StatusForbidden)
	case r.URL.Query().Get("watch") == "":
		h.lists++
		l := batchv1.JobList{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "JobList"}, ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(h.versions)}}
		for v := 1; v <= h.versions; v++ {
			l.Items = append(l.Items, *jobOf(v))
		}
		_ = json.NewEncoder(w).Encode(l)
	default:
		h.froms = append(h.froms, from)
		for h.versions == from {
			more := h.more
			h.mu.Unlock()
			select {
			case <-r.Context().Done():
			case <-more:
			}
			h.mu.Lock()
			if r.Context().Err() != nil {
				return
			}
		}
		gone := &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: http.StatusGone, Reason: metav1.StatusReasonExpired}
		e := metav1.WatchEvent{Type: string(watch.Added), Object: runtime.RawExtension{Object: jobOf(from + 1)}}
		switch {
		case from < h.oldest && h.refuses:
			w.WriteHeader(http.StatusGone)
			_ = json.NewEncoder(w).Encode(gone)
			return
		case from < h.oldest:
			e = metav1.WatchEvent{Type: string(watch.Error), Object: runtime.RawExtension{Object: gone}}
		}
		_ = json.NewEncoder(w).Encode(e)
	}
}

// make makes so many Jobs; if forget, no watch can begin before them.
func (h *hasty) make(n int, forget bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.versions += n
	if forget {
		h.oldest = h.versions
	}
	close(h.more)
	h.more = make(chan struct{})
}

func jobOf(v int) *batchv1.Job {
	j := version(fmt.Sprint("job", v), strconv.Itoa(v))
	j.TypeMeta = metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}
	j.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c"}}
	return j
}

// However often the API server closes the watch, no event is lost, and no more is
// listed than once for each time that the watch cannot go on.
func TestWatchGoesOn(t *testing.T) {
	t.Parallel()
	for name, refuses := range map[string]bool{"an event says that it cannot": false, "it cannot be opened": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			watchGoesOn(t, refuses)
		})
	}
}

func watchGoesOn(t *testing.T, refuses bool) {
	t.Helper()
	h := &hasty{versions: 2, refuses: refuses, more: make(chan struct{})}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := New(&rest.Config{Host: server.URL}, Config{Namespace: "jobs", Installation: "i", RelistInterval: time.Hour}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 100)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(t.Context(), func(obj metav1.Object) { told <- obj.GetName() }) }()
	expect := func(first, last int) {
		t.Helper()
		for v := first; v <= last; v++ {
			select {
			case name := <-told:
				if name != fmt.Sprint("job", v) {
					t.Fatalf("told of %s, want job%d", name, v)
				}
			case <-time.After(time.Minute):
				t.Fatalf("nobody tells of job%d", v)
			}
		}
	}
	expect(1, 2)
	h.make(3, false)
	expect(3, 5)
	h.make(2, true) // while it watches from the fifth
	expect(6, 7)
	h.make(1, false)
	expect(8, 8)
	if c.Cached("job8").Spec.Template.Spec.Containers != nil {
		t.Error("more is kept than is read")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lists != 2 {
		t.Errorf("Jobs were listed %d times, want 2", h.lists)
	}
}
