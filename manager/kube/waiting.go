package kube

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// MayBeHeldUp says whether a running Job's pods are worth a look, because it
// began longer ago than after and none of them is ready: perhaps no container
// can start. A Job that is suspended, or whose pods run, is not.
func MayBeHeldUp(job *batchv1.Job, after time.Duration, now time.Time) bool {
	s := &job.Status
	return s.StartTime != nil && now.Sub(s.StartTime.Time) >= after && noneReady(s)
}

// Quiet says of a Job with that status that it runs, and shows nothing to look at: it has
// not ended, is not about to fail, and one of its pods, if it has any, is ready: it may
// not be held up.
func Quiet(s *batchv1.JobStatus) bool {
	return condition(s) == nil && failingBy(s) == "" && !noneReady(s)
}

// noneReady says whether there are pods, and none is ready, as far as is known.
func noneReady(s *batchv1.JobStatus) bool { return s.Active > 0 && (s.Ready == nil || *s.Ready == 0) }

// HeldUp is why a Job does not go on: a container cannot be started.
type HeldUp struct {
	// Reason is the kubelet's: ImagePullBackOff, CreateContainerConfigError, ...
	Reason string
	// Message names pod, container and image, has the kubelet's words, and says
	// what to do.
	Message string
	// Since is when the container could have started.
	Since time.Time
}

// HeldUpBy returns why a Job will not go on by itself: each of its pods that has
// not ended has a container that cannot be started. It is nil if a pod runs
// without such a container, or waits for room on a node, or is being deleted: as
// long as one may go on, so may the Job. Of several pods the one that has waited
// the shortest counts.
func HeldUpBy(job *batchv1.Job, pods []corev1.Pod, now time.Time) *HeldUp {
	var by *HeldUp
	for _, p := range latestFirst(job, pods) {
		if hasEnded(p) {
			continue
		}
		h := podHeldUp(p, now)
		if h == nil || p.DeletionTimestamp != nil {
			return nil
		}
		if by == nil || h.Since.After(by.Since) {
			by = h
		}
	}
	return by
}

// podHeldUp returns why a pod cannot go on; nil if it can.
func podHeldUp(p corev1.Pod, now time.Time) *HeldUp {
	for _, c := range containersOf(p) {
		reason, w := cannotStart(p, c.Name)
		if w == nil {
			continue
		}
		since := couldStart(p, c.Name)
		words := cmp.Or(strings.TrimRight(head(w.Message), ".: "), "the node gives no message")
		message := fmt.Sprintf("pod %s: container %s could not be started for %s (%s), image %q: %s. %s",
			p.Name, c.Name, now.Sub(since).Round(time.Second), reason, c.Image, words, remedy(reason))
		return &HeldUp{Reason: reason, Message: message, Since: since}
	}
	return nil
}

// cannotStart returns why the kubelet cannot start a container, and how it waits;
// nil if it can, or has not tried. A kubelet tells ErrImagePull and
// ImagePullBackOff in turn: it is one reason.
func cannotStart(p corev1.Pod, name string) (reason string, w *corev1.ContainerStateWaiting) {
	s := status(p, name)
	if s == nil || s.State.Waiting == nil {
		return "", nil
	}
	switch w = s.State.Waiting; w.Reason {
	case "", "ContainerCreating", "PodInitializing": // its turn has not come, or it is being made
		return "", nil
	case "CrashLoopBackOff": // it does start, and Kubernetes counts its failures
		return "", nil
	case "ErrImagePull":
		return "ImagePullBackOff", w
	default:
		return w.Reason, w
	}
}

// couldStart is when a container could have started: a kubelet does not say since
// when it waits, but when it took the pod up, when the init containers ended, and
// when the container itself ended before.
func couldStart(p corev1.Pod, name string) time.Time {
	since := startOf(p)
	for _, s := range p.Status.InitContainerStatuses {
		if t := s.State.Terminated; t != nil && t.FinishedAt.After(since) {
			since = t.FinishedAt.Time
		}
	}
	if s := status(p, name); s != nil {
		if t := s.LastTerminationState.Terminated; t != nil && t.FinishedAt.After(since) {
			since = t.FinishedAt.Time
		}
	}
	return since
}

// remedy is a sentence: what to do about a container that cannot be started.
func remedy(reason string) string {
	switch reason {
	case "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
		return "Check the image's name and tag, that the node can reach the registry, and imagePullSecrets; then start again"
	case "CreateContainerConfigError":
		return "Check that the ConfigMaps, Secrets and keys that the container refers to are in the namespace, and its securityContext; then start again"
	default:
		return "Check the container's command, mounts and securityContext, and the node's kubelet; then start again"
	}
}
