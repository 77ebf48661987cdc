package kube

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// podOfIndex is a pod of the Job with that UID that has succeeded with an index.
func podOfIndex(job string, index int) *corev1.Pod {
	p := podOfJob(job, corev1.PodSucceeded)
	p.Annotations = map[string]string{batchv1.JobCompletionIndexAnnotation: strconv.Itoa(index)}
	return p
}

func TestBuildIndexed(t *testing.T) {
	t.Parallel()
	in := task(t)
	in.Indexed = true
	for _, c := range append(Build(in).Spec.Template.Spec.Containers, Build(in).Spec.Template.Spec.InitContainers...) {
		path := ""
		for _, e := range c.Env {
			if e.Name == EnvIndex {
				path = e.ValueFrom.FieldRef.FieldPath
			}
		}
		if path != "metadata.annotations['batch.kubernetes.io/job-completion-index']" {
			t.Errorf("container %s has its index from %q", c.Name, path)
		}
	}
}

func indexesOf(pods []corev1.Pod) (all []int) {
	for i := range pods {
		index, ok := IndexOf(&pods[i])
		if output, note := OutputOf(&pods[i]); !ok || output != `{"x":1}` || note != "" {
			return []int{-1}
		}
		all = append(all, int(index))
	}
	return all
}

func TestIndexesAreGathered(t *testing.T) {
	t.Parallel()
	now := time.Now()
	x := newIndexes()
	put := func(pod *corev1.Pod) {
		t.Helper()
		if x.put(pod, now) {
			t.Error("a pod alone is worth an event")
		}
	}
	put(podOfIndex("u1", 0)) // nobody has asked
	if got := x.take("u1", 3, now); len(got) != 0 {
		t.Errorf("before anything was gathered: %v", indexesOf(got))
	}
	put(podOfIndex("u1", 2))
	put(podOfIndex("u1", 1))
	put(podOfIndex("u1", 2)) // again
	put(podOfIndex("u1", 3)) // there is none
	put(podOfIndex("u2", 0))
	gone := podOfIndex("u1", 0)
	gone.DeletionTimestamp = &metav1.Time{Time: now}
	put(gone)
	put(withoutOwner(podOfIndex("u1", 0)))
	if diff := cmp.Diff([]int{2, 1}, indexesOf(x.take("u1", 3, now))); diff != "" {
		t.Errorf("gathered (-want +got):\n%s", diff)
	}
	put(podOfIndex("u1", 1)) // was taken
	put(podOfIndex("u1", 0))
	if diff := cmp.Diff([]int{0}, indexesOf(x.take("u1", 3, now))); diff != "" {
		t.Errorf("gathered then (-want +got):\n%s", diff)
	}
}

// A batch is worth an event, and nothing is kept for who does not come back.
func TestIndexesAreGatheredInBatches(t *testing.T) {
	t.Parallel()
	now := time.Now()
	x := newIndexes()
	x.take("u1", 3*IndexBatch, now)
	events := 0
	for i := range 2*IndexBatch + 1 {
		if x.put(podOfIndex("u1", i), now) {
			events++
		}
	}
	if events != 2 {
		t.Errorf("%d events of %d pods", events, 2*IndexBatch+1)
	}
	late := now.Add(indexInterest + 1)
	x.put(podOfIndex("u1", 2*IndexBatch+2), late)
	if got := x.take("u1", 3*IndexBatch, late); len(got) != 0 {
		t.Errorf("%d pods were kept for who had not asked for %s", len(got), indexInterest)
	}
	x.take("u2", 1, late.Add(indexInterest+1))
	if len(x.jobs) != 1 {
		t.Errorf("%d Jobs are known, want the one that was asked for", len(x.jobs))
	}
}

