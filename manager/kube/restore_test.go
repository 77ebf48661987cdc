package kube

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// After etcd was restored from a backup, versions go on from a lower one: what was
// known before must not hide what is told from then on.
func TestRestoredEtcd(t *testing.T) {
	t.Parallel()
	var list atomic.Pointer[batchv1.JobList]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list.Load())
	}))
	t.Cleanup(server.Close)
	c, err := New(&rest.Config{Host: server.URL}, Config{Namespace: "jobs"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var restored bool
	relist := func(at string, jobs ...*batchv1.Job) (changed []string) {
		t.Helper()
		l := &batchv1.JobList{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "JobList"}, ListMeta: metav1.ListMeta{ResourceVersion: at}}
		for _, j := range jobs {
			l.Items = append(l.Items, *j)
		}
		list.Store(l)
		var err error
		if _, restored, err = c.relist(t.Context(), func(obj metav1.Object) { changed = append(changed, obj.GetName()) }); err != nil {
			t.Fatal(err)
		}
		slices.Sort(changed)
		return changed
	}
	relist("200", version("a", "90"), version("b", "80"), version("c", "70"))
	// The watch has told something newer than the list that follows: nothing is restored.
	c.cached.put(version("d", "300"))
	if changed := relist("300", version("a", "90"), version("b", "80"), version("c", "70"), version("d", "300")); len(changed) != 0 || restored {
		t.Errorf("%v have changed, want none; restored: %t", changed, restored)
	}
	pod := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodSucceeded}}
	pod.Labels = map[string]string{batchv1.ControllerUidLabel: "u"}
	c.succeeded.put(pod, time.Now())

	// The backup had a and c; a has ended since, again.
	if changed := relist("95", version("a", "85"), version("c", "70")); !slices.Equal(changed, []string{"a", "b", "c", "d"}) || !restored {
		t.Errorf("%v have changed, want all; restored: %t", changed, restored)
	}
	if v := c.Cached("a").ResourceVersion; v != "85" || c.Cached("b") != nil || c.Cached("d") != nil {
		t.Errorf("a is known by version %s, b as %v, d as %v", v, c.Cached("b"), c.Cached("d"))
	}
	if c.succeeded.get("u") != nil {
		t.Error("a pod's success is known from times that have not been")
	}
	if changed := relist("96", version("a", "96"), version("c", "70")); !slices.Equal(changed, []string{"a"}) {
		t.Errorf("%v have changed, want a", changed)
	}
}

// backedUp is an API server whose etcd has no Jobs, and can be restored from a backup.
type backedUp struct {
	version atomic.Int64
	opened  chan string // the watches, by what they are of and the version that they begin with
	told    chan *batchv1.Job
}

func (b *backedUp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	of := path.Base(r.URL.Path)
	if r.URL.Query().Get("watch") == "" {
		meta := metav1.ListMeta{ResourceVersion: strconv.FormatInt(b.version.Load(), 10)}
		if of == "pods" {
			_ = json.NewEncoder(w).Encode(corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, ListMeta: meta})
		} else {
			_ = json.NewEncoder(w).Encode(batchv1.JobList{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "JobList"}, ListMeta: meta})
		}
		return
	}
	_ = http.NewResponseController(w).Flush()
	b.opened <- of + " from " + r.URL.Query().Get("resourceVersion")
	var told chan *batchv1.Job
	if of == "jobs" {
		told = b.told
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case job := <-told:
			_ = json.NewEncoder(w).Encode(metav1.WatchEvent{Type: string(watch.Added), Object: runtime.RawExtension{Object: job}})
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// Watches begin anew once etcd was restored, also if to a version that is higher than
// the one that they began with.
func TestWatchesOfARestoredEtcd(t *testing.T) {
	t.Parallel()
	b := &backedUp{opened: make(chan string, 10), told: make(chan *batchv1.Job)}
	b.version.Store(100)
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	c, err := New(&rest.Config{Host: server.URL}, Config{Namespace: "jobs", Installation: "i", RelistInterval: 10 * time.Millisecond}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	changed, ended := make(chan string, 100), make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Run(t.Context(), func(obj metav1.Object) { changed <- obj.GetName() }) // until the test ends
	}()
	t.Cleanup(func() { <-ended })
	expect := func(from chan string, want ...string) {
		t.Helper()
		var got []string
		for range want {
			select {
			case s := <-from:
				got = append(got, s)
			case <-time.After(time.Minute):
				t.Fatalf("got %v in a minute, want %v", got, want)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	expect(b.opened, "jobs from 100", "pods from 100")
	b.version.Store(500)
	b.told <- jobOf(500)
	expect(changed, "job500")
	b.version.Store(300)
	expect(b.opened, "jobs from 300", "pods from 300")
}
