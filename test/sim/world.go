package sim

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jobnetes/jobnetes/manager"
)

// The managers' settings. They are whole seconds, and so is what follows from
// them in manager: a loop's jitter, which no seed decides, is then always rounded
// away by the scheduler's clock, which ticks by the second.
const (
	tick         = time.Second
	lease        = 6 * time.Second
	pollInterval = time.Second
	startTimeout = 20 * time.Second
	keptLogBytes = 1024
)

// world is all that there is in a schedule. But for what mu guards, only the
// scheduler touches it, while all others are blocked.
type world struct {
	schedule Schedule
	want     []ending // of the calm run
	rng      *rand.Rand
	faults   *faults
	trace    *trace
	load     *workload
	db       *database
	cluster  *cluster
	slots    []*process
	// processes are all managers that were ever started.
	processes []*process
	orphans   []*orphan
	apis      []*api // by slot
	wakeUps   []*wakeUp
	errands   []*errand // in the order in which clients have got them
	// acknowledged are the outputs that jobs were told are recorded.
	acknowledged map[recordKey]bool

	limits    limits
	retention time.Duration
	logs      int     // KeptLogBytes
	haste     float64 // the chance that time passes though something could happen
	crowds    bool    // holders' writes wait, so that others come together meanwhile
	pace      int     // how long a Job may take for one phase, in seconds
	slowness  int     // how many seconds a write that several share may take, a manager's or jobapi's, so that others gather behind it
	dbBack    time.Time
	apiBack   time.Time
	calmAt    time.Time // when the faults cease
	calm      bool
	touched   map[uint64]bool // executions with trouble that does not pass
	lost      map[uint64]int  // how many holders executions have lost since they last got on
	steps     int
	together  map[string]int // transactions that several calls have shared, by their kind
	violation string
	// apisStarted counts all jobapis that were ever started, and calls what clients have called.
	apisStarted, calls int

	mu      sync.Mutex
	clock   time.Time
	pending []*call
	started []time.Time // what jobapi has told managers, and nobody has carried yet
}

// orphan is a request that is under way though nobody waits for it any more.
type orphan struct {
	key      string
	due      time.Time
	carryOut func()
	task     uint64 // of a record of an index
}

// began is when every schedule begins.
var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newWorld(s Schedule, want []ending) *world {
	rng := stream(s.Seed, "schedule")
	w := &world{
		schedule: s, want: want, rng: rng, faults: newFaults(s), trace: newTrace(s.Verbose), load: newWorkload(s.Seed), db: newDatabase(),
		clock: began, touched: map[uint64]bool{}, lost: map[uint64]int{}, together: map[string]int{}, crowds: crowds(s.Seed), acknowledged: map[recordKey]bool{},
	}
	w.cluster = newCluster(w)
	w.limits = newLimits(s.Seed)
	w.db.committed = w.checkTransaction
	s.Mutation.weaken(w.db)
	w.slots = make([]*process, 1+rng.IntN(3))
	w.apis = make([]*api, 1+rng.IntN(2))
	w.retention = [...]time.Duration{5 * time.Second, 20 * time.Second}[rng.IntN(2)]
	w.logs = keptLogBytes * rng.IntN(2)
	w.haste = [...]float64{0, 0.02, 0.1, 0.3}[rng.IntN(4)]
	w.pace = [...]int{0, 2, 2}[rng.IntN(3)]
	w.slowness = [...]int{0, 2, 4}[rng.IntN(3)]
	w.calmAt = began.Add(time.Duration(15+rng.IntN(30)) * time.Second)
	if s.Calm {
		w.slots, w.apis, w.haste, w.calm, w.calmAt = w.slots[:1], w.apis[:1], 0, true, began
		w.slowness = 0
	}
	w.load.insert(w)
	w.startAll()
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) seconds() int { return int(w.now().Sub(began).Seconds()) }

func (w *world) settling() int { return int(w.now().Sub(w.calmAt).Seconds()) }

// delay is how long a Job takes for one phase.
func (w *world) delay() time.Duration { return time.Duration(w.rng.IntN(1+w.pace)) * time.Second }

// process is one run of a manager; or of a jobapi, which has no more of it than it needs.
type process struct {
	w       *world
	slot    int
	number  int // of those that were started, from 0
	owner   string
	skew    time.Duration // of its clock
	manager *manager.Manager
	cancel  context.CancelFunc
	watch   *watch

	resumeAt  time.Time // if it is paused
	replaceAt time.Time // if it is dead or stopping

	// Guarded by world.mu.
	dead, paused, exited bool
	frozen               time.Time // what its clock said when it was paused
}

func (w *world) newProcess(slot int) *process {
	p := &process{w: w, slot: slot, number: len(w.processes), owner: fmt.Sprintf("m%d.%d", slot+1, len(w.processes)+1), watch: newWatch()}
	if !w.schedule.Calm && w.rng.IntN(2) == 0 {
		p.skew = time.Duration(w.rng.IntN(21)-10) * time.Second
	}
	store, jobs := w.schedule.Mutation.wrap(p)
	address := "" // nobody tells it of anything
	if p.hasAddress() {
		address = p.owner
	}
	limits := w.limitsOf(p.number)
	m, err := manager.New(manager.Config{
		Owner: p.owner, Installation: installation, Namespace: "sim", JobapiEndpoint: "jobapi:50051", Address: address,
		PollInterval: pollInterval, Lease: lease, Workers: maxExecutions, JobRetention: w.retention, KeptLogBytes: w.logs, StartTimeout: startTimeout,
		MaxRunningJobs: limits.all, MaxRunningJobsPerNamespace: limits.inNamespace, Now: p.now,
	}, store, jobs, tokens{}, slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	p.manager = m
	return p
}

// now is the process's clock. It stands still with the process, as for one that
// was stopped right after it had read the clock.
func (p *process) now() time.Time {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.paused {
		return p.frozen
	}
	return p.w.clock.Add(p.skew)
}

func (p *process) hasExited() bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.exited
}

// alive returns the processes that have not been killed and have not ended.
func (w *world) alive() []*process {
	var alive []*process
	for _, p := range w.slots {
		if p != nil && !p.dead && !p.hasExited() {
			alive = append(alive, p)
		}
	}
	return alive
}
