package bench

import (
	"context"
	"fmt"
	"testing"
)

// measureFanout measures a parallel task of 500 Jobs.
func measureFanout(t *testing.T, b *bench) {
	const runs = 2
	w, ctx := newWorld(t, chain("chain", 1), fan("fan", 500, simulatedJob()))
	w.startManagers(1)
	w.warmUp(ctx, 1)
	r, err := b.fanOut(ctx, w, "fan", 500, runs)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.addAlike(ctx, w, "fan-out of 500", r.ours, func(f *floor) side { return f.fanning(500) }); err != nil {
		t.Fatal(err)
	}
}

// measureGrowth measures how the time per task goes with the size of an execution.
// SIZE is the largest; those above 1,000 have no floor, which would take minutes more.
func measureGrowth(t *testing.T, b *bench) {
	const floorUpTo = 1000 // tasks
	sizes := b.sizes(3000, 100, 1000, 3000)
	workflows := [][]byte{chain("chain", 1)}
	for _, size := range sizes {
		workflows = append(workflows, fan(fmt.Sprint("fan", size), size, simulatedJob()))
	}
	w, ctx := newWorld(t, workflows...)
	w.startManagers(1)
	w.warmUp(ctx, 1)
	p := plot{
		file: "bench-growth.svg", title: "One execution: time per task against its size", x: "tasks of the execution", y: "ms per task",
		curves: []curve{{name: "jobnetes"}, {name: "bare loop on Jobs"}},
	}
	for _, size := range sizes {
		runs := 1
		if size > floorUpTo {
			runs = 0
		}
		r, err := b.fanOut(ctx, w, fmt.Sprint("fan", size), size, runs)
		if err != nil {
			t.Fatal(err)
		}
		for i, seconds := range []sample{r.ours, r.floor} {
			if len(seconds) > 0 {
				p.curves[i].points = append(p.curves[i].points, point{float64(size), seconds.median() / float64(size) * 1000})
			}
		}
	}
	b.plots = append(b.plots, p)
}

// fanOut measures an execution of so many tasks at once, beside the floor; without it,
// and once, if there are to be no runs of both.
func (b *bench) fanOut(ctx context.Context, w *world, workflow string, size, runs int) (r race, err error) {
	work := "fan-out of " + label(float64(size))
	if runs > 0 {
		r, err = w.race(ctx, work, size, runs, w.executing(workflow, 1), w.floor.fanning(size))
	} else {
		r, err = w.alone(ctx, work, size, w.executing(workflow, 1))
	}
	if err != nil {
		return r, err
	}
	b.add(work, "time", "s", r.ours, r.floor)
	perTask := func(seconds float64) float64 { return seconds / float64(size) * 1000 }
	b.add(work, "time per task", "ms", r.ours.each(perTask), r.floor.each(perTask))
	return r, b.addCosts(work, w, r)
}
