package kube

import (
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// podDeleted is the reason of a Job that failed because somebody deleted its pod.
const podDeleted = "PodDeleted"

// decidedAt is when the Job's controller found that the Job has failed. Not
// before, it deletes the pods that still run.
func decidedAt(job *batchv1.Job) time.Time {
	var at time.Time
	for _, c := range job.Status.Conditions {
		if (c.Type == batchv1.JobFailed || c.Type == batchv1.JobFailureTarget) && c.Status == corev1.ConditionTrue &&
			(at.IsZero() || c.LastTransitionTime.Time.Before(at)) {
			at = c.LastTransitionTime.Time
		}
	}
	return at
}

// deletedAt is when somebody asked to delete a pod, zero if nobody did: its
// DeletionTimestamp is when its grace period ends.
func deletedAt(p corev1.Pod) time.Time {
	if p.DeletionTimestamp == nil {
		return time.Time{}
	}
	var grace int64
	if p.DeletionGracePeriodSeconds != nil {
		grace = *p.DeletionGracePeriodSeconds
	}
	return p.DeletionTimestamp.Add(-time.Duration(grace) * time.Second)
}

// deletedSince is 1 if a pod was deleted at that time or later, otherwise 0.
func deletedSince(p corev1.Pod, decided time.Time) int {
	if at := deletedAt(p); at.IsZero() || at.Before(decided) {
		return 0
	}
	return 1
}

// deletedByHand returns the pod that a Job has failed for because somebody has
// deleted it; nil if there is none, or it cannot be told. Who says why, as one who
// evicts a pod does, is not meant. Pods come the latest first.
//
// Kubernetes has whole seconds only. A pod that was deleted before the Job's
// controller had decided, in an earlier second, was deleted by another. In the
// same second it was if nothing else is left that the Job can have failed for.
func deletedByHand(job *batchv1.Job, pods []corev1.Pod) *corev1.Pod {
	decided := decidedAt(job)
	var perhaps []corev1.Pod
	for _, p := range pods {
		at := deletedAt(p)
		switch {
		case failedByItself(p):
			return nil
		case at.IsZero() || at.After(decided) || hasEnded(p) && ranWhenDeleted(p) == "":
		case at.Before(decided):
			return &p
		default:
			perhaps = append(perhaps, p)
		}
	}
	if len(perhaps) != 1 {
		return nil
	}
	return &perhaps[0]
}

// failedByItself says whether a pod failed by other means than its deletion.
func failedByItself(p corev1.Pod) bool {
	if reason, _ := ownReason(p); reason != "" {
		return true
	}
	return slices.ContainsFunc(containersOf(p), func(c corev1.Container) bool {
		t := ownEnd(p, c.Name)
		return t != nil && t.ExitCode != 0 && !endedByDeletion(p, t)
	})
}

// deletion says that a pod was deleted by hand, and how its containers ended.
func deletion(p corev1.Pod, c *batchv1.JobCondition, logs []Log) failure {
	f := podFailure(p, c, logs)
	name := ranWhenDeleted(p)
	if len(f.log.Text) == 0 {
		f.log = find(logs, p.Name, name)
	}
	who := "no container"
	if name != "" {
		who = "container " + name
	}
	f.reason = podDeleted
	f.details = strings.TrimSuffix(fmt.Sprintf("pod %s was deleted (not by jobnetes) while %s ran: %s", p.Name, who, f.details), ": ")
	return f
}

// ranWhenDeleted names the container of a pod that ran when it was deleted: of
// several, the one that tells most; none is empty.
func ranWhenDeleted(p corev1.Pod) string {
	for _, name := range tellingOrder(p) {
		s := status(p, name).State
		if s.Running != nil || endedByDeletion(p, s.Terminated) {
			return name
		}
	}
	return ""
}

// endedByDeletion says whether a container ended when its pod had been deleted.
func endedByDeletion(p corev1.Pod, t *corev1.ContainerStateTerminated) bool {
	at := deletedAt(p)
	return t != nil && !at.IsZero() && !t.FinishedAt.Time.Before(at)
}

// ownEnd is how a container last ended; nil if it never did. What it did by
// itself counts more than that it was ended with its pod.
func ownEnd(p corev1.Pod, name string) *corev1.ContainerStateTerminated {
	t, s := terminated(p, name), status(p, name)
	if s == nil || !endedByDeletion(p, t) {
		return t
	}
	if before := s.LastTerminationState.Terminated; before != nil && before.ExitCode != 0 {
		return before
	}
	return t
}

// MayWrite says whether a container of the pods may still write to its log: it
// runs, or is perhaps about to.
func MayWrite(pods []corev1.Pod) bool {
	for _, p := range pods {
		if hasEnded(p) {
			continue
		}
		for _, c := range containersOf(p) {
			if s := status(p, c.Name); s == nil || s.State.Terminated == nil {
				return true
			}
		}
	}
	return false
}

func hasEnded(p corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}
