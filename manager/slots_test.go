package manager

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/manager/kube"
	"github.com/jobnetes/jobnetes/test/machine"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

// heldJobs are Jobs in memory, of one manager or more, that run until they are told
// to end.
type heldJobs struct {
	mu      sync.Mutex
	created func() // called after each creation
	changed []func(metav1.Object)
	jobs    map[string]*batchv1.Job
	order   []uint64 // the executions whose Jobs were created, in that order
	running []string // those Jobs that run, the oldest first
	most    int      // how many ran at once
}

func newHeldJobs() *heldJobs { return &heldJobs{jobs: map[string]*batchv1.Job{}, created: func() {}} }

func (*heldJobs) Ping(context.Context) error                      { return nil }
func (*heldJobs) SucceededIndexes(types.UID, uint32) []corev1.Pod { return nil }
func (*heldJobs) SucceededPods(context.Context, string, string) ([]corev1.Pod, string, error) {
	return nil, "", nil
}

var batchJobs = schema.GroupResource{Group: "batch", Resource: "jobs"}

func (k *heldJobs) Create(_ context.Context, job *batchv1.Job) (*batchv1.Job, error) {
	k.mu.Lock()
	if k.jobs[job.Name] != nil {
		k.mu.Unlock()
		return nil, apierrors.NewAlreadyExists(batchJobs, job.Name)
	}
	job = job.DeepCopy()
	job.UID = types.UID("uid-" + job.Name)
	k.jobs[job.Name] = job
	id, _ := strconv.ParseUint(job.Labels[kube.LabelExecutionID], 10, 64)
	k.order = append(k.order, id)
	k.running = append(k.running, job.Name)
	k.most = max(k.most, len(k.running))
	created := k.created
	k.mu.Unlock()
	created()
	return job, nil
}

// onCreate has fn called after each creation from now on.
func (k *heldJobs) onCreate(fn func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.created = fn
}

// end has the n oldest of the Jobs that run succeed.
func (k *heldJobs) end(n int) {
	k.mu.Lock()
	var ended []*batchv1.Job
	for _, name := range k.running[:min(n, len(k.running))] {
		job := k.jobs[name].DeepCopy()
		now := metav1.Now()
		job.Status.CompletionTime = &now
		job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, LastTransitionTime: now}}
		k.jobs[name] = job
		ended = append(ended, job)
	}
	k.running = k.running[len(ended):]
	changed := k.changed
	k.mu.Unlock()
	for _, job := range ended {
		for _, tell := range changed {
			tell(job)
		}
	}
}

// state returns the order of creations and how many Jobs run.
func (k *heldJobs) state() (order []uint64, running int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.order), len(k.running)
}

func (k *heldJobs) Get(_ context.Context, name string) (*batchv1.Job, error) {
	if job := k.Cached(name); job != nil {
		return job, nil
	}
	return nil, apierrors.NewNotFound(batchJobs, name)
}

func (k *heldJobs) Quiet(name string, uid types.UID) bool {
	job := k.Cached(name)
	return job != nil && job.UID == uid && kube.Quiet(&job.Status)
}

func (k *heldJobs) Cached(name string) *batchv1.Job {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.jobs[name]
}

func (k *heldJobs) List() []*batchv1.Job {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Collect(maps.Values(k.jobs))
}

func (k *heldJobs) Succeeded(*batchv1.Job) *corev1.Pod { return nil }

func (k *heldJobs) Pods(context.Context, string) ([]corev1.Pod, error) { return nil, nil }

func (k *heldJobs) LogTail(_ context.Context, pod, _ string, _ int) ([]byte, bool, error) {
	return nil, false, apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, pod)
}

func (k *heldJobs) Delete(context.Context, string, types.UID) error { return nil }

func (k *heldJobs) Run(ctx context.Context, changed func(metav1.Object)) error {
	k.mu.Lock()
	k.changed = append(k.changed, changed)
	k.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

// backlog is a database with executions that want to run, and Jobs in memory.
type backlog struct {
	*world
	gdb      *gorm.DB
	held     *heldJobs
	workflow uint64
}

// onEachBacklog runs a test on SQLite and on MariaDB.
func onEachBacklog(t *testing.T, test func(t *testing.T, b *backlog)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, newBacklog(t, db.Config{Driver: db.SQLite, Path: t.TempDir() + "/jobnetes.db"}))
	})
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		test(t, newBacklog(t, db.Config{Driver: db.MySQL, DSN: mariadb.Database(t)}))
	})
}

