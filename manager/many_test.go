package manager

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

// What several managers make of each other, on a real MariaDB. Their Jobs run for
// ever.

// endless is Jobs of which none ends. Those of a task named stuck are created once
// go is closed.
type endless struct {
	mu      sync.Mutex
	jobs    map[string]*batchv1.Job
	hanging chan struct{} // has room for one: "a Create hangs"
	free    chan struct{}
}

func newEndless() *endless {
	return &endless{jobs: map[string]*batchv1.Job{}, hanging: make(chan struct{}, 1), free: make(chan struct{})}
}

func (e *endless) Create(_ context.Context, job *batchv1.Job) (*batchv1.Job, error) {
	if job.Labels["jobnetes.dev/task"] == "stuck" {
		signal(e.hanging)
		<-e.free
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.jobs[job.Name] != nil {
		return nil, apierrors.NewAlreadyExists(jobsResource, job.Name)
	}
	job = job.DeepCopy()
	job.UID = types.UID("uid of " + job.Name)
	e.jobs[job.Name] = job
	return job, nil
}

func (*endless) Ping(context.Context) error { return nil }

func (e *endless) Succeeded(*batchv1.Job) *corev1.Pod { return nil }

func (e *endless) Quiet(name string, uid types.UID) bool {
	job := e.Cached(name)
	return job != nil && job.UID == uid
}

func (e *endless) Cached(name string) *batchv1.Job {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.jobs[name]
}

func (e *endless) Get(_ context.Context, name string) (*batchv1.Job, error) {
	if job := e.Cached(name); job != nil {
		return job, nil
	}
	return nil, apierrors.NewNotFound(jobsResource, name)
}

func (e *endless) List() []*batchv1.Job                               { return nil }
func (e *endless) Pods(context.Context, string) ([]corev1.Pod, error) { return nil, nil }
func (e *endless) SucceededIndexes(types.UID, uint32) []corev1.Pod    { return nil }
func (e *endless) SucceededPods(context.Context, string, string) ([]corev1.Pod, string, error) {
	return nil, "", nil
}
func (e *endless) Delete(context.Context, string, types.UID) error { return nil }
func (e *endless) Run(ctx context.Context, _ func(metav1.Object)) error {
	<-ctx.Done()
	return ctx.Err()
}
func (e *endless) LogTail(context.Context, string, string, int) ([]byte, bool, error) {
	return nil, false, nil
}

func newMany(t *testing.T) (*world, *endless) {
	t.Helper()
	e := newEndless()
	w := &world{dsn: db.Config{Driver: db.MySQL, DSN: mariadb.Database(t)}, jobs: e, ran: t.TempDir()}
	w.open(t)
	return w, e
}

// startMany starts n executions of one task.
func (w *world) startMany(t *testing.T, n int) {
	t.Helper()
	wf, _, err := w.ApplyWorkflow(t.Context(), "many", workflow(w.job("a", "", "")), dao.DefaultUserID, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if _, err := w.CreateExecution(t.Context(), dao.NewExecution{WorkflowID: wf.ID, Input: "{}", Actor: "test"}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

// holders says how many executions each manager holds; "" is nobody.
func (w *world) holders(t *testing.T) map[string]int {
	t.Helper()
	es, err := w.Executions(t.Context(), dao.ExecutionFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, e := range es {
		owner := ""
		if e.LeaseOwner != nil {
			owner = *e.LeaseOwner
		}
		n[owner]++
	}
	return n
}

// At SIGTERM another manager goes on within a second, however long a pass hangs;
// its execution follows when it has ended.
func TestHandoverWaitsForNoPass(t *testing.T) {
	t.Parallel()
	w, jobs := newMany(t)
	usual := func(c *Config, _ *Store, _ *Jobs) { c.PollInterval, c.Lease = time.Second, time.Hour }
	var told atomic.Bool
	m := w.manager(t, "first", usual, func(c *Config, _ *Store, _ *Jobs) { c.HandedOver = func(time.Time) { told.Store(true) } })
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(stop)
	free := sync.OnceFunc(func() { close(jobs.free) })
	t.Cleanup(free)
	const executions = 50
	w.startMany(t, executions)
	stuck := w.start(t, workflow(`{"name": "stuck", "type": "kube-job", "job": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "x"}]}}}}}`), "{}")
	<-jobs.hanging
	await(t, "the launch of all others", func() bool { return w.holders(t)["first"] == executions+1 && len(jobs.names()) == executions })
	run(t, w.manager(t, "second", usual))
	await(t, "the other manager", func() bool { return w.living(t) == 2 })
	begun := time.Now()
	stop()
	await(t, "the handover", func() bool { return w.holders(t)["second"] == executions })
	// That it takes about a second is seen in the log: a slow machine is no failure.
	// That it has not waited for the pass is seen from that being still under way.
	t.Logf("handed over %d executions in %s", executions, time.Since(begun))
	await(t, "the word to others", told.Load)
	if e, err := w.Execution(t.Context(), stuck); err != nil || *e.LeaseOwner != "first" {
		t.Errorf("the execution in hand is not its worker's any more: %+v, %v", e, err)
	}
	free()
	await(t, "the handover of the last", func() bool { return w.holders(t)["second"] == executions+1 })
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func (e *endless) names() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.jobs))
}

// living says how many managers there are.
func (w *world) living(t *testing.T) int {
	t.Helper()
	d, err := w.Due(t.Context(), dao.Claimant{Owner: "nobody", Namespace: w.ns}, time.Now(), time.Now().Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return d.Others
}

// Executions spread over the managers, evenly again when one joins, and when one
// has died.
func TestSpread(t *testing.T) {
	t.Parallel()
	const executions = 300
	w, _ := newMany(t)
	usual := func(c *Config, s *Store, _ *Jobs) {
		c.Lease = 3 * time.Second
		*s = w.reopened(t)
	}
	even := func(managers int) {
		t.Helper()
		begun := time.Now()
		share := (executions + managers - 1) / managers
		var held map[string]int
		await(t, fmt.Sprintf("%d managers that hold their share", managers), func() bool {
			held = w.holders(t)
			if len(held) != managers || held[""] > 0 {
				return false
			}
			for _, n := range held {
				if n > share+share/slack {
					return false
				}
			}
			return true
		})
		t.Logf("after %s: %v", time.Since(begun).Round(time.Millisecond), held)
	}
	run(t, w.manager(t, "m1", usual))
	run(t, w.manager(t, "m2", usual))
	stop := run(t, w.manager(t, "m3", usual))
	await(t, "the managers", func() bool { return w.living(t) == 3 })
	w.startMany(t, executions)
	even(3)
	run(t, w.manager(t, "m4", usual))
	even(4)
	stop()
	even(3)
}

// reopened is the store by connections of its own, as another process has them.
func (w *world) reopened(t *testing.T) *dao.Store {
	t.Helper()
	gdb, err := db.Open(t.Context(), w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(gdb) })
	return dao.New(gdb)
}

func TestShare(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		due         dao.Due
		held        int
		share, more int
	}{
		"alone":                 {dao.Due{Running: 3, Scheduled: 7}, 5000, 5010, 0},
		"even":                  {dao.Due{Others: 2, OthersHeld: 200}, 100, 100, 0},
		"one of few":            {dao.Due{Others: 2, OthersHeld: 2}, 2, 2, 0},
		"all of few":            {dao.Due{Others: 2}, 4, 2, 2},
		"a little more":         {dao.Due{Others: 3, OthersHeld: 225}, 82, 77, 0},
		"another has joined":    {dao.Due{Others: 3, OthersHeld: 200}, 100, 75, 25},
		"some are on their way": {dao.Due{Others: 3, OthersHeld: 200, Running: 25}, 75, 75, 0},
		"a burst":               {dao.Due{Others: 2, Scheduled: 300}, 0, 100, 0},
		"one has stopped":       {dao.Due{Others: 1, OthersHeld: 100, Running: 100}, 100, 150, 0},
		"a burst goes on":       {dao.Due{Others: 2, Scheduled: 200}, 100, 100, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, more := share(tc.due, tc.held), excess(tc.due, tc.held); got != tc.share || more != tc.more {
				t.Errorf("the share is %d, %d too many; want %d, %d", got, more, tc.share, tc.more)
			}
		})
	}
}

// What others do not take a manager takes although it has its share, and gives
// nothing back for some time.
func TestLeftToOthers(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	for id := range uint64(9) {
		m.hold(dao.Lease{ExecutionID: id + 2, Owner: "m1", Epoch: 1})
	}
	waiting := m.now.Add(m.cfg.PollInterval)
	m.store.EXPECT().Due(gomockAny, m.claimant(), gomockAny, gomockAny).AnyTimes().Return(dao.Due{Running: 1, Others: 1}, nil)
	m.store.EXPECT().ClaimRunning(gomockAny, m.claimant(), gomockAny, gomockAny, claimBatch).AnyTimes().
		DoAndReturn(func(_ context.Context, _ dao.Claimant, due, _ time.Time, _ int) ([]dao.Lease, error) {
			if waiting.After(due) {
				return nil, nil
			}
			return []dao.Lease{{ExecutionID: 100, Owner: "m1", Epoch: 1}}, nil
		})
	m.store.EXPECT().Heartbeat(gomockAny, gomockAny).AnyTimes()
	look := func() {
		m.now = m.now.Add(m.cfg.PollInterval)
		m.notePoll()
		m.claimDue(t.Context())
	}
	look()
	if m.holds(100) {
		t.Error("it is taken at once")
	}
	look()
	if !m.holds(100) {
		t.Error("it is not taken although nobody does")
	}
	m.rebalance(t.Context()) // no Release is expected
	m.now = m.now.Add(contentFor * m.cfg.Lease)
	m.store.EXPECT().Release(gomockAny, gomockAny, gomockAny).DoAndReturn(func(_ context.Context, leases []dao.Lease, _ time.Time) error {
		var ids []string
		for _, l := range leases {
			ids = append(ids, fmt.Sprint(l.ExecutionID))
		}
		if got := strings.Join(ids, " "); got != "100 10 9 8 7" {
			t.Errorf("given back are %s, want the youngest five", got)
		}
		return nil
	})
	m.rebalance(t.Context())
	if m.count() != 6 {
		t.Errorf("%d are held, want 6", m.count())
	}
}

// What a worker has in hand is not given back.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	h := m.byID()[1]
	if _, ok := m.queue.tryTake(trusted); !ok {
		t.Fatal("it does not wait for a worker")
	}
	if m.withdraw(h) || !m.holds(1) {
		t.Error("it is taken from its worker")
	}
	m.queue.done(1)
	if !m.withdraw(h) || m.holds(1) {
		t.Error("it is kept though nobody works on it")
	}
	if m.withdraw(h) {
		t.Error("it is given back twice")
	}
}