func TestFailedIndexes(t *testing.T) {
	t.Parallel()
	var many []string
	for i := range 100 {
		many = append(many, strconv.Itoa(2*i))
	}
	cases := map[string]struct {
		failed *string
		want   string
	}{
		"not indexed": {nil, ""},
		"none":        {new(""), ""},
		"one":         {new("3"), "1 of 5000 indexes failed (3): "},
		"ranges":      {new("1,3-5,4000-4999"), "1004 of 5000 indexes failed (1,3-5,4000-4999): "},
		"many":        {new(strings.Join(many, ",")), "100 of 5000 indexes failed (0,2,4,"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := failedBy(batchv1.JobReasonFailedIndexes, "Job has failed indexes")
			job.Spec.Completions, job.Status.FailedIndexes = new(int32(5000)), tc.failed
			got := failedIndexes(job)
			if !strings.HasPrefix(got, tc.want) || len(got) > maxNamedIndexes+60 {
				t.Errorf("got %q", got)
			}
			p := pod("p", corev1.PodFailed, ended("c", 3, "Error", ""))
			if o := OutcomeOf(job, []corev1.Pod{p}, nil); o.Reason != batchv1.JobReasonFailedIndexes || o.Message != got+"pod p: container c exited with code 3; Job has failed indexes" {
				t.Errorf("%s: %s", o.Reason, o.Message)
			}
		})
	}
}

// podServer is an API server with pods of one Job.
func podServer(t *testing.T, failed, running, succeeded int) (c *Client, requests *[]string) {
	t.Helper()
	var all []corev1.Pod
	for phase, n := range map[corev1.PodPhase]int{corev1.PodFailed: failed, corev1.PodRunning: running, corev1.PodSucceeded: succeeded} {
		for i := range n {
			all = append(all, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(phase, i)}, Status: corev1.PodStatus{Phase: phase}})
		}
	}
	requests = new([]string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		*requests = append(*requests, q.Get("fieldSelector"))
		var list corev1.PodList
		list.APIVersion, list.Kind = "v1", "PodList"
		first, _ := strconv.Atoi(q.Get("continue"))
		limit, err := strconv.Atoi(q.Get("limit"))
		if q.Get("labelSelector") != "batch.kubernetes.io/job-name=j" || err != nil {
			t.Errorf("asked for %v", q)
		}
		n := 0
		for _, p := range all {
			is := "status.phase=" + string(p.Status.Phase)
			if s := q.Get("fieldSelector"); s != "" && s != is && (s != notEnded || p.Status.Phase != corev1.PodRunning) {
				continue
			}
			if n++; n <= first {
				continue
			}
			if len(list.Items) == limit {
				list.Continue = strconv.Itoa(first + limit)
				break
			}
			list.Items = append(list.Items, p)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list)
	}))
	t.Cleanup(server.Close)
	c, err := New(&rest.Config{Host: server.URL}, Config{Namespace: "ns", Installation: "i"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c, requests
}

func phases(pods []corev1.Pod) map[corev1.PodPhase]int {
	n := map[corev1.PodPhase]int{}
	for _, p := range pods {
		n[p.Status.Phase]++
	}
	return n
}

func TestPods(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		failed, running, succeeded int
		want                       map[corev1.PodPhase]int
		requests                   int
	}{
		"few":               {2, 3, 4, map[corev1.PodPhase]int{corev1.PodFailed: 2, corev1.PodRunning: 3, corev1.PodSucceeded: 4}, 1},
		"as many as may be": {0, 0, podPage, map[corev1.PodPhase]int{corev1.PodSucceeded: podPage}, 1},
		"many":              {1, 150, 700, map[corev1.PodPhase]int{corev1.PodFailed: 1, corev1.PodRunning: podSample, corev1.PodSucceeded: podSample}, 4},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, requests := podServer(t, tc.failed, tc.running, tc.succeeded)
			pods, err := c.Pods(t.Context(), "j")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, phases(pods)); diff != "" || len(*requests) != tc.requests {
				t.Errorf("%d requests, pods (-want +got):\n%s", len(*requests), diff)
			}
		})
	}
}

func TestSucceededPods(t *testing.T) {
	t.Parallel()
	c, requests := podServer(t, 5, 5, 2*podPage+1)
	seen := map[string]bool{}
	for from := ""; ; {
		pods, next, err := c.SucceededPods(t.Context(), "j", from)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pods {
			seen[p.Name] = p.Status.Phase == corev1.PodSucceeded
		}
		if from = next; next == "" {
			break
		}
	}
	if len(seen) != 2*podPage+1 || len(*requests) != 3 {
		t.Errorf("%d pods with %d requests", len(seen), len(*requests))
	}
}
