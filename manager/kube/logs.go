package kube

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
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
	pods = slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool { return len(ranIn(p)) == 0 })
	var chosen []corev1.Pod
	n := 0
	for _, p := range Telling(job, pods, maxPods) {
		if n += len(ranIn(p)); n > maxLogs && len(chosen) > 0 {
			break
		}
		chosen = append(chosen, p)
	}
	var logs []Log
	for _, p := range slices.Backward(latestFirst(job, chosen)) {
		for _, name := range ranIn(p) {
			logs = append(logs, Log{Pod: p.Name, Container: name})
		}
	}
	return logs[:min(len(logs), maxLogs)]
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

// ranIn names the containers of a pod that run, or have run.
func ranIn(p corev1.Pod) []string {
	var names []string
	for _, c := range containersOf(p) {
		if s := status(p, c.Name); s != nil && (s.State.Running != nil || terminated(p, c.Name) != nil) {
			names = append(names, c.Name)
		}
	}
	return names
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
// if the pod is gone.
func (c *Client) Logs(ctx context.Context, pod, container string) (io.ReadCloser, error) {
	return c.api.CoreV1().Pods(c.cfg.Namespace).GetLogs(pod, &corev1.PodLogOptions{Container: container}).Stream(ctx)
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

// noLog begins what a kubelet answers, with the status of a success, where the
// runtime does not know the container (kubernetes/kubernetes#140154).
const noLog = "unable to retrieve container logs for "

// readLog reads what opts ask for. A kubelet also answers BadRequest where it
// has no log: the container has not run, or is gone.
func (c *Client) readLog(ctx context.Context, pod string, opts *corev1.PodLogOptions) ([]byte, error) {
	stream, err := c.api.CoreV1().Pods(c.cfg.Namespace).GetLogs(pod, opts).Stream(ctx)
	if apierrors.IsBadRequest(err) {
		return nil, notFound(err.Error())
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.Close() }()
	text, err := io.ReadAll(io.LimitReader(stream, *opts.LimitBytes))
	if bytes.HasPrefix(text, []byte(noLog)) && !bytes.Contains(text, []byte("\n")) {
		return nil, notFound(string(text))
	}
	return text, err
}

// notFound is an error that is IsNotFound and says why.
func notFound(why string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: why,
	}}
}

const (
	// tailFactor bounds one answer to that many times the bytes that are wanted.
	tailFactor = 4
	// tailTries bounds how many answers are asked for. The second one nearly
	// always fits: its lines are counted by the length of those in the first.
	tailTries = 8
)

// searchTail finds by read, which gives the first limit bytes of the last lines
// of a log, the last want bytes. As many lines as bytes are enough, since each
// has one at least, so a log that is short is had at once, and known to be all.
// An answer of limit bytes has lost its end: fewer lines are asked for. Runtimes
// split lines at 16 KiB; if one does not, and the last line alone is over the
// limit, its beginning is all there is.
func searchTail(want int, read func(lines, limit int64) ([]byte, error)) (tail []byte, truncated bool, err error) {
	limit := tailFactor * want
	var best []byte
	few, many, lines := 0, want+2, want+1 // few are too few, many too many
	for tries := 0; tries < tailTries && few+1 < many; tries++ {
		text, err := read(int64(lines), int64(limit))
		if err != nil {
			return nil, false, err
		}
		cut := len(text) >= limit
		if !cut && (len(text) >= want || lines > want) {
			tail, over := lastBytes(text, want)
			return tail, over || lines <= want, nil
		}
		seen := lines
		if cut {
			many, seen = lines, bytes.Count(text, []byte("\n"))
		} else {
			few = lines
		}
		if !cut || few == 0 {
			best = text
		}
		if lines = 2 * want * seen / max(len(text), 1); lines <= few || lines >= many { // lines differ: halve, as to digits
			lines = max(int(math.Sqrt(float64(few*many))), few+1)
		}
	}
	tail, _ = lastBytes(best, want)
	return tail, true, nil
}

// lastBytes returns the last n bytes of text, from a line's beginning if there
// is one among them, and whether there is more before.
func lastBytes(text []byte, n int) (tail []byte, over bool) {
	start := len(text) - n
	if start <= 0 {
		return text, false
	}
	if i := bytes.IndexByte(text[start-1:len(text)-1], '\n'); i >= 0 {
		start += i
	}
	return text[start:], true
}
