package cluster

import (
	"syscall"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// runningStatus is what a kubelet says of a pod whose containers all run.
func runningStatus(pod *corev1.Pod, started metav1.Time) corev1.PodStatus {
	return podStatus(pod, started, corev1.PodRunning, func(c corev1.Container) corev1.ContainerStatus {
		return corev1.ContainerStatus{
			Ready:   true,
			Started: new(true),
			State:   corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}},
		}
	})
}

// endedStatus is what a kubelet says of a pod whose containers have all exited.
func endedStatus(pod *corev1.Pod, started, ended metav1.Time, exits Exits) corev1.PodStatus {
	phase := corev1.PodSucceeded
	for _, exit := range exits {
		if exit.Code != 0 {
			phase = corev1.PodFailed
		}
	}
	return podStatus(pod, started, phase, func(c corev1.Container) corev1.ContainerStatus {
		exit := exits[c.Name]
		reason := exit.Reason
		switch {
		case reason != "":
		case exit.Code == 0:
			reason = "Completed"
		default:
			reason = "Error"
		}
		return corev1.ContainerStatus{
			Started: new(false),
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: exit.Code, Reason: reason, Message: exit.Message, StartedAt: started, FinishedAt: ended,
			}},
		}
	})
}

// killed is how the containers of a deleted pod end.
func killed(pod *corev1.Pod) Exits {
	exits := Exits{}
	for _, c := range pod.Spec.Containers {
		exits[c.Name] = Exit{Code: 128 + int32(syscall.SIGTERM)}
	}
	return exits
}

func podStatus(pod *corev1.Pod, started metav1.Time, phase corev1.PodPhase, container func(corev1.Container) corev1.ContainerStatus) corev1.PodStatus {
	ready := corev1.ConditionFalse
	if phase == corev1.PodRunning {
		ready = corev1.ConditionTrue
	}
	status := corev1.PodStatus{
		Phase:      phase,
		StartTime:  &started,
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}, {Type: corev1.ContainersReady, Status: ready}},
	}
	for _, c := range pod.Spec.Containers {
		s := container(c)
		s.Name, s.Image = c.Name, c.Image
		status.ContainerStatuses = append(status.ContainerStatuses, s)
	}
	return status
}
