package jobapi

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"
)

// hasStarted says whether there is a log to ask for: asking for that of a
// container that waits for its first start is an error.
func hasStarted(pod *corev1.Pod, container string) bool {
	if st := statusOfContainer(pod, container); st != nil {
		return st.State.Running != nil || st.State.Terminated != nil || st.LastTerminationState.Terminated != nil
	}
	return pod.Status.Phase != corev1.PodPending
}

// whyWaiting says in one line why a container has not started yet; empty if it
// never will, since its pod has ended.
func whyWaiting(pod *corev1.Pod, container string) string {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return ""
	}
	why := ""
	if st := statusOfContainer(pod, container); st != nil && st.State.Waiting != nil {
		why = oneLine(st.State.Waiting.Reason, st.State.Waiting.Message)
	}
	for _, c := range pod.Status.Conditions {
		if why == "" && c.Type == corev1.PodScheduled && c.Status != corev1.ConditionTrue {
			why = oneLine(c.Reason, c.Message)
		}
	}
	return cmp.Or(why, "it has not started yet")
}

// statusOfContainer returns what a pod says of a container; nil: nothing yet.
func statusOfContainer(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		if i := slices.IndexFunc(list, func(st corev1.ContainerStatus) bool { return st.Name == container }); i >= 0 {
			return &list[i]
		}
	}
	return nil
}

// oneLine joins a reason and a message, of which either may be empty, without
// what could make a terminal show something else.
func oneLine(reason, message string) string {
	printable := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case misleads(r):
			return -1
		default:
			return r
		}
	}, reason+": "+message)
	return strings.Trim(strings.Join(strings.Fields(printable), " "), ": ")
}
