package kube

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Log is the end of a container's log.
type Log struct {
	Pod, Container string
	Text           []byte
	Truncated      bool // there is more before Text
}

// LogsOf returns which logs tell how a Job went, without their texts: those of
// Telling pods, of the containers that have run, and at most maxLogs. They come
// in the order of pods, the oldest first, and in each the init containers first.
func LogsOf(job *batchv1.Job, pods []corev1.Pod, maxPods, maxLogs int) []Log {
	pods = slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool { return len(ranIn(p, maxLogs)) == 0 })
	var chosen []corev1.Pod
	n := 0
	for _, p := range Telling(job, pods, maxPods) {
		if n += len(ranIn(p, maxLogs)); n > maxLogs {
			break
		}
		chosen = append(chosen, p)
	}
	var logs []Log
	for _, p := range slices.Backward(latestFirst(job, chosen)) {
		for _, name := range ranIn(p, maxLogs) {
			logs = append(logs, Log{Pod: p.Name, Container: name})
		}
	}
	return logs
}

// Telling returns at most limit of a Job's own pods, those that tell most of how
// it went first: those that failed go before others, then the last to start
// before earlier ones.
func Telling(job *batchv1.Job, pods []corev1.Pod, limit int) []corev1.Pod {
	pods = latestFirst(job, pods)
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int { return cmp.Compare(succeeded(a), succeeded(b)) })
	return pods[:min(len(pods), limit)]
}

func succeeded(p corev1.Pod) int {
	if p.Status.Phase == corev1.PodSucceeded {
		return 1
	}
	return 0
}

// ranIn names the containers of a pod that run, or have run, in the order of the
// spec: at most limit, those that tell most.
func ranIn(p corev1.Pod, limit int) []string {
	names := slices.DeleteFunc(tellingOrder(p), func(name string) bool {
		return status(p, name).State.Running == nil && terminated(p, name) == nil
	})
	names = names[:min(len(names), limit)]
	var ordered []string
	for _, c := range containersOf(p) {
		if slices.Contains(names, c.Name) {
			ordered = append(ordered, c.Name)
		}
	}
	return ordered
}

// find returns the log of a container; without text if there is none.
func find(logs []Log, pod, container string) Log {
	for _, l := range logs {
		if l.Pod == pod && l.Container == container {
			return l
		}
	}
	return Log{Pod: pod, Container: container}
}

// Logs returns a container's log as it is now; the caller closes it. IsNotFound
// if the pod or the log is gone, or the container has not run.
func (c *Client) Logs(ctx context.Context, pod, container string) (io.ReadCloser, error) {
	return c.openLog(ctx, pod, &corev1.PodLogOptions{Container: container})
}

// LogTail returns the last limit bytes of a container's log, from a line's beginning
// if there is one among them, and whether there is more before; see
// manager.Jobs.
//
// A kubelet counts lines from the end (TailLines) but bytes from the front
// (LimitBytes: what is over is cut from the end, which is what is wanted). So
// lines are asked for, and bytes only bound what one answer costs: see
// searchTail. A kubelet has the container's last run only, and of that the file
// that it has not rotated away; the log of a container that has never run, or
// has been removed from its node, is IsNotFound.
func (c *Client) LogTail(ctx context.Context, pod, container string, limit int) (text []byte, truncated bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	text, truncated, err = searchTail(limit, func(lines, limit int64) ([]byte, error) {
		return c.readLog(ctx, pod, &corev1.PodLogOptions{Container: container, TailLines: &lines, LimitBytes: &limit})
	})
	if err != nil {
		return nil, false, fmt.Errorf("read the log of container %s of pod %s: %w", container, where(c.cfg.Namespace, pod), err)
	}
	return text, truncated, nil
}

// readLog reads what opts ask for.
func (c *Client) readLog(ctx context.Context, pod string, opts *corev1.PodLogOptions) ([]byte, error) {
	log, err := c.openLog(ctx, pod, opts)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	return io.ReadAll(io.LimitReader(log, *opts.LimitBytes))
}

const (
	// noLog begins what a kubelet answers, with the status of a success, where the
	// runtime does not know the container (kubernetes/kubernetes#140154).
	noLog = "unable to retrieve container logs for "
	// maxNoLog bounds such an answer, in bytes: the container's id follows.
	maxNoLog = 1 << 10
)

// openLog opens what opts ask for; IsNotFound if there is no log. For that a
// kubelet also answers BadRequest, if the container has not run or is gone, or
// noLog and no more.
func (c *Client) openLog(ctx context.Context, pod string, opts *corev1.PodLogOptions) (io.ReadCloser, error) {
	stream, err := c.api.CoreV1().Pods(c.cfg.Namespace).GetLogs(pod, opts).Stream(ctx)
	if apierrors.IsBadRequest(err) {
		return nil, notFound(err.Error())
	}
	if err != nil {
		return nil, err
	}
	log := bufio.NewReaderSize(stream, maxNoLog)
	if begin, _ := log.Peek(len(noLog)); string(begin) == noLog {
		if all, err := log.Peek(maxNoLog); errors.Is(err, io.EOF) && !bytes.Contains(all, []byte("\n")) {
			_ = stream.Close()
			return nil, notFound(string(all))
		}
	}
	return struct {
		io.Reader
		io.Closer
	}{log, stream}, nil
}

// notFound is an error that is IsNotFound and says why.
func notFound(why string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: why,
	}}
}
