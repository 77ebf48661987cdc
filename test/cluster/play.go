package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
)

// Exit is how a container ends.
type Exit struct {
	Code    int32  // 0 is success
	Reason  string // such as OOMKilled; "" is Completed or Error, after Code
	Message string // termination message
}

// Exits says how the containers of a pod end, by container name. One that it
// does not name exits with 0 and no message, so nil is a pod that succeeds.
type Exits map[string]Exit

// Play says how a pod of a Job ends. It is called once the pod is running, in a
// goroutine of its own, and may take its time: the pod runs as long as it does.
// ctx ends when the pod is deleted, or the test ends; what Play gives then does
// not count.
type Play func(ctx context.Context, pod *corev1.Pod) Exits

// PlayPods plays kubelet to the pods of Jobs in a namespace until the test ends:
// it makes each of them run, then succeed, or fail if a container exits with
// another code than 0. Init containers are not played, and nothing is restarted,
// whatever the pod's restartPolicy.
//
// Call it before pods are created: from then on the namespace's pods ask for
// something that no node has, so that no real kubelet runs them.
func (c *Cluster) PlayPods(t testing.TB, namespace string, play Play) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	if err := c.keepOffNodes(ctx, namespace); err != nil {
		cancel()
		t.Fatal(err)
	}
	p := &player{t: t, ctx: ctx, pods: c.Client.CoreV1().Pods(namespace), play: play, stops: map[types.UID]context.CancelFunc{}}
	factory := informers.NewSharedInformerFactoryWithOptions(c.Client, 0,
		informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = batchv1.JobNameLabel }))
	informer := factory.Core().V1().Pods().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { p.observe(obj.(*corev1.Pod)) },
		UpdateFunc: func(_, obj any) { p.observe(obj.(*corev1.Pod)) },
		DeleteFunc: p.forget,
	})
	if err != nil {
		cancel()
		t.Fatalf("watch the pods of namespace %s: %v", namespace, err)
	}
	factory.Start(ctx.Done())
	t.Cleanup(func() {
		cancel()
		factory.Shutdown() // after it, no observe is under way
		p.playing.Wait()
	})
}

// keepOffNodes makes the pods of a namespace unschedulable: each container gets
// a resource that no node offers.
func (c *Cluster) keepOffNodes(ctx context.Context, namespace string) error {
	none := corev1.ResourceList{"jobnetes.test/played": resource.MustParse("1")}
	_, err := c.Client.CoreV1().LimitRanges(namespace).Create(ctx, &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Name: "played"},
		Spec:       corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer, Default: none, DefaultRequest: none}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("keep the pods of namespace %s off nodes: %w", namespace, err)
	}
	return nil
}

// player plays the pods of one namespace.
type player struct {
	t       testing.TB
	ctx     context.Context // of the test
	pods    corev1client.PodInterface
	play    Play
	stops   map[types.UID]context.CancelFunc // only for the informer's one goroutine
	playing sync.WaitGroup
}

// observe begins to play a pod that is new, and stops one that is being deleted.
func (p *player) observe(pod *corev1.Pod) {
	stop, known := p.stops[pod.UID]
	switch {
	case known && pod.DeletionTimestamp != nil:
		stop()
	case !known && pod.Status.Phase == corev1.PodPending && pod.DeletionTimestamp == nil:
		ctx, stop := context.WithCancel(p.ctx)
		p.stops[pod.UID] = stop
		p.playing.Go(func() { p.run(ctx, pod) })
	}
}

// forget stops a pod that is gone.
func (p *player) forget(obj any) {
	if missed, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = missed.Obj
	}
	if pod, ok := obj.(*corev1.Pod); ok {
		if stop, known := p.stops[pod.UID]; known {
			stop()
		}
	}
}

// run plays a pod to its end; ctx ends when the pod is deleted.
func (p *player) run(ctx context.Context, pod *corev1.Pod) {
	started := metav1.Now()
	if err := p.patch(pod, runningStatus(pod, started)); err != nil {
		p.report(pod, err)
		return
	}
	exits := p.play(ctx, pod)
	if ctx.Err() != nil {
		exits = killed(pod)
	}
	p.checkNames(pod, exits)
	p.report(pod, p.patch(pod, endedStatus(pod, started, metav1.Now(), exits)))
}

// checkNames fails the test if exits names a container that the pod has not.
func (p *player) checkNames(pod *corev1.Pod, exits Exits) {
	for name := range exits {
		if !slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == name }) {
			p.t.Errorf("play pod %s/%s: it has no container %q to end", pod.Namespace, pod.Name, name)
		}
	}
}

// report fails the test by an error that is neither its end nor the pod's.
func (p *player) report(pod *corev1.Pod, err error) {
	if err != nil && p.ctx.Err() == nil && !apierrors.IsNotFound(err) {
		p.t.Errorf("play pod %s/%s: %v", pod.Namespace, pod.Name, err)
	}
}

// patch sets the status of a pod and tries again while the API server is away.
func (p *player) patch(pod *corev1.Pod, status corev1.PodStatus) error {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID}, // not another pod of that name
		"status":   status,
	})
	if err != nil {
		return fmt.Errorf("encode its status: %w", err)
	}
	return wait.PollUntilContextCancel(p.ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		_, err := p.pods.Patch(ctx, pod.Name, types.StrategicMergePatchType, body, metav1.PatchOptions{}, "status")
		// An answer about this request is final; a broken connection, a
		// server that is starting or overloaded is not.
		var answer apierrors.APIStatus
		if errors.As(err, &answer) && answer.Status().Code < 429 {
			return false, fmt.Errorf("patch its status: %w", err)
		}
		return err == nil, nil
	})
}
