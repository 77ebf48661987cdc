package local

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
)

// isIndexed tells whether each pod of the job does one index.
func isIndexed(spec *batchv1.JobSpec) bool {
	return spec.CompletionMode != nil && *spec.CompletionMode == batchv1.IndexedCompletion
}

// newIndexPod is a pending pod of the job for one of its indexes.
func newIndexPod(job *batchv1.Job, index int, now time.Time) corev1.Pod {
	pod, text := newPod(job, now), strconv.Itoa(index)
	pod.Name = podPrefix(job.Name) + text + "-" + rand.String(5)
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[batchv1.JobCompletionIndexAnnotation] = text
	pod.Labels[batchv1.JobCompletionIndexAnnotation] = text
	return pod
}

// indexState is what pods have made of an index so far.
type indexState struct {
	active, succeeded bool
	failures          int32
	lastFailure       time.Time
}

func (s indexState) failed(spec *batchv1.JobSpec) bool {
	return !s.succeeded && s.failures > *spec.BackoffLimitPerIndex
}

// waits tells whether the index needs a pod and has none.
func (s indexState) waits(spec *batchv1.JobSpec) bool {
	return !s.active && !s.succeeded && !s.failed(spec)
}

// indexStates are the states of an indexed job's indexes.
func indexStates(spec *batchv1.JobSpec, pods []corev1.Pod) []indexState {
	states := make([]indexState, *spec.Completions)
	for i := range pods {
		index, err := strconv.Atoi(pods[i].Annotations[batchv1.JobCompletionIndexAnnotation])
		if err != nil {
			continue
		}
		s := &states[index]
		switch pods[i].Status.Phase {
		case corev1.PodSucceeded:
			s.succeeded = true
		case corev1.PodFailed:
			s.failures++
			s.lastFailure = endOf(&pods[i])
		default:
			s.active = true
		}
	}
	return states
}

// endOf is when the last container of a pod ended; zero if none has run.
func endOf(pod *corev1.Pod) (last time.Time) {
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if t := c.State.Terminated; t != nil && t.FinishedAt.After(last) {
			last = t.FinishedAt.Time
		}
	}
	return last
}

// retryAt is when the next pod of the index may start.
func (s indexState) retryAt(base time.Duration) time.Time {
	return s.lastFailure.Add(backoff(base, int(s.failures)))
}

// indexesToStart are the indexes that are to get a pod now, lowest first.
func (j *jobRun) indexesToStart(now time.Time) (start []int) {
	spec := &j.job.Spec
	room := *spec.Parallelism
	if j.slots > 0 {
		room = min(room, int32(j.slots))
	}
	for index, s := range indexStates(spec, j.state.Pods) {
		if j.state.Status.Active+int32(len(start)) >= room {
			break
		}
		if s.waits(spec) && !now.Before(s.retryAt(j.base)) {
			start = append(start, index)
		}
	}
	return start
}

// nextIndexRetry is how long no index that has failed may be tried again.
func (j *jobRun) nextIndexRetry(now time.Time) time.Duration {
	wait := time.Hour
	for _, s := range indexStates(&j.job.Spec, j.state.Pods) {
		if at := s.retryAt(j.base); s.waits(&j.job.Spec) && at.After(now) {
			wait = min(wait, at.Sub(now))
		}
	}
	return wait
}

// countIndexes brings the job's status up to date once a pod has ended in that phase.
func (j *jobRun) countIndexes(phase corev1.PodPhase) {
	status := &j.state.Status
	if phase != corev1.PodSucceeded {
		status.Failed++
	}
	var succeeded, failed []int
	for index, s := range indexStates(&j.job.Spec, j.state.Pods) {
		switch {
		case s.succeeded:
			succeeded = append(succeeded, index)
		case s.failed(&j.job.Spec):
			failed = append(failed, index)
		}
	}
	status.Succeeded = int32(len(succeeded))
	status.CompletedIndexes, status.FailedIndexes = rangesOf(succeeded), new(rangesOf(failed))
}

// rangesOf writes indexes, in order, as Kubernetes does: 1,3-5.
func rangesOf(indexes []int) string {
	var parts []string
	for len(indexes) > 0 {
		n := 1
		for n < len(indexes) && indexes[n] == indexes[n-1]+1 {
			n++
		}
		part := strconv.Itoa(indexes[0])
		if n > 1 {
			part += "-" + strconv.Itoa(indexes[n-1])
		}
		parts, indexes = append(parts, part), indexes[n:]
	}
	return strings.Join(parts, ",")
}

// failedCount is how many indexes of the job have failed.
func failedCount(status *batchv1.JobStatus) (count int32) {
	if status.FailedIndexes == nil || *status.FailedIndexes == "" {
		return 0
	}
	for part := range strings.SplitSeq(*status.FailedIndexes, ",") {
		var first, last int32
		if n, _ := fmt.Sscanf(part, "%d-%d", &first, &last); n < 2 {
			last = first
		}
		count += last - first + 1
	}
	return count
}

// tooManyFailed tells whether more indexes have failed than may.
func tooManyFailed(spec *batchv1.JobSpec, status *batchv1.JobStatus) bool {
	return spec.MaxFailedIndexes != nil && failedCount(status) > *spec.MaxFailedIndexes
}

// allIndexesEnded tells whether some indexes of the job have failed, and the others
// have succeeded.
func allIndexesEnded(spec *batchv1.JobSpec, status *batchv1.JobStatus) bool {
	return isIndexed(spec) && status.FailedIndexes != nil && status.Succeeded+failedCount(status) >= *spec.Completions
}

func succeededOf(pods []corev1.Pod) (succeeded []corev1.Pod) {
	for _, p := range pods {
		if p.Status.Phase == corev1.PodSucceeded {
			succeeded = append(succeeded, p)
		}
	}
	return succeeded
}

// SucceededIndexes returns the pods of an indexed Job that have succeeded and that it
// has not returned before.
func (r *Runner) SucceededIndexes(job types.UID, _ uint32) (fresh []corev1.Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.jobs {
		if t.rec.Job.UID != job {
			continue
		}
		if t.taken == nil {
			t.taken = map[string]bool{}
		}
		for _, p := range t.succeeded {
			if !t.taken[p.Name] {
				t.taken[p.Name] = true
				p.Spec = t.rec.Job.Spec.Template.Spec
				fresh = append(fresh, p)
			}
		}
	}
	return fresh
}

// SucceededPods returns all of the Job's pods that have succeeded.
func (r *Runner) SucceededPods(_ context.Context, jobName, _ string) (pods []corev1.Pod, next string, err error) {
	all, err := r.allPods(jobName)
	return succeededOf(all), "", err
}

const (
	// maxPods is how many pods are shown of a job, and sampled how many of those that
	// failed, have not ended, and have succeeded stand for more.
	maxPods = 500
	sampled = 100
)

// sample returns the pods, or some of each kind if there are many.
func sample(pods []corev1.Pod) (some []corev1.Pod) {
	if len(pods) <= maxPods {
		return pods
	}
	var shown [3]int
	for _, p := range pods {
		kind := 0
		switch p.Status.Phase {
		case corev1.PodFailed:
			kind = 1
		case corev1.PodSucceeded:
			kind = 2
		}
		if shown[kind]++; shown[kind] <= sampled {
			some = append(some, p)
		}
	}
	return some
}
