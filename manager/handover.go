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
	given := 0
	for _, h := range m.all() {
		if m.withdraw(h) {
			given++
		} else {
			inHand = append(inHand, h.lease.ExecutionID)
		}
	}
	if err := m.leave(ctx, inHand); err != nil {
		m.log.InfoContext(ctx, "giving leases back failed: trying once more when all passes have ended", "leases", given, "in_hand", len(inHand), "error", err)
		return
	}
	m.log.InfoContext(ctx, "leases given back", "leases", given, "in_hand", len(inHand))
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
		m.cfg.HandedOver(m.cfg.Now())
	}
}

// handOverRest gives back what came too late for handOver, and what it could not.
func (m *Manager) handOverRest(ctx context.Context) {
	if err := m.leave(ctx, nil); err != nil {
		m.log.ErrorContext(ctx, "giving leases back failed: others take over when they run out", "error", err)
	}
}

// leave gives all leases back but those of the executions in but, whatever this
// manager knows of them, and has others told.
func (m *Manager) leave(ctx context.Context, but []uint64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := m.store.Leave(ctx, m.cfg.Owner, but, m.cfg.Now()); err != nil {
		return err
	}
	m.cfg.HandedOver(m.cfg.Now())
	return nil
}
