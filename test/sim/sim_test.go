package sim

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jobnetes/jobnetes/schema"
	"github.com/jobnetes/jobnetes/test/machine"
)

// TestSchedules runs SCHEDULES schedules from SEED on.
func TestSchedules(t *testing.T) {
	t.Parallel()
	c := &campaign{next: number(t, "SEED", 1), left: number(t, "SCHEDULES", few(300, 600)), hashes: map[uint64]bool{}, faults: map[string]int{}, together: map[string]int{}}
	start := time.Now()
	t.Run("workers", func(t *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				c.work(t)
			})
		}
	})
	t.Logf("%d schedules in %s: %d distinct interleavings, %d steps, %d s of virtual time, at most %d s to the end once the faults had ceased",
		c.schedules, time.Since(start).Round(time.Millisecond), len(c.hashes), c.steps, c.seconds, c.settling)
	for k, kind := range faultNames {
		if n := c.faults[kind]; n > 0 {
			t.Logf("%8d times: %s: %s", n, kind, faultMeanings[k])
		}
	}
	for _, kind := range sharing {
		t.Logf("%8d times: %s", c.together[kind], kind)
	}
	t.Logf("     all the time: the clocks of half of the managers and jobapis are wrong by up to 10 s, and watches lag, so that what managers know of Jobs is stale")
	t.Logf("%d schedules broke a promise", c.failed)
	if c.schedules < 500 { // some are rare
		return
	}
	for _, kind := range faultNames {
		if c.faults[kind] == 0 {
			t.Errorf("in %d schedules this never happened: %s", c.schedules, kind)
		}
	}
	for _, kind := range sharing {
		if c.together[kind] == 0 {
			t.Errorf("in %d schedules this never happened: %s", c.schedules, kind)
		}
	}
}

// campaign is many schedules, and what they came to.
type campaign struct {
	mu         sync.Mutex
	next, left int

	schedules, steps, seconds, settling, failed int
	hashes                                      map[uint64]bool
	faults, together                            map[string]int
}

// maxFailures is how many schedules may fail before no more are run.
const maxFailures = 3

func (c *campaign) work(t *testing.T) {
	for {
		seed, ok := c.take()
		if !ok {
			return
		}
		s := Schedule{Seed: uint64(seed)}
		r := Run(t, s)
		c.add(r)
		if r.Violation != "" {
			small := Shrink(t, s)
			t.Errorf("seed %d: %s\nreplay it: SEED=%d SCHEDULES=1 go test ./test/sim -run TestSchedules -v\nshrunk, without what managers do all the time:\n%s",
				seed, r.Violation, seed, strings.Join(small.Trace, "\n"))
		}
	}
}

func (c *campaign) take() (seed int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 || c.failed >= maxFailures {
		return 0, false
	}
	seed = c.next
	c.next++
	c.left--
	return seed, true
}

func (c *campaign) add(r Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.schedules++
	c.steps += r.Steps
	c.seconds += r.Seconds
	c.settling = max(c.settling, r.Settling)
	c.hashes[r.Hash] = true
	for kind, n := range r.Faults {
		c.faults[kind] += n
	}
	for kind, n := range r.Together {
		c.together[kind] += n
	}
	if r.Violation != "" {
		c.failed++
	}
}

// TestReplays says that nothing but the seed decides. (A manager that was told to stop and
// woken at once did either first: seed 337 found it.)
func TestReplays(t *testing.T) {
	t.Parallel()
	for seed := range share(t, few(30, 50)) {
		s := Schedule{Seed: seed, Verbose: true}
		first, second := Run(t, s), Run(t, s)
		if first.Hash != second.Hash {
			i := 0
			for i < min(len(first.Trace), len(second.Trace)) && first.Trace[i] == second.Trace[i] {
				i++
			}
			t.Fatalf("seed %d gives two different traces after\n%s\none goes on with\n%s\nthe other with\n%s", seed,
				strings.Join(first.Trace[max(0, i-15):i], "\n"), strings.Join(first.Trace[i:min(i+8, len(first.Trace))], "\n"), strings.Join(second.Trace[i:min(i+8, len(second.Trace))], "\n"))
		}
	}
}

