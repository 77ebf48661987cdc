package webadmin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/jobnetes/jobnetes/dao"
)

// keptHeader says that an answer is what was kept of a log in the database: the
// "whole" of it, or its "end". A pod's own log comes without.
const keptHeader = "Jobnetes-Kept-Log"

// logName is the log that a path names.
type logName struct {
	task           dao.TaskExecution
	pod, container string
}

func (s *Server) logName(r *http.Request) (logName, error) {
	t, err := s.task(r)
	return logName{t, r.PathValue("pod"), r.PathValue("container")}, err
}

// checkPod returns an error unless the pod is there, has the container, and is
// one of the task's own: otherwise a task's page would be a window on every pod
// of the namespace.
func (s *Server) checkPod(ctx context.Context, n logName) error {
	pods, err := s.podsOf(ctx, n.task)
	if err != nil {
		return err
	}
	if !hasContainer(pods, n.pod, n.container) {
		return problem{kind: errNotFound, message: fmt.Sprintf("Task %d has no pod %q with a container %q, and no log of one was kept. "+
			"It may have been deleted, as finished Jobs are after k8s.job-retention.", n.task.ID, n.pod, n.container)}
	}
	return nil
}

func hasContainer(pods []corev1.Pod, pod, container string) bool {
	named := func(c corev1.Container) bool { return c.Name == container }
	return slices.ContainsFunc(pods, func(p corev1.Pod) bool {
		return p.Name == pod && (slices.ContainsFunc(p.Spec.Containers, named) || slices.ContainsFunc(p.Spec.InitContainers, named))
	})
}

// unread is the error of reading a pod's log.
func (n logName) unread(err error) error {
	if apierrors.IsNotFound(err) {
		return problem{kind: errNotFound, cause: err, message: fmt.Sprintf("There is no log of pod %s, container %s, and nothing was kept of one: "+
			"the container has not started, or it was removed, as finished Jobs are after k8s.job-retention.", n.pod, n.container)}
	}
	return problem{kind: errCluster, cause: fmt.Errorf("read the log of pod %s, container %s of task %d: %w", n.pod, n.container, n.task.ID, err)}
}

// keptLog returns what was kept of a log that cannot be read from its pod, and
// says so in a header; if nothing was, the reason why it cannot be read.
func (s *Server) keptLog(w http.ResponseWriter, r *http.Request, n logName, why error) ([]byte, error) {
	names, err := s.store.TaskLogNames(r.Context(), n.task.ID)
	if err != nil {
		return nil, err
	}
	if !keptLogs(names).has(n.pod, n.container) {
		return nil, why
	}
	if !errors.Is(why, errNotFound) {
		s.logUnread(r.Context(), n.task.ID, n.pod, n.container, why)
	}
	kept, err := s.store.TaskLog(r.Context(), n.task.ID, n.pod, n.container)
	if err != nil {
		return nil, err
	}
	extent := "whole"
	if kept.Truncated {
		extent = "end"
	}
	w.Header().Set(keptHeader, extent)
	return kept.Text, nil
}

// openLog opens a log of one of the task's own pods.
func (s *Server) openLog(ctx context.Context, n logName) (io.ReadCloser, error) {
	if err := s.checkPod(ctx, n); err != nil {
		return nil, err
	}
	log, err := s.pods.Logs(ctx, n.pod, n.container)
	if err != nil {
		return nil, n.unread(err)
	}
	return log, nil
}

// wholeLog sends a log as it is, while it is being read, or what was kept of it.
func (s *Server) wholeLog(w http.ResponseWriter, r *http.Request) error {
	var n logName
	err := s.whileReachable(r, func(r *http.Request) (err error) {
		n, err = s.logName(r)
		return err
	})
	if err != nil {
		return err
	}
	log, err := s.openLog(r.Context(), n)
	if err != nil {
		text, err := s.keptLog(w, r, n, err)
		if err != nil {
			return err
		}
		return writeText(w, string(text))
	}
	defer func() { _ = log.Close() }()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, err := io.Copy(w, log); err != nil {
		return n.unread(err)
	}
	return nil
}
