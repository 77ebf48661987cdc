package manager

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang/mock/gomock"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/jobapi/token"
)

// What the real parts do not do on demand: a connection that breaks in the
// middle of a transition, an API server that answers 500. Each test drives
// reconcile by hand, by a clock of its own.

type mocked struct {
	*Manager
	store *MockStore
	jobs  *MockJobs
	now   time.Time
}

const oneJob = `{"name": "w", "tasks": [{"name": "a", "type": "kube-job", "job": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "x"}]}}}}}]}`

// newMocked makes a manager that holds execution 1, which is scheduled.
func newMocked(t *testing.T) *mocked {
	t.Helper()
	ctrl := gomock.NewController(t)
	m := &mocked{store: NewMockStore(ctrl), jobs: NewMockJobs(ctrl), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	tokens, err := token.NewTokens([]byte(strings.Repeat("k", token.MinKeyBytes)))
	if err != nil {
		t.Fatal(err)
	}
	m.Manager, err = New(Config{Owner: "m1", Now: func() time.Time { return m.now }}, m.store, m.jobs, tokens, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	m.hold(dao.Lease{ExecutionID: 1, Owner: "m1", Epoch: 1, Until: m.now.Add(time.Hour)})
	return m
}

// loads expects the execution to be read n times.
func (m *mocked) loads(n int) {
	owner, version := "m1", uint64(1)
	m.store.EXPECT().Execution(gomock.Any(), uint64(1)).Times(n).DoAndReturn(func(context.Context, uint64) (dao.WorkflowExecution, error) {
		return dao.WorkflowExecution{ID: 1, WorkflowVersionID: &version, WorkflowName: "w", Input: "{}", Output: "{}", LeaseOwner: &owner, LeaseEpoch: 1}, nil
	})
	m.store.EXPECT().Tasks(gomock.Any(), uint64(1)).Times(n).Return(nil, nil)
	m.store.EXPECT().WorkflowVersion(gomock.Any(), version).MaxTimes(1).Return(dao.WorkflowVersion{Version: 1, Definition: oneJob}, nil)
}

// commits expects a commit that does what the real one does to new rows.
func (m *mocked) commits() *gomock.Call {
	return m.store.EXPECT().Commit(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).
		DoAndReturn(func(_ context.Context, _ dao.Lease, _ *dao.WorkflowExecution, ts []dao.Transition, _ time.Time) error {
			for _, tr := range ts {
				if tr.Type == dao.EventTaskStarted {
					name := "w-a-5-1"
					tr.Task.ID, tr.Task.ExecutionName = 5, &name
				}
			}
			return nil
		})
}

func (m *mocked) creates(err error) {
	m.jobs.EXPECT().Create(gomock.Any(), gomock.Any()).DoAndReturn(func(_ context.Context, job *batchv1.Job) (*batchv1.Job, error) {
		if err != nil {
			return nil, err
		}
		created := job.DeepCopy()
		created.UID = "u1"
		return created, nil
	})
}

var jobsResource = schema.GroupResource{Group: "batch", Resource: "jobs"}

// A commit that breaks off is taken as not done: nothing is acted on, the rows
// are read again, after a pause.
func TestConnectionLostInATransition(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.loads(2)
	m.jobs.EXPECT().Cached(gomock.Any()).AnyTimes().Return(nil)
	lost := m.store.EXPECT().Commit(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).
		Return(fmt.Errorf("move execution 1: %w", dao.ErrUnavailable))
	m.reconcile(t.Context(), 1)
	m.reconcile(t.Context(), 1) // in the pause: does nothing

	m.now = m.now.Add(time.Second)
	m.commits().After(lost)
	m.creates(nil)
	m.store.EXPECT().MarkLaunched(gomock.Any(), uint64(5), "u1", gomock.Any()).Return(nil)
	m.reconcile(t.Context(), 1)
}

// A conflict means that somebody else has moved it: read again at once.
func TestConflict(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.loads(1)
	m.store.EXPECT().Commit(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).
		Return(fmt.Errorf("move execution 1: %w", dao.ErrConflict))
	m.reconcile(t.Context(), 1)
	// By now it is another's: the manager lets go of it, and writes nothing.
	other := "m2"
	m.store.EXPECT().Execution(gomock.Any(), uint64(1)).Return(dao.WorkflowExecution{ID: 1, LeaseOwner: &other, LeaseEpoch: 2}, nil)
	m.reconcile(t.Context(), 1)
	if m.holds(1) {
		t.Error("the execution is still held")
	}
}

// While the API server answers 500, the Job's creation is tried again, with
// growing pauses; the task goes on running.
func TestAPIServerAnswers500(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.loads(1)
	m.jobs.EXPECT().Cached(gomock.Any()).AnyTimes().Return(nil)
	m.commits()
	m.creates(apierrors.NewInternalError(fmt.Errorf("etcd is away")))
	m.reconcile(t.Context(), 1)

	name := "w-a-5-1"
	row := &dao.TaskExecution{ID: 5, WorkflowExecutionID: 1, TaskName: "a", TaskType: "kube-job", Attempt: 1, Input: "{}", Output: "{}", ExecutionName: &name}
	owner, version := "m1", uint64(1)
	m.store.EXPECT().Execution(gomock.Any(), uint64(1)).AnyTimes().DoAndReturn(func(context.Context, uint64) (dao.WorkflowExecution, error) {
		return dao.WorkflowExecution{ID: 1, Status: dao.ExecutionRunning, WorkflowVersionID: &version, WorkflowName: "w", LeaseOwner: &owner, LeaseEpoch: 1}, nil
	})
	m.store.EXPECT().Tasks(gomock.Any(), uint64(1)).AnyTimes().Return([]*dao.TaskExecution{row}, nil)
	for _, pause := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		m.now = m.now.Add(pause - time.Millisecond)
		m.reconcile(t.Context(), 1) // too early: no call is expected
		m.now = m.now.Add(time.Millisecond)
		m.creates(apierrors.NewServiceUnavailable("starting"))
		m.reconcile(t.Context(), 1)
	}
	m.now = m.now.Add(time.Minute)
	m.creates(nil)
	m.store.EXPECT().MarkLaunched(gomock.Any(), uint64(5), "u1", gomock.Any()).Return(nil)
	m.reconcile(t.Context(), 1)
}

// A manager whose lease has run out by its own clock creates no Job.
func TestNoJobWithoutALease(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.loads(1)
	m.jobs.EXPECT().Cached(gomock.Any()).AnyTimes().Return(nil)
	m.commits().Do(func(context.Context, dao.Lease, *dao.WorkflowExecution, []dao.Transition, time.Time) {
		m.now = m.now.Add(2 * time.Hour) // stopped for long, right after the commit
	})
	m.reconcile(t.Context(), 1) // no Create is expected
}

func TestIsPermanent(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		err  error
		want bool
	}{
		"invalid":              {apierrors.NewInvalid(schema.GroupKind{Group: "batch", Kind: "Job"}, "j", nil), true},
		"bad request":          {apierrors.NewBadRequest("unknown field"), true},
		"too large":            {apierrors.NewRequestEntityTooLargeError("1 MB"), true},
		"denied by a policy":   {apierrors.NewForbidden(jobsResource, "j", fmt.Errorf("admission webhook denied")), true},
		"over a quota":         {apierrors.NewForbidden(jobsResource, "j", fmt.Errorf("exceeded quota: jobs")), false},
		"no rights":            {apierrors.NewForbidden(jobsResource, "j", fmt.Errorf(`User "x" cannot create resource "jobs"`)), false},
		"no namespace":         {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "n"), false},
		"internal error":       {apierrors.NewInternalError(fmt.Errorf("x")), false},
		"too many requests":    {apierrors.NewTooManyRequests("slow down", 1), false},
		"connection refused":   {fmt.Errorf("dial tcp: connection refused"), false},
		"the answer timed out": {apierrors.NewTimeoutError("x", 1), false},
	}
	for name, tc := range cases {
		if got := isPermanent(tc.err); got != tc.want {
			t.Errorf("%s: %t, want %t", name, got, tc.want)
		}
	}
}

