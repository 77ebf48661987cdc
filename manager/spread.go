package manager

import (
	"context"
	"slices"
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

const (
	// slack is which part of its share a manager may hold beyond it, so that small
	// differences move nothing to and fro.
	slack = 10
	// contentFor is for how many leases a manager gives nothing back after the
	// others have not taken what it left to them: they may be full.
	contentFor = 8
)

// share returns how many executions a manager is to hold that holds so many: as
// many as each other, with what waits for one of them.
func share(d dao.Due, held int) int {
	all := d.Others + 1
	return (d.OthersHeld + held + d.Running + d.Scheduled + all - 1) / all
}

// excess returns how many executions more than its share a manager holds; 0 if that
// is little.
func excess(d dao.Due, held int) int {
	s := share(d, held)
	if held <= s+max(1, s/slack) {
		return 0
	}
	return held - s
}

// quota returns how many executions this manager may claim now, and since when they
// must have waited. One that holds its share leaves to others what has come since
// its last poll: otherwise it would take what was just given back to them. They look
// as often as it does, so what they have not taken by its next poll they have no
// room for, or do not work, or have counted wrongly: it takes that. So whatever the
// counts are, nothing waits for more than two polls of a manager that has room.
func (m *Manager) quota(now time.Time) (since time.Time, limit int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if limit = share(m.due, len(m.held)) - len(m.held); limit > 0 {
		return now, min(limit, claimBatch)
	}
	return m.polls[0], claimBatch
}

// notePoll remembers when this manager looks, and when it last did.
func (m *Manager) notePoll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.polls = [2]time.Time{m.polls[1], m.cfg.Now()}
}

// keepAll has the manager give nothing back for some time.
func (m *Manager) keepAll(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.contentUntil = now.Add(contentFor * m.cfg.Lease)
}

// rebalance gives back what is more than this manager's share: no more at once than
// others claim at once, so that what it does not work on any more waits for nobody.
func (m *Manager) rebalance(ctx context.Context) {
	m.mu.Lock()
	d := m.due
	if m.limited() {
		d.Scheduled = 0 // may wait for long
	}
	n := min(excess(d, len(m.held)), claimBatch)
	content := m.cfg.Now().Before(m.contentUntil)
	m.mu.Unlock()
	if n == 0 || content {
		return
	}
	var leases []dao.Lease
	for _, h := range slices.Backward(m.all()) { // the youngest: there is least to be read again
		if len(leases) == n {
			break
		}
		if h.noted() && m.withdraw(h) {
			leases = append(leases, h.lease)
		}
	}
	if len(leases) == 0 {
		return // workers have them all in hand
	}
	m.mu.Lock()
	m.due.Running += len(leases)
	m.mu.Unlock()
	m.release(ctx, leases)
	m.log.InfoContext(ctx, "executions given back, so that other managers hold their share", "executions", len(leases))
}

// noted says whether the database knows all that this manager does.
func (h *held) noted() bool {
	noted := true
	h.unnoted.Range(func(any, any) bool { noted = false; return false })
	return noted
}

// release gives back leases of executions that are forgotten already. If it fails,
// the next renewal finds them, and they are taken up again.
func (m *Manager) release(ctx context.Context, leases []dao.Lease) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := m.store.Release(ctx, leases, m.cfg.Now()); err != nil {
		m.log.ErrorContext(ctx, "giving leases back failed", "leases", len(leases), "error", err)
	}
}

// heartbeat tells other managers that this one lives, and what it holds.
func (m *Manager) heartbeat(ctx context.Context) {
	pass, cancel := context.WithTimeout(ctx, m.cfg.Lease/3)
	defer cancel()
	err := m.store.Heartbeat(pass, dao.Manager{Owner: m.cfg.Owner, Build: m.cfg.Build, Held: m.count(), Address: m.cfg.Address, StartedAt: m.started, SeenAt: m.cfg.Now()})
	if err != nil && ctx.Err() == nil {
		m.log.WarnContext(ctx, "other managers cannot be told that this one lives: executions may be spread unevenly", "error", err)
	}
}
