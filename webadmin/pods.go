package webadmin

import (
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
)

// podsTimeout bounds the listing of a task's pods, and the reading of the ends of
// their logs: so much of a request's time is left that what was kept of them can
// still be read from the database.
const podsTimeout = 10 * time.Second

// podsOf returns a task's own pods, newest first: none for a task without a Job.
func (s *Server) podsOf(ctx context.Context, t dao.TaskExecution) ([]corev1.Pod, error) {
	if t.ExecutionName == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, podsTimeout)
	defer cancel()
	pods, err := s.pods.Pods(ctx, *t.ExecutionName)
	if err != nil {
		return nil, problem{kind: errCluster, cause: fmt.Errorf("list the pods of job %s of task %d: %w", *t.ExecutionName, t.ID, err)}
	}
	pods = slices.Clone(pods)
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int { return podTime(b).Compare(podTime(a)) })
	return pods, nil
}

// podTime is when a pod started; one that has not is as new as it was created.
func podTime(p corev1.Pod) time.Time {
	if p.Status.StartTime != nil {
		return p.Status.StartTime.Time
	}
	return p.CreationTimestamp.Time
}

// podView is a pod as the page of its task shows it.
type podView struct {
	Name       string
	Index      string // which index of an indexed task it does; empty: none
	Phase      pill
	Kept       bool   // nothing but what was kept of its logs is known
	Why        string // the pod's own reason, such as Evicted
	Started    *time.Time
	Containers []containerView
}

// containerView is a container of a pod.
type containerView struct {
	Name    string
	Init    bool
	State   pill
	Detail  string // exit code, reason, restarts
	Message string // that it left, or why it waits; empty if the log ends with it
	Took    string
	Log     logView

	begun bool // it has run, so that there may be a log
}

func newPodView(p corev1.Pod, now time.Time) podView {
	v := podView{Name: p.Name, Index: p.Annotations[batchv1.JobCompletionIndexAnnotation], Phase: phasePill(p.Status.Phase), Why: joinReason(p.Status.Reason, p.Status.Message)}
	if p.Status.StartTime != nil {
		v.Started = &p.Status.StartTime.Time
	}
	add := func(specs []corev1.Container, statuses []corev1.ContainerStatus, init bool) {
		for _, spec := range specs {
			c := containerView{Name: spec.Name, Init: init, State: pill{"waiting", keyWaiting}}
			if i := slices.IndexFunc(statuses, func(st corev1.ContainerStatus) bool { return st.Name == spec.Name }); i >= 0 {
				c.fill(statuses[i], now)
			}
			v.Containers = append(v.Containers, c)
		}
	}
	add(p.Spec.InitContainers, p.Status.InitContainerStatuses, true)
	add(p.Spec.Containers, p.Status.ContainerStatuses, false)
	return v
}

// fill takes over what the pod's status says of the container.
func (c *containerView) fill(st corev1.ContainerStatus, now time.Time) {
	c.begun = st.RestartCount > 0
	switch {
	case st.State.Terminated != nil:
		t := st.State.Terminated
		c.begun = true
		c.State = pill{"succeeded", dao.TaskSuccess.String()}
		if t.ExitCode != 0 {
			c.State = pill{"failed", dao.TaskFailed.String()}
		}
		c.Detail = fmt.Sprintf("exit code %d", t.ExitCode)
		if t.Signal != 0 {
			c.Detail += fmt.Sprintf(", signal %d", t.Signal)
		}
		c.Detail += withComma(t.Reason)
		c.Message = cleanText([]byte(t.Message))
		if !t.StartedAt.IsZero() && !t.FinishedAt.IsZero() {
			c.Took = podDuration(t.FinishedAt.Sub(t.StartedAt.Time))
		}
	case st.State.Running != nil:
		c.begun = true
		c.State = pill{"running", dao.TaskRunning.String()}
		c.Took = podDuration(now.Sub(st.State.Running.StartedAt.Time))
	case st.State.Waiting != nil:
		c.Detail = st.State.Waiting.Reason
		c.Message = cleanText([]byte(st.State.Waiting.Message))
	}
	if st.RestartCount > 0 {
		c.Detail += withComma(plural(int(st.RestartCount), "restart"))
	}
}

// podDuration is a duration between times of a pod, which are whole seconds.
func podDuration(d time.Duration) string {
	if d < time.Second {
		return "< 1 s"
	}
	return formatDuration(d)
}

func withComma(text string) string {
	if text == "" {
		return ""
	}
	return ", " + text
}

func joinReason(reason, message string) string {
	if message == "" {
		return reason
	}
	return cleanText([]byte(reason + ": " + message))
}

func phasePill(phase corev1.PodPhase) pill {
	switch phase {
	case corev1.PodSucceeded:
		return pill{"succeeded", dao.TaskSuccess.String()}
	case corev1.PodFailed:
		return pill{"failed", dao.TaskFailed.String()}
	case corev1.PodRunning:
		return pill{"running", dao.TaskRunning.String()}
	case corev1.PodPending:
		return pill{"pending", keyWaiting}
	default:
		return pill{"unknown", keyWaiting}
	}
}
