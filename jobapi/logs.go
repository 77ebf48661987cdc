package jobapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
)

//go:generate go tool mockgen -source=logs.go -destination=logs_mock_test.go -package=jobapi

// Logs is where the logs of pods come from.
type Logs interface {
	// Pods returns the pods of a Job, in any order; none if it has none or
	// does not exist.
	Pods(ctx context.Context, jobName string) ([]corev1.Pod, error)
	// Logs returns what a container has written so far. The caller closes it.
	Logs(ctx context.Context, pod, container string) (io.ReadCloser, error)
}

// logChunk is the most that one message carries, in bytes.
const logChunk = 32 << 10

// logStream is where the logs go.
type logStream = grpc.ServerStreamingServer[pb.TaskLog]

// GetTaskLogs sends the logs of a task's containers: pods oldest first, in each
// the init containers first. A log that is gone, or that cannot be read, is sent
// as it was kept, if it was. Of a container that has written nothing there is one
// empty message, and of one that waits for its start one that says why; one that
// never ran, since its pod has ended, is left out.
func (s *Server) GetTaskLogs(req *pb.GetTaskLogsRequest, stream logStream) error {
	ctx := stream.Context()
	sources, err := s.logSources(ctx, req)
	if err != nil {
		return err
	}
	var failed []error
	for _, source := range sources {
		err := s.sendLog(ctx, req.GetTaskId(), source, stream)
		if errors.Is(err, errLogsAway) && ctx.Err() == nil {
			failed = append(failed, err) // the others' logs may still be there
		} else if err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

// sendLog sends one container's log. Its errors wrap errLogsAway if the log
// could not be read, and are the stream's own if it could not be sent.
func (s *Server) sendLog(ctx context.Context, taskID uint64, source logSource, stream logStream) error {
	if source.started {
		sent, err := s.sendLive(ctx, source, stream)
		if sent || !source.kept || !errors.Is(err, errLogsAway) || ctx.Err() != nil {
			return err
		}
		s.log.Warn("jobapi: a log cannot be read, what was kept of it is sent", "task_id", taskID, "error", err)
	}
	if !source.kept {
		return stream.Send(&pb.TaskLog{Pod: source.pod, Container: source.container, Waiting: source.waiting})
	}
	kept, err := s.store.TaskLog(ctx, taskID, source.pod, source.container)
	if err != nil {
		return err
	}
	return sendKept(kept, stream)
}

// sendLive sends what the container has written so far, and says whether
// anything was sent.
func (s *Server) sendLive(ctx context.Context, source logSource, stream logStream) (sent bool, err error) {
	r, err := s.logs.Logs(ctx, source.pod, source.container)
	if err != nil {
		return false, fmt.Errorf("%w: open the log of container %s of pod %s: %w", errLogsAway, source.container, source.pod, err)
	}
	defer func() { _ = r.Close() }() // it was only read
	buf := make([]byte, logChunk)
	for {
		n, readErr := r.Read(buf)
		ended := errors.Is(readErr, io.EOF)
		if n > 0 || ended && !sent {
			// A message that was handed over is gRPC's: hence the copy.
			if err := stream.Send(&pb.TaskLog{Pod: source.pod, Container: source.container, Data: bytes.Clone(buf[:n])}); err != nil {
				return sent, err
			}
			sent = true
		}
		if ended {
			return sent, nil
		}
		if readErr != nil {
			return sent, fmt.Errorf("%w: read the log of container %s of pod %s: %w", errLogsAway, source.container, source.pod, readErr)
		}
	}
}

func sendKept(l dao.TaskLog, stream logStream) error {
	for first, text := true, l.Text; first || len(text) > 0; first = false {
		n := min(len(text), logChunk)
		err := stream.Send(&pb.TaskLog{Pod: l.Pod, Container: l.Container, Data: text[:n], Kept: true, Truncated: l.Truncated})
		if err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

func containersOf(pod *corev1.Pod) []string {
	var names []string
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		names = append(names, c.Name)
	}
	return names
}
