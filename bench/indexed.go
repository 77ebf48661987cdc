package bench

import "testing"

// mostJobs is the largest parallel whose definition is small enough.
const mostJobs = 10_000

// measureIndexed measures many equal tasks as one Indexed Job, beside the same as a
// parallel of as many Jobs, which is ours, too, and is left out if there are too many. SIZE
// is how many there are.
func measureIndexed(t *testing.T, b *bench) {
	size := b.sizes(5000)[0]
	workflows := [][]byte{chain("chain", 1), indexed("indexed", size)}
	if size <= mostJobs {
		workflows = append(workflows, fan("jobs", size, simulatedJob()))
	}
	w, ctx := newWorld(t, workflows...)
	w.startManagers(1)
	w.warmUp(ctx, 1)
	count := label(float64(size))
	one, err := w.alone(ctx, count+" equal tasks, one Indexed Job", size, w.executing("indexed", 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.addCosts(one.work, w, one); err != nil { // before the other's memory is the peak
		t.Fatal(err)
	}
	var many race
	if size <= mostJobs {
		if many, err = w.alone(ctx, count+" equal tasks, as many Jobs", size, w.executing("jobs", 1)); err != nil {
			t.Fatal(err)
		}
		if err := b.addCosts(many.work, w, many); err != nil {
			t.Fatal(err)
		}
	}
	perTask := func(seconds float64) float64 { return seconds / float64(size) * 1000 }
	for _, r := range []race{one, many} {
		if len(r.ours) > 0 {
			b.add(r.work, "time, beside as many Jobs", "s", r.ours, many.ours)
			b.add(r.work, "time per task", "ms", r.ours.each(perTask), many.ours.each(perTask))
		}
	}
}