// A wide parallel does not keep a worker until all of its Jobs are created.
func TestWideParallelIsLaunchedInPasses(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	var sets []string
	for i := range launchesPerPass + 50 {
		sets = append(sets, fmt.Sprintf(`[{"name": "t%d", "type": "kube-job", "job": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "x"}]}}}}}]`, i))
	}
	owner, version := "m1", uint64(1)
	m.store.EXPECT().Execution(gomock.Any(), uint64(1)).Return(dao.WorkflowExecution{ID: 1, WorkflowVersionID: &version, WorkflowName: "w", Input: "{}", LeaseOwner: &owner, LeaseEpoch: 1}, nil)
	m.store.EXPECT().Tasks(gomock.Any(), uint64(1)).Return(nil, nil)
	m.store.EXPECT().WorkflowVersion(gomock.Any(), version).Return(dao.WorkflowVersion{Version: 1,
		Definition: `{"name": "w", "tasks": [{"name": "fan", "type": "parallel", "task-sets": [` + strings.Join(sets, ",") + `]}]}`}, nil)
	m.store.EXPECT().Commit(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).
		DoAndReturn(func(_ context.Context, _ dao.Lease, _ *dao.WorkflowExecution, ts []dao.Transition, _ time.Time) error {
			for i, tr := range ts {
				if tr.Type == dao.EventTaskStarted {
					name := fmt.Sprintf("w-%s-1-1", tr.Task.TaskName)
					tr.Task.ID, tr.Task.ExecutionName = uint64(i), &name
				}
			}
			return nil
		})
	m.jobs.EXPECT().Cached(gomock.Any()).AnyTimes().DoAndReturn(func(string) *batchv1.Job {
		job := &batchv1.Job{}
		job.UID = "u1"
		return job
	})
	m.store.EXPECT().MarkLaunched(gomock.Any(), gomock.Any(), "u1", gomock.Any()).AnyTimes().Return(nil)
	var created atomic.Int32
	m.jobs.EXPECT().Create(gomock.Any(), gomock.Any()).AnyTimes().DoAndReturn(func(_ context.Context, job *batchv1.Job) (*batchv1.Job, error) {
		created.Add(1)
		job.UID = "u1"
		return job, nil
	})
	for _, want := range []int32{launchesPerPass, launchesPerPass + 50} {
		if id, ok := m.queue.tryTake(); !ok || id != 1 {
			t.Fatal("the execution does not wait for a worker")
		}
		m.reconcile(t.Context(), 1)
		m.queue.done(1)
		if got := created.Load(); got != want {
			t.Fatalf("%d Jobs were created, want %d", got, want)
		}
	}
	if _, ok := m.queue.tryTake(); ok {
		t.Error("the execution is queued although nothing is left to do")
	}
}

// A manager holds no more executions than it may; the others wait.
func TestMaxExecutions(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.cfg.MaxExecutions = 3 // and holds one
	m.store.EXPECT().Claim(gomock.Any(), "m1", gomock.Any(), gomock.Any(), 2).
		Return([]dao.Lease{{ExecutionID: 2, Owner: "m1"}, {ExecutionID: 3, Owner: "m1"}}, nil)
	m.poll(t.Context())
	m.poll(t.Context()) // full: no Claim is expected
}
