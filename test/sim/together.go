package sim

import (
	"context"
	"errors"
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

// What a manager writes at the same time shares a transaction, as in dao: package gather
// is the same, and what it carries out is a call to the simulated database.

// commitCall is a call of Commit. Its rows are the manager's: they are copied when they are
// sent, since it may have to be sent twice.
type commitCall struct {
	lease       dao.Lease
	execution   *dao.WorkflowExecution
	transitions []dao.Transition
	now         time.Time
}

func (c commitCall) copy() *commit { return newCommit(c.lease, c.execution, c.transitions, c.now) }

func (s *store) Commit(ctx context.Context, l dao.Lease, e *dao.WorkflowExecution, ts []dao.Transition, now time.Time) error {
	if err := s.enter(ctx, "Commit %d", e.ID); err != nil {
		return err
	}
	return s.commits.Do(ctx, commitCall{l, e, ts, now})
}

// enter has a call wait for its turn to come together with others: who comes first is
// the scheduler's choice.
func (s *store) enter(ctx context.Context, format string, args ...any) error {
	c := s.read(ctx, "enter "+format, args...)
	c.side = toCache
	_, err := ask(s.p, c, func() (struct{}, error) { return struct{}{}, nil })
	return err
}

func (s *store) commitAlone(ctx context.Context, call commitCall) error {
	c := call.copy()
	err := s.change(s.hold(ctx, call.execution.ID, "Commit %d", call.execution.ID), &call.lease, c.write)
	if err == nil {
		c.giveBack()
	}
	return err
}

func (s *store) commitTogether(ctx context.Context, calls []commitCall) (map[int]bool, error) {
	cs, leases := make([]*commit, len(calls)), make([]dao.Lease, len(calls))
	for i, call := range calls {
		cs[i], leases[i] = call.copy(), call.lease
	}
	left, err := s.together(ctx, commitsTogether, leases, func(t *tx, i int) error { return cs[i].write(t) })
	for i, c := range cs {
		if err == nil && !left[i] {
			c.giveBack()
		}
	}
	return left, err
}

// mark is a call of MarkLaunched.
type mark struct {
	lease  dao.Lease
	taskID uint64
	uid    string
	at     time.Time
}

func (s *store) MarkLaunched(ctx context.Context, l dao.Lease, taskID uint64, uid string, now time.Time) error {
	if err := s.enter(ctx, "MarkLaunched %d", taskID); err != nil {
		return err
	}
	return s.marks.Do(ctx, mark{l, taskID, uid, micros(now)})
}

func (s *store) markAlone(ctx context.Context, m mark) error {
	return s.change(s.hold(ctx, m.lease.ExecutionID, "MarkLaunched %d", m.taskID), &m.lease, m.write)
}

func (s *store) markTogether(ctx context.Context, ms []mark) (map[int]bool, error) {
	leases := make([]dao.Lease, len(ms))
	for i, m := range ms {
		leases[i] = m.lease
	}
	return s.together(ctx, marksTogether, leases, func(t *tx, i int) error { return ms[i].write(t) })
}

func (m mark) write(t *tx) error {
	row := t.task(m.taskID)
	fenced := !t.db.unfenced && !holds(t.execution(m.lease.ExecutionID), m.lease)
	changed := !t.db.unconditional && row != nil && (row.Status != dao.TaskRunning || row.JobUID != nil && *row.JobUID != m.uid)
	if row == nil || fenced || changed {
		return conflicting("mark the Job of task %d as launched", m.taskID)
	}
	row.JobUID, row.UpdatedAt = fresh(&m.uid), m.at
	return t.saveTask(row)
}

// together writes what several leases allow in one transaction. It leaves out what is no
// longer allowed, and what somebody else has locked.
func (s *store) together(ctx context.Context, kind string, leases []dao.Lease, write func(t *tx, i int) error) (left map[int]bool, err error) {
	var ids []uint64
	for _, l := range leases {
		ids = append(ids, l.ExecutionID)
	}
	c := s.write(ctx, "%s of %v", kind, ids)
	c.together = len(leases)
	return ask(s.p, c, func() (map[int]bool, error) {
		left := map[int]bool{}
		err := s.db().transaction(func(t *tx) error {
			for i, l := range leases {
				if !s.db().unfenced && !holds(t.execution(l.ExecutionID), l) || s.p.w.faults.happens(lockedRow, 3) {
					left[i] = true
					continue
				}
				t.by(l)
				if err := write(t, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			s.p.w.countTogether(kind, len(leases)-len(left))
		}
		if s.trusting {
			left = nil
		}
		return left, err
	})
}

// What is counted of transactions that are shared.
const (
	commitsTogether = "several commits in a transaction"
	marksTogether   = "several notes of launches in a transaction"
	startsTogether  = "several starts in a transaction"
	outputsTogether = "several outputs in a transaction"
)

var sharing = []string{commitsTogether, marksTogether, startsTogether, outputsTogether}

// countTogether counts transactions with several of something.
func (w *world) countTogether(kind string, n int) {
	if n > 1 {
		w.together[kind]++
	}
}

// isAway tells a database that nobody can reach from one that has refused something.
func isAway(err error) bool { return errors.Is(err, errConnection) }
