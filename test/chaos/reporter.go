package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

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

	played  map[types.UID]bool // only for run's goroutine
	playing sync.WaitGroup

	mu      sync.Mutex
	jobapis map[string]pb.JobapiClient // by endpoint
	cutOff  []cutOff                   // pods whose task had ended, or that were gone, too early
	ended   map[string]string          // the last pod that was played to its end, by the task's id
}

// lookEvery is how often the reporter looks for pods. It does not watch them: a
// watch waits for up to a minute after several outages of the API server.
const lookEvery = 300 * time.Millisecond

// run plays until ctx ends.
func (r *reporter) run(ctx context.Context) {
	defer r.playing.Wait()
	running := metav1.ListOptions{
		LabelSelector: roleLabel + "=" + reports, FieldSelector: "status.phase=" + string(corev1.PodRunning),
		ResourceVersion: "0", // of the API server's cache
	}
	for ctx.Err() == nil {
		pods, err := r.client.CoreV1().Pods(r.namespace).List(ctx, running)
		if err == nil { // else it is away
			for i := range pods.Items {
				r.begin(ctx, &pods.Items[i])
			}
		}
		wait(ctx, lookEvery)
	}
}

// begin begins to play a pod, unless it is played already.
func (r *reporter) begin(ctx context.Context, pod *corev1.Pod) {
	if pod.DeletionTimestamp != nil || r.played[pod.UID] {
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
	err = r.record(ctx, env, output)
	if status.Code(err) == codes.FailedPrecondition {
		r.noteCutOff(env[kube.EnvTaskID], pod.Name, err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("record the output of task %s: %w", env[kube.EnvTaskID], err)
	}
	err = r.end(ctx, pod)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		r.noteCutOff(env[kube.EnvTaskID], pod.Name, err)
		return nil
	}
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended[env[kube.EnvTaskID]] = pod.Name
	}
	return err
}

// cutOff is a pod that could not be played to its end.
type cutOff struct {
	task, pod string
	err       error
}

func (r *reporter) noteCutOff(task, pod string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cutOff = append(r.cutOff, cutOff{task, pod, err})
}

// verifyCutOff checks that it was cancelling that cut pods off, or Kubernetes, which
// may start a Job's pod twice and ends one of the two when the other has ended.
func (r *reporter) verifyCutOff(all map[uint64][]taskRow) {
	reasons := map[string]string{}
	for _, tasks := range all {
		for _, t := range tasks {
			reasons[fmt.Sprint(t.id)] = t.reason
		}
	}
	for _, c := range r.cutOff {
		switch other := r.ended[c.task]; {
		case reasons[c.task] == cancelled:
		case other != "":
			r.report.t.Logf("Kubernetes has started a second pod for task %s: %s, and %s, which has ended first", c.task, c.pod, other)
		default:
			r.report.lost("task %s was over, with reason %q, before its container in pod %s had ended, and was not cancelled: %v", c.task, reasons[c.task], c.pod, c.err)
		}
	}
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
