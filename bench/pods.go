package bench

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// podWatch sees when the pods of Jobs succeed. The floor goes on by it, and
// times are taken from it: by this machine's clock, when the event came in.
//
// It asks for succeeded pods alone. Under load the API server closes watches that
// are slow: this one goes on at once where it was, and not, as an informer, after a
// pause that grows to 30 s, by which the floor would be too high.
type podWatch struct {
	pods corev1client.PodInterface

	mu        sync.Mutex
	succeeded map[string]time.Time     // by Job
	waiting   map[string]chan struct{} // closed when the Job's pod has succeeded
	tracked   map[string]bool          // succeeded pods that the Job controller is not done with
}

// succeededPods are those of Jobs.
var succeededPods = metav1.ListOptions{LabelSelector: batchv1.JobNameLabel, FieldSelector: "status.phase=" + string(corev1.PodSucceeded)}

// watchPods watches the pods of a namespace until ctx ends.
func watchPods(ctx context.Context, client kubernetes.Interface, namespace string) *podWatch {
	w := &podWatch{pods: client.CoreV1().Pods(namespace), succeeded: map[string]time.Time{}, waiting: map[string]chan struct{}{}}
	go func() {
		version := ""
		for ctx.Err() == nil {
			var err error
			if version, err = w.follow(ctx, version); err != nil && ctx.Err() == nil {
				slog.InfoContext(ctx, "the watch of pods begins anew", "error", err)
				_ = pause(ctx, 100*time.Millisecond) // ctx is looked at anyway
			}
		}
	}()
	return w
}

// follow watches from a version on until the API server closes the watch, and gives
// the version to go on from. With none it begins with the pods that are there; after
// an error there is none.
func (w *podWatch) follow(ctx context.Context, version string) (string, error) {
	if version == "" {
		w.mu.Lock()
		w.tracked = map[string]bool{}
		w.mu.Unlock()
	}
	options := succeededPods
	options.ResourceVersion, options.AllowWatchBookmarks = version, true
	watcher, err := w.pods.Watch(ctx, options)
	if err != nil {
		return "", err
	}
	defer watcher.Stop()
	for event := range watcher.ResultChan() {
		pod, ok := event.Object.(*corev1.Pod)
		if !ok {
			return "", apierrors.FromObject(event.Object)
		}
		version = pod.ResourceVersion
		switch event.Type {
		case watch.Added, watch.Modified:
			w.see(pod)
		case watch.Deleted:
			w.forget(pod)
		}
	}
	return version, nil
}

func (w *podWatch) see(pod *corev1.Pod) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(pod.Finalizers) > 0 {
		w.tracked[pod.Name] = true
	} else {
		delete(w.tracked, pod.Name)
	}
	job := pod.Labels[batchv1.JobNameLabel]
	if _, seen := w.succeeded[job]; seen {
		return
	}
	w.succeeded[job] = now
	if c := w.waiting[job]; c != nil {
		close(c)
		delete(w.waiting, job)
	}
}

func (w *podWatch) forget(pod *corev1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.tracked, pod.Name)
}

// wait returns when the pod of a Job has succeeded. One goroutine may wait for a
// Job.
func (w *podWatch) wait(ctx context.Context, job string) error {
	w.mu.Lock()
	if _, seen := w.succeeded[job]; seen {
		w.mu.Unlock()
		return nil
	}
	c := make(chan struct{})
	w.waiting[job] = c
	w.mu.Unlock()
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the pod of Job %s has not succeeded: %w", job, context.Cause(ctx))
	}
}

// at gives when the pod of a Job succeeded.
func (w *podWatch) at(job string) (at time.Time, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok = w.succeeded[job]
	return at, ok
}

// settle returns when the Job controller is done with all pods, so that the work of
// one run is not left to the next.
func (w *podWatch) settle(ctx context.Context) error {
	for {
		w.mu.Lock()
		left := len(w.tracked)
		w.mu.Unlock()
		if left == 0 {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("the Job controller is not done with %d pods: %w", left, err)
		}
	}
}

// pause waits until d is over, or gives why ctx has ended before.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
