package manager

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang/mock/gomock"

	"github.com/jobnetes/jobnetes/dao"
)

var gomockAny = gomock.Any()

// suspected has m hold execution 1 after it has lost so many holders, and lets it
// wait for its first pass.
func (m *mocked) suspected(takeovers, strikes uint32) {
	m.hold(dao.Lease{ExecutionID: 1, Owner: "m1", Epoch: 2, Takeovers: takeovers, Strikes: strikes, Lost: "m0", Until: m.now.Add(time.Hour)})
	m.now = m.now.Add(m.cfg.Lease)
}

// notes expects the strikes to be set, in that order.
func (m *mocked) notes(err error, strikes ...uint32) {
	var calls []*gomock.Call
	for _, n := range strikes {
		calls = append(calls, m.store.EXPECT().SetStrikes(gomockAny, gomockAny, n).Return(err))
	}
	gomock.InOrder(calls...)
}

// rereads expects execution 1, which is held by epoch 2, to be read, and nothing to
// be found wrong with it: its only task's Job runs.
func (m *mocked) rereads() {
	owner, version, name, uid, at := "m1", uint64(1), "w-a-5-1", "u1", m.now
	m.store.EXPECT().Execution(gomockAny, uint64(1)).Return(dao.WorkflowExecution{
		ID: 1, Status: dao.ExecutionRunning, StartedAt: &at, WorkflowVersionID: &version, WorkflowName: "w", Input: "{}", Output: "{}", LeaseOwner: &owner, LeaseEpoch: 2,
	}, nil)
	m.store.EXPECT().Tasks(gomockAny, uint64(1)).Return([]*dao.TaskExecution{{ID: 5, TaskName: "a", TaskType: "kube-job", Attempt: 1, ExecutionName: &name, JobUID: &uid}}, nil)
	m.store.EXPECT().WorkflowVersion(gomockAny, version).Return(dao.WorkflowVersion{Version: 1, Definition: oneJob}, nil)
}

// acquits expects that the execution is found harmless.
func (m *mocked) acquits(strikes uint32) {
	m.store.EXPECT().Acquit(gomockAny, gomockAny, strikes).Return(nil)
}

// A pass over a suspect is noted before and after; then it has proved harmless, for
// whoever holds it next, too.
func TestSuspectIsNoted(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.suspected(3, 1)
	m.notes(nil, 2)
	m.acquits(1)
	m.rereads()
	m.jobs.EXPECT().Cached("w-a-5-1").AnyTimes().Return(runningJob(m.now))
	m.jobs.EXPECT().Pods(gomockAny, "w-a-5-1").AnyTimes().Return(nil, nil)
	m.reconcile(t.Context(), 1)
	m.reconcile(t.Context(), 1) // not noted any more
	if h := m.byID()[1]; h.suspect {
		t.Error("it is still suspect")
	}
}

// One that gets on is not suspect any more, nor noted.
func TestSuspectGetsOn(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.suspected(3, 0)
	m.notes(nil, 1)
	owner, version := "m1", uint64(1)
	m.store.EXPECT().Execution(gomockAny, uint64(1)).Return(dao.WorkflowExecution{ID: 1, WorkflowVersionID: &version, WorkflowName: "w", Input: "{}", Output: "{}", LeaseOwner: &owner, LeaseEpoch: 2}, nil)
	m.store.EXPECT().WorkflowVersion(gomockAny, version).Return(dao.WorkflowVersion{Version: 1, Definition: oneJob}, nil)
	m.jobs.EXPECT().Cached(gomockAny).AnyTimes().Return(nil)
	m.commits()
	m.creates(nil)
	m.store.EXPECT().MarkLaunched(gomockAny, gomockAny, uint64(5), "u1", gomockAny).Return(nil)
	m.reconcile(t.Context(), 1)
	if h := m.byID()[1]; h.suspect {
		t.Error("it is still suspect")
	}
}