// TestMutations says that each safeguard is needed, and that the simulation sees
// it missing. What is rare has the seed to begin with at which it was found last, so as
// not to be looked for long.
func TestMutations(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		s    Schedule
		want []string // one of these texts is in the violation
	}{
		"lease fence":          {Schedule{Mutation: NoFence}, []string{"is in force"}},
		"epoch of a claim":     {Schedule{Mutation: NoEpoch}, []string{"under the epoch of"}},
		"deterministic name":   {Schedule{Mutation: NoName, Seed: 15}, []string{"creates a second Job"}},
		"conditional update":   {Schedule{Mutation: NoCondition}, []string{"and its Job says otherwise"}},
		"label check on adopt": {Schedule{Mutation: NoLabelCheck, Seed: 33}, []string{"which is a stranger's"}},
		"commit before create": {Schedule{Mutation: NoCommitFirst}, []string{"creates a second Job"}},
		"lock of grants":       {Schedule{Mutation: NoGrantLock, Seed: 22}, []string{"tasks have slots, and the limit is"}},
		"one pod of many":      {Schedule{Mutation: AnyPod}, []string{"and its Job says otherwise"}},
		"again if left out":    {Schedule{Mutation: NoAgain, Seed: 23}, []string{"and its Job says otherwise", "there is no end"}},
		"end of recording":     {Schedule{Mutation: NoClose, Seed: 99}, []string{"and its Job says otherwise"}},
		"look for a request":   {Schedule{Mutation: NoLook}, []string{"which has started execution"}},
		"order of answers":     {Schedule{Mutation: WrongOrder}, []string{"which is another one's"}},
		"unknown outputs":      {Schedule{Mutation: Trust}, []string{"has not been recorded since it was sent"}},
		"unbegun end":          {Schedule{Mutation: NoUnbegun, Seed: 12371}, []string{"ends, and its task"}},
		"apart if refused":     {Schedule{Mutation: NoApart, Seed: 23}, []string{"and its Job says otherwise", "jobnetes panicked"}},
		"known gaps":           {Schedule{Gaps: true}, []string{"creates a second Job"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const seeds = 2000
			for seed := tc.s.Seed; seed < tc.s.Seed+seeds; seed++ {
				s := tc.s
				s.Seed = seed
				r := Run(t, s)
				if slices.ContainsFunc(tc.want, func(want string) bool { return strings.Contains(r.Violation, want) }) {
					t.Logf("found by seed %d: %s", seed, r.Violation)
					return
				}
			}
			t.Errorf("%d schedules do not find that it is missing", seeds)
		})
	}
}

// TestPoison says that an execution that kills its managers is ended for it, and
// that all others end as they would without it.
func TestPoison(t *testing.T) {
	t.Parallel()
	for seed := range share(t, few(30, 100)) {
		r := Run(t, Schedule{Seed: seed, Poison: true})
		if r.Violation != "" {
			t.Fatalf("seed %d: %s", seed, r.Violation)
		}
		// By the operator, or because the database refuses a write for good, before.
		ended := strings.HasPrefix(r.ends[0].errorMsg, "Cancelled by ") || strings.HasPrefix(r.ends[0].errorMsg, "InternalError: simulated: a constraint")
		if !ended && !strings.HasPrefix(r.ends[0].errorMsg, "ManagersDied: 3 managers") {
			t.Errorf("seed %d: the execution ends as %s: %s", seed, r.ends[0].status, r.ends[0].errorMsg)
		}
	}
}

// TestShrink says that schedules that fail are cut down towards what matters. How
// far differs: one fault less changes when all else happens.
func TestShrink(t *testing.T) {
	t.Parallel()
	s := Schedule{Mutation: NoLabelCheck, Seed: 32} // see TestMutations
	before, after := 0, 0
	for failing := 0; failing < 3; {
		s.Seed++
		r := Run(t, s)
		if r.Violation == "" {
			continue
		}
		failing++
		small := Shrink(t, s)
		if failing == 1 { // it takes as long again
			if again := Shrink(t, s); small.Hash != again.Hash {
				t.Errorf("seed %d shrinks to two different schedules", s.Seed)
			}
		}
		if small.Violation == "" || small.Faults[takenName.String()] == 0 {
			t.Errorf("seed %d is shrunk to %v, in which no name is taken: %q", s.Seed, small.Faults, small.Violation)
		}
		before, after = before+happened(r), after+happened(small)
		t.Logf("seed %d: %v is shrunk to %v", s.Seed, r.Faults, small.Faults)
	}
	if after > before/2 {
		t.Errorf("%d faults are shrunk to %d, want half at the most", before, after)
	}
}

// TestWorkloads says that the managers are given work that makes sense.
func TestWorkloads(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		for _, definition := range newWorkload(seed).definitions {
			if _, err := schema.Parse([]byte(definition)); err != nil {
				t.Errorf("seed %d: %v: %s", seed, err, definition)
			}
		}
	}
}

// few returns a number for `go test` alone, or for `make test`.
func few(some, all int) int {
	if os.Getenv(machine.AllTests) == "" {
		return some
	}
	return all
}

// share returns for how many seeds a test runs that is beside TestSchedules: a hundredth
// of SCHEDULES, if that is set.
func share(t *testing.T, otherwise int) uint64 {
	t.Helper()
	return uint64(max(1, number(t, "SCHEDULES", 100*otherwise)/100))
}

// number reads an environment variable.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s=%q is not a number from 0", name, text)
	}
	return n
}
