package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// defaultBackoff is Kubernetes' delay before the first retry of a pod.
	defaultBackoff = 10 * time.Second
	// minSlots is the least that Slots is by default.
	minSlots = 8
)

// Config sets up a Runner.
type Config struct {
	// Dir is the folder that holds the Jobs. It is made if it is missing.
	Dir string
	// Runner is the command that runs one Job: an absolute path and arguments,
	// to which the Job's folder is appended. It must do nothing but RunJob.
	Runner []string
	// Slots is how many Jobs run at once; others wait, oldest first. It is also
	// how many indexes of each indexed one run at once. By default twice the
	// number of CPUs, at least 8.
	Slots int
	// BackoffBase is the delay before the first retry, doubled with each
	// further one up to 6 minutes. Kubernetes' 10s by default.
	BackoffBase time.Duration
	// Log takes what goes wrong in the background; slog.Default() if nil.
	Log *slog.Logger
}

// Runner keeps Jobs and has them run as processes. Its methods may be called
// from several goroutines; Jobs start, and their changes are noticed, only
// while Run runs.
type Runner struct {
	cfg  Config
	lock *os.File
	// wake makes Run look at what is new.
	wake chan struct{}

	mu      sync.Mutex
	jobs    map[string]*tracked
	live    []*tracked // found running by New; Run takes them up
	waiting []*tracked // for a slot, oldest first
	busy    int        // slots in use
	events  []*batchv1.Job
	started bool
}

// tracked is a Job that the Runner knows.
type tracked struct {
	dir jobDir
	// rec never changes; its Job has no status.
	rec record
	// job is the Job with its status. It is replaced, never changed, because it
	// may be in others' hands. Runner.mu guards it, and deleting.
	job      *batchv1.Job
	deleting bool
	// seen is status.json as it was read last. It belongs to New, then to
	// supervise.
	seen os.FileInfo
	// read is how much of an indexed Job's ended.jsonl has been read; as seen.
	read int64
	// lock is the file, open as long as a process may run the Job, because that
	// one holds it for a while after somebody has removed it. It belongs to New,
	// then to supervise.
	lock *os.File
	// pods are those that had not ended when status.json was read last, and idle
	// is closed when supervise, if it was begun, has returned. Runner.mu guards
	// both.
	pods []corev1.Pod
	idle chan struct{}
	// succeeded are the pods of an indexed Job that had succeeded then, and taken those
	// that SucceededIndexes has returned, by name; under Runner.mu.
	succeeded []corev1.Pod
	taken     map[string]bool
	// turn is held by the one that removes the Job; gone is closed when that
	// is done.
	turn chan struct{}
	gone chan struct{}
}

// New opens the folder cfg.Dir and finds the Jobs in it, those of former
// Runners included. It fails if another Runner has the folder open. Files that
// this process inherited, other than its standard ones, are kept from all
// processes that it starts from now on.
func New(cfg Config) (*Runner, error) {
	if len(cfg.Runner) == 0 || !filepath.IsAbs(cfg.Runner[0]) {
		return nil, fmt.Errorf("local runner: the command that runs a job must begin with an absolute path, got %q", cfg.Runner)
	}
	if cfg.Slots < 0 || cfg.BackoffBase < 0 {
		return nil, fmt.Errorf("local runner: slots (%d) and back-off (%v) must not be negative", cfg.Slots, cfg.BackoffBase)
	}
	// Absolute, because the Jobs' processes have other working directories.
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("local runner: %w", err)
	}
	cfg.Dir = dir
	cfg.Slots = cmp.Or(cfg.Slots, max(minSlots, 2*runtime.NumCPU()))
	cfg.BackoffBase = cmp.Or(cfg.BackoffBase, defaultBackoff)
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	r := &Runner{cfg: cfg, wake: make(chan struct{}, 1), jobs: map[string]*tracked{}}
	if err := r.makeDirs(); err != nil {
		return nil, fmt.Errorf("local runner: %w", err)
	}
	if err := r.takeLock(); err != nil {
		return nil, err
	}
	if err := disinherit(); err != nil {
		return nil, errors.Join(fmt.Errorf("local runner: %w", err), r.Close())
	}
	if err := r.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("local runner: load jobs of %s (to forget a job, remove its folder): %w", dir, err), r.Close())
	}
	return r, nil
}

func (r *Runner) takeLock() error {
	path := filepath.Join(r.cfg.Dir, "jobs.lock")
	lock, err := lockFile(path, os.O_CREATE)
	if errors.Is(err, errLocked) {
		return fmt.Errorf("local runner: %s is in use by process %d: stop that one, or choose another folder", r.cfg.Dir, lockHolder(path))
	}
	if err != nil {
		return fmt.Errorf("local runner: lock %s: %w", path, err)
	}
	r.lock = lock
	return nil
}

