package webadmin

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
)

// keptLogs are the ends of a task's logs that the manager kept in the database,
// pods oldest first.
type keptLogs []dao.TaskLog

// find returns what was kept of a container's log; nil: nothing was.
func (k keptLogs) find(pod, container string) *dao.TaskLog {
	i := slices.IndexFunc(k, func(l dao.TaskLog) bool { return l.Pod == pod && l.Container == container })
	if i < 0 {
		return nil
	}
	return &k[i]
}

// keptPod is a pod of which only what was kept of its logs is known.
type keptPod struct {
	name string
	logs []dao.TaskLog
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
		list[i].logs = append(list[i].logs, l)
	}
	slices.Reverse(list)
	return list
}

// view is the pod as the page of its task shows it: with its logs if show.
func (p keptPod) view(taskID uint64, phase pill, show bool) podView {
	v := podView{Name: p.name, Phase: phase, Kept: true}
	for _, l := range p.logs {
		c := containerView{Name: l.Container, Log: logView{Kept: true, Note: noteOlder}}
		if show {
			c.Log = newKeptView(l)
		}
		c.Log.Raw = logURL(taskID, l.Pod, l.Container)
		v.Containers = append(v.Containers, c)
	}
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
