package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"google.golang.org/grpc/metadata"

	"github.com/jobnetes/jobnetes/manager/kube"
	pb "github.com/jobnetes/jobnetes/proto"
)

// reporter plays the containers of pods that report: each computes its output from
// its input, records it as a container would, with what its environment says, and
// then ends.
type reporter struct {
	report    *report
	client    kubernetes.Interface
	namespace string

	mu      sync.Mutex
	jobapis map[string]pb.JobapiClient // by endpoint
	played  map[types.UID]bool
	playing sync.WaitGroup
}

// run plays until ctx ends.
func (r *reporter) run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(r.client, 0, informers.WithNamespace(r.namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = roleLabel + "=" + reports }))
	_, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { r.observe(ctx, obj.(*corev1.Pod)) },
		UpdateFunc: func(_, obj any) { r.observe(ctx, obj.(*corev1.Pod)) },
	})
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	factory.Shutdown() // after it, no observe is under way
	r.playing.Wait()
	return nil
}

// observe begins to play a pod that runs.
func (r *reporter) observe(ctx context.Context, pod *corev1.Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil || r.played[pod.UID] {
		return
	}
	r.played[pod.UID] = true
	r.playing.Go(func() {
		if err := r.play(ctx, pod); err != nil && ctx.Err() == nil {
			r.report.problem("pod %s: %v", pod.Name, err)
		}
	})
}

func (r *reporter) play(ctx context.Context, pod *corev1.Pod) error {
	env := map[string]string{}
	for _, v := range pod.Spec.Containers[0].Env {
		env[v.Name] = strings.ReplaceAll(v.Value, "$$", "$")
	}
	var input any
	if err := json.Unmarshal([]byte(env[kube.EnvInput]), &input); err != nil {
		return fmt.Errorf("its input: %w", err)
	}
	output, err := json.Marshal(outputOf(pod.Labels[kube.LabelTask], input))
	if err != nil {
		return err
	}
	if err := r.record(ctx, env, output); err != nil {
		return fmt.Errorf("record the output of task %s: %w", env[kube.EnvTaskID], err)
	}
	return r.end(ctx, pod)
}

// record records an output until jobapi acknowledges it.
func (r *reporter) record(ctx context.Context, env map[string]string, output []byte) error {
	jobapi, err := r.jobapi(env[kube.EnvEndpoint])
	if err != nil {
		return err
	}
	var task uint64
	if _, err := fmt.Sscan(env[kube.EnvTaskID], &task); err != nil {
		return err
	}
	for {
		attempt, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+env[kube.EnvToken]), callTimeout)
		_, err := jobapi.RecordTaskOutput(attempt, &pb.TaskOutputRecordRequest{TaskId: task, Data: output})
		cancel()
		if err == nil || ctx.Err() != nil || !passes(err) {
			return err
		}
		wait(ctx, 200*time.Millisecond)
	}
}

func (r *reporter) jobapi(endpoint string) (pb.JobapiClient, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.jobapis[endpoint] == nil {
		conn, err := dial(endpoint)
		if err != nil {
			return nil, err
		}
		r.jobapis[endpoint] = pb.NewJobapiClient(conn)
	}
	return r.jobapis[endpoint], nil
}

// end has a pod end, however long the API server is away.
func (r *reporter) end(ctx context.Context, pod *corev1.Pod) error {
	patch := fmt.Appendf(nil, `{"metadata":{"uid":%q,"annotations":{%q:"true"}}}`, pod.UID, recordedAnnotation)
	for {
		_, err := r.client.CoreV1().Pods(r.namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err == nil || ctx.Err() != nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return err
		}
		wait(ctx, 200*time.Millisecond)
	}
}
