package jobapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
)

// logSource is where one container's log may be.
type logSource struct {
	pod, container string
	// started says that the pod is there and the container has a log.
	started bool
	// kept says that the database has it, or its end.
	kept bool
	// waiting is why the container has not started yet.
	waiting string
}

// neverRan says that there is nothing to tell of a container: its pod has ended
// before its turn came.
func (l logSource) neverRan() bool { return !l.started && !l.kept && l.waiting == "" }

// logSources returns where the logs are that a request asks for, in order.
func (s *Server) logSources(ctx context.Context, req *pb.GetTaskLogsRequest) ([]logSource, error) {
	task, err := s.store.Task(ctx, req.GetTaskId())
	if err != nil {
		return nil, named(err, "task %d", req.GetTaskId())
	}
	if task.ExecutionName == nil {
		return nil, refuse(errPrecondition, "task %d (%s) is a %s: only a kube-job has logs", task.ID, task.TaskName, task.TaskType)
	}
	kept, err := s.store.TaskLogNames(ctx, task.ID)
	if err != nil {
		return nil, err
	}
	pods, away := s.jobPods(ctx, task)
	sources, missing := choose(mergeLogs(pods, kept), req, task)
	switch {
	case missing != nil && away != nil:
		return nil, away // it may be where nobody can look
	case missing != nil:
		return nil, missing
	case errors.Is(away, errLogsAway):
		s.log.Warn("jobapi: pods cannot be listed, only kept logs are sent", "task_id", task.ID, "error", away)
	}
	return sources, nil
}

// jobPods returns the pods of a task's Job, oldest first.
func (s *Server) jobPods(ctx context.Context, task dao.TaskExecution) ([]corev1.Pod, error) {
	if s.logs == nil {
		return nil, refuse(errPrecondition, "this jobapi has no way to the logs of pods (see the k8s settings; or use kubectl logs job/%s), and what was asked for was not kept", *task.ExecutionName)
	}
	pods, err := s.logs.Pods(ctx, *task.ExecutionName)
	if err != nil {
		return nil, fmt.Errorf("%w: list the pods of job %s of task %d: %w", errLogsAway, *task.ExecutionName, task.ID, err)
	}
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return pods, nil
}

// mergeLogs returns the logs of pods that are gone, which are the older ones,
// then those of pods that are there.
func mergeLogs(pods []corev1.Pod, kept []dao.TaskLogName) []logSource {
	var gone, there []logSource
	for _, l := range kept {
		if !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Name == l.Pod }) {
			gone = append(gone, logSource{pod: l.Pod, container: l.Container, kept: true})
		}
	}
	for _, pod := range pods {
		for _, container := range containersOf(&pod) {
			source := logSource{
				pod: pod.Name, container: container, started: hasStarted(&pod, container),
				kept: slices.ContainsFunc(kept, func(l dao.TaskLogName) bool { return l.Pod == pod.Name && l.Container == container }),
			}
			if !source.started {
				source.waiting = whyWaiting(&pod, container)
			}
			there = append(there, source)
		}
	}
	return append(gone, there...)
}

// choose returns those of the pod and the container that the request names, of
// which there is something to tell; an error wraps dao.ErrNotFound if there is
// none.
func choose(sources []logSource, req *pb.GetTaskLogsRequest, task dao.TaskExecution) ([]logSource, error) {
	pod, container := req.GetPod(), req.GetContainer()
	if pod != "" {
		sources = slices.DeleteFunc(sources, func(l logSource) bool { return l.pod != pod })
	}
	if len(sources) == 0 {
		return nil, noLogs(pod, task)
	}
	if container != "" {
		var names []string
		for _, l := range sources {
			names = append(names, l.container)
		}
		sources = slices.DeleteFunc(sources, func(l logSource) bool { return l.container != container })
		if len(sources) == 0 {
			slices.Sort(names)
			return nil, refuse(dao.ErrNotFound, "task %d has no container %q: it has %s", task.ID, container, strings.Join(slices.Compact(names), ", "))
		}
	}
	sources = slices.DeleteFunc(sources, logSource.neverRan)
	if len(sources) == 0 {
		return nil, refuse(dao.ErrNotFound, "task %d (%s) has no such logs: the pod ended before the container ran; `jobnetes execution %d` says how it went",
			task.ID, task.TaskName, task.WorkflowExecutionID)
	}
	return sources, nil
}

// noLogs says why there may be no logs at all of a task, or of one pod of it.
func noLogs(pod string, task dao.TaskExecution) error {
	which := "pods"
	if pod != "" {
		which = fmt.Sprintf("pod %q", pod)
	}
	if task.ErrorReason != "" {
		return refuse(dao.ErrNotFound, "task %d (%s) has no %s and no logs were kept. It failed (%s: `jobnetes execution %d` has the message), maybe before a container of it ran; "+
			"otherwise its job %s was removed before its logs were kept, or manager.kept-log-bytes is 0",
			task.ID, task.TaskName, which, task.ErrorReason, task.WorkflowExecutionID, *task.ExecutionName)
	}
	if task.Waits() {
		return refuse(dao.ErrNotFound, "task %d (%s) has no %s yet: its job waits for its turn, since as many run as manager.max-running-jobs, or manager.max-running-jobs-per-namespace, allows",
			task.ID, task.TaskName, which)
	}
	if task.Creating() {
		return refuse(dao.ErrNotFound, "task %d (%s) has no %s yet: its job %s is not created yet", task.ID, task.TaskName, which, *task.ExecutionName)
	}
	return refuse(dao.ErrNotFound, "task %d (%s) has no %s and no logs were kept: its job %s has not started one yet, "+
		"or none of its containers ever started, or it was removed before its logs were kept, or manager.kept-log-bytes is 0",
		task.ID, task.TaskName, which, *task.ExecutionName)
}
