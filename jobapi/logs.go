package jobapi

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
)

//go:generate go tool mockgen -source=logs.go -destination=logs_mock_test.go -package=jobapi

// Logs is where the logs of Jobs come from.
type Logs interface {
	// Pods returns the pods of a Job, in any order; none if it has none or
	// does not exist.
	Pods(ctx context.Context, jobName string) ([]corev1.Pod, error)
	// Logs returns what a container has written so far. The caller closes it.
	Logs(ctx context.Context, pod, container string) (io.ReadCloser, error)
}

// logChunk is the most that one message carries, in bytes.
const logChunk = 32 << 10

// GetTaskLogs sends the logs of a task's containers: pods oldest first, in each
// the init containers first. A container that has not started is left out; of
// one that has written nothing there is one empty message.
func (s *Server) GetTaskLogs(req *pb.GetTaskLogsRequest, stream grpc.ServerStreamingServer[pb.TaskLog]) error {
	ctx := stream.Context()
	pods, err := s.taskPods(ctx, req.GetTaskId(), req.GetPod())
	if err != nil {
		return err
	}
	var (
		names  []string
		failed []error
	)
	for _, pod := range pods {
		for _, container := range containersOf(&pod) {
			names = append(names, container)
			if req.GetContainer() != "" && req.GetContainer() != container || !hasStarted(&pod, container) {
				continue
			}
			err := s.sendLog(ctx, pod.Name, container, stream)
			if errors.Is(err, errLogsAway) && ctx.Err() == nil {
				failed = append(failed, err) // the others' logs may still be there
			} else if err != nil {
				return err
			}
		}
	}
	if req.GetContainer() != "" && !slices.Contains(names, req.GetContainer()) {
		slices.Sort(names)
		return refuse(dao.ErrNotFound, "task %d has no container %q: it has %s", req.GetTaskId(), req.GetContainer(), strings.Join(slices.Compact(names), ", "))
	}
	return errors.Join(failed...)
}

// taskPods returns the pods of a task's Job, oldest first: all, or the one of
// that name.
func (s *Server) taskPods(ctx context.Context, taskID uint64, name string) ([]corev1.Pod, error) {
	task, err := s.store.Task(ctx, taskID)
	if err != nil {
		return nil, named(err, "task %d", taskID)
	}
	if task.ExecutionName == nil {
		return nil, refuse(errPrecondition, "task %d (%s) is a %s: only a kube-job has logs", taskID, task.TaskName, task.TaskType)
	}
	if s.logs == nil {
		return nil, refuse(errPrecondition, "this jobapi has no way to the logs: see the k8s settings, or use kubectl logs job/%s", *task.ExecutionName)
	}
	pods, err := s.logs.Pods(ctx, *task.ExecutionName)
	if err != nil {
		return nil, fmt.Errorf("%w: list the pods of job %s of task %d: %w", errLogsAway, *task.ExecutionName, taskID, err)
	}
	if name != "" {
		pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool { return p.Name != name })
	}
	if len(pods) == 0 {
		which := "pods"
		if name != "" {
			which = fmt.Sprintf("pod %q", name)
		}
		return nil, refuse(dao.ErrNotFound, "task %d (%s) has no %s: its job %s has not started one yet, or was deleted after k8s.job-retention", taskID, task.TaskName, which, *task.ExecutionName)
	}
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return pods, nil
}

func containersOf(pod *corev1.Pod) []string {
	var names []string
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		names = append(names, c.Name)
	}
	return names
}

// hasStarted says whether there is a log to ask for: asking for that of a
// container that waits for its first start is an error.
func hasStarted(pod *corev1.Pod, container string) bool {
	for _, st := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if st.Name == container {
			return st.State.Running != nil || st.State.Terminated != nil || st.LastTerminationState.Terminated != nil
		}
	}
	return pod.Status.Phase != corev1.PodPending
}

// sendLog sends one container's log. Its errors wrap errLogsAway if the log
// could not be read, and are the stream's own if it could not be sent.
func (s *Server) sendLog(ctx context.Context, pod, container string, stream grpc.ServerStreamingServer[pb.TaskLog]) error {
	r, err := s.logs.Logs(ctx, pod, container)
	if err != nil {
		return fmt.Errorf("%w: open the log of container %s of pod %s: %w", errLogsAway, container, pod, err)
	}
	defer func() { _ = r.Close() }() // it was only read
	buf := make([]byte, logChunk)
	for sent := false; ; sent = true {
		n, readErr := r.Read(buf)
		if n > 0 || !sent {
			// A message that was handed over is gRPC's: hence the copy.
			if err := stream.Send(&pb.TaskLog{Pod: pod, Container: container, Data: bytes.Clone(buf[:n])}); err != nil {
				return err
			}
		}
		if errors.Is(readErr, io.EOF) {
			return nil
		}
		if readErr != nil {
			return fmt.Errorf("%w: read the log of container %s of pod %s: %w", errLogsAway, container, pod, readErr)
		}
	}
}
