package sim

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

// operator is who cancels executions.
const operator = "user operator"

// maxCancelling is how long an execution that is to be cancelled may take to end, in
// seconds, once the faults have ceased: what clocks differ by, and two leases.
const maxCancelling = 40

// cancel has an operator's request to cancel an execution under way, once or twice.
func (w *world) cancel() bool {
	var all []*dao.WorkflowExecution
	for _, id := range w.executionIDs() {
		if e := w.db.executions[id]; e != nil {
			all = append(all, e)
		}
	}
	e := pick(w, all, func(e *dao.WorkflowExecution) bool { return !e.Status.Ended() })
	if e == nil {
		return false
	}
	w.trace.add(w, "an operator cancels execution", e.Name)
	at := w.now()
	for range 1 + w.faults.details.IntN(2) {
		w.orphans = append(w.orphans, &orphan{key: "cancel of " + e.Name, due: at.Add(w.faults.seconds(10) - time.Second), carryOut: func() {
			_ = w.db.requestCancel(e.ID, at) // a conflict if it has ended
		}})
	}
	return true
}

// requestCancel is dao.RequestCancel, which jobapi calls for an operator.
func (db *database) requestCancel(execution uint64, now time.Time) error {
	return db.transaction(func(t *tx) error {
		e := t.execution(execution)
		if e.Status.Ended() {
			return conflicting("cancel execution %d", execution)
		}
		if e.CancelRequestedAt != nil {
			return nil
		}
		by, at := operator, micros(now)
		e.CancelRequestedAt, e.CancelRequestedBy = &at, &by
		t.events = append(t.events, dao.ExecutionEvent{WorkflowExecutionID: execution, At: at, Type: dao.EventCancelRequested, Actor: by})
		return t.saveExecution(e)
	})
}

// ClaimCancelled is a statement that looks and one that takes what nobody holds,
// between which others may do anything.
func (s *store) ClaimCancelled(ctx context.Context, by dao.Claimant, now, until time.Time, limit int) ([]dao.Lease, error) {
	found, err := ask(s.p, s.read(ctx, "ClaimCancelled"), func() (found []*dao.WorkflowExecution, _ error) {
		for _, e := range s.db().executions {
			own := e.LeaseOwner != nil && *e.LeaseOwner == by.Owner
			if e.CancelRequestedAt != nil && !e.Status.Ended() && (own || !e.WakeAt.After(micros(now)) && !s.db().elsewhere(by, e.ID)) {
				found = append(found, copyExecution(e))
			}
		}
		slices.SortFunc(found, func(a, b *dao.WorkflowExecution) int {
			return cmp.Or(a.CancelRequestedAt.Compare(*b.CancelRequestedAt), cmp.Compare(a.ID, b.ID))
		})
		return found[:min(limit, len(found))], nil
	})
	if err != nil {
		return nil, err
	}
	var (
		leases []dao.Lease
		free   []uint64
	)
	for _, e := range found {
		if e.LeaseOwner != nil && *e.LeaseOwner == by.Owner {
			leases = append(leases, dao.Lease{ExecutionID: e.ID, Owner: by.Owner, Epoch: e.LeaseEpoch, Until: *e.LeaseUntil})
		} else {
			free = append(free, e.ID)
		}
	}
	taken, err := s.claimThese(ctx, by, free, now, until)
	return append(leases, taken...), err
}

// checkCancel returns the events that the change of a row's request asks for.
func (w *world) checkCancel(t *tx, before, after *dao.WorkflowExecution) (events []string) {
	switch asked := after.CancelRequestedAt != nil; {
	case asked && after.Status.Ended():
		w.violate("execution %d has ended as %s, and is still to be cancelled", after.ID, after.Status)
	case asked && before.CancelRequestedAt == nil:
		if l, held := t.leases[after.ID]; held {
			w.violate("%s cancels execution %d, and nobody wants that", l.Owner, after.ID)
		}
		events = append(events, eventName(dao.EventCancelRequested, after.ID, nil))
	case !asked && before.CancelRequestedAt != nil && !after.Status.Ended():
		w.violate("the request to cancel execution %d is lost", after.ID)
	}
	return events
}

// checkCancelling says whether what is to be cancelled ends in time.
func (w *world) checkCancelling() {
	// Whoever is to cancel one may die of the poisonous one, several times.
	if w.settling() <= maxCancelling || w.schedule.Poison {
		return
	}
	for _, id := range w.executionIDs() {
		if e := w.db.executions[id]; e != nil && e.CancelRequestedAt != nil {
			w.violate("%d s after the faults ceased, execution %d is %s, and has not been cancelled", w.settling(), id, e.Status)
		}
	}
}

// wasCancelled says whether an execution has ended because an operator wanted it to.
func (w *world) wasCancelled(execution uint64) bool {
	e := w.db.executions[execution]
	return e.Status == dao.ExecutionFailed && strings.HasPrefix(e.ErrorMsg, dao.Cancelled+" by "+operator) &&
		slices.ContainsFunc(w.db.eventsOf[execution], func(e dao.ExecutionEvent) bool { return e.Type == dao.EventCancelRequested })
}
