package webadmin

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
)

// keptLogs names the logs of a task whose ends the manager kept in the database,
// pods oldest first. Names are compared here, byte for byte, since a database may
// have its own idea of what is equal.
type keptLogs []dao.TaskLogName

// has says whether something of a container's log was kept.
func (k keptLogs) has(pod, container string) bool {
	return slices.ContainsFunc(k, func(l dao.TaskLogName) bool { return l.Pod == pod && l.Container == container })
}

// keptPod is a pod of which only what was kept of its logs is known.
type keptPod struct {
	name       string
	containers []string
}

// others returns the pods that are not among those given, newest first.
func (k keptLogs) others(pods []corev1.Pod) []keptPod {
	var list []keptPod
	for _, l := range k {
		if slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Name == l.Pod }) {
			continue
		}
		i := slices.IndexFunc(list, func(p keptPod) bool { return p.name == l.Pod })
		if i < 0 {
			i, list = len(list), append(list, keptPod{name: l.Pod})
		}
		list[i].containers = append(list[i].containers, l.Container)
	}
	slices.Reverse(list)
	return list
}

// keptPodView is the pod as the page of its task shows it: with its logs if show.
func (s *Server) keptPodView(ctx context.Context, taskID uint64, p keptPod, phase pill, show bool) podView {
	v := podView{Name: p.name, Phase: phase, Kept: true}
	for _, container := range p.containers {
		c := containerView{Name: container, Log: logView{Kept: true, Note: noteOlder}}
		if show {
			c.Log = s.readKept(ctx, taskID, p.name, container, "")
		}
		c.Log.Raw = logURL(taskID, p.name, container)
		v.Containers = append(v.Containers, c)
	}
	return v
}

// readKept reads what was kept of one log, for a page; intro begins its note.
// What goes wrong becomes a note.
func (s *Server) readKept(ctx context.Context, taskID uint64, pod, container, intro string) logView {
	l, err := s.store.TaskLog(ctx, taskID, pod, container)
	if err != nil {
		s.logUnread(ctx, taskID, pod, container, err)
		return logView{Kept: true, Note: "What was kept of the log could not be read from the database; webadmin's log has the reason."}
	}
	v := newKeptView(l)
	v.Note = strings.TrimSpace(intro + " " + v.Note)
	return v
}

func newKeptView(l dao.TaskLog) logView {
	text, cut := lastLines(l.Text, logTail)
	v := logView{Text: cleanText(text), Cut: cut, Kept: true}
	switch {
	case l.Truncated:
		v.Note = "Only the end of the log was kept: manager.kept-log-bytes says how much."
	case len(text) == 0:
		v.Note = "The log was empty."
	}
	return v
}
