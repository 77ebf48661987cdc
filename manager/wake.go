package manager

import (
	"context"
	"time"
)

// A manager can be told that there is something to do, so that nobody waits for its
// next poll. It then does what the poll would do, and does not count it as one: all
// that others rely on are polls, as who is woken is left to chance.

const (
	// wakeRest is the time between two looks of a manager that is woken all the
	// time: in a burst of starts, each look is to find several.
	wakeRest = 5 * time.Millisecond
	// maxSkew is for how long a look waits until what it is about is due by this
	// manager's clock. What comes from a clock that differs by more waits for a poll.
	maxSkew = 100 * time.Millisecond
	// othersTurn is for how long a manager that holds its share leaves new
	// executions to others that were woken with it.
	othersTurn = 50 * time.Millisecond
)

// Started has the manager claim at once what waits to be claimed, as executions that
// were started, or given back by another manager, at a time by the clock of who did it.
// It does not wait for that. Any number of calls, also in the midst of a look, are
// one more look.
func (m *Manager) Started(at time.Time) {
	m.mu.Lock()
	if at.After(m.startedAt) {
		m.startedAt = at
	}
	m.mu.Unlock()
	signal(m.starts)
}

// Cancelled has the manager look at once for executions that somebody wants to be
// cancelled, as Started does.
func (m *Manager) Cancelled() { signal(m.cancels) }

// claimWoken claims what can be claimed, and rests. What it leaves to others, as it
// holds its share, it claims after a moment if they have not: those that were woken,
// too, have looked by then.
func (m *Manager) claimWoken(ctx context.Context) {
	m.awaitDue(ctx)
	m.callTurns()
	if m.database.Err() != nil {
		return
	}
	looked := m.cfg.Now()
	m.claimAll(ctx)
	if m.leaves() {
		time.AfterFunc(othersTurn, func() { m.claimLeft(looked) })
	}
	idle(ctx, wakeRest)
}

// awaitDue waits until the last start is due by this clock, if its clock differs by
// little.
func (m *Manager) awaitDue(ctx context.Context) {
	m.mu.Lock()
	at := m.startedAt
	m.mu.Unlock()
	if ahead := at.Sub(m.cfg.Now()); ahead <= maxSkew {
		idle(ctx, ahead)
	}
}

// idle waits for some time; less if ctx ends.
func idle(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// leaves says whether the last look has left scheduled executions to others, though
// there is room for them.
func (m *Manager) leaves() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.left && len(m.held) < m.cfg.MaxExecutions
}

// claimLeft has this manager claim, beyond its share, what has been waiting since
// then.
func (m *Manager) claimLeft(since time.Time) {
	m.mu.Lock()
	if since.After(m.othersHad) {
		m.othersHad = since
	}
	m.mu.Unlock()
	signal(m.starts)
}

// sinceWoken returns since when executions that have not begun must have waited to
// be claimed, where others must have since then.
func (m *Manager) sinceWoken(since time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.othersHad.After(since) {
		return m.othersHad
	}
	return since
}