// Close gives the folder up, for another Runner to open. Call it after Run has
// returned. Running Jobs go on.
func (r *Runner) Close() error { return unlock(r.lock) }

func (r *Runner) jobsDir() string { return filepath.Join(r.cfg.Dir, "jobs") }
func (r *Runner) tmpDir() string  { return filepath.Join(r.cfg.Dir, "jobs.tmp") }

// makeDirs makes the folders in which the Jobs are.
func (r *Runner) makeDirs() error {
	return errors.Join(os.MkdirAll(r.jobsDir(), 0o700), os.MkdirAll(r.tmpDir(), 0o700))
}

// jobDir is the folder of the named Job. The name must be a DNS label.
func (r *Runner) jobDir(name string) jobDir {
	return jobDir(filepath.Join(r.jobsDir(), name))
}

// load finds the Jobs of former Runners, and removes what those were still
// creating or removing.
func (r *Runner) load() error {
	unfinished, err := os.ReadDir(r.tmpDir())
	if err != nil {
		return err
	}
	for _, entry := range unfinished {
		if err := os.RemoveAll(filepath.Join(r.tmpDir(), entry.Name())); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(r.jobsDir())
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := r.loadJob(r.jobDir(entry.Name())); err != nil {
			return err
		}
	}
	oldestFirst := func(a, b *tracked) int { return a.rec.Created.Compare(b.rec.Created) }
	slices.SortStableFunc(r.live, oldestFirst)
	slices.SortStableFunc(r.waiting, oldestFirst)
	return nil
}

func (r *Runner) loadJob(d jobDir) error {
	rec, err := d.record()
	if err != nil {
		return err
	}
	t := newTracked(d, rec)
	r.jobs[rec.Job.Name] = t
	if err := r.refresh(t); err != nil {
		return err
	}
	r.notify(t.job)
	if d.deleted() {
		r.markDeleting(t)
		return nil
	}
	if ended(&t.job.Status) != nil {
		return nil
	}
	lock, err := os.Open(d.lockPath())
	if errors.Is(err, fs.ErrNotExist) { // removed: supervise will notice
		r.waiting = append(r.waiting, t)
		return nil
	}
	if err != nil {
		return err
	}
	held, err := isLocked(lock)
	if !held {
		r.waiting = append(r.waiting, t)
		return errors.Join(err, lock.Close())
	}
	t.lock = lock
	r.live = append(r.live, t)
	return nil
}

func newTracked(d jobDir, rec record) *tracked {
	return &tracked{
		dir:  d,
		rec:  rec,
		job:  rec.Job,
		turn: make(chan struct{}, 1),
		gone: make(chan struct{}),
	}
}

// Run starts Jobs and notices their changes until ctx ends. It first calls
// changed for each Job there is, then for each that was added, changed, ended
// or deleted (in which case Cached no longer knows it); never twice at a time.
// The Jobs must not be changed. Those that run when ctx ends go on without it.
// Run can be called once.
func (r *Runner) Run(ctx context.Context, changed func(obj metav1.Object)) error {
	r.mu.Lock()
	live, started := r.live, r.started
	r.live, r.started = nil, true
	r.busy += len(live)
	begin(live)
	r.mu.Unlock()
	if started {
		return errors.New("local runner: Run was called twice")
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { r.sweep(ctx) })
	for _, t := range live {
		wg.Go(func() { r.supervise(ctx, t) })
	}
	for {
		for _, t := range r.takeWaiting() {
			wg.Go(func() { r.supervise(ctx, t) })
		}
		for _, job := range r.takeEvents() {
			changed(job)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		}
	}
}

// takeWaiting takes as many waiting Jobs as there are free slots.
func (r *Runner) takeWaiting() []*tracked {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.waiting), max(0, r.cfg.Slots-r.busy))
	taken := slices.Clone(r.waiting[:n])
	r.waiting = slices.Delete(r.waiting, 0, n)
	r.busy += n
	begin(taken)
	return taken
}

// begin, called with mu held, makes it known that the Jobs will be supervised.
func begin(list []*tracked) {
	for _, t := range list {
		t.idle = make(chan struct{})
	}
}

func (r *Runner) takeEvents() []*batchv1.Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

// notify, called with mu held, has Run tell of the Job.
func (r *Runner) notify(job *batchv1.Job) {
	r.events = append(r.events, job)
	r.wakeUp()
}

func (r *Runner) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
