package local

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// indexSpec is an indexed job, of which some may fail before the others are ended.
func indexSpec(completions int32, maxFailed ...int32) batchv1.JobSpec {
	spec := batchv1.JobSpec{Completions: &completions, Parallelism: &completions, CompletionMode: new(batchv1.IndexedCompletion), BackoffLimitPerIndex: new(int32(1))}
	if len(maxFailed) > 0 {
		spec.MaxFailedIndexes = &maxFailed[0]
	}
	return spec
}

// ofIndex is a pod that ended, or runs, some seconds after the epoch.
func ofIndex(index int, phase corev1.PodPhase, second int64) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{batchv1.JobCompletionIndexAnnotation: strconv.Itoa(index)}}}
	p.Status.Phase = phase
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.Unix(second, 0)}}}}
	return p
}

func TestIndexesToStart(t *testing.T) {
	t.Parallel()
	const failed, ran, runs = corev1.PodFailed, corev1.PodSucceeded, corev1.PodRunning
	cases := map[string]struct {
		pods        []corev1.Pod
		parallelism int32
		slots       int
		active      int32
		second      int64 // since the epoch
		want        []int
		wait        time.Duration
	}{
		"all":                        {parallelism: 4, want: []int{0, 1, 2, 3}, wait: time.Hour},
		"as many as may":             {parallelism: 2, want: []int{0, 1}, wait: time.Hour},
		"as many as there is room":   {parallelism: 4, slots: 3, want: []int{0, 1, 2}, wait: time.Hour},
		"one runs":                   {pods: []corev1.Pod{ofIndex(0, runs, 0)}, parallelism: 2, active: 1, want: []int{1}, wait: time.Hour},
		"one has succeeded":          {pods: []corev1.Pod{ofIndex(1, ran, 0)}, parallelism: 2, want: []int{0, 2}, wait: time.Hour},
		"one waits after a failure":  {pods: []corev1.Pod{ofIndex(0, failed, 10)}, parallelism: 4, second: 19, want: []int{1, 2, 3}, wait: time.Second},
		"it is tried again":          {pods: []corev1.Pod{ofIndex(0, failed, 10)}, parallelism: 1, second: 20, want: []int{0}, wait: time.Hour},
		"one has failed for good":    {pods: []corev1.Pod{ofIndex(0, failed, 0), ofIndex(0, failed, 10)}, parallelism: 1, second: 1000, want: []int{1}, wait: time.Hour},
		"failed, and then succeeded": {pods: []corev1.Pod{ofIndex(0, failed, 0), ofIndex(0, ran, 10)}, parallelism: 1, second: 11, want: []int{1}, wait: time.Hour},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := indexSpec(4)
			spec.Parallelism = &tc.parallelism
			j := &jobRun{job: &batchv1.Job{Spec: spec}, base: 10 * time.Second, slots: tc.slots, state: progress{Pods: tc.pods, Status: batchv1.JobStatus{Active: tc.active}}}
			now := time.Unix(tc.second, 0)
			if diff := cmp.Diff(tc.want, j.indexesToStart(now)); diff != "" {
				t.Errorf("to start (-want +got):\n%s", diff)
			}
			if got := j.nextIndexRetry(now); got != tc.wait {
				t.Errorf("the next retry is in %s, want %s", got, tc.wait)
			}
		})
	}
}

func TestRangesOf(t *testing.T) {
	t.Parallel()
	for want, indexes := range map[string][]int{"": nil, "3": {3}, "0-1": {0, 1}, "0,2-4,9": {0, 2, 3, 4, 9}} {
		if got := rangesOf(indexes); got != want {
			t.Errorf("%v is written %q, want %q", indexes, got, want)
		}
		if got := failedCount(&batchv1.JobStatus{FailedIndexes: &want}); got != int32(len(indexes)) {
			t.Errorf("%q is %d indexes, want %d", want, got, len(indexes))
		}
	}
}

func TestSample(t *testing.T) {
	t.Parallel()
	var pods []corev1.Pod
	for phase, n := range map[corev1.PodPhase]int{corev1.PodFailed: 3, corev1.PodRunning: 101, corev1.PodPending: 100, corev1.PodSucceeded: 400} {
		for range n {
			pods = append(pods, ofIndex(0, phase, 0))
		}
	}
	if got := sample(pods[:maxPods]); len(got) != maxPods {
		t.Errorf("%d of %d are shown", len(got), maxPods)
	}
	if got := sample(pods); len(got) != 3+2*sampled {
		t.Errorf("%d of %d are shown, want %d", len(got), len(pods), 3+2*sampled)
	}
}

// Each index is run once, with its number, no more at once than there are slots.
func TestIndexedJob(t *testing.T) {
	t.Parallel()
	cfg, dir := testConfig(t.TempDir()), t.TempDir()
	cfg.Slots = 2
	r := start(t, cfg, func(metav1.Object) {})
	job := newJob("indexed", shell("c", fmt.Sprintf(`n=$(ls %[1]s | wc -l); test $n -lt 2 || exit 1; touch %[1]s/$JOB_COMPLETION_INDEX; sleep 0.05; rm %[1]s/$JOB_COMPLETION_INDEX
		printf '{"i":%%s}' $MINE >$JOBNETES_OUTPUT; test $MINE != 3`, dir)))
	job.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "MINE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.annotations['batch.kubernetes.io/job-completion-index']"}}}}
	spec := indexSpec(5)
	job.Spec.Completions, job.Spec.Parallelism, job.Spec.CompletionMode, job.Spec.BackoffLimitPerIndex, job.Spec.BackoffLimit = spec.Completions, spec.Parallelism, spec.CompletionMode, spec.BackoffLimitPerIndex, nil
	created := create(t, r, job)
	if got := r.SucceededIndexes(created.UID, 5); len(got) != 0 {
		t.Errorf("%d pods before it has begun", len(got))
	}
	s := waitJob(t, r, "indexed").Status
	if end := ended(&s); end.Type != batchv1.JobFailed || end.Reason != batchv1.JobReasonFailedIndexes {
		t.Errorf("it has ended as %s: %s %s", end.Type, end.Reason, end.Message)
	}
	if s.CompletedIndexes != "0-2,4" || *s.FailedIndexes != "3" || s.Succeeded != 4 || s.Failed != 2 || s.Active != 0 {
		t.Errorf("status %+v", s)
	}
	outputs := func(pods []corev1.Pod) []string {
		left := map[string]string{}
		for _, p := range pods {
			if len(p.Spec.Containers) == 1 || p.Spec.Containers == nil {
				left[p.Annotations[batchv1.JobCompletionIndexAnnotation]] = p.Status.ContainerStatuses[0].State.Terminated.Message
			}
		}
		return slices.Sorted(maps.Values(left))
	}
	want := []string{`{"i":0}`, `{"i":1}`, `{"i":2}`, `{"i":4}`}
	if diff := cmp.Diff(want, outputs(r.SucceededIndexes(created.UID, 5))); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	if again := r.SucceededIndexes(created.UID, 5); len(again) != 0 {
		t.Errorf("%d pods come twice", len(again))
	}
	listed, next, err := r.SucceededPods(t.Context(), "indexed", "")
	if diff := cmp.Diff(want, outputs(listed)); diff != "" || next != "" || err != nil {
		t.Errorf("next %q, %v, listed (-want +got):\n%s", next, err, diff)
	}
}
