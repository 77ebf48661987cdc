package webadmin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/jobnetes/jobnetes/dao"
)

const (
	// logTail is how much of a container's log its task's page shows, in bytes.
	logTail = 64 << 10
	// logPods is of how many of a task's pods, the newest, the page shows logs.
	logPods = 3
	// logsTimeout bounds the reading of all the logs of a page: those that are
	// too long for it are only linked to.
	logsTimeout = 10 * time.Second
)

// logView is the end of a container's log on a page.
type logView struct {
	Text  string
	Total int64  // bytes in all
	Cut   bool   // Text is only the end
	Note  string // why there is no text, or not all of it
	Raw   string // the address of the whole; empty: there is none

	HasMessage bool // Text ends with the message that the container left
}

func logURL(taskID uint64, pod, container string) string {
	return fmt.Sprintf("/tasks/%d/pods/%s/%s/log", taskID, url.PathEscape(pod), url.PathEscape(container))
}

// fillLogs reads the ends of the logs of the newest pods.
func (s *Server) fillLogs(ctx context.Context, taskID uint64, pods []podView) {
	ctx, cancel := context.WithTimeout(ctx, logsTimeout)
	defer cancel()
	for i, p := range pods {
		for j := range p.Containers {
			c := &p.Containers[j]
			switch raw := logURL(taskID, p.Name, c.Name); {
			case !c.begun:
				c.Log.Note = "The container has not started, so there is no log yet."
			case i >= logPods:
				c.Log = logView{Note: "An older pod: its log is not read for this page.", Raw: raw}
			default:
				c.Log = s.readTail(ctx, taskID, p.Name, c.Name)
				c.Log.Raw = raw
				c.mergeMessage()
			}
		}
	}
}

// mergeMessage leaves the message out if the log ends with it, as it does by
// terminationMessagePolicy FallbackToLogsOnError: once is enough.
func (c *containerView) mergeMessage() {
	message, log := strings.TrimSpace(c.Message), strings.TrimSpace(c.Log.Text)
	if message != "" && strings.HasSuffix("\n"+log, "\n"+message) {
		c.Message, c.Log.HasMessage = "", true
	}
}

// readTail reads the end of one log. What goes wrong becomes a note: the rest of
// the page is worth showing.
func (s *Server) readTail(ctx context.Context, taskID uint64, pod, container string) logView {
	failed := func(err error) logView {
		if apierrors.IsNotFound(err) {
			return logView{Note: "The log is gone: the pod was deleted, as finished Jobs are after k8s.job-retention."}
		}
		s.log.LogAttrs(ctx, slog.LevelError, "read a log for a page",
			slog.Uint64("task_id", taskID), slog.String("pod", pod), slog.String("container", container), slog.Any("error", err))
		return logView{Note: "The log could not be read in time; webadmin's log has the reason. Load the page again, or open the whole log."}
	}
	log, err := s.pods.Logs(ctx, pod, container)
	if err != nil {
		return failed(err)
	}
	defer func() { _ = log.Close() }()
	last, total, err := tail(log, logTail)
	if err != nil {
		return failed(err)
	}
	v := logView{Text: cleanText(last), Total: total, Cut: int64(len(last)) < total}
	if total == 0 {
		v.Note = "The log is empty."
	}
	return v
}

// openLog opens the log that the path names. The pod must be one of the task's
// own: otherwise a task's page would be a window on every pod of the namespace.
func (s *Server) openLog(r *http.Request) (io.ReadCloser, error) {
	t, err := s.task(r)
	if err != nil {
		return nil, err
	}
	pod, container := r.PathValue("pod"), r.PathValue("container")
	pods, err := s.podsOf(r.Context(), t)
	if err != nil {
		return nil, err
	}
	if !hasContainer(pods, pod, container) {
		return nil, problem{kind: errNotFound, message: fmt.Sprintf("Task %d has no pod %q with a container %q: "+
			"it may have been deleted, as finished Jobs are after k8s.job-retention.", t.ID, pod, container)}
	}
	return s.logOf(r.Context(), t, pod, container)
}

func (s *Server) logOf(ctx context.Context, t dao.TaskExecution, pod, container string) (io.ReadCloser, error) {
	log, err := s.pods.Logs(ctx, pod, container)
	switch {
	case apierrors.IsNotFound(err):
		return nil, problem{kind: errNotFound, cause: err, message: fmt.Sprintf("The log of pod %s, container %s is gone: "+
			"the pod was deleted, as finished Jobs are after k8s.job-retention.", pod, container)}
	case err != nil:
		return nil, problem{kind: errCluster, cause: fmt.Errorf("open the log of pod %s, container %s of task %d: %w", pod, container, t.ID, err)}
	}
	return log, nil
}

func hasContainer(pods []corev1.Pod, pod, container string) bool {
	named := func(c corev1.Container) bool { return c.Name == container }
	return slices.ContainsFunc(pods, func(p corev1.Pod) bool {
		return p.Name == pod && (slices.ContainsFunc(p.Spec.Containers, named) || slices.ContainsFunc(p.Spec.InitContainers, named))
	})
}

// wholeLog sends a log as it is, while it is being read.
func (s *Server) wholeLog(w http.ResponseWriter, r *http.Request) error {
	log, err := s.openLog(r)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, err := io.Copy(w, log); err != nil {
		return problem{kind: errCluster, cause: fmt.Errorf("send the log of pod %s: %w", r.PathValue("pod"), err)}
	}
	return nil
}
