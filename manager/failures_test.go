package manager

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang/mock/gomock"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/jobapi/token"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// What the real parts do not do on demand: a connection that breaks in the
// middle of a transition, an API server that answers 500. Each test drives
// reconcile by hand, by a clock of its own.

type mocked struct {
	succeeded *corev1.Pod // what Jobs.Succeeded returns
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
	m.Manager, err = New(Config{Owner: "m1", Installation: "i1", Now: func() time.Time { return m.now }}, m.store, m.jobs, tokens, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	m.hold(dao.Lease{ExecutionID: 1, Owner: "m1", Epoch: 1, Until: m.now.Add(time.Hour)})
	m.jobs.EXPECT().Quiet(gomock.Any(), gomock.Any()).AnyTimes().DoAndReturn(func(name string, uid types.UID) bool {
		job := m.jobs.Cached(name)
		return job != nil && job.UID == uid && kube.Quiet(&job.Status) && m.succeeded == nil
	})
	m.jobs.EXPECT().Succeeded(gomock.Any()).AnyTimes().DoAndReturn(func(*batchv1.Job) *corev1.Pod { return m.succeeded })
	return m
}

// reconcile has a pass look at all, as that after a poll does.
func (m *mocked) reconcile(ctx context.Context, id uint64) {
	m.mu.Lock()
	if h := m.held[id]; h != nil {
		h.news.all = true
	}
	m.mu.Unlock()
	m.Manager.reconcile(ctx, id)
}

// loads expects the execution to be read n times.
func (m *mocked) loads(n int) {
	owner, version := "m1", uint64(1)
	m.store.EXPECT().Execution(gomock.Any(), uint64(1)).Times(n).DoAndReturn(func(context.Context, uint64) (dao.WorkflowExecution, error) {
		return dao.WorkflowExecution{ID: 1, WorkflowVersionID: &version, WorkflowName: "w", Input: "{}", Output: "{}", LeaseOwner: &owner, LeaseEpoch: 1}, nil
	})
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
	if err != nil { // then it is looked for
		m.jobs.EXPECT().Get(gomock.Any(), "w-a-5-1").Return(nil, apierrors.NewNotFound(jobsResource, "w-a-5-1"))
	}
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
	m.store.EXPECT().MarkLaunched(gomock.Any(), gomock.Any(), uint64(5), "u1", gomock.Any()).Return(nil)
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

	for _, pause := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		m.now = m.now.Add(pause - time.Millisecond)
		m.reconcile(t.Context(), 1) // too early: no call is expected
		m.now = m.now.Add(time.Millisecond)
		m.creates(apierrors.NewServiceUnavailable("starting"))
		m.reconcile(t.Context(), 1)
	}
	m.now = m.now.Add(time.Minute)
	m.creates(nil)
	m.store.EXPECT().MarkLaunched(gomock.Any(), gomock.Any(), uint64(5), "u1", gomock.Any()).Return(nil)
	m.reconcile(t.Context(), 1)
}

// A note that a Job exists may be written though its answer is lost. If somebody
// deletes the Job meanwhile, it must not be made again: here, by a second Create,
// which is not expected.
func TestNoteWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.loads(1)
	m.jobs.EXPECT().Cached(gomock.Any()).AnyTimes().Return(nil)
	m.commits()
	m.creates(nil)
	note := m.store.EXPECT().MarkLaunched(gomock.Any(), gomock.Any(), uint64(5), "u1", gomock.Any())
	note.Return(fmt.Errorf("note the Job of task 5: %w", dao.ErrUnavailable))
	m.reconcile(t.Context(), 1)

	m.now = m.now.Add(time.Second)
	m.store.EXPECT().MarkLaunched(gomock.Any(), gomock.Any(), uint64(5), "u1", gomock.Any()).After(note).Return(nil)
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

// terminating is what the API server answers in a namespace that is going.
func terminating() error {
	err := apierrors.NewForbidden(jobsResource, "j", fmt.Errorf("unable to create new content in namespace x because it is being terminated"))
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: corev1.NamespaceTerminatingCause})
	return err
}

