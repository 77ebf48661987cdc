package webadmin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
)

type apiPod struct {
	PodName    string     `json:"podName"`
	StartTime  *time.Time `json:"startTime"` // null: not yet, or not known anymore
	Containers []string   `json:"containers"`
}

// apiPods lists a task's pods, newest first, then those that are known only by
// what was kept of their logs.
func (s *Server) apiPods(w http.ResponseWriter, r *http.Request) error {
	t, err := s.task(r)
	if err != nil {
		return err
	}
	kept, err := s.store.TaskLogNames(r.Context(), t.ID)
	if err != nil {
		return err
	}
	pods, err := s.podsOf(r.Context(), t)
	if err != nil {
		if len(kept) == 0 {
			return err
		}
		s.log.LogAttrs(r.Context(), slog.LevelError, "list the pods for the API", slog.Uint64("task_id", t.ID), slog.Any("error", err))
	}
	out := items[apiPod]{Items: []apiPod{}}
	for _, p := range pods {
		out.Items = append(out.Items, newAPIPod(p))
	}
	for _, p := range keptLogs(kept).others(pods) {
		out.Items = append(out.Items, apiPod{PodName: p.name, Containers: p.containers})
	}
	return writeJSON(w, http.StatusOK, out)
}

func newAPIPod(p corev1.Pod) apiPod {
	view := apiPod{PodName: p.Name, Containers: []string{}}
	if p.Status.StartTime != nil {
		started := p.Status.StartTime.UTC()
		view.StartTime = &started
	}
	for _, c := range p.Spec.Containers {
		view.Containers = append(view.Containers, c.Name)
	}
	return view
}

// apiLogBytes is how much of a log the JSON API sends, its end: a JSON string
// has to be in memory as a whole. It is as much as can be kept of one.
const apiLogBytes = dao.MaxLogBytes

// apiLog sends the end of a log, or what was kept of it if the pod, or its log, is
// gone or cannot be read.
func (s *Server) apiLog(w http.ResponseWriter, r *http.Request) error {
	n, err := s.logName(r)
	if err != nil {
		return err
	}
	text, err := s.liveLog(r.Context(), n)
	if err != nil && !errors.Is(err, errBusy) {
		text, err = s.keptLog(w, r, n, err)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, item[string]{strings.ToValidUTF8(string(text), "\uFFFD")})
}

// liveLog reads the end of a log of one of the task's own pods.
func (s *Server) liveLog(ctx context.Context, n logName) ([]byte, error) {
	if err := s.checkPod(ctx, n); err != nil {
		return nil, err
	}
	release, err := s.takeRoom(ctx, apiLogBytes)
	if err != nil {
		return nil, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, podsTimeout)
	defer cancel()
	text, _, err := s.pods.LogTail(ctx, n.pod, n.container, apiLogBytes)
	if err != nil {
		return nil, n.unread(err)
	}
	return text, nil
}
