package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobnetes/jobnetes/dao"
)

// fault is a kind of trouble.
type fault int

// What may happen to a call.
const (
	// lostAnswer: it is carried out, and its answer is lost.
	lostAnswer fault = iota
	// lateRequest: its answer is lost, and it is carried out some time later.
	lateRequest
	// refusedCall: it is not carried out, for a reason that passes.
	refusedCall
	// refusedForGood: the database will never take this write.
	refusedForGood
	// conflict: the database says that a row has changed, which it has not.
	conflict
	// refusedTogether: the database refuses a write of several calls, each of which it
	// will take.
	refusedTogether
	// lockedRow: somebody has locked a row that would be written with others.
	lockedRow

	// What may happen at any time.

	killed      // a manager is killed, and another one started in its place some time later
	stopped     // a manager ends in good order, and is replaced
	paused      // a manager stands still, mostly for longer than its lease
	dbAway      // the database is away for some time
	apiAway     // the API server is away for some time
	watchCut    // a watch dies without a word
	deletedJob  // a stranger deletes a Job
	overruled   // a Job's pod has succeeded, and the Job controller has it fail
	takenName   // a stranger makes a Job under the name of a task's
	lateRecord  // a job's record of its output is sent again, and arrives when the Job may have ended
	otherRecord // the same with another output
	cancelled   // an operator cancels an execution
	woken       // a manager is told of starts or cancels, whether there are any or not
	endedAPI    // a jobapi is killed, or ends, and another one is started in its place some time later
	calledAgain // a client calls again before it was answered
	reusedID    // a client sends the request_id of another start

	// What may happen to an event of a watch.

	lostEvent
	repeatedEvent
	reorderedEvents

	// lostWakeUp: a manager is not told of a start.
	lostWakeUp

	faultKinds
)

var faultNames = [faultKinds]string{
	"answer lost", "request late", "call refused", "write refused for good", "conflict", "batch refused", "row locked",
	"manager killed", "manager stopped", "manager paused", "database away", "API server away", "watch cut",
	"Job deleted by a stranger", "Job overruled", "name taken by a stranger", "record repeated", "record replaced", "cancelled by an operator", "manager woken",
	"jobapi ended", "called again", "request_id reused",
	"watch event lost", "watch event repeated", "watch events reordered", "wake-up lost",
}

// faultMeanings say what each is, for who reads how often it happened.
var faultMeanings = [faultKinds]string{
	"a call was carried out, and its answer never came",
	"a call was given up, and carried out some time later",
	"a call was not carried out, for a reason that passes: a deadlock or a lost connection of the database; 429, 500, a quota, a timeout or a lost connection of the API server",
	"the database would never take a write, as one that is too large",
	"the database said that a row had changed, which it had not",
	"the database refused a transaction that several shared, and took each by itself", "a write was left out of a transaction that several shared, as somebody had locked a row",
	"as by kill -9; another one starts in its place", "as by SIGTERM; another one starts in its place",
	"it stood still, mostly for longer than its lease, and went on",
	"for some seconds nothing reached it", "for some seconds nothing reached it", "a watch died without a word",
	"also before its manager had seen its end", "its pod succeeded, and the Job controller had the Job fail all the same",
	"he made a Job under the name of a task's", "a job sent its output again, perhaps after its end", "a job sent another output, perhaps after its end",
	"he asked for an execution to be cancelled",
	"it was told of starts or cancels, whether there were any or not",
	"it was killed, or told to stop and waited for no call; another one starts in its place", "a client sent a call again while it was under way, perhaps to another jobapi",
	"a client sent another start under the request_id of one",
	"a manager did not learn of a change of a Job or pod", "it learned of one twice", "it learned of two in the wrong order",
	"a manager was not told of a start",
}

func (f fault) String() string { return faultNames[f] }

