package sim

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
)

// Schedule says what to run. The same Schedule always gives the same Result.
type Schedule struct {
	// Seed chooses the workload, the faults and the order of all steps.
	Seed uint64
	// Calm runs the workload without faults, by one manager.
	Calm bool
	// Gaps lets happen what docs/architecture.md excludes from the promise.
	Gaps bool
	// Poison has the first execution kill every manager that reads its tasks.
	Poison bool
	// Mutation is the safeguard to switch off.
	Mutation Mutation
	// Verbose collects Result.Trace.
	Verbose bool

	// without are the executions, and skip the faults by number, that shrinking
	// has left out.
	without, skip map[int]bool
}

// Result is what became of a Schedule.
type Result struct {
	// Violation is the promise that was broken; empty if none was.
	Violation string
	// Hash tells interleavings apart.
	Hash uint64
	// Steps is how many steps it took, and Seconds how much virtual time.
	Steps, Seconds int
	// Settling is how many seconds it took to come to an end after the faults
	// had ceased.
	Settling int
	// Faults counts, by kind, the faults that happened.
	Faults map[string]int
	// Together counts, by kind, the transactions that several calls have shared.
	Together map[string]int
	// Trace has a line for each step but routine ones, if Schedule.Verbose.
	Trace []string

	faults     int // all faults, skipped ones included
	executions int
	ends       []ending
}

// Run runs a schedule. A schedule with faults is compared with its calm run.
func Run(t *testing.T, s Schedule) Result {
	t.Helper()
	var want []ending
	if !s.Calm {
		calm := s
		calm.Calm, calm.Poison, calm.Mutation, calm.Verbose = true, false, None, false
		r := run(t, calm, nil)
		if r.Violation != "" {
			r.Violation = "without any fault: " + r.Violation
			return r
		}
		want = r.ends
	}
	return run(t, s, want)
}

func run(t *testing.T, s Schedule, want []ending) (r Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(s, want)
		for i := range w.apis {
			w.startAPI(i)
		}
		for i := range w.slots {
			w.start(i)
		}
		for w.violation == "" && !w.over() {
			w.step()
		}
		r = w.result()
		for _, p := range w.alive() {
			w.kill(p)
		}
		for _, a := range w.apisAlive() {
			w.kill(a.process)
		}
		synctest.Wait()
		for _, p := range w.processes {
			if !p.hasExited() {
				t.Fatalf("seed %d: manager %s did not end after it was killed", s.Seed, p.owner)
			}
		}
		for _, a := range w.apis {
			if !a.hasExited() {
				t.Fatalf("seed %d: jobapi %s did not end after it was killed", s.Seed, a.owner)
			}
		}
	})
	return r
}

func (w *world) result() Result {
	return Result{
		Violation: w.violation, Hash: w.trace.hash.Sum64(), Steps: w.steps, Seconds: w.seconds(), Settling: w.settling(),
		Faults: w.faults.counts(), Together: w.together, Trace: w.trace.lines, faults: w.faults.n, executions: w.load.size, ends: w.ends(),
	}
}

// start starts a manager in a slot: the place of a pod that is replaced.
func (w *world) start(slot int) {
	p := w.newProcess(slot)
	w.slots[slot] = p
	w.processes = append(w.processes, p)
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	w.trace.add(w, "start", p.owner)
	go func() {
		if err := p.manager.Run(ctx); err != nil {
			panic(fmt.Sprintf("manager %s: %v", p.owner, err))
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		p.exited = true
	}()
}
