package manager

import (
	"context"
	"slices"
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

// others are the other managers that live, and how many executions they hold.
type others struct{ managers, held int }

const (
	// slack is which part of its share a manager may hold beyond it, so that small
	// differences move nothing to and fro.
	slack = 10
	// headStart is for which part of its lease a manager that holds too much leaves
	// executions to others.
	headStart = 3
	// contentFor is for how many leases a manager gives nothing back after the
	// others have not taken what it left to them: they may be full.
	contentFor = 8
)

// excess returns how many executions more than its share a manager holds that
// holds n; 0 if that is little.
func (o others) excess(n int) int {
	all := o.managers + 1
	share := (o.held + n + all - 1) / all
	if n <= share+max(1, share/slack) {
		return 0
	}
	return n - share
}

// leaveToOthers returns since when an execution must have waited for this manager
// to claim it: one that holds more than its share lets others go first. What they
// do not take it takes all the same, so that nothing waits for ever.
func (m *Manager) leaveToOthers(now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.others.excess(len(m.held)) == 0 {
		return now
	}
	return now.Add(-m.cfg.Lease / headStart)
}

// keepAll has the manager give nothing back for some time.
func (m *Manager) keepAll(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.contentUntil = now.Add(contentFor * m.cfg.Lease)
}

// rebalance gives back what is more than this manager's share.
func (m *Manager) rebalance(ctx context.Context) {
	m.mu.Lock()
	n := m.others.excess(len(m.held))
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
	err := m.store.Heartbeat(pass, dao.Manager{Owner: m.cfg.Owner, Build: m.cfg.Build, Held: m.count(), StartedAt: m.started, SeenAt: m.cfg.Now()})
	if err != nil && ctx.Err() == nil {
		m.log.WarnContext(ctx, "other managers cannot be told that this one lives: executions may be spread unevenly", "error", err)
	}
}