// faults decides which faults happen. Each schedule has some kinds only, and
// rates of its own, so that each kind also comes without too much else.
type faults struct {
	seed   uint64
	rng    *rand.Rand
	on     [faultKinds]bool
	rate   float64 // the chance of each kind that may happen to a call or event
	strike float64 // the chance in a step of those that may happen at any time
	over   bool
	skip   map[int]bool
	n      int // faults so far, those that were skipped included
	// details decides how a fault happens. Each has its own, so that skipping one
	// changes no other by that alone.
	details *rand.Rand
	number  [faultKinds]int
}

func newFaults(s Schedule) *faults {
	f := &faults{seed: s.Seed, rng: stream(s.Seed, "faults"), over: s.Calm, skip: s.skip, details: stream(s.Seed, "fault 0")}
	f.rate = [...]float64{0, 0.01, 0.03, 0.1, 0.25}[f.rng.IntN(5)]
	f.strike = [...]float64{0, 0.01, 0.03, 0.1}[f.rng.IntN(4)]
	for k := range f.on {
		f.on[k] = f.rng.IntN(2) == 0
	}
	return f
}

// happens says whether a fault of that kind happens now, at a chance of weight
// times the schedule's rate.
func (f *faults) happens(k fault, weight float64) bool {
	return !f.over && f.on[k] && f.rng.Float64() < f.rate*weight && f.count(k)
}

// strikes says which of the faults that may happen at any time happens now, if
// one does.
func (f *faults) strikes() (fault, bool) {
	if f.over || f.rng.Float64() >= f.strike {
		return 0, false
	}
	var kinds []fault
	for k := killed; k < lostEvent; k++ {
		if f.on[k] {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 0 {
		return 0, false
	}
	k := kinds[f.rng.IntN(len(kinds))]
	return k, f.count(k)
}

// count gives a fault its number; false if it is one to skip.
func (f *faults) count(k fault) bool {
	f.n++
	f.details = stream(f.seed, "fault "+strconv.Itoa(f.n))
	if f.skip[f.n] {
		return false
	}
	f.number[k]++
	return true
}

// seconds returns a time from 1 to limit seconds, mostly a short one.
func (f *faults) seconds(limit int) time.Duration {
	return time.Duration(1+f.details.IntN(1+f.details.IntN(limit))) * time.Second
}

func (f *faults) counts() map[string]int {
	m := map[string]int{}
	for k, n := range f.number {
		if n > 0 {
			m[fault(k).String()] = n
		}
	}
	return m
}

// errLost is a call's error when nobody knows what became of it.
func errLost(s side, cause error) error {
	if s == toDatabase {
		return fmt.Errorf("simulated: %w: %w", dao.ErrUnavailable, cause)
	}
	return fmt.Errorf("simulated: the API server does not answer: %w", cause)
}

var errConnection = errors.New("the connection is lost")

// errPassing is an error of a call that was not carried out, and may be next time.
func (f *faults) errPassing(c *call) error {
	if c.side == toDatabase {
		return errLost(toDatabase, errors.New("deadlock"))
	}
	jobs := schema.GroupResource{Group: "batch", Resource: "jobs"}
	switch f.details.IntN(4) {
	case 0:
		return apierrors.NewTooManyRequests("simulated", 1)
	case 1:
		return apierrors.NewInternalError(errors.New("simulated"))
	case 2:
		if c.write {
			return apierrors.NewForbidden(jobs, "job", errors.New("exceeded quota: simulated"))
		}
		return apierrors.NewTimeoutError("simulated", 1)
	default:
		return errLost(toAPIServer, errConnection)
	}
}

// errEnded is a call's error when its caller's time is up.
func errEnded(c *call) error {
	err := c.ctx.Err()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("simulated: %w", err)
	}
	return errLost(c.side, err)
}

// stream returns the random numbers of a schedule for one use.
func stream(seed uint64, use string) *rand.Rand {
	h := uint64(14695981039346656037)
	for _, c := range []byte(use) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(seed, h))
}
