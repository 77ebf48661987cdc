// Package manager moves executions on. A manager claims executions by leases,
// watches the Jobs of their running tasks, lets the engine decide, writes the
// decision in one transaction, and only then acts on it: creates the Jobs of
// the tasks that have started.
//
// Any number of managers may share a database. Each execution has one holder at
// a time; the lease's epoch refuses the writes of a former one. What a crash
// leaves undone between commit and act the next pass sees in the rows and does:
// they say which Jobs should exist, under names that are functions of the rows.
package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
	"github.com/jobnetes/jobnetes/reach"
)

// Config is a manager's settings; New fills in what is zero.
type Config struct {
	// Owner is this manager's name in leases and events; no two managers that
	// share a database may have the same at a time.
	Owner string
	// Build is this program's version, for whoever looks who runs.
	Build string
	// Address is where whoever starts executions can reach this manager's Started
	// and Cancelled, as host:port; empty: nowhere.
	Address string
	// HandedOver, if any, is called when this manager has given executions back since
	// it stops, so that others can be told: see Started. It must not wait.
	HandedOver func(at time.Time)
	// PollInterval is the time between two looks at the database and at all that
	// is held; default 1 s.
	PollInterval time.Duration
	// Lease is how long a claim lasts without being renewed; default 15 s.
	Lease time.Duration
	// MaxExecutions is how many executions this manager holds at the most, which
	// bounds its memory; others wait in the database. Default 5000.
	MaxExecutions int
	// MaxRunningJobs is how many Jobs may run at once, of all managers that share the
	// database, and MaxRunningJobsPerNamespace how many in Namespace. Other tasks
	// wait, in order of priority and age. 0: no limit.
	MaxRunningJobs, MaxRunningJobsPerNamespace int
	// Workers is how many executions are moved at once; default 16.
	Workers int
	// JobRetention is how long a finished Job is kept; default 1 h.
	JobRetention time.Duration
	// KeptLogBytes is how much of the end of each container's log is kept in the
	// database when its task ends; 0: none.
	KeptLogBytes int
	// StartTimeout is how long a Job's container may fail to start before its
	// task fails; 0: for ever.
	StartTimeout time.Duration
	// JobapiEndpoint is where jobs find jobapi, as host:port.
	JobapiEndpoint string
	// Installation names the database, in the labels of Jobs.
	Installation string
	// Namespace is where Jobs are created.
	Namespace string
	// Now is the clock; default time.Now.
	Now func() time.Time
}