// A pass that cannot be noted does not begin; the lease tells why.
func TestSuspectCannotBeNoted(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		err  error
		held bool
	}{
		"the database is away": {dao.ErrUnavailable, true},
		"the lease is lost":    {dao.ErrConflict, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMocked(t)
			m.suspected(3, 0)
			m.notes(fmt.Errorf("note: %w", tc.err), 1)
			m.reconcile(t.Context(), 1) // no Execution is expected
			if m.holds(1) != tc.held {
				t.Errorf("held: %t, want %t", m.holds(1), tc.held)
			}
		})
	}
}

// An outage in the midst of a pass is no death: on the return, before anybody else may
// claim the execution, its row says so.
func TestOutageInAPassOverASuspect(t *testing.T) {
	t.Parallel()
	cases := map[string]func(m *mocked){
		"the pass has begun": func(m *mocked) {
			m.notes(nil, 1)
			m.store.EXPECT().Execution(gomockAny, uint64(1)).Return(dao.WorkflowExecution{}, dao.ErrUnavailable)
			m.notes(dao.ErrUnavailable, 0)
		},
		"its begin may have been noted": func(m *mocked) { m.notes(dao.ErrUnavailable, 1) },
	}
	for name, begin := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMocked(t)
			m.suspected(3, 0)
			begin(m)
			m.reconcile(t.Context(), 1)
			m.store.EXPECT().Ping(gomockAny).Return(dao.ErrUnavailable)
			m.database.Look(t.Context())
			m.store.EXPECT().Ping(gomockAny).Return(nil)
			m.store.EXPECT().Renew(gomockAny, "m1", gomockAny).Return([]dao.Lease{{ExecutionID: 1, Owner: "m1", Epoch: 2, Takeovers: 3, Strikes: 1}}, nil)
			m.store.EXPECT().Heartbeat(gomockAny, gomockAny).Return(nil)
			m.notes(nil, 0)
			m.database.Look(t.Context())
			m.notes(nil, 1) // the next pass counts anew
			m.acquits(0)
			m.rereads()
			m.jobs.EXPECT().Cached("w-a-5-1").AnyTimes().Return(runningJob(m.now))
			m.jobs.EXPECT().Pods(gomockAny, "w-a-5-1").AnyTimes().Return(nil, nil)
			m.reconcile(t.Context(), 1)
		})
	}
}

// What has killed three managers is ended, with a word for whoever is to see to it.
func TestManagersDied(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.suspected(6, 3)
	owner := "m1"
	m.store.EXPECT().OpenRows(gomockAny, uint64(1)).Return(dao.WorkflowExecution{ID: 1, LeaseOwner: &owner, LeaseEpoch: 2}, nil, nil)
	m.store.EXPECT().Commit(gomockAny, gomockAny, gomockAny, gomockAny, gomockAny).
		DoAndReturn(func(_ context.Context, _ dao.Lease, e *dao.WorkflowExecution, _ []dao.Transition, _ time.Time) error {
			if e.Status != dao.ExecutionFailed || !strings.HasPrefix(e.ErrorMsg, "ManagersDied: 3 managers died") || !strings.Contains(e.ErrorMsg, "the last of them m0") {
				t.Errorf("%s: %s", e.Status, e.ErrorMsg)
			}
			return nil
		})
	m.reconcile(t.Context(), 1)
	if m.holds(1) {
		t.Error("it is still held")
	}
}

// Suspects wait in a lane of their own, and not for long.
func TestSuspectsHoldUpNobody(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	for id := range uint64(20) {
		m.hold(dao.Lease{ExecutionID: id + 2, Owner: "m1", Epoch: 1, Takeovers: suspectAfter})
	}
	if id, ok := m.queue.tryTake(trusted); !ok || id != 1 {
		t.Fatalf("took %d, want 1", id)
	}
	if id, ok := m.queue.tryTake(trusted); ok {
		t.Errorf("a worker of the trusted has taken %d", id)
	}
	waits := map[time.Time]bool{}
	for range 20 {
		id, ok := m.queue.tryTake(suspects)
		if !ok {
			t.Fatal("a suspect is missing")
		}
		wait := m.byID()[id].pause.until
		if waits[wait] = true; wait.After(m.now.Add(m.cfg.Lease)) {
			t.Errorf("execution %d waits until %s", id, wait)
		}
	}
	if len(waits) < 15 {
		t.Errorf("20 suspects wait for %d different times", len(waits))
	}
}
