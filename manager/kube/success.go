package kube

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// SucceedsByPod says whether a Job has succeeded once one of its pods has: it
// wants one completion, of one pod at a time, has no policy that could judge
// otherwise, and has not been judged to fail. The Job controller says the same, but
// only after it has gathered changes of pods for a second.
func SucceedsByPod(job *batchv1.Job) bool {
	return ofOnePod(&job.Spec) && job.DeletionTimestamp == nil && FailedBy(job) == ""
}

// ofOnePod says whether a Job's success is by its spec that of one pod.
func ofOnePod(s *batchv1.JobSpec) bool {
	return atMostOne(s.Completions) && atMostOne(s.Parallelism) && !isIndexed(s) &&
		s.PodFailurePolicy == nil && s.SuccessPolicy == nil && s.ManagedBy == nil
}

// atMostOne is for numbers of pods, which are 1 by default.
func atMostOne(n *int32) bool { return n == nil || *n <= 1 }

func isIndexed(s *batchv1.JobSpec) bool {
	return s.CompletionMode != nil && *s.CompletionMode != batchv1.NonIndexedCompletion
}

// Succeeded returns the pod by which a Job has succeeded; see manager.Jobs.
func (c *Client) Succeeded(job *batchv1.Job) *corev1.Pod {
	if !SucceedsByPod(job) {
		return nil
	}
	return c.succeeded.get(job.UID)
}

// watchPods watches for pods that succeed until ctx ends. It is only about time:
// what it misses the Jobs tell a second later. So it begins with what is new, and
// does not read what has been.
func (c *Client) watchPods(ctx context.Context, changed func(obj metav1.Object)) {
	said := false
	for ctx.Err() == nil {
		began := time.Now()
		err := c.watchPodsFromNow(ctx, changed)
		if ctx.Err() == nil && !said && !apierrors.IsGone(err) && !apierrors.IsResourceExpired(err) {
			level := c.unlessAway(ctx, slog.LevelWarn)
			said = level == slog.LevelWarn
			c.log.Log(ctx, level, "pods cannot be watched: until they can, tasks go on about a second later, when their Jobs are complete", "namespace", c.cfg.Namespace, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(began.Add(relistRetry))):
		}
	}
}

// watchPodsFromNow returns why the watch cannot go on from where it was.
func (c *Client) watchPodsFromNow(ctx context.Context, changed func(obj metav1.Object)) error {
	pods := c.api.CoreV1().Pods(c.cfg.Namespace)
	// No pod has this name: what is asked for is the version of the list.
	now, err := pods.List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, "none").String()})
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	open := func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
		o.LabelSelector = c.selector()
		o.FieldSelector = fields.OneTermEqualSelector("status.phase", string(corev1.PodSucceeded)).String()
		return pods.Watch(ctx, o)
	}
	err = follow(ctx, now.ResourceVersion, open, func(event watch.EventType, pod *corev1.Pod) {
		switch {
		case event == watch.Deleted:
			c.succeeded.remove(pod)
		case isIndex(pod):
			if c.indexes.put(pod, time.Now()) {
				changed(pod)
			}
		case c.succeeded.put(pod, time.Now()):
			changed(pod)
		}
	})
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	return nil
}

// successes keeps the pods by which Jobs have succeeded, for as long as it takes
// until that is written; who comes later asks the API server.
type successes struct {
	mu   sync.Mutex
	pods map[types.UID]success // by the UIDs of their Jobs
}

type success struct {
	pod *corev1.Pod
	at  time.Time
}

func newSuccesses() *successes { return &successes{pods: map[types.UID]success{}} }

func (s *successes) get(job types.UID) *corev1.Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pods[job].pod
}

// countedFor returns the UID of the Job that a pod has succeeded for. It counts if
// the Job controller has made it, is to count it, and will count it as succeeded: one
// that is being deleted may have been counted as failed. One that somebody else has
// made counts when the controller has adopted it.
func countedFor(pod *corev1.Pod) (job types.UID, counts bool) {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || !slices.Contains(pod.Finalizers, batchv1.JobTrackingFinalizer) || pod.Status.Phase != corev1.PodSucceeded || pod.DeletionTimestamp != nil {
		return "", false
	}
	return owner.UID, true
}

// put keeps a pod that counts for its Job; it says whether it is new.
func (s *successes) put(pod *corev1.Pod, now time.Time) bool {
	job, counts := countedFor(pod)
	if !counts {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.pods[job]; known {
		return false
	}
	s.pods[job] = success{slimPod(pod), now}
	return true
}

// remove forgets a pod that is gone.
func (s *successes) remove(pod *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner := metav1.GetControllerOf(pod); owner != nil && s.pods[owner.UID].pod != nil && s.pods[owner.UID].pod.UID == pod.UID {
		delete(s.pods, owner.UID)
	}
}

// forget drops what was told before then.
func (s *successes) forget(before time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for job, p := range s.pods {
		if p.at.Before(before) {
			delete(s.pods, job)
		}
	}
}

// slimPod drops what nobody reads of a pod that has succeeded.
func slimPod(pod *corev1.Pod) *corev1.Pod {
	slim := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, UID: pod.UID, Labels: pod.Labels, CreationTimestamp: pod.CreationTimestamp},
		Status: corev1.PodStatus{
			Phase: pod.Status.Phase, StartTime: pod.Status.StartTime,
			ContainerStatuses: pod.Status.ContainerStatuses, InitContainerStatuses: pod.Status.InitContainerStatuses,
		},
	}
	slim.Spec.InitContainers, slim.Spec.Containers = slimContainers(pod.Spec.InitContainers), slimContainers(pod.Spec.Containers)
	return slim
}

func slimContainers(all []corev1.Container) []corev1.Container {
	slim := make([]corev1.Container, len(all))
	for i, c := range all {
		slim[i] = corev1.Container{Name: c.Name, Image: c.Image, RestartPolicy: c.RestartPolicy}
	}
	return slim
}
