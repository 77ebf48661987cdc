package bench

import "testing"

// measureIndexed measures many equal tasks as one Indexed Job, beside the same as a
// parallel of as many Jobs, which is ours, too. SIZE is how many there are.
func measureIndexed(t *testing.T, b *bench) {
	size := b.sizes(5000)[0]
	w, ctx := newWorld(t, chain("chain", 1), fan("jobs", size, simulatedJob()), indexed("indexed", size))
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
	many, err := w.alone(ctx, count+" equal tasks, as many Jobs", size, w.executing("jobs", 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.addCosts(many.work, w, many); err != nil {
		t.Fatal(err)
	}
	perTask := func(seconds float64) float64 { return seconds / float64(size) * 1000 }
	for _, r := range []race{one, many} {
		b.add(r.work, "time, beside as many Jobs", "s", r.ours, many.ours)
		b.add(r.work, "time per task", "ms", r.ours.each(perTask), many.ours.each(perTask))
	}
}
