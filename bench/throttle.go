package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
)

// The priority level that is tight: its share is the least there is, which is 3
// requests of the API server's 600 at once. More wait in one line, which all who have
// the level share; what does not fit there is refused with 429.
const (
	tightLevel = "bench-tight"
	tightLine  = 20
)

// unthrottled is how many requests the loop that does not throttle itself has under
// way, whatever comes back.
const unthrottled = 64

// measureThrottle measures what is left for another client of the same priority level
// when that is tight, and how much is refused: while a fan-out's Jobs are created by
// ours and, as the floor, by a loop that does not throttle itself. SIZE is how many
// Jobs there are.
func measureThrottle(t *testing.T, b *bench) {
	const alone = 5 * time.Second
	size := b.sizes(500)[0]
	w, ctx := newWorld(t, chain("chain", 1), fan("fan", size, simulatedJob()))
	w.startManagers(1)
	w.warmUp(ctx, 1)
	other, err := newNeighbour(newAccount(t, w.cluster, w.namespace, neighbourAccount, w.dir), w.namespace)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.tighten(ctx, other); err != nil {
		t.Fatal(err)
	}
	quiet, err := other.during(ctx, func(ctx context.Context) error { return pause(ctx, alone) })
	if err != nil {
		t.Fatal(err)
	}
	b.addPercentiles("another client, alone", "its requests", quiet.within(time.Time{}, time.Now()).took, nil)
	work := fmt.Sprintf("fan-out of %s where API requests are few", label(float64(size)))
	r := race{work: work, tasks: size}
	var seen [2]neighbourSample
	var refused [2]sample
	for i, s := range []struct {
		account string
		do      side
		took    *sample
		used    *[]counters
	}{
		{floorAccount, timed(func(ctx context.Context) error { return w.floor.fanUnthrottled(ctx, size, unthrottled) }), &r.floor, &r.floorUsed},
		{oursAccount, w.executing("fan", 1), &r.ours, &r.oursUsed},
	} {
		before, err := w.refused(ctx, s.account)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		asked, err := other.during(ctx, func(ctx context.Context) error { return w.run(ctx, s.account, s.do, s.took, s.used) })
		if err != nil {
			t.Fatal(err)
		}
		after, err := w.refused(ctx, s.account)
		if err != nil {
			t.Fatal(err)
		}
		seen[i] = asked.within(began, w.lastCreated(began))
		refused[i] = only(after - before)
	}
	b.add(work, "time", "s", r.ours, r.floor)
	b.add(work, "refused with 429", "requests", refused[1], refused[0])
	b.addPercentiles(work, "another client's requests meanwhile", seen[1].took, seen[0].took)
	b.add(work, "another client's, refused", "%", seen[1].refused(), seen[0].refused())
	if err := b.addCosts(work, w, r); err != nil {
		t.Fatal(err)
	}
}

// lastCreated gives when the last Job since began was created.
func (w *world) lastCreated(began time.Time) time.Time {
	last := began
	for _, at := range w.created() {
		if at.After(last) {
			last = at
		}
	}
	return last
}

// refused gives how many requests of an account the API server has refused so far.
func (w *world) refused(ctx context.Context, account string) (float64, error) {
	counts, err := requests(ctx, w.cluster.Client, rejected, "")
	var all float64
	for _, verb := range allVerbs() {
		all += counts[account+"-"+verb]
	}
	return all, err
}

// tighten gives all accounts the tight level, and returns when the API server heeds
// it.
func (w *world) tighten(ctx context.Context, other *neighbour) error {
	flow := w.cluster.Client.FlowcontrolV1()
	level := &flowcontrolv1.PriorityLevelConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: tightLevel},
		Spec: flowcontrolv1.PriorityLevelConfigurationSpec{
			Type: flowcontrolv1.PriorityLevelEnablementLimited,
			Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
				NominalConcurrencyShares: new(int32(1)), LendablePercent: new(int32(0)), BorrowingLimitPercent: new(int32(0)),
				LimitResponse: flowcontrolv1.LimitResponse{
					Type:    flowcontrolv1.LimitResponseTypeQueue,
					Queuing: &flowcontrolv1.QueuingConfiguration{Queues: 1, HandSize: 1, QueueLengthLimit: tightLine},
				},
			},
		},
	}
	if _, err := flow.PriorityLevelConfigurations().Create(ctx, level, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("make a tight priority level: %w", err)
	}
	patch := []byte(`{"spec": {"priorityLevelConfiguration": {"name": "` + tightLevel + `"}}}`)
	for _, account := range []string{oursAccount, floorAccount, neighbourAccount} {
		for _, verb := range allVerbs() {
			name := schemaPrefix + account + "-" + verb
			if _, err := flow.FlowSchemas().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
				return fmt.Errorf("have FlowSchema %s be of the tight priority level: %w", name, err)
			}
		}
	}
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		if err := other.list(ctx); err != nil {
			return false, err
		}
		counts, err := requests(ctx, w.cluster.Client, dispatched, tightLevel)
		return counts[neighbourAccount+"-list"] > 0, err
	})
}
