package dao

import (
	"cmp"
	"context"
	"time"
)

// turn is a place in the order in which Jobs run under a limit.
type turn struct {
	QueueRank int32
	ID        uint64 // of the execution
	WakeAt    time.Time
}

func (t turn) compare(o turn) int {
	return cmp.Or(cmp.Compare(t.QueueRank, o.QueueRank), cmp.Compare(t.ID, o.ID))
}

// ClaimInTurn takes scheduled executions that are free since due, or before, at most
// limit of them, and leases them until that time: of all tasks that wait for a slot in
// by's namespace and all executions that are still to begin, in their order, only the
// first ahead are taken up, so that others wait in the database.
func (s *Store) ClaimInTurn(ctx context.Context, by Claimant, due, until time.Time, ahead, limit int) ([]Lease, error) {
	db := s.db.WithContext(ctx)
	var waiting, scheduled []turn
	// In this order, so that one that begins in between is counted twice, not never. One
	// that nobody has, and that is not due, as by a clock that is ahead, is in nobody's way.
	err := db.Table("workflow_executions").Select("queue_rank, id, wake_at").
		Where("status = ? AND (wake_at <= ? OR lease_owner IS NOT NULL)", ExecutionScheduled, micros(due)).
		Order("queue_rank, id").Limit(ahead).Find(&scheduled).Error
	if err != nil {
		return nil, translate(err, "look for scheduled executions")
	}
	err = waitingTasks(db, by.Namespace).Select("queue_rank, workflow_execution_id AS id").Limit(ahead).Find(&waiting).Error
	if err != nil {
		return nil, translate(err, "look for tasks that wait for a slot")
	}
	var ids []uint64
	before := 0 // of those that wait
	for i, t := range scheduled {
		for before < len(waiting) && waiting[before].compare(t) < 0 {
			before++
		}
		if i+before >= ahead || len(ids) == limit {
			break
		}
		if !t.WakeAt.After(micros(due)) { // else somebody has it, and is about to begin it
			ids = append(ids, t.ID)
		}
	}
	return s.claimThese(ctx, by, ids, due, until)
}
