package manager

import (
	"context"
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

// handOver gives all back that no worker has in hand, as soon as ctx has ended.
// The workers give back the rest, each when its pass has ended: a pass that waits
// for something holds up nothing else.
func (m *Manager) handOver(ctx context.Context) {
	<-ctx.Done()
	var inHand []uint64
	for _, h := range m.all() {
		if !m.withdraw(h) {
			inHand = append(inHand, h.lease.ExecutionID)
		}
	}
	m.leave(ctx, inHand)
}

// handBack gives back what is still held by those leases, though the manager has
// begun to stop.
func (m *Manager) handBack(ctx context.Context, leases []dao.Lease) {
	var mine []dao.Lease
	held := m.byID()
	for _, l := range leases {
		if h := held[l.ExecutionID]; h != nil && m.withdraw(h) {
			mine = append(mine, h.lease)
		}
	}
	if len(mine) > 0 {
		m.release(context.WithoutCancel(ctx), mine)
	}
}

// leave gives all leases back but those of the executions in but, whatever this
// manager knows of them.
func (m *Manager) leave(ctx context.Context, but []uint64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := m.store.Leave(ctx, m.cfg.Owner, but, m.cfg.Now()); err != nil {
		m.log.ErrorContext(ctx, "giving leases back failed: others take over when they run out", "error", err)
	}
}
