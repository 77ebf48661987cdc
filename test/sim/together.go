package sim

import (
	"context"
	"errors"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/dao/gather"
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

func (s *store) commitTogether(ctx context.Context, calls []commitCall) ([]error, error) {
	cs, leases := make([]*commit, len(calls)), make([]dao.Lease, len(calls))
	for i, call := range calls {
		cs[i], leases[i] = call.copy(), call.lease
	}
	allowed := func(t *tx, i int) bool { return cs[i].isAsDecided(t) }
	each, err := s.together(ctx, commitsTogether, leases, allowed, func(t *tx, i int) error { return cs[i].write(t) })
	for i, c := range cs {
		if err == nil && each[i] == nil {
			c.giveBack()
		}
	}
	return each, err
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

func (s *store) markTogether(ctx context.Context, ms []mark) ([]error, error) {
	leases := make([]dao.Lease, len(ms))
	for i, m := range ms {
		leases[i] = m.lease
	}
	allowed := func(t *tx, i int) bool { return ms[i].isAsDecided(t) }
	return s.together(ctx, marksTogether, leases, allowed, func(t *tx, i int) error { return ms[i].write(t) })
}

func (m mark) isAsDecided(t *tx) bool {
	row := t.task(m.taskID)
	return row != nil && (t.db.unconditional || row.Status == dao.TaskRunning && (row.JobUID == nil || *row.JobUID == m.uid))
}

func (m mark) write(t *tx) error {
	if !t.db.unfenced && !holds(t.execution(m.lease.ExecutionID), m.lease) || !m.isAsDecided(t) {
		return conflicting("mark the Job of task %d as launched", m.taskID)
	}
	row := t.task(m.taskID)
	row.JobUID, row.UpdatedAt = fresh(&m.uid), m.at
	return t.saveTask(row)
}

// together writes what several leases allow in one transaction. It leaves out what somebody
// else has locked, and what is no longer allowed, by the lease or else.
func (s *store) together(
	ctx context.Context, kind string, leases []dao.Lease, allowed func(t *tx, i int) bool, write func(t *tx, i int) error,
) (each []error, err error) {
	var ids []uint64
	for _, l := range leases {
		ids = append(ids, l.ExecutionID)
	}
	c := s.write(ctx, "%s of %v", kind, ids)
	c.together = len(leases)
	if len(leases) == 1 {
		c.execution = ids[0]
	}
	each, err = ask(s.p, c, func() ([]error, error) {
		each, written := make([]error, len(leases)), 0
		err := s.db().transaction(func(t *tx) error {
			for i, l := range leases {
				if !s.db().unfenced && !holds(t.execution(l.ExecutionID), l) || !allowed(t, i) {
					each[i] = conflicting("%s", kind)
					continue
				}
				if s.p.w.faults.happens(lockedRow, 3) {
					each[i] = gather.ErrLeft
					continue
				}
				t.by(l)
				if err := write(t, i); err != nil {
					return err
				}
				written++
			}
			return nil
		})
		if err == nil {
			s.p.w.countTogether(kind, written)
		}
		return each, err
	})
	for i, left := range each {
		if s.trusting && errors.Is(left, gather.ErrLeft) {
			each[i] = nil
		}
	}
	if s.careless && err != nil && len(leases) > 1 {
		each, err = make([]error, len(leases)), nil
	}
	return each, err
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

// pause is how long what is locked waits for its next try. No two calls come back at the
// same instant, where nobody's choice would be which is first.
func pause(id uint64, times int) time.Duration {
	return time.Duration(times)*50*time.Millisecond + time.Duration(id)*time.Microsecond
}

// isAway tells a database that nobody can reach from one that has refused something.
func isAway(err error) bool { return errors.Is(err, errConnection) }
