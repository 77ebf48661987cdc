package kube

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// Outcome is how a Job ended.
type Outcome struct {
	Succeeded bool
	// Output is the JSON object that a container left as its termination message;
	// empty if none did.
	Output string
	// Reason and Message say why a Job failed.
	Reason, Message string
	// Note says why there is no output although a container left something, or may
	// have.
	Note string
}

// terminationLimit is how much of a termination message a kubelet keeps, in
// bytes.
const terminationLimit = 4096

// condition returns a Job's true condition that ends it, or nil. Conditions
// come in any order, and others may stand beside them.
func condition(s *batchv1.JobStatus) *batchv1.JobCondition {
	for i, c := range s.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return &s.Conditions[i]
		}
	}
	return nil
}

// Finished says whether the Job has ended.
func Finished(job *batchv1.Job) bool { return condition(&job.Status) != nil }

// EndedAt returns when the Job ended, if it has.
func EndedAt(job *batchv1.Job) (time.Time, bool) {
	c := condition(&job.Status)
	if c == nil {
		return time.Time{}, false
	}
	if job.Status.CompletionTime != nil {
		return job.Status.CompletionTime.Time, true
	}
	return c.LastTransitionTime.Time, true
}

// FailedBy returns the reason of a Job that has failed, or is about to: its pods
// are ended, and some deleted, before it is Failed. Empty if it is neither.
func FailedBy(job *batchv1.Job) string { return failingBy(&job.Status) }

func failingBy(s *batchv1.JobStatus) string {
	for _, c := range s.Conditions {
		if (c.Type == batchv1.JobFailed || c.Type == batchv1.JobFailureTarget) && c.Status == corev1.ConditionTrue {
			return cmp.Or(c.Reason, string(c.Type))
		}
	}
	return ""
}

// OutcomeOf reads how a Job ended, from the Job, its pods, and the ends of their
// logs, which are only read of a Job that failed. One that is not finished has
// succeeded, by the pod that is given (SucceedsByPod).
func OutcomeOf(job *batchv1.Job, pods []corev1.Pod, logs []Log) Outcome {
	c := condition(&job.Status)
	if c == nil || c.Type == batchv1.JobComplete {
		output, note := outputOf(latestFirst(job, pods))
		return Outcome{Succeeded: true, Output: output, Note: note}
	}
	reason, message := failureOf(job, c, latestFirst(job, pods), logs)
	return Outcome{Reason: reason, Message: failedIndexes(job) + message}
}

// latestFirst returns the Job's own pods, the last to start first.
func latestFirst(job *batchv1.Job, pods []corev1.Pod) []corev1.Pod {
	var own []corev1.Pod
	for _, p := range pods {
		if owner := p.Labels[batchv1.ControllerUidLabel]; owner == "" || owner == string(job.UID) {
			own = append(own, p)
		}
	}
	slices.SortStableFunc(own, func(a, b corev1.Pod) int {
		return cmp.Or(startOf(b).Compare(startOf(a)), cmp.Compare(a.Name, b.Name))
	})
	return own
}

func startOf(p corev1.Pod) time.Time {
	if p.Status.StartTime != nil {
		return p.Status.StartTime.Time
	}
	return p.CreationTimestamp.Time
}

// outputOf returns the first JSON object among the termination messages of the
// pods that succeeded, containers in the order of the spec.
func outputOf(pods []corev1.Pod) (output, note string) {
	left := false
	for _, p := range pods {
		if p.Status.Phase != corev1.PodSucceeded {
			continue
		}
		left = true
		for _, c := range p.Spec.Containers {
			t := terminated(p, c.Name)
			if t == nil || strings.TrimSpace(t.Message) == "" {
				continue
			}
			message := strings.TrimSpace(t.Message)
			if isObject(message) {
				return message, ""
			}
			note = cmp.Or(note, whyNot(p.Name, c.Name, t.Message))
		}
	}
	if !left {
		note = "its pods are gone, and with them what they left in $" + EnvOutput
	}
	return "", note
}

func whyNot(pod, container, message string) string {
	if len(message) >= terminationLimit {
		return fmt.Sprintf("container %s of pod %s left %d bytes in $%s, where Kubernetes cuts it off: record larger outputs by RecordTaskOutput (`jobnetes output set`)", container, pod, len(message), EnvOutput)
	}
	return fmt.Sprintf("container %s of pod %s left a termination message that is not a JSON object in UTF-8: %q", container, pod, head(message))
}

// isObject says whether s is a JSON object in UTF-8, which encoding/json does not
// ask for, but databases do.
func isObject(s string) bool {
	return strings.HasPrefix(s, "{") && utf8.ValidString(s) && json.Valid([]byte(s))
}

// containersOf returns a pod's containers, the init containers first.
func containersOf(p corev1.Pod) []corev1.Container {
	return slices.Concat(p.Spec.InitContainers, p.Spec.Containers)
}

func status(p corev1.Pod, name string) *corev1.ContainerStatus {
	for _, list := range [...][]corev1.ContainerStatus{p.Status.ContainerStatuses, p.Status.InitContainerStatuses} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

func terminated(p corev1.Pod, name string) *corev1.ContainerStateTerminated {
	s := status(p, name)
	if s == nil {
		return nil
	}
	if s.State.Terminated != nil {
		return s.State.Terminated
	}
	return s.LastTerminationState.Terminated
}
