package manager

import (
	"context"
	"testing"
	"time"

	"github.com/golang/mock/gomock"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
)

// What jobs have recorded is asked for once one of their definition has recorded
// anything; Commit tells of the first.
func TestRecordedOutputsAreAskedFor(t *testing.T) {
	t.Parallel()
	m, job := launched(t)
	*job = runningJob(m.now)
	m.succeeded = &corev1.Pod{}
	written := func(outputs ...string) func(context.Context, dao.Lease, *dao.WorkflowExecution, []dao.Transition, time.Time) error {
		return func(_ context.Context, _ dao.Lease, _ *dao.WorkflowExecution, ts []dao.Transition, _ time.Time) error {
			for i, want := range outputs {
				if got := ts[i].Task; got.Output != want || (got.RecordedRev != 0) != (want != "{}") {
					t.Errorf("written: %s, of record %d; want %s", got.Output, got.RecordedRev, want)
				}
			}
			return dao.ErrConflict
		}
	}
	anything := gomock.Any()
	row := dao.TaskExecution{ID: 5, WorkflowExecutionID: 1, TaskName: "a", TaskType: "kube-job", Attempt: 1, Input: "{}", ExecutionName: new("w-a-5-1"), JobUID: new(string(runningJob(m.now).UID)), Namespace: m.cfg.Namespace}
	row.RecordedOutput, row.RecordedRev = new(`{"n":1}`), 1
	owner, version, at := "m1", uint64(1), m.now
	gomock.InOrder(
		// Nothing is known of records, so none is asked for; there is one.
		m.store.EXPECT().Commit(anything, anything, anything, anything, anything).DoAndReturn(written("{}")),
		m.store.EXPECT().Execution(anything, uint64(1)).Return(dao.WorkflowExecution{ID: 1, Status: dao.ExecutionRunning, StartedAt: &at, WorkflowVersionID: &version, WorkflowName: "w", Input: "{}", Output: "{}", LeaseOwner: &owner, LeaseEpoch: 1}, nil),
		m.store.EXPECT().Tasks(anything, uint64(1)).Return([]*dao.TaskExecution{&row}, nil),
		m.store.EXPECT().RecordedOutputs(anything, []uint64{5}).Return(map[uint64]dao.Recorded{5: {Output: new(`{"n":2}`), Rev: 2}}, nil),
		m.store.EXPECT().Commit(anything, anything, anything, anything, anything).DoAndReturn(written(`{"n":2}`)),
	)
	m.reconcile(t.Context(), 1)
	m.reconcile(t.Context(), 1)
}

func TestRecordersAreBounded(t *testing.T) {
	t.Parallel()
	r := newRecorders()
	r.note(1, []*dao.TaskExecution{{}, {}})
	if r.has(1) {
		t.Error("nobody has recorded anything")
	}
	for v := range uint64(3 * maxRecorders) {
		r.note(v, []*dao.TaskExecution{{}, {RecordedRev: 1}})
		if !r.has(v) || len(r.versions) > maxRecorders {
			t.Fatalf("version %d is known: %t, of %d", v, r.has(v), len(r.versions))
		}
	}
}
