package kube

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// IndexBatch is how many pods of an indexed Job have to succeed for an event: their
	// outputs are written together.
	IndexBatch = 500
	// indexInterest is how long pods are gathered for who does not ask for them.
	indexInterest = time.Minute
	// maxNamedIndexes bounds, in bytes, what a message has of the indexes that failed.
	maxNamedIndexes = 200
)

// IndexOf returns which index of an Indexed Job a pod does; false if none.
func IndexOf(pod *corev1.Pod) (index uint32, ok bool) {
	n, err := strconv.ParseUint(pod.Annotations[batchv1.JobCompletionIndexAnnotation], 10, 32)
	return uint32(n), err == nil
}

// OutputOf returns the JSON object that a pod that has succeeded left as termination
// message; note says why there is none although it left something.
func OutputOf(pod *corev1.Pod) (output, note string) { return outputOf([]corev1.Pod{*pod}) }

// SucceededIndexes returns pods of an indexed Job that have succeeded; see
// manager.Jobs.
func (c *Client) SucceededIndexes(job types.UID, count uint32) []corev1.Pod {
	return c.indexes.take(job, count, time.Now())
}

func isIndex(pod *corev1.Pod) bool {
	_, ok := IndexOf(pod)
	return ok
}

// indexes gathers pods of indexed Jobs that have succeeded, for who asks for them.
type indexes struct {
	mu   sync.Mutex
	jobs map[types.UID]*indexPods
}

// indexPods are what is gathered of one Job.
type indexPods struct {
	asked time.Time
	pods  []corev1.Pod // that nobody has taken yet
	seen  []bool       // by index: an event comes more than once
}

func newIndexes() *indexes { return &indexes{jobs: map[types.UID]*indexPods{}} }

// take returns what has been gathered of a Job with so many indexes since the last
// call, and has more gathered for some time.
func (x *indexes) take(job types.UID, count uint32, now time.Time) []corev1.Pod {
	x.mu.Lock()
	defer x.mu.Unlock()
	g := x.jobs[job]
	if g == nil {
		for uid, other := range x.jobs {
			if other.isStale(now) {
				delete(x.jobs, uid)
			}
		}
		g = &indexPods{seen: make([]bool, count)}
		x.jobs[job] = g
	}
	pods := g.pods
	g.asked, g.pods = now, nil
	return pods
}

func (g *indexPods) isStale(now time.Time) bool { return now.Sub(g.asked) > indexInterest }

// put gathers a pod that counts for its Job, if somebody asks for those. It says
// whether there are enough to be taken.
func (x *indexes) put(pod *corev1.Pod, now time.Time) bool {
	job, counts := countedFor(pod)
	index, ok := IndexOf(pod)
	if !counts || !ok {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	g := x.jobs[job]
	if g == nil || int(index) >= len(g.seen) || g.seen[index] {
		return false
	}
	if g.isStale(now) {
		delete(x.jobs, job)
		return false
	}
	g.seen[index] = true
	g.pods = append(g.pods, *slimIndex(pod))
	return len(g.pods)%IndexBatch == 0
}

// slimIndex keeps of a pod what IndexOf and OutputOf read.
func slimIndex(pod *corev1.Pod) *corev1.Pod {
	slim := slimPod(pod)
	slim.ObjectMeta = metav1.ObjectMeta{
		Name:        pod.Name,
		Annotations: map[string]string{batchv1.JobCompletionIndexAnnotation: pod.Annotations[batchv1.JobCompletionIndexAnnotation]},
	}
	return slim
}

// failedIndexes begins the message of a Job, some of whose indexes have failed:
// which, as Kubernetes writes them (1,3-5). Empty if there are none.
func failedIndexes(job *batchv1.Job) string {
	if job.Status.FailedIndexes == nil || *job.Status.FailedIndexes == "" {
		return ""
	}
	failed := *job.Status.FailedIndexes
	count := 0
	for part := range strings.SplitSeq(failed, ",") {
		first, last, isRange := strings.Cut(part, "-")
		count++
		if from, err := strconv.Atoi(first); isRange && err == nil {
			if to, err := strconv.Atoi(last); err == nil {
				count += to - from
			}
		}
	}
	if len(failed) > maxNamedIndexes {
		failed = failed[:strings.LastIndexByte(failed[:maxNamedIndexes], ',')] + ",..."
	}
	of := ""
	if job.Spec.Completions != nil {
		of = fmt.Sprintf(" of %d", *job.Spec.Completions)
	}
	return fmt.Sprintf("%d%s indexes failed (%s): ", count, of, failed)
}
