package bench

import "testing"

// measureNode measures a chain whose pods run for real: a container that does
// nothing, on a node with containerd and a kubelet.
func measureNode(t *testing.T, b *bench) {
	const steps, runs = 5, 2
	const work = "chain of 5 on a real node"
	w, ctx := newNodeWorld(t, chainOf("chain", steps, nodeJob()), chainOf("one", 1, nodeJob()))
	w.startManagers(1)
	if _, err := w.race(ctx, "warm-up", 1, 1, w.executing("one", 1), w.floor.chaining(1, 1)); err != nil {
		t.Fatal(err)
	}
	r, err := w.race(ctx, work, steps, runs, w.executing("chain", 1), w.floor.chaining(1, steps))
	if err != nil {
		t.Fatal(err)
	}
	b.add(work, "time", "s", r.ours, r.floor)
	if err := b.addByComplete(ctx, w, work, steps, r.ours); err != nil {
		t.Fatal(err)
	}
	if err := b.addCosts(work, w, r); err != nil {
		t.Fatal(err)
	}
}
