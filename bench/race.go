package bench

import (
	"context"
	"log/slog"
	"time"
)

// race is the same work done by ours and by the floor, in turn, several times.
type race struct {
	work                string
	tasks               int // of one run
	ours, floor         sample
	oursUsed, floorUsed []counters
}

// side does the work once, and gives how long it took, in seconds.
type side func(ctx context.Context) (seconds float64, err error)

// race has both sides do the work so many times. The floor is first, then ours, so
// that whatever drifts falls on both.
func (w *world) race(ctx context.Context, work string, tasks, runs int, ours, floor side) (race, error) {
	r := race{work: work, tasks: tasks}
	for n := range runs {
		slog.InfoContext(ctx, "measures", "work", work, "run", n+1, "of", runs)
		if err := w.run(ctx, "floor", floor, &r.floor, &r.floorUsed); err != nil {
			return r, err
		}
		if err := w.run(ctx, "ours", ours, &r.ours, &r.oursUsed); err != nil {
			return r, err
		}
	}
	return r, nil
}

// alone has ours do work once, without a floor.
func (w *world) alone(ctx context.Context, work string, tasks int, ours side) (race, error) {
	r := race{work: work, tasks: tasks}
	slog.InfoContext(ctx, "measures", "work", work)
	err := w.run(ctx, "ours", ours, &r.ours, &r.oursUsed)
	return r, err
}

// run has a side do the work once more.
func (w *world) run(ctx context.Context, name string, do side, took *sample, used *[]counters) error {
	var seconds float64
	c, err := w.during(ctx, func() (err error) {
		seconds, err = do(ctx)
		return err
	})
	if err != nil {
		return err
	}
	slog.InfoContext(ctx, "measured", "side", name, "seconds", seconds, "requests", c.byVerb, "cluster_cpu", c.clusterCPU)
	*took, *used = append(*took, seconds), append(*used, c)
	return nil
}

// executing is the side of ours that runs executions of a workflow at once.
func (w *world) executing(workflow string, count int) side {
	return func(ctx context.Context) (float64, error) {
		took, _, err := w.execute(ctx, workflow, count)
		return took.Seconds(), err
	}
}

// chaining is the floor's side of that, for chains.
func (f *floor) chaining(count, steps int) side {
	return timed(func(ctx context.Context) error {
		_, err := f.chains(ctx, count, steps)
		return err
	})
}

// fanning is the same for a fan-out.
func (f *floor) fanning(count int) side {
	return timed(func(ctx context.Context) error { return f.fan(ctx, count) })
}

// timed gives the side that times do.
func timed(do func(context.Context) error) side {
	return func(ctx context.Context) (float64, error) {
		began := time.Now()
		err := do(ctx)
		return time.Since(began).Seconds(), err
	}
}
