package bench

import (
	"context"
	"testing"
)

// The burst: so many executions at once, of a chain each.
const (
	burstExecutions = 200
	burstSteps      = 3
	burstTasks      = burstExecutions * burstSteps
	burstWork       = "200 executions × chain of 3"
)

// measureBurst measures throughput: executions that are started at once.
func measureBurst(t *testing.T, b *bench) {
	const runs = 2
	w, ctx := newWorld(t, chain("chain", burstSteps))
	w.startManagers(1)
	w.warmUp(ctx, burstSteps)
	r, err := w.race(ctx, burstWork, burstTasks, runs, w.executing("chain", burstExecutions), w.floor.chaining(burstExecutions, burstSteps))
	if err != nil {
		t.Fatal(err)
	}
	perSecond := func(seconds float64) float64 { return burstTasks / seconds }
	b.add(burstWork, "throughput", "tasks/s", r.ours.each(perSecond), r.floor.each(perSecond))
	b.add(burstWork, "time", "s", r.ours, r.floor)
	alike := func(f *floor) side { return f.chaining(burstExecutions, burstSteps) }
	if err := b.addAlike(ctx, w, burstWork, r.ours, alike); err != nil {
		t.Fatal(err)
	}
	if err := b.addCosts(burstWork, w, r); err != nil {
		t.Fatal(err)
	}
}

// warmUp has both sides run a few chains, so that connections, caches and the
// pages of processes are there.
func (w *world) warmUp(ctx context.Context, steps int) {
	w.t.Helper()
	const executions = 20
	_, err := w.race(ctx, "warm-up", executions*steps, 1, w.executing("chain", executions), w.floor.chaining(executions, steps))
	if err != nil {
		w.t.Fatal(err)
	}
}