func TestIsPermanent(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		err  error
		want bool
	}{
		"invalid":                 {apierrors.NewInvalid(schema.GroupKind{Group: "batch", Kind: "Job"}, "j", nil), true},
		"bad request":             {apierrors.NewBadRequest("unknown field"), true},
		"too large":               {apierrors.NewRequestEntityTooLargeError("1 MB"), true},
		"denied by a policy":      {apierrors.NewForbidden(jobsResource, "j", fmt.Errorf("admission webhook denied")), true},
		"over a quota":            {apierrors.NewForbidden(jobsResource, "j", fmt.Errorf("exceeded quota: jobs")), false},
		"a terminating namespace": {terminating(), false},
		"no rights":               {apierrors.NewForbidden(jobsResource, "j", fmt.Errorf(`User "x" cannot create resource "jobs"`)), false},
		"no namespace":            {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "n"), false},
		"internal error":          {apierrors.NewInternalError(fmt.Errorf("x")), false},
		"too many requests":       {apierrors.NewTooManyRequests("slow down", 1), false},
		"connection refused":      {fmt.Errorf("dial tcp: connection refused"), false},
		"the answer timed out":    {apierrors.NewTimeoutError("x", 1), false},
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
	m.store.EXPECT().MarkLaunched(gomock.Any(), gomock.Any(), gomock.Any(), "u1", gomock.Any()).AnyTimes().Return(nil)
	var created atomic.Int32
	m.jobs.EXPECT().Create(gomock.Any(), gomock.Any()).AnyTimes().DoAndReturn(func(_ context.Context, job *batchv1.Job) (*batchv1.Job, error) {
		created.Add(1)
		job.UID = "u1"
		return job, nil
	})
	for _, want := range []int32{launchesPerPass, launchesPerPass + 50} {
		if id, ok := m.queue.tryTake(trusted); !ok || id != 1 {
			t.Fatal("the execution does not wait for a worker")
		}
		m.reconcile(t.Context(), 1)
		m.queue.done(1)
		if got := created.Load(); got != want {
			t.Fatalf("%d Jobs were created, want %d", got, want)
		}
	}
	if _, ok := m.queue.tryTake(trusted); ok {
		t.Error("the execution is queued although nothing is left to do")
	}
}

// A manager holds no more executions than it may; the others wait.
func TestMaxExecutions(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.cfg.MaxExecutions = 3 // and holds one
	m.store.EXPECT().Due(gomock.Any(), m.claimant(), gomock.Any(), gomock.Any()).Times(2).Return(dao.Due{Running: 9, Scheduled: 9}, nil)
	m.store.EXPECT().ClaimRunning(gomock.Any(), m.claimant(), gomock.Any(), gomock.Any(), 2).Return([]dao.Lease{{ExecutionID: 2, Owner: "m1"}}, nil)
	m.store.EXPECT().ClaimScheduled(gomock.Any(), m.claimant(), gomock.Any(), gomock.Any(), 1).Return([]dao.Lease{{ExecutionID: 3, Owner: "m1"}}, nil)
	m.poll(t.Context())
	m.poll(t.Context()) // full: no claim is expected
}

// A claim that took effect although its answer was lost is found by renewing.
func TestClaimWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.store.EXPECT().Heartbeat(gomock.Any(), gomock.Any()).Times(2)
	m.store.EXPECT().Renew(gomock.Any(), "m1", gomock.Any()).Return([]dao.Lease{
		{ExecutionID: 1, Owner: "m1", Epoch: 1}, {ExecutionID: 2, Owner: "m1", Epoch: 4},
	}, nil)
	m.renew(t.Context())
	if !m.holds(1) || !m.holds(2) {
		t.Error("the execution is not held")
	}
	m.store.EXPECT().Renew(gomock.Any(), "m1", gomock.Any()).Return(nil, nil)
	m.renew(t.Context())
	if m.holds(1) || m.holds(2) {
		t.Error("lost leases are still held")
	}
}