func (c *Config) setDefaults() {
	if c.PollInterval == 0 {
		c.PollInterval = time.Second
	}
	if c.Lease == 0 {
		c.Lease = 15 * time.Second
	}
	if c.MaxExecutions == 0 {
		c.MaxExecutions = 5000
	}
	if c.Workers == 0 {
		c.Workers = 16
	}
	if c.JobRetention == 0 {
		c.JobRetention = time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.HandedOver == nil {
		c.HandedOver = func(time.Time) {}
	}
}

// Manager is one manager. It is made by New and runs until Run returns.
type Manager struct {
	cfg             Config
	store           Store
	jobs            Jobs
	tokens          Tokens
	log             *slog.Logger
	defs            *definitions
	recorders       *recorders
	queue           *queue
	keeper          *keeper
	turns           chan struct{} // has room for one: "slots may be free, or tasks wait for one"
	starts, cancels chan struct{} // have room for one: "look for executions to claim", "to cancel"
	// started is when New was called.
	started time.Time
	// What nothing goes on without, and how often they have returned.
	database, cluster *reach.Probe
	returns           atomic.Int64

	mu   sync.Mutex
	held map[uint64]*held
	// outage is the last one of the database that this manager has seen.
	outage outage
	// due is what the last look at the database has shown.
	due          dao.Due
	polls        [2]time.Time // when the last one but one began, and the last
	startedAt    time.Time    // when the last start that it was told of is due, by the clock of who told
	restNext     bool         // whether the next poll may be left out, as the last look has found nothing to do
	left         bool         // whether the last look has left new executions to others
	othersHad    time.Time    // what has been waiting since then others had their turn to claim
	contentUntil time.Time    // until then nothing is given back to have executions spread evenly
	hurry        time.Time    // until then logs are not waited for long, since some have hung; by time.Now
}

// New returns a manager, which does nothing until it is run.
func New(cfg Config, store Store, jobs Jobs, tokens Tokens, log *slog.Logger) (*Manager, error) {
	cfg.setDefaults()
	if cfg.Owner == "" {
		return nil, errors.New("a manager needs a name of its own: Config.Owner is empty")
	}
	if cfg.Installation == "" {
		return nil, errors.New("Config.Installation is empty: Jobs of two databases could be mistaken for one another")
	}
	if cfg.Lease < 2*time.Second {
		return nil, fmt.Errorf("manager.lease is %s: a lease under 2 s is lost by any hiccup", cfg.Lease)
	}
	m := &Manager{
		cfg: cfg, store: store, jobs: jobs, tokens: tokens, log: log.With("manager", cfg.Owner),
		defs: newDefinitions(), recorders: newRecorders(), queue: newQueue(), keeper: newKeeper(), turns: make(chan struct{}, 1), held: map[uint64]*held{}, started: cfg.Now(),
		starts: make(chan struct{}, 1), cancels: make(chan struct{}, 1),
	}
	m.polls[1] = m.started
	m.addProbes()
	return m, nil
}

// Run works until ctx ends, then gives the leases back, those of executions in
// hand as soon as their passes end. It returns nil, or why the Jobs could not be watched.
func (m *Manager) Run(ctx context.Context) error {
	m.log.InfoContext(ctx, "manager started", "poll_interval", m.cfg.PollInterval.String(), "lease", m.cfg.Lease.String(), "workers", m.cfg.Workers)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.jobs.Run(ctx, m.changed) })
	g.Go(func() error { return m.database.Run(ctx) })
	g.Go(func() error { return m.cluster.Run(ctx) })
	g.Go(func() error {
		return loopOrWoken(ctx, m.every(m.cfg.PollInterval, "poll"), m.poll, m.starts, m.claimWoken)
	})
	g.Go(func() error { m.takeCancels(ctx); return nil })
	g.Go(func() error { return loop(ctx, m.every(m.cfg.Lease/3, "renew"), m.renew) })
	g.Go(func() error {
		return loop(ctx, m.every(retentionInterval(m.cfg.JobRetention), "retention"), m.deleteJobs)
	})
	g.Go(func() error { m.takeTurns(ctx); return nil })
	for range keepers {
		g.Go(func() error { m.keepQueued(ctx); return nil })
	}
	for range m.cfg.Workers {
		g.Go(func() error { m.work(ctx, trusted); return nil })
	}
	g.Go(func() error { m.work(ctx, suspects); return nil })
	g.Go(func() error { m.handOver(ctx); return nil })
	err := g.Wait()
	m.handOverRest(ctx)
	m.log.InfoContext(ctx, "manager stopped")
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("manager %s: %w", m.cfg.Owner, err)
	}
	return nil
}

// work takes executions from a lane of the queue until ctx ends. A pass in hand is
// not cut off: it ends within its own time limit.
func (m *Manager) work(ctx context.Context, l lane) {
	for {
		id, ok := m.queue.take(ctx, l)
		if !ok {
			return
		}
		m.reconcile(context.WithoutCancel(ctx), id)
		m.queue.done(id)
		if ctx.Err() != nil {
			m.handBack(ctx, []dao.Lease{{ExecutionID: id}})
		}
	}
}

// changed wakes the execution that a Job or pod belongs to, if it is held here, to look
// at that task.
func (m *Manager) changed(obj metav1.Object) {
	id, err := strconv.ParseUint(obj.GetLabels()[kube.LabelExecutionID], 10, 64)
	if err != nil {
		m.log.Warn("a Job or pod with our managed-by label names no execution: somebody else made it, or changed its labels", "name", obj.GetName())
		return
	}
	taskID, err := strconv.ParseUint(obj.GetLabels()[kube.LabelTaskID], 10, 64)
	if err != nil { // the next poll looks at all tasks
		return
	}
	m.wakeTask(id, taskID)
}
