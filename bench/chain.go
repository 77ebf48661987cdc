package bench

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"testing"
	"time"
)

// measureChain measures the time between steps: one execution of tasks one after the
// other, and from the success of a task's pod to the request that creates the next
// task's Job. The latter is noted by the API server when the request comes in.
func measureChain(t *testing.T, b *bench) {
	const steps, runs = 10, 5
	const work = "chain of 10, one execution"
	w, ctx := newWorld(t, chain("chain", steps))
	w.startManagers(1)
	var oursIDs []uint64
	var floorChains [][]string
	ours := func(ctx context.Context) (float64, error) {
		took, ids, err := w.execute(ctx, "chain", 1)
		oursIDs = append(oursIDs, ids...)
		return took.Seconds(), err
	}
	floor := func(ctx context.Context) (float64, error) {
		began := time.Now()
		chains, err := w.floor.chains(ctx, 1, steps)
		floorChains = append(floorChains, chains...)
		return time.Since(began).Seconds(), err
	}
	if _, err := w.race(ctx, "warm-up", steps, 1, ours, floor); err != nil {
		t.Fatal(err)
	}
	oursIDs, floorChains = nil, nil
	r, err := w.race(ctx, work, steps, runs, ours, floor)
	if err != nil {
		t.Fatal(err)
	}
	b.add(work, "time", "s", r.ours, r.floor)
	if err := b.addByComplete(ctx, w, work, steps, r.ours); err != nil {
		t.Fatal(err)
	}
	oursChains, err := w.jobsOf(ctx, oursIDs)
	if err != nil {
		t.Fatal(err)
	}
	created := w.created()
	b.addPercentiles(work, "pod's success to next Job", w.gaps(oursChains, created), w.gaps(floorChains, created))
	if err := b.addCosts(work, w, r); err != nil {
		t.Fatal(err)
	}
}

// addByComplete adds our times once more, beside that of a loop that waits for each
// Job's Complete.
func (b *bench) addByComplete(ctx context.Context, w *world, work string, steps int, ours sample) error {
	took, err := timed(func(ctx context.Context) error { return w.floor.chainByComplete(ctx, steps) })(ctx)
	if err != nil {
		return err
	}
	slog.InfoContext(ctx, "measured", "work", work, "side", "floor by Complete", "seconds", took)
	b.add(work, "time, the floor by Complete", "s", ours, only(took))
	return w.pods.settle(ctx)
}

// jobsOf gives the names of the Jobs of executions, in the order of their tasks.
func (w *world) jobsOf(ctx context.Context, executions []uint64) ([][]string, error) {
	var all [][]string
	for _, id := range executions {
		var jobs []string
		err := w.each(ctx, "SELECT execution_name FROM task_executions WHERE workflow_execution_id = ? AND execution_name IS NOT NULL ORDER BY id",
			[]any{id}, func(rows *sql.Rows) error {
				var job string
				err := rows.Scan(&job)
				jobs = append(jobs, job)
				return err
			})
		if err != nil {
			return nil, err
		}
		all = append(all, jobs)
	}
	return all, nil
}

// created gives when the request that created each Job came in.
func (w *world) created() map[string]time.Time {
	w.t.Helper()
	at := map[string]time.Time{}
	for _, write := range w.cluster.JobWrites(w.t, w.namespace) {
		if _, again := at[write.Name]; !again && write.Verb == "create" && write.Code < http.StatusMultipleChoices {
			at[write.Name] = write.At
		}
	}
	return at
}

// gaps gives the milliseconds from the success of each Job's pod to the creation of
// the next Job of its chain.
func (w *world) gaps(chains [][]string, created map[string]time.Time) sample {
	var gaps sample
	for _, jobs := range chains {
		for i := range len(jobs) - 1 {
			success, ok := w.pods.at(jobs[i])
			if next, known := created[jobs[i+1]]; ok && known {
				gaps = append(gaps, milliseconds(next.Sub(success)))
			}
		}
	}
	return gaps
}