// A panic, on whatever goroutine, fails the one execution that it happened with.
func TestPanic(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.loads(1)
	m.jobs.EXPECT().Cached(gomock.Any()).AnyTimes().Return(nil)
	m.commits()
	m.jobs.EXPECT().Create(gomock.Any(), gomock.Any()).DoAndReturn(func(context.Context, *batchv1.Job) (*batchv1.Job, error) { panic("a bug") })
	name := "w-a-5-1"
	m.readsOpen(&dao.TaskExecution{ID: 5, TaskName: "a", TaskType: "kube-job", ExecutionName: &name})
	m.store.EXPECT().Commit(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).
		DoAndReturn(func(_ context.Context, _ dao.Lease, e *dao.WorkflowExecution, _ []dao.Transition, _ time.Time) error {
			if e.Status != dao.ExecutionFailed || !strings.Contains(e.ErrorMsg, "InternalError: jobnetes panicked: a bug") {
				t.Errorf("%s: %s", e.Status, e.ErrorMsg)
			}
			return nil
		})
	m.reconcile(t.Context(), 1)
	if m.holds(1) {
		t.Error("the execution is still held")
	}
}

// What the database refuses once it refuses again: the execution fails, and is
// not tried for ever.
func TestStatementRefused(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.loads(1)
	refused := m.store.EXPECT().Commit(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).
		Return(fmt.Errorf("move execution 1: %w: packet too large", dao.ErrRefused))
	m.readsOpen()
	m.store.EXPECT().Commit(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).After(refused).
		DoAndReturn(func(_ context.Context, _ dao.Lease, e *dao.WorkflowExecution, _ []dao.Transition, _ time.Time) error {
			if e.Status != dao.ExecutionFailed || !strings.Contains(e.ErrorMsg, "packet too large") {
				t.Errorf("%s: %s", e.Status, e.ErrorMsg)
			}
			return nil
		})
	m.reconcile(t.Context(), 1)
}

// readsOpen expects the execution to be read to be failed, with these tasks.
func (m *mocked) readsOpen(tasks ...*dao.TaskExecution) {
	owner := "m1"
	m.store.EXPECT().OpenRows(gomock.Any(), uint64(1)).Return(dao.WorkflowExecution{ID: 1, WorkflowName: "w", Output: "{}", LeaseOwner: &owner, LeaseEpoch: 1}, tasks, nil)
}

// A Job that cannot be created holds up nobody but its own task.
func TestRefusedJobHoldsUpItsTaskOnly(t *testing.T) {
	t.Parallel()
	w := newLocal(t)
	run(t, w.manager(t, "m1", func(_ *Config, _ *Store, j *Jobs) { *j = overQuota{w.jobs} }))
	id := w.start(t, workflow(fmt.Sprintf(`{"name": "fan", "type": "parallel", "task-sets": [[%s], [%s]]}`,
		w.job("stuck", "", ""), w.job("a", "b", "")+","+w.job("b", "c", "")+","+w.job("c", "", ""))), "{}")
	await(t, "the other set's end", func() bool { return w.task(t, id, "c").Status == dao.TaskSuccess })
	if stuck := w.task(t, id, "stuck"); stuck.Status != dao.TaskRunning {
		t.Errorf("stuck is %s: %s", stuck.Status, stuck.ErrorMsg)
	}
}

// overQuota refuses the Jobs of tasks named stuck.
type overQuota struct{ Jobs }

func (o overQuota) Create(ctx context.Context, job *batchv1.Job) (*batchv1.Job, error) {
	if job.Labels["jobnetes.dev/task"] == "stuck" {
		return nil, apierrors.NewForbidden(jobsResource, job.Name, fmt.Errorf("exceeded quota: jobs"))
	}
	return o.Jobs.Create(ctx, job)
}

// undeleted is where no Job can be deleted.
type undeleted struct{ Jobs }

func (undeleted) Delete(context.Context, string, types.UID) error {
	return apierrors.NewInternalError(fmt.Errorf("etcd is away"))
}

