package manager

import (
	"context"
	"errors"
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
// whatever a lost event has missed is found here. With a limit on running Jobs,
// scheduled executions are claimed in their turn.
func (m *Manager) poll(ctx context.Context) {
	m.callTurns()
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
	pass, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	now := m.cfg.Now()
	claim := m.store.Claim
	if m.limited() {
		claim = m.store.ClaimRunning
	}
	leases, err := claim(pass, m.cfg.Owner, now, now.Add(m.cfg.Lease), limit)
	m.holdClaimed(ctx, leases, err)
	return len(leases)
}

// holdClaimed takes up what was claimed before there was an error, if there was one.
func (m *Manager) holdClaimed(ctx context.Context, leases []dao.Lease, err error) {
	if err != nil && ctx.Err() == nil { // a pass that timed out is an error, too; one cut off by the end is not
		m.log.ErrorContext(ctx, "claiming failed: executions wait until it succeeds", "error", err)
	}
	for _, l := range leases {
		m.hold(l)
	}
}

// hold takes up an execution, unless it is held by this very lease already.
func (m *Manager) hold(l dao.Lease) {
	m.mu.Lock()
	old := m.held[l.ExecutionID]
	if old == nil || old.lease.Epoch < l.Epoch {
		m.held[l.ExecutionID] = &held{lease: l, until: l.Until, pauses: map[uint64]pause{}, looks: map[uint64]*look{}}
	}
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
	pass, cancel := context.WithTimeout(ctx, m.cfg.Lease/3)
	defer cancel()
	until := m.cfg.Now().Add(m.cfg.Lease)
	leases, err := m.store.Renew(pass, m.cfg.Owner, until)
	if err != nil {
		if ctx.Err() == nil {
			m.log.ErrorContext(ctx, "renewing leases failed: other managers take over when they run out", "leases", len(before), "error", err)
		}
		return
	}
	for _, l := range leases {
		if h := before[l.ExecutionID]; h != nil && h.lease.Epoch == l.Epoch {
			m.mu.Lock()
			h.until = until
			m.mu.Unlock()
			delete(before, l.ExecutionID)
			continue
		}
		m.hold(l) // of a claim whose answer was lost, or made while this ran
	}
	for id, h := range before {
		m.drop(h) // has ended in between, or is another's
		m.log.DebugContext(ctx, "execution no longer held", "execution_id", id)
	}
}

// whileLeased returns a context that ends with h's lease as this clock has it.
// The database's fence decides for writes; this keeps a manager that was stopped
// for long from creating Jobs.
func (m *Manager) whileLeased(ctx context.Context, h *held) (context.Context, context.CancelFunc, error) {
	m.mu.Lock()
	left := h.until.Sub(m.cfg.Now())
	m.mu.Unlock()
	if left <= 0 {
		return nil, nil, errors.New("the lease has run out and could not be renewed yet: no Job is created without one")
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	return ctx, cancel, nil
}

func (m *Manager) releaseLeases(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := m.store.ReleaseAll(ctx, m.cfg.Owner, m.cfg.Now()); err != nil {
		m.log.ErrorContext(ctx, "giving leases back failed: others take over when they run out", "error", err)
	}
	m.log.InfoContext(ctx, "manager stopped")
}
