package bench

import (
	"context"
	"log/slog"
	"time"
)

// race is the same work done by ours and by the floor, in turn, several times.
type race struct {
	tasks               int // of one run
	ours, floor         sample
	oursUsed, floorUsed []counters
}

// side does the work once, and gives how long it took, in seconds.
type side func(ctx context.Context) (seconds float64, err error)

// run has both sides do the work so many times. The floor is first, then ours, so
// that whatever drifts falls on both.
func (w *world) race(ctx context.Context, work string, tasks, runs int, ours, floor side) (race, error) {
	r := race{tasks: tasks}
	for n := range runs {
		for _, s := range []struct {
			name string
			run  side
			took *sample
			used *[]counters
		}{{"floor", floor, &r.floor, &r.floorUsed}, {"ours", ours, &r.ours, &r.oursUsed}} {
			var took float64
			used, err := w.during(ctx, func() (err error) {
				took, err = s.run(ctx)
				return err
			})
			if err != nil {
				return r, err
			}
			slog.InfoContext(ctx, "measured", "work", work, "side", s.name, "run", n+1, "of", runs, "seconds", took, "requests", used.byVerb)
			*s.took, *s.used = append(*s.took, took), append(*s.used, used)
		}
	}
	return r, nil
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
