package bench

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"testing"
)

// measureScaling measures the burst on 1, 2 and 4 managers, and how it is spread
// over them.
func measureScaling(t *testing.T, b *bench) {
	const runs = 1
	w, ctx := newWorld(t, chain("chain", burstSteps))
	p := plot{
		file: "bench-scaling.svg", title: burstWork + ": throughput by number of managers", x: "managers", y: "tasks/s",
		curves: []curve{{name: "jobnetes"}, {name: "bare loop on Jobs"}},
	}
	for _, managers := range []int{1, 2, 4} {
		w.startManagers(managers)
		w.warmUp(ctx, burstSteps)
		work := fmt.Sprintf("burst, managers: %d", managers)
		var ids []uint64
		ours := func(ctx context.Context) (float64, error) {
			took, some, err := w.execute(ctx, "chain", burstExecutions)
			ids = append(ids, some...)
			return took.Seconds(), err
		}
		r, err := w.race(ctx, work, burstTasks, runs, ours, w.floor.chaining(burstExecutions, burstSteps))
		if err != nil {
			t.Fatal(err)
		}
		perSecond := func(seconds float64) float64 { return burstTasks / seconds }
		b.add(work, "throughput", "tasks/s", r.ours.each(perSecond), r.floor.each(perSecond))
		shares, err := w.shares(ctx, ids)
		if err != nil {
			t.Fatal(err)
		}
		b.add(work, "executions ended, least of a manager", "% of even share", only(100*slices.Min(shares)), nil)
		if err := b.addCosts(work, w, r); err != nil {
			t.Fatal(err)
		}
		for i, seconds := range []sample{r.ours, r.floor} {
			p.curves[i].points = append(p.curves[i].points, point{float64(managers), perSecond(seconds.median())})
		}
	}
	b.plots = append(b.plots, p)
}

// shares gives how many of the executions each manager has ended, where 1 is as
// many as if they were spread evenly. A manager that has ended none has 0.
func (w *world) shares(ctx context.Context, ids []uint64) (sample, error) {
	shares := make(sample, len(w.managers))
	known := 0
	err := w.each(ctx, "SELECT COUNT(*) FROM execution_events WHERE type = 'ExecutionSucceeded' AND workflow_execution_id BETWEEN ? AND ? GROUP BY actor",
		[]any{slices.Min(ids), slices.Max(ids)}, func(rows *sql.Rows) error {
			if known == len(shares) {
				return fmt.Errorf("more than %d managers have ended executions", len(shares))
			}
			err := rows.Scan(&shares[known])
			known++
			return err
		})
	even := float64(len(ids)) / float64(len(shares))
	return shares.each(func(count float64) float64 { return count / even }), err
}
