package manager

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

const (
	// claimBatch is how many executions one look at the database claims at the most. The
	// claim holds locks of them for as long as it takes: some milliseconds.
	claimBatch = 50
	// passTimeout bounds what one pass waits for the database and the API
	// server, and so how long a manager takes to stop.
	passTimeout = 20 * time.Second
	// maxBeat bounds what a poll waits for others to be told of it.
	maxBeat = time.Second / 2
)

// poll puts all that is held into the queue, for whatever a lost event has missed,
// and claims what can be claimed: as much as the workers get through, so that what
// they do not is left to other managers. With a limit on running Jobs, scheduled
// executions are claimed in their turn.
func (m *Manager) poll(ctx context.Context) {
	if m.rest() {
		return
	}
	m.notePoll()
	m.callTurns()
	m.queueHeld()
	if m.database.Err() == nil {
		m.claimAll(ctx)
	}
}

// claimAll claims what can be claimed, for a poll interval at the most.
func (m *Manager) claimAll(ctx context.Context) {
	patience, cancel := context.WithTimeout(ctx, m.cfg.PollInterval)
	defer cancel()
	for m.claimDue(ctx) && m.queue.drained(patience) {
	}
}

// queueHeld puts all that is held into the queue.
func (m *Manager) queueHeld() {
	for _, h := range m.all() {
		m.wakeAll(h)
	}
}

// claimDue claims at most a batch, as far as this manager's share goes, and says
// whether there may be more.
func (m *Manager) claimDue(ctx context.Context) (more bool) {
	pass, done := m.database.While(ctx)
	defer done()
	pass, cancel := context.WithTimeout(pass, passTimeout)
	defer cancel()
	now := m.cfg.Now()
	out := m.lastOutage()
	d, err := m.store.Due(pass, m.claimant(), now, out.alive(now).Add(-m.cfg.Lease))
	if err != nil {
		m.claimFailed(ctx, err)
		m.database.Doubt()
		return false
	}
	if d.Cancelled {
		signal(m.cancels)
	}
	if now.Before(out.settled) {
		d.Running = 0 // most of them are held
	}
	m.mu.Lock()
	m.due, m.left = d, false
	m.mu.Unlock()
	m.noteLook(d)
	since, limit := m.quota(now)
	n := 0
	if d.Running > 0 && !since.Before(out.settled) { // first: their Jobs wait to be looked at
		n = m.claim(ctx, m.store.ClaimRunning, since, limit)
		if n > 0 && since.Before(now) { // others have not taken what was given back
			m.keepAll(now)
		}
	}
	if d.Scheduled > 0 && !m.limited() {
		claimed := m.claim(ctx, m.store.ClaimScheduled, m.sinceWoken(since), limit-n)
		m.mu.Lock()
		m.left = claimed < d.Scheduled && since.Before(now)
		m.mu.Unlock()
		n += claimed
	}
	if n > 0 && d.Others > 0 {
		beat, cancel := context.WithTimeout(ctx, maxBeat)
		defer cancel()
		m.heartbeat(beat) // so that their shares are right
	}
	return n >= limit && d.Running+d.Scheduled > n
}

// claim takes at most limit executions that wait since then, or before, and returns
// how many they were.
func (m *Manager) claim(ctx context.Context, from func(ctx context.Context, by dao.Claimant, due, until time.Time, limit int) ([]dao.Lease, error), since time.Time, limit int) int {
	limit = min(limit, m.cfg.MaxExecutions-m.count())
	if limit <= 0 {
		return 0
	}
	pass, done := m.database.While(ctx)
	defer done()
	pass, cancel := context.WithTimeout(pass, passTimeout)
	defer cancel()
	leases, err := from(pass, m.claimant(), since, m.cfg.Now().Add(m.cfg.Lease), limit)
	if err != nil {
		m.claimFailed(ctx, err)
		return 0
	}
	m.noteTakeovers(ctx, leases)
	for _, l := range leases {
		m.hold(l)
	}
	if ctx.Err() != nil { // the manager has begun to stop, and may have handed over all else
		m.handBack(ctx, leases)
	}
	return len(leases)
}

// noteTakeovers logs whose executions this manager has taken over.
func (m *Manager) noteTakeovers(ctx context.Context, leases []dao.Lease) {
	lost := map[string]int{}
	for _, l := range leases {
		if l.Lost != "" {
			lost[l.Lost]++
		}
	}
	for _, owner := range slices.Sorted(maps.Keys(lost)) {
		m.log.InfoContext(ctx, "took over executions of a manager whose leases ran out", "executions", lost[owner], "last_manager", owner)
	}
}

// claimant is this manager as claims know it.
func (m *Manager) claimant() dao.Claimant {
	return dao.Claimant{Owner: m.cfg.Owner, Namespace: m.cfg.Namespace}
}

// claimFailed logs an error. A pass that timed out is one, too; one cut off by the
// end is not.
func (m *Manager) claimFailed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		m.log.Log(ctx, m.errorLevel(), "claiming failed: executions wait until it succeeds", "error", err)
	}
}

// hold takes up an execution, unless it is held by this very lease already.
func (m *Manager) hold(l dao.Lease) {
	h := &held{lease: l, until: l.Until, strikes: l.Strikes, pauses: map[uint64]pause{}, looks: map[uint64]*look{}}
	m.suspect(h)
	m.mu.Lock()
	if old := m.held[l.ExecutionID]; old == nil || old.lease.Epoch < l.Epoch {
		m.held[l.ExecutionID] = h
		m.queue.mark(l.ExecutionID, h.suspect)
	} else {
		h = old
	}
	m.mu.Unlock()
	m.log.Debug("execution claimed", "execution_id", l.ExecutionID, "epoch", l.Epoch)
	m.wakeAll(h)
}

// drop forgets an execution: it has ended, or its lease is lost.
func (m *Manager) drop(h *held) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held[h.lease.ExecutionID] == h {
		delete(m.held, h.lease.ExecutionID)
		m.queue.mark(h.lease.ExecutionID, false)
	}
}

// renew extends the leases, drops what another manager has taken meanwhile, gives
// back what is more than this manager's share, and says that it lives.
func (m *Manager) renew(ctx context.Context) {
	before := m.byID()
	pass, cancel := context.WithTimeout(ctx, m.cfg.Lease/3)
	defer cancel()
	until := m.cfg.Now().Add(m.cfg.Lease)
	leases, err := m.store.Renew(pass, m.cfg.Owner, until)
	if err != nil {
		if ctx.Err() == nil {
			m.log.Log(ctx, m.errorLevel(), "renewing leases failed: other managers take over when they run out", "leases", len(before), "error", err)
		}
		return
	}
	for _, l := range leases {
		if h := before[l.ExecutionID]; h != nil && h.lease.Epoch == l.Epoch {
			m.mu.Lock()
			h.until = l.Until
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
	m.rebalance(ctx)
	m.heartbeat(ctx)
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