func newBacklog(t *testing.T, dsn db.Config) *backlog {
	t.Helper()
	b := &backlog{world: &world{dsn: dsn, ns: "ns"}, held: newHeldJobs()}
	b.open(t)
	b.jobs = b.held
	gdb, err := db.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(gdb) })
	b.gdb = gdb
	wf, _, err := b.ApplyWorkflow(t.Context(), "w", oneJob, dao.DefaultUserID, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b.workflow = wf.ID
	return b
}

// add schedules executions with those priorities, in a few statements.
func (b *backlog) add(t *testing.T, priorities ...int32) {
	t.Helper()
	for chunk := range slices.Chunk(priorities, 1000) {
		var rows []string
		for _, p := range chunk {
			rows = append(rows, fmt.Sprintf("(%d, 'run', '{}', %d)", b.workflow, p))
		}
		if err := b.gdb.Exec("INSERT INTO workflow_executions (workflow_id, name, input, priority) VALUES " + strings.Join(rows, ",")).Error; err != nil {
			t.Fatal(err)
		}
	}
}

// count counts what a query finds.
func (b *backlog) count(t *testing.T, from string) int {
	t.Helper()
	var n int
	if err := b.gdb.Raw("SELECT COUNT(*) FROM " + from).Scan(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

func (m *Manager) holding() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.held)
}

// Jobs start in order of priority, then age, one at a time; and who comes later with
// a higher priority goes before those that wait.
func TestOrderOfTurns(t *testing.T) {
	onEachBacklog(t, func(t *testing.T, b *backlog) {
		b.add(t, 0, -1, 5, 0, 5)
		run(t, b.manager(t, "m1", func(c *Config, _ *Store, _ *Jobs) { c.MaxRunningJobs = 1 }))
		all := func() bool { _, n := b.held.state(); return n == 1 && b.count(t, "v_tasks WHERE waiting = 1") == 4 }
		await(t, "the others to wait", all)
		// Which is the first depends on which was begun first; the others wait by then.
		order, running := b.held.state()
		if running != 1 || len(order) != 1 {
			t.Fatalf("%d Jobs run, of executions %v", running, order)
		}
		b.add(t, 9)
		await(t, "the one that came later to wait", func() bool { return b.count(t, "v_tasks WHERE waiting = 1") == 5 })
		want := slices.DeleteFunc([]uint64{6, 3, 5, 1, 4, 2}, func(id uint64) bool { return id == order[0] })
		want = append(order, want...)
		for i := range want {
			await(t, "the next Job", func() bool { order, running = b.held.state(); return len(order) > i })
			if running != 1 {
				t.Fatalf("%d Jobs run", running)
			}
			b.held.end(1)
		}
		for _, id := range want {
			b.ended(t, id)
		}
		if order, _ := b.held.state(); !slices.Equal(order, want) {
			t.Errorf("the Jobs started in the order %v of executions, want %v", order, want)
		}
	})
}

// Two managers have one limit.
func TestLimitOfTwoManagers(t *testing.T) {
	onEachBacklog(t, func(t *testing.T, b *backlog) {
		const executions, limit = 60, 4
		limited := func(c *Config, _ *Store, _ *Jobs) { c.MaxRunningJobs, c.MaxRunningJobsPerNamespace = 2*limit, limit }
		b.held.onCreate(func() {
			if order, running := b.held.state(); running == limit || len(order) == executions {
				go b.held.end(limit)
			}
		})
		b.add(t, make([]int32, executions)...)
		run(t, b.manager(t, "m1", limited))
		run(t, b.manager(t, "m2", limited))
		await(t, "the end of all", func() bool { return b.count(t, "workflow_executions WHERE status = 2") == executions })
		if b.held.most != limit {
			t.Errorf("%d Jobs ran at once, want %d", b.held.most, limit)
		}
	})
}

