package webadmin

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

type apiPod struct {
	PodName    string     `json:"podName"`
	StartTime  *time.Time `json:"startTime"` // null: not yet
	Containers []string   `json:"containers"`
}

// apiPods lists a task's pods, newest first.
func (s *Server) apiPods(w http.ResponseWriter, r *http.Request) error {
	t, err := s.task(r)
	if err != nil {
		return err
	}
	pods, err := s.podsOf(r.Context(), t)
	if err != nil {
		return err
	}
	out := items[apiPod]{Items: []apiPod{}}
	for _, p := range pods {
		view := apiPod{PodName: p.Name, Containers: []string{}}
		if p.Status.StartTime != nil {
			started := p.Status.StartTime.UTC()
			view.StartTime = &started
		}
		for _, c := range p.Spec.Containers {
			view.Containers = append(view.Containers, c.Name)
		}
		out.Items = append(out.Items, view)
	}
	return writeJSON(w, http.StatusOK, out)
}

// apiLogBytes is how much of a log the JSON API sends, its end: a JSON string
// has to be in memory as a whole.
const apiLogBytes = 16 << 20

func (s *Server) apiLog(w http.ResponseWriter, r *http.Request) error {
	log, err := s.openLog(r)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	text, _, err := tail(log, apiLogBytes)
	if err != nil {
		return problem{kind: errCluster, cause: fmt.Errorf("read the log of pod %s: %w", r.PathValue("pod"), err)}
	}
	return writeJSON(w, http.StatusOK, item[string]{strings.ToValidUTF8(string(text), "\uFFFD")})
}
