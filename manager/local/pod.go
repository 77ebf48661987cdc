package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/uuid"
)

const reasonDeadline = "DeadlineExceeded"

// stopCause is why a pod is ended from outside, as its status will say.
type stopCause struct{ reason, message string }

func (c *stopCause) Error() string { return c.reason + ": " + c.message }

// podRun is one attempt: a pod whose containers run as processes.
type podRun struct {
	// pod is the pod as created; its status lives in jobRun.
	pod     corev1.Pod
	spec    *corev1.PodSpec
	dir     podDir
	base    time.Duration // the delay before the first restart in place
	updates chan<- update
	// children has the containers' processes, and what they leave behind.
	children *children
	// ctx ends, with a stopCause, when the pod is to be ended.
	ctx      context.Context
	cancel   context.CancelCauseFunc
	restarts int32 // belongs to jobRun
}

func newPodRun(j *jobRun, pod corev1.Pod) *podRun {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &podRun{
		pod:      pod,
		spec:     &j.job.Spec.Template.Spec,
		dir:      j.dir.pod(pod.Name),
		base:     j.base,
		updates:  j.updates,
		children: j.children,
		ctx:      ctx,
		cancel:   cancel,
	}
}

// podPrefix is how the names of a job's pods begin; five letters follow. Like
// the API server, it cuts long names to leave room for them.
func podPrefix(job string) string { return job[:min(len(job), 57)] + "-" }

// newPod is a pending pod of the job, without its spec.
func newPod(job *batchv1.Job, now time.Time) corev1.Pod {
	template := job.Spec.Template.DeepCopy()
	pod := corev1.Pod{ObjectMeta: template.ObjectMeta}
	pod.Name = podPrefix(job.Name) + rand.String(5)
	pod.Namespace = job.Namespace
	pod.UID = uuid.NewUUID()
	pod.CreationTimestamp = metav1.NewTime(now)
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[batchv1.JobNameLabel] = job.Name
	pod.Labels[batchv1.ControllerUidLabel] = string(job.UID)
	pod.Status.Phase = corev1.PodPending
	pod.Status.StartTime = new(metav1.NewTime(now))
	pod.Status.InitContainerStatuses = waiting(template.Spec.InitContainers)
	pod.Status.ContainerStatuses = waiting(template.Spec.Containers)
	return pod
}

// waiting are the statuses of containers that have not started.
func waiting(containers []corev1.Container) []corev1.ContainerStatus {
	var list []corev1.ContainerStatus
	for _, c := range containers {
		list = append(list, corev1.ContainerStatus{
			Name:  c.Name,
			Image: c.Image,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}},
		})
	}
	return list
}

// run runs the pod to its end and reports it.
func (p *podRun) run() {
	ctx := p.ctx
	if s := p.spec.ActiveDeadlineSeconds; s != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, time.Duration(*s)*time.Second,
			&stopCause{reasonDeadline, "Pod was active on the node longer than the specified deadline"})
		defer cancel()
	}
	succeeded := p.runContainers(ctx)
	p.report(update{done: true, apply: func(status *corev1.PodStatus) {
		if succeeded {
			status.Phase = corev1.PodSucceeded
			return
		}
		status.Phase = corev1.PodFailed
		if cause, ok := errors.AsType[*stopCause](context.Cause(ctx)); ok {
			status.Reason, status.Message = cause.reason, cause.message
		}
	}})
}

// runContainers runs the init containers one after the other, then all others
// at once, and tells whether all succeeded.
func (p *podRun) runContainers(ctx context.Context) bool {
	for i := range p.spec.InitContainers {
		c := containerRun{podRun: p, c: &p.spec.InitContainers[i], index: i, init: true}
		if !c.run(ctx) {
			return false
		}
	}
	var failed atomic.Bool
	var wg sync.WaitGroup
	for i := range p.spec.Containers {
		wg.Go(func() {
			c := containerRun{podRun: p, c: &p.spec.Containers[i], index: i}
			if !c.run(ctx) {
				failed.Store(true)
			}
		})
	}
	wg.Wait()
	return !failed.Load()
}

// report hands u to jobRun and waits until it has been decided on: if that ends
// the pod, its context has ended when report returns.
func (p *podRun) report(u update) {
	u.pod, u.acked = p, make(chan struct{})
	p.updates <- u
	<-u.acked
}

// endContainer kills what is left of a container of the pod with that UID.
func (d podDir) endContainer(uid types.UID, container string) error {
	var leader process
	// A missing note, or half of one, is no loss: what is left is still known by
	// its environment.
	if err := readJSON(d.process(container), &leader); err != nil {
		leader = process{}
	}
	return endLeftovers(containerMark(uid, container), leader)
}

// endPod kills what is left of a pod of which nobody takes care anymore.
func (d jobDir) endPod(spec *corev1.PodSpec, pod *corev1.Pod) error {
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for _, c := range list {
			if err := d.pod(pod.Name).endContainer(pod.UID, c.Name); err != nil {
				return fmt.Errorf("end container %s of pod %s: %w", c.Name, pod.Name, err)
			}
		}
	}
	return nil
}

// podEnded tells whether the pod has ended.
func podEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// markLost makes the status that of a pod whose node was lost, as the kubelet
// words it.
func markLost(status *corev1.PodStatus, now time.Time) {
	status.Phase = corev1.PodFailed
	status.Reason = "NodeLost"
	status.Message = "the process that ran the job died (killed, or the computer restarted); the pod's processes were ended"
	for _, list := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range list {
			running := list[i].State.Running
			if running == nil {
				continue
			}
			list[i].Ready = false
			list[i].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode:    137,
				Reason:      "ContainerStatusUnknown",
				Message:     status.Message,
				StartedAt:   running.StartedAt,
				FinishedAt:  metav1.NewTime(now),
				ContainerID: list[i].ContainerID,
			}}
		}
	}
}
