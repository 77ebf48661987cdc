package kube

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	relist := func(at string, jobs ...*batchv1.Job) (changed []string) {
		t.Helper()
		l := &batchv1.JobList{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "JobList"}, ListMeta: metav1.ListMeta{ResourceVersion: at}}
		for _, j := range jobs {
			l.Items = append(l.Items, *j)
		}
		list.Store(l)
		if _, err := c.relist(t.Context(), func(obj metav1.Object) { changed = append(changed, obj.GetName()) }); err != nil {
			t.Fatal(err)
		}
		slices.Sort(changed)
		return changed
	}
	relist("200", version("a", "90"), version("b", "80"), version("c", "70"))
	// The watch has told something newer than the list that follows: nothing is restored.
	c.cached.put(version("d", "300"))
	if changed := relist("300", version("a", "90"), version("b", "80"), version("c", "70"), version("d", "300")); len(changed) != 0 {
		t.Errorf("%v have changed, want none", changed)
	}
	pod := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodSucceeded}}
	pod.Labels = map[string]string{batchv1.ControllerUidLabel: "u"}
	c.succeeded.put(pod, time.Now())

	// The backup had a and c; a has ended since, again.
	if changed := relist("95", version("a", "85"), version("c", "70")); !slices.Equal(changed, []string{"a", "b", "c", "d"}) {
		t.Errorf("%v have changed, want all", changed)
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
