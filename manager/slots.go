package manager

import (
	"context"
	"errors"
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

// With a limit on running Jobs, a task begins without a slot and waits: its Job is
// created once the task has been given one. Slots are rows, given by any manager that
// holds executions (dao.GrantSlots), and go back with the task's end.
// Executions that are still to begin stay in the database until it is about to be
// their turn.

// How many tasks and executions are taken up before there is a slot for them: about
// as many as there are slots, so that these are not idle while the next ones are
// read; but never so few that some that cannot begin are in the way of all others.
const (
	minAhead = 20
	maxAhead = 200
)

// limited says whether there is a limit on running Jobs.
func (m *Manager) limited() bool {
	return m.cfg.MaxRunningJobs > 0 || m.cfg.MaxRunningJobsPerNamespace > 0
}

// ahead is how many tasks and executions may be taken up before there is a slot.
func (m *Manager) ahead() int {
	n := maxAhead
	for _, limit := range []int{m.cfg.MaxRunningJobs, m.cfg.MaxRunningJobsPerNamespace} {
		if limit > 0 {
			n = min(n, limit)
		}
	}
	return max(n, minAhead)
}

// callTurns has slots given soon: some may have become free, or tasks wait. It is
// called once after a pass and once in a poll, however much they changed.
func (m *Manager) callTurns() {
	if !m.limited() {
		return
	}
	select {
	case m.turns <- struct{}{}:
	default:
	}
}

// takeTurns gives slots whenever that is called for, until ctx ends.
func (m *Manager) takeTurns(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-m.turns:
		}
		if ctx.Err() != nil || m.database.Err() != nil {
			continue // the database's return calls again
		}
		m.giveSlots(ctx)
		m.claimInTurn(ctx)
	}
}

// giveSlots has free slots go to the tasks whose turn it is, and wakes those that
// are held here. Tasks that wait are of executions that somebody holds: a manager
// that holds none need not ask.
func (m *Manager) giveSlots(ctx context.Context) {
	if m.count() == 0 {
		return
	}
	ctx, done := m.database.While(ctx)
	defer done()
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	limits := dao.JobLimits{All: m.cfg.MaxRunningJobs, Namespace: m.cfg.Namespace, InNamespace: m.cfg.MaxRunningJobsPerNamespace}
	if _, err := m.store.GrantSlots(ctx, limits, m.cfg.Now()); err != nil {
		m.logUnlessStopped(ctx, "giving slots to tasks failed: they wait until it succeeds", err)
		return
	}
	// Of this grant, and of those that others made, or whose answer was lost.
	grants, err := m.store.GrantedTasks(ctx, m.cfg.Namespace)
	if err != nil {
		m.logUnlessStopped(ctx, "reading which tasks have slots failed: they wait until it succeeds", err)
		return
	}
	for _, g := range grants {
		if m.grant(g) {
			m.wakeTask(g.ExecutionID, g.TaskID)
		}
	}
}

func (m *Manager) logUnlessStopped(ctx context.Context, message string, err error) {
	if !errors.Is(ctx.Err(), context.Canceled) {
		m.log.Log(ctx, m.errorLevel(), message, "error", err)
	}
}

// grant notes that a task has a slot; false if it is not held here, or is known.
func (m *Manager) grant(g dao.Grant) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.held[g.ExecutionID]
	if h == nil || h.granted[g.TaskID] {
		return false
	}
	if h.granted == nil {
		h.granted = map[uint64]bool{}
	}
	h.granted[g.TaskID] = true
	return true
}

// waits says whether a task waits for a slot: nothing is to be done for it then.
func (m *Manager) waits(h *held, row *dao.TaskExecution) bool {
	if !m.limited() || !row.Waits() {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return !h.granted[row.ID]
}

// noteWaiting notes how many tasks of an execution wait for slots.
func (h *held) noteWaiting(n int) {
	h.turns = h.turns || n > h.waiting
	h.waiting = n
}

// endPass has slots given if a pass has left tasks that wait, or has ended tasks.
func (m *Manager) endPass(h *held) {
	if h.turns {
		h.turns = false
		m.callTurns()
	}
}

// claimInTurn takes up the scheduled executions whose turn is near.
func (m *Manager) claimInTurn(ctx context.Context) {
	inTurn := func(ctx context.Context, by dao.Claimant, due, until time.Time, limit int) ([]dao.Lease, error) {
		return m.store.ClaimInTurn(ctx, by, due, until, m.ahead(), min(limit, m.ahead()))
	}
	since, limit := m.quota(m.cfg.Now())
	m.claim(ctx, inTurn, since, limit)
}
