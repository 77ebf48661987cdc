package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

// What managers do with leases, and know of each other.

// losses are the columns that count an execution's lost holders.
type losses struct{ takeovers, strikes uint32 }

func (s *store) Due(ctx context.Context, by dao.Claimant, now, alive time.Time) (dao.Due, error) {
	return ask(s.p, s.read(ctx, "Due"), func() (d dao.Due, _ error) {
		d.Running = min(dao.DueLimit, len(s.db().claimable(by, s.db().waiting(dao.ExecutionRunning, micros(now)))))
		d.Scheduled = min(dao.DueLimit, len(s.db().waiting(dao.ExecutionScheduled, micros(now))))
		for _, e := range s.db().executions {
			own := e.LeaseOwner != nil && *e.LeaseOwner == by.Owner
			d.Cancelled = d.Cancelled || e.CancelRequestedAt != nil && (own || e.WakeAt != nil && !e.WakeAt.After(micros(now)))
		}
		for _, m := range s.db().managers {
			if m.Owner != by.Owner && m.SeenAt.After(micros(alive)) {
				d.Others++
				d.OthersHeld += m.Held
			}
		}
		return d, nil
	})
}

func (s *store) ClaimRunning(ctx context.Context, by dao.Claimant, due, until time.Time, limit int) ([]dao.Lease, error) {
	return s.claim(ctx, dao.ExecutionRunning, by, due, until, limit)
}

func (s *store) ClaimScheduled(ctx context.Context, by dao.Claimant, due, until time.Time, limit int) ([]dao.Lease, error) {
	return s.claim(ctx, dao.ExecutionScheduled, by, due, until, limit)
}

func (s *store) claim(ctx context.Context, status dao.ExecutionStatus, by dao.Claimant, due, until time.Time, limit int) ([]dao.Lease, error) {
	return s.take(s.write(ctx, "Claim %s", status), by, until, func() []uint64 {
		found := s.db().claimable(by, s.db().waiting(status, micros(due)))
		return found[:min(limit, len(found))]
	})
}

// claimThese takes those of the executions that are free.
func (s *store) claimThese(ctx context.Context, by dao.Claimant, ids []uint64, due, until time.Time) ([]dao.Lease, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return s.take(s.write(ctx, "Claim %v", ids), by, until, func() []uint64 {
		return slices.DeleteFunc(s.db().claimable(by, ids), func(id uint64) bool {
			e := s.db().executions[id]
			return e.WakeAt == nil || e.WakeAt.After(micros(due))
		})
	})
}

// take leases what is found.
func (s *store) take(c *call, by dao.Claimant, until time.Time, find func() []uint64) ([]dao.Lease, error) {
	return ask(s.p, c, func() (leases []dao.Lease, _ error) {
		err := s.db().transaction(func(t *tx) error {
			for _, id := range find() {
				e, at := t.execution(id), micros(until)
				l := dao.Lease{ExecutionID: id, Owner: by.Owner, Until: at}
				count := t.losses(id)
				if e.LeaseOwner != nil && *e.LeaseOwner != by.Owner {
					l.Lost = *e.LeaseOwner
					count.takeovers++
				}
				e.LeaseOwner, e.LeaseUntil, e.WakeAt = fresh(&by.Owner), &at, fresh(&at)
				if !s.db().sameEpoch {
					e.LeaseEpoch++
				}
				l.Epoch, l.Takeovers, l.Strikes = e.LeaseEpoch, count.takeovers, count.strikes
				leases = append(leases, l)
				t.lost[id] = count
				if err := t.saveExecution(e); err != nil {
					return err
				}
			}
			return nil
		})
		return leases, err
	})
}

func (s *store) Renew(ctx context.Context, owner string, until time.Time) ([]dao.Lease, error) {
	return ask(s.p, s.write(ctx, "Renew"), func() (leases []dao.Lease, _ error) {
		err := s.db().transaction(func(t *tx) error {
			for _, id := range s.db().ofOwner(owner) {
				e, at, count := t.execution(id), micros(until), t.losses(id)
				e.LeaseUntil, e.WakeAt = &at, fresh(&at)
				leases = append(leases, dao.Lease{ExecutionID: id, Owner: owner, Epoch: e.LeaseEpoch, Until: at, Takeovers: count.takeovers, Strikes: count.strikes})
				if err := t.saveExecution(e); err != nil {
					return err
				}
			}
			return nil
		})
		return leases, err
	})
}

