package manager

import (
	"context"
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

const (
	// claimBatch is how many executions one look at the database claims at the most.
	claimBatch = 100
	// passTimeout bounds what one pass waits for the database and the API
	// server, and so how long a manager takes to stop.
	passTimeout = 20 * time.Second
)

// poll claims what can be claimed and puts all that is held into the queue:
// whatever a lost event has missed is found here.
func (m *Manager) poll(ctx context.Context) {
	m.mu.Lock()
	ids := make([]uint64, 0, len(m.held))
	for id := range m.held {
		ids = append(ids, id)
	}
	m.mu.Unlock()
	for _, id := range ids {
		m.queue.add(id)
	}
	for room := m.cfg.MaxExecutions - len(ids); room > 0; {
		batch := min(room, claimBatch)
		if m.claim(ctx, batch) < batch {
			return
		}
		room -= batch
	}
}

// claim takes at most limit executions and returns how many they were.
func (m *Manager) claim(ctx context.Context, limit int) int {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	now := m.cfg.Now()
	leases, err := m.store.Claim(ctx, m.cfg.Owner, now, now.Add(m.cfg.Lease), limit)
	if err != nil && ctx.Err() == nil {
		m.log.ErrorContext(ctx, "claiming failed: executions wait until it succeeds", "error", err)
	}
	for _, l := range leases {
		m.hold(l)
	}
	return len(leases)
}

func (m *Manager) hold(l dao.Lease) {
	m.mu.Lock()
	m.held[l.ExecutionID] = &held{lease: l, until: l.Until}
	m.mu.Unlock()
	m.log.Debug("execution claimed", "execution_id", l.ExecutionID, "epoch", l.Epoch)
	m.queue.add(l.ExecutionID)
}

// drop forgets an execution: it has ended, or its lease is lost.
func (m *Manager) drop(h *held) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held[h.lease.ExecutionID] == h {
		delete(m.held, h.lease.ExecutionID)
	}
}

// renew extends the leases, and drops what another manager has taken meanwhile.
func (m *Manager) renew(ctx context.Context) {
	m.mu.Lock()
	before := make(map[uint64]*held, len(m.held))
	for id, h := range m.held {
		before[id] = h
	}
	m.mu.Unlock()
	if len(before) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Lease/3)
	defer cancel()
	until := m.cfg.Now().Add(m.cfg.Lease)
	ids, err := m.store.Renew(ctx, m.cfg.Owner, until)
	if err != nil {
		if ctx.Err() == nil {
			m.log.ErrorContext(ctx, "renewing leases failed: other managers take over when they run out", "leases", len(before), "error", err)
		}
		return
	}
	m.mu.Lock()
	for _, id := range ids {
		if h := before[id]; h != nil {
			h.until = until
		}
		delete(before, id)
	}
	m.mu.Unlock()
	for id, h := range before {
		m.drop(h) // has ended in between, or is another's
		m.log.DebugContext(ctx, "execution no longer held", "execution_id", id)
	}
}

// leased says whether h's lease is surely still in force by this clock. The
// database's fence decides for writes; this keeps a manager that was stopped
// for long from creating Jobs.
func (m *Manager) leased(h *held) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cfg.Now().Before(h.until)
}

func (m *Manager) releaseLeases(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := m.store.ReleaseAll(ctx, m.cfg.Owner, m.cfg.Now()); err != nil {
		m.log.ErrorContext(ctx, "giving leases back failed: others take over when they run out", "error", err)
	}
	m.log.InfoContext(ctx, "manager stopped")
}