// The Jobs of an aborted execution that could not be deleted with it are deleted by
// whichever manager comes by.
func TestAbortedJobsAreDeleted(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		m := w.manager(t, "m1", func(_ *Config, _ *Store, j *Jobs) { *j = undeleted{w.jobs} })
		stop := run(t, m)
		id := w.start(t, workflow(w.job("a", "", "sleep 300")), "{}")
		await(t, "the Job's launch", func() bool { return w.task(t, id, "a").JobUID != nil })
		stop()
		now := time.Now()
		leases, err := w.ClaimRunning(t.Context(), dao.Claimant{Owner: "by hand", Namespace: w.ns}, now, now.Add(time.Minute), 1)
		if err != nil || len(leases) != 1 {
			t.Fatalf("Claim: %v, %v", leases, err)
		}
		m.hold(leases[0])
		m.mu.Lock()
		h := m.held[id]
		m.mu.Unlock()
		if err := m.abort(t.Context(), h, &unrunnable{reason: "Test", err: fmt.Errorf("aborted")}); err != nil {
			t.Fatal(err)
		}
		w.reopenJobs(t)
		run(t, w.manager(t, "m2", func(c *Config, _ *Store, _ *Jobs) { c.JobRetention = 10 * time.Second }))
		name := *w.task(t, id, "a").ExecutionName
		await(t, "the deletion", func() bool {
			_, err := w.jobs.Get(t.Context(), name)
			return apierrors.IsNotFound(err)
		})
	})
}

// A database that hangs, so that passes time out, must show in the log.
func TestHangingDatabaseIsLogged(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		pass func(m *mocked, ctx context.Context)
		want string
	}{
		"claim": {func(m *mocked, ctx context.Context) {
			m.store.EXPECT().ClaimScheduled(gomock.Any(), m.claimant(), gomock.Any(), gomock.Any(), claimBatch).
				DoAndReturn(func(ctx context.Context, _ dao.Claimant, _, _ time.Time, _ int) ([]dao.Lease, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				})
			m.claim(ctx, m.store.ClaimScheduled, m.now, claimBatch)
		}, "claiming failed"},
		"look": {func(m *mocked, ctx context.Context) {
			m.store.EXPECT().Due(gomock.Any(), m.claimant(), gomock.Any(), gomock.Any()).
				DoAndReturn(func(ctx context.Context, _ dao.Claimant, _, _ time.Time) (dao.Due, error) {
					<-ctx.Done()
					return dao.Due{}, ctx.Err()
				})
			m.poll(ctx)
		}, "claiming failed"},
		"renew": {func(m *mocked, ctx context.Context) {
			m.store.EXPECT().Renew(gomock.Any(), "m1", gomock.Any()).DoAndReturn(func(ctx context.Context, _ string, _ time.Time) ([]dao.Lease, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
			m.renew(ctx)
		}, "renewing leases failed"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // in which time passes at once
				var log bytes.Buffer
				m := newMocked(t)
				m.log = slog.New(slog.NewTextHandler(&log, nil))
				tc.pass(m, t.Context())
				if !strings.Contains(log.String(), tc.want) {
					t.Errorf("the log has no %q: %s", tc.want, log.String())
				}
			})
		})
	}
}

// A running task whose row names no Job fails its execution, with a reason that says
// what is wrong.
func TestRowWithoutAJobsName(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	owner, version := "m1", uint64(1)
	row := dao.TaskExecution{ID: 5, TaskName: "a", TaskType: "kube-job"}
	m.store.EXPECT().Execution(gomock.Any(), uint64(1)).Return(dao.WorkflowExecution{ID: 1, WorkflowVersionID: &version, WorkflowName: "w", Status: dao.ExecutionRunning, Input: "{}", LeaseOwner: &owner, LeaseEpoch: 1}, nil)
	m.store.EXPECT().WorkflowVersion(gomock.Any(), version).Return(dao.WorkflowVersion{Version: 1, Definition: oneJob}, nil)
	m.store.EXPECT().Tasks(gomock.Any(), uint64(1)).Return([]*dao.TaskExecution{&row}, nil)
	m.store.EXPECT().TakeTasks(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).AnyTimes().Return(nil)
	m.readsOpen(&row)
	m.store.EXPECT().Commit(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).
		DoAndReturn(func(_ context.Context, _ dao.Lease, e *dao.WorkflowExecution, _ []dao.Transition, _ time.Time) error {
			if e.Status != dao.ExecutionFailed || !strings.Contains(e.ErrorMsg, "InconsistentRows: task 5 (\"a\") runs and has no execution_name") {
				t.Errorf("%s: %s", e.Status, e.ErrorMsg)
			}
			return nil
		})
	m.reconcile(t.Context(), 1)
}
