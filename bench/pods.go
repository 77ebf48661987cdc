package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// podWatch sees when the pods of Jobs succeed. The floor goes on by it, and
// times are taken from it: by this machine's clock, when the event came in.
type podWatch struct {
	mu        sync.Mutex
	succeeded map[string]time.Time     // by Job
	waiting   map[string]chan struct{} // closed when the Job's pod has succeeded
	tracked   map[string]bool          // pods that the Job controller is not done with
}

// watchPods watches the pods of a namespace until ctx ends.
func watchPods(ctx context.Context, client kubernetes.Interface, namespace string) (*podWatch, error) {
	w := &podWatch{succeeded: map[string]time.Time{}, waiting: map[string]chan struct{}{}, tracked: map[string]bool{}}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = batchv1.JobNameLabel }))
	informer := factory.Core().V1().Pods().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { w.see(obj.(*corev1.Pod)) },
		UpdateFunc: func(_, obj any) { w.see(obj.(*corev1.Pod)) },
		DeleteFunc: func(obj any) {
			if pod, ok := obj.(*corev1.Pod); ok {
				w.forget(pod)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return nil, fmt.Errorf("watch pods: %w", context.Cause(ctx))
	}
	return w, nil
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
	if _, seen := w.succeeded[job]; seen || pod.Status.Phase != corev1.PodSucceeded {
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
