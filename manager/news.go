package manager

import (
	"cmp"
	"slices"

	"github.com/jobnetes/jobnetes/dao"
)

// news is what a pass over an execution is to look at: what it costs goes with what has
// changed, not with how many tasks there are. Each poll has all be looked at, for
// whatever a lost event has missed, and for what goes by time.
type news struct {
	all   bool
	tasks map[uint64]bool // whose Jobs or pods have changed
}

// wakeAll has the next pass over h look at all of its tasks.
func (m *Manager) wakeAll(h *held) {
	m.mu.Lock()
	h.news = news{all: true}
	m.mu.Unlock()
	m.queue.add(h.lease.ExecutionID)
}

// wakeTask has the next pass over an execution, if it is held here, look at these of its
// tasks, and at what an earlier pass has left.
func (m *Manager) wakeTask(executionID uint64, taskIDs ...uint64) {
	m.mu.Lock()
	h := m.held[executionID]
	if h != nil && !h.news.all {
		if h.news.tasks == nil {
			h.news.tasks = map[uint64]bool{}
		}
		for _, id := range taskIDs {
			h.news.tasks[id] = true
		}
	}
	m.mu.Unlock()
	if h != nil {
		m.queue.add(executionID)
	}
}

// takeNews returns what is new since it was last called.
func (m *Manager) takeNews(h *held) news {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := h.news
	h.news = news{}
	return n
}

// rowsOf returns the running tasks that a pass is to look at.
func (h *held) rowsOf(n news) []*dao.TaskExecution {
	if n.all {
		h.rest = nil // is among all
		return h.x.RunningJobs()
	}
	var rows []*dao.TaskExecution
	for id := range n.tasks {
		row := h.x.RunningJob(id)
		if row != nil && (row.JobUID != nil || !slices.Contains(h.rest, row)) {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b *dao.TaskExecution) int { return cmp.Compare(a.ID, b.ID) })
	return append(rows, h.takeRest()...)
}

// takeRest returns tasks whose Jobs an earlier pass has left to be launched, as many as
// one launches.
func (h *held) takeRest() []*dao.TaskExecution {
	n := min(len(h.rest), launchesPerPass)
	rows := h.rest[:n:n]
	h.rest = h.rest[n:]
	return rows
}