func (s *store) Heartbeat(ctx context.Context, m dao.Manager) error {
	_, err := ask(s.p, s.write(ctx, "Heartbeat"), func() (struct{}, error) {
		s.db().managers[m.Owner] = m
		for owner, o := range s.db().managers {
			if o.SeenAt.Before(m.SeenAt.Add(-time.Hour)) {
				delete(s.db().managers, owner)
			}
		}
		return struct{}{}, nil
	})
	return err
}

func (s *store) Release(ctx context.Context, leases []dao.Lease, now time.Time) error {
	leases = slices.Clone(leases)
	var ids []uint64
	for _, l := range leases {
		ids = append(ids, l.ExecutionID)
	}
	return s.change(s.write(ctx, "Release %v", ids), nil, func(t *tx) error {
		for _, l := range leases {
			if e := t.execution(l.ExecutionID); holds(e, l) {
				if err := t.release(e, now); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (s *store) Leave(ctx context.Context, owner string, but []uint64, now time.Time) error {
	return s.change(s.write(ctx, "Leave %v", but), nil, func(t *tx) error {
		delete(s.db().managers, owner)
		for _, id := range s.db().ofOwner(owner) {
			if !slices.Contains(but, id) {
				if err := t.release(t.execution(id), now); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// release gives one lease back.
func (t *tx) release(e *dao.WorkflowExecution, now time.Time) error {
	at := micros(now)
	e.LeaseOwner, e.LeaseUntil, e.WakeAt = nil, nil, &at
	return t.saveExecution(e)
}

func (s *store) SetStrikes(ctx context.Context, l dao.Lease, strikes uint32) error {
	return s.note(s.hold(ctx, l.ExecutionID, "SetStrikes %d %d", l.ExecutionID, strikes), l, func(count *losses) { count.strikes = strikes })
}

func (s *store) Acquit(ctx context.Context, l dao.Lease, strikes uint32) error {
	return s.note(s.hold(ctx, l.ExecutionID, "Acquit %d %d", l.ExecutionID, strikes), l, func(count *losses) { *count = losses{strikes: strikes} })
}

// note changes what is counted of an execution's lost holders.
func (s *store) note(c *call, l dao.Lease, change func(count *losses)) error {
	return s.change(c, &l, func(t *tx) error {
		if !s.db().unfenced && !holds(t.execution(l.ExecutionID), l) {
			return conflicting("note a pass over execution %d", l.ExecutionID)
		}
		count := t.losses(l.ExecutionID)
		change(&count)
		t.lost[l.ExecutionID] = count
		return nil
	})
}

func (s *store) OpenRows(ctx context.Context, id uint64) (dao.WorkflowExecution, []*dao.TaskExecution, error) {
	type rows struct {
		execution dao.WorkflowExecution
		tasks     []*dao.TaskExecution
	}
	open, err := ask(s.p, s.read(ctx, "OpenRows %d", id), func() (r rows, _ error) {
		e := s.db().executions[id]
		if e == nil {
			return r, fmt.Errorf("simulated: execution %d: %w", id, dao.ErrNotFound)
		}
		r.execution = *copyExecution(e)
		for _, id := range s.db().tasksOf[id] {
			if t := s.db().tasks[id]; t.Status == dao.TaskRunning {
				r.tasks = append(r.tasks, &dao.TaskExecution{
					ID: t.ID, WorkflowExecutionID: t.WorkflowExecutionID, ExecutionName: t.ExecutionName, JobUID: t.JobUID, TaskName: t.TaskName, TaskType: t.TaskType, RecordedRev: t.RecordedRev,
					StartedAt: t.StartedAt, Output: nothing,
				})
			}
		}
		return r, nil
	})
	return open.execution, open.tasks, err
}