// A limit that is set later counts the Jobs that run, and one that is lifted lets go
// those that wait.
func TestLimitComesAndGoes(t *testing.T) {
	onEachBacklog(t, func(t *testing.T, b *backlog) {
		limited := func(c *Config, _ *Store, _ *Jobs) { c.MaxRunningJobs = 3 }
		running := func(want int) func() bool {
			return func() bool {
				_, n := b.held.state()
				return n == want && b.count(t, "task_executions WHERE job_uid IS NOT NULL") >= want
			}
		}
		b.add(t, 0, 0)
		stop := run(t, b.manager(t, "m1"))
		await(t, "two Jobs without a limit", running(2))
		stop()
		b.add(t, 0, 0, 0)
		stop = run(t, b.manager(t, "m2", limited))
		await(t, "one more Job, and two tasks that wait", func() bool { return running(3)() && b.count(t, "v_tasks WHERE waiting = 1") == 2 })
		await(t, "all that run to have slots", func() bool { return b.count(t, "task_executions WHERE slot = 1") == 3 })
		stop()
		run(t, b.manager(t, "m3"))
		await(t, "all Jobs", running(5))
		b.held.end(5)
		await(t, "the end of all", func() bool { return b.count(t, "workflow_executions WHERE status = 2") == 5 })
	})
}

// However many executions are started at once, as many run as may, in their order,
// and a manager holds a few of them.
func TestBackpressure(t *testing.T) {
	machine.Slow(t)
	heap := map[int]uint64{}
	for _, executions := range []int{100, 10_000} {
		t.Run(strconv.Itoa(executions), func(t *testing.T) { heap[executions] = backpressure(t, executions) })
	}
	t.Logf("heap with 100 executions queued: %d KiB, with 10,000: %d KiB", heap[100]>>10, heap[10_000]>>10)
	if heap[10_000] > heap[100]+8<<20 {
		t.Error("memory grows with what is queued")
	}
}

// backpressure starts so many executions, and runs the first thousand of them at least.
// It returns the heap's size when as many Jobs run as may and all others are queued.
func backpressure(t *testing.T, executions int) (heap uint64) {
	t.Helper()
	const limit = 50
	b := newBacklog(t, db.Config{Driver: db.MySQL, DSN: mariadb.Database(t)})
	ends := min(executions, 1000) // how many are waited for
	priorities := make([]int32, executions)
	place := make([]uint64, executions) // the executions in the order in which they are to run
	for i := range priorities {
		priorities[i], place[i] = int32(i*7%50), uint64(i+1)
	}
	slices.SortStableFunc(place, func(a, b uint64) int { return cmp.Compare(priorities[b-1], priorities[a-1]) })
	b.add(t, priorities...)
	m := b.manager(t, "m1", func(c *Config, _ *Store, _ *Jobs) { c.MaxRunningJobs, c.PollInterval = limit, time.Second })
	start := time.Now()
	stop := run(t, m)
	await(t, "as many Jobs as may run, and as many tasks that wait", func() bool {
		_, running := b.held.state()
		return running == limit && b.count(t, "v_tasks WHERE waiting = 1") >= limit
	})
	runtime.GC()
	runtime.GC() // what pools keep goes with the second
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	filled := time.Since(start)

	var mu sync.Mutex
	most := 0
	b.held.onCreate(func() {
		mu.Lock()
		most = max(most, m.holding())
		mu.Unlock()
		// Unless all slots are taken again, there is no end.
		if order, running := b.held.state(); running == limit && len(order) <= ends || len(order) == executions {
			go b.held.end(limit / 5)
		}
	})
	b.held.end(limit / 5)
	await(t, "the last Job", func() bool { order, _ := b.held.state(); return len(order) >= ends })
	b.held.end(limit)
	await(t, "the end of all", func() bool { return b.count(t, "workflow_executions WHERE status = 2") >= ends })
	stop()
	t.Logf("%d executions: filled in %s, %d ended in %s, at most %d Jobs at once, %d executions held", executions,
		filled.Round(time.Millisecond), ends, time.Since(start).Round(time.Millisecond), b.held.most, most)
	if b.held.most != limit {
		t.Errorf("%d Jobs ran at once, want %d", b.held.most, limit)
	}
	if most > 3*limit {
		t.Errorf("the manager held %d executions, want about twice the limit", most)
	}
	worst := 0
	for at, id := range b.held.order {
		worst = max(worst, slices.Index(place, id)-at, at-slices.Index(place, id))
	}
	if worst > 2*limit {
		t.Errorf("a Job started %d places from its own", worst)
	}
	t.Logf("each Job started at most %d places from its own", worst)
	return stats.HeapAlloc
}
