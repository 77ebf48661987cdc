package sim

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/jobapi"
	"github.com/jobnetes/jobnetes/manager"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// Mutation is a safeguard that is switched off, to see that a schedule finds out.
type Mutation int

// The safeguards of manager and dao.
const (
	None Mutation = iota
	// NoFence writes without asking whether the lease is in force.
	NoFence
	// NoName creates Jobs under a new name each time.
	NoName
	// NoCondition changes rows without asking whether they are still what was
	// decided on.
	NoCondition
	// NoLabelCheck adopts a Job whatever its labels.
	NoLabelCheck
	// NoEpoch claims under the epoch of the holder before.
	NoEpoch
	// NoCommitFirst acts on a decision before it is written.
	NoCommitFirst
	// NoGrantLock counts the slots that are free in one transaction, and gives them
	// in another.
	NoGrantLock
	// AnyPod takes a pod that has succeeded for the success of any Job.
	AnyPod
	// NoClose lets indexes record while their outputs are read.
	NoClose
	// NoAgain takes what is left out of a transaction that is shared for written.
	NoAgain
	// NoLook starts executions without looking what their requests have started before.
	NoLook
	// WrongOrder gives the clients whose starts were written together each other's ids.
	WrongOrder
	// Trust takes outputs for recorded when the answer is lost.
	Trust
	// NoUnbegun ends executions that had not begun without asking whether they have since.
	NoUnbegun
	// NoApart takes what shares a transaction that fails for written.
	NoApart
)

// weaken switches off what is the database's part.
func (m Mutation) weaken(db *database) {
	db.unfenced, db.unconditional, db.sameEpoch, db.unclosed, db.unlooked, db.unasked = m == NoFence, m == NoCondition, m == NoEpoch, m == NoClose, m == NoLook, m == NoUnbegun
}

// wrap returns the store and the Jobs that a process's manager is given.
func (m Mutation) wrap(p *process) (manager.Store, manager.Jobs) {
	s, k := newStore(p), &jobs{p}
	switch m {
	case NoName:
		return s, &namedAnew{jobs: k, names: map[string]string{}}
	case NoLabelCheck:
		return s, &unlabelled{jobs: k}
	case NoCommitFirst:
		return &writeBehind{store: s}, k
	case AnyPod:
		return s, &hasty{jobs: k}
	case NoGrantLock:
		return &unlocked{store: s}, k
	case NoAgain:
		s.trusting = true
		return s, k
	case NoApart:
		s.careless = true
		return s, k
	default:
		return s, k
	}
}

// wrapAPI returns the store that a jobapi is given.
func (m Mutation) wrapAPI(s *apiStore) jobapi.Store {
	switch m {
	case WrongOrder:
		return &misled{s}
	case Trust:
		return &trustful{s}
	default:
		return s
	}
}

// namedAnew gives each Job that is created a name of its own, and remembers it
// as long as the process lives.
type namedAnew struct {
	*jobs
	names map[string]string // by the names that they should have
	n     int
}

// nameOf returns the name that a Job has in place of the one it should have.
func (k *namedAnew) nameOf(name string) string {
	k.p.w.mu.Lock()
	defer k.p.w.mu.Unlock()
	return cmp.Or(k.names[name], name)
}

func (k *namedAnew) Create(ctx context.Context, job *batchv1.Job) (*batchv1.Job, error) {
	want := job.Name
	k.p.w.mu.Lock()
	k.n++
	job.Name = want + "-" + k.p.owner + strconv.Itoa(k.n)
	k.p.w.mu.Unlock()
	created, err := k.jobs.Create(ctx, job)
	if err == nil {
		k.p.w.mu.Lock()
		k.names[want] = job.Name
		k.p.w.mu.Unlock()
	}
	return created, err
}

func (k *namedAnew) Get(ctx context.Context, name string) (*batchv1.Job, error) {
	return k.jobs.Get(ctx, k.nameOf(name))
}

func (k *namedAnew) Quiet(name string, uid types.UID) bool { return k.jobs.Quiet(k.nameOf(name), uid) }

func (k *namedAnew) Cached(name string) *batchv1.Job { return k.jobs.Cached(k.nameOf(name)) }

func (k *namedAnew) Pods(ctx context.Context, jobName string) ([]corev1.Pod, error) {
	return k.jobs.Pods(ctx, k.nameOf(jobName))
}

func (k *namedAnew) Delete(ctx context.Context, name string, uid types.UID) error {
	return k.jobs.Delete(ctx, k.nameOf(name), uid)
}

// unlabelled shows Jobs as if their labels were right.
type unlabelled struct{ *jobs }

func (k *unlabelled) Get(ctx context.Context, name string) (*batchv1.Job, error) {
	job, err := k.jobs.Get(ctx, name)
	if err == nil {
		job.Labels[kube.LabelInstallation] = installation
	}
	return job, err
}

// hasty asks for no more than one pod.
type hasty struct{ *jobs }

func (k *hasty) Succeeded(job *batchv1.Job) *corev1.Pod { return k.p.watch.succeeded(job.UID) }

// writeBehind says that a decision is written before it is.
type writeBehind struct{ *store }

func (s *writeBehind) Commit(ctx context.Context, l dao.Lease, e *dao.WorkflowExecution, ts []dao.Transition, now time.Time) error {
	c := newCommit(l, e, ts, now)
	// Its ids and names are known in advance; that it is written is not.
	err := s.change(s.hold(ctx, e.ID, "Commit %d", e.ID), &l, c.rehearse)
	if errors.Is(err, errRehearsal) {
		err = nil
	}
	if err == nil {
		c.giveBack()
		go func() {
			_ = s.change(s.hold(ctx, e.ID, "Commit %d behind", e.ID), &l, c.write)
		}()
	}
	return err
}

var errRehearsal = errors.New("written by nobody")

// rehearse gives the rows their ids and names, and writes nothing.
func (c *commit) rehearse(t *tx) error {
	if err := c.write(t); err != nil {
		return err
	}
	return errRehearsal
}

// misled gives the answers of a transaction in another order.
type misled struct{ *apiStore }

func (s *misled) CreateExecutions(ctx context.Context, ns []dao.NewExecution, now time.Time) ([]dao.Start, error) {
	starts, err := s.apiStore.CreateExecutions(ctx, ns, now)
	slices.Reverse(starts)
	return starts, err
}

// trustful takes outputs for recorded when nobody knows whether they are.
type trustful struct{ *apiStore }

func (s *trustful) RecordOutputs(ctx context.Context, outputs []dao.TaskOutput, now time.Time) ([]bool, error) {
	recorded, err := s.apiStore.RecordOutputs(ctx, outputs, now)
	if errors.Is(err, dao.ErrUnavailable) {
		recorded, err = make([]bool, len(outputs)), nil
		for i := range recorded {
			recorded[i] = true
		}
	}
	return recorded, err
}
