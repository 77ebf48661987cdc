package chaos

import (
	"context"
	"time"
)

// maxJobs is the limit on running Jobs: few enough that tasks wait for their turn
// when work has piled up.
const maxJobs = 16

// watchSlots notes how many tasks wait for a slot, until ctx ends. With the present
// build alone the limit holds at any time; managers of the previous build know none.
func (w *world) watchSlots(ctx context.Context) {
	for ; ctx.Err() == nil; wait(ctx, 500*time.Millisecond) {
		var waiting, taken int
		attempt, cancel := context.WithTimeout(ctx, callTimeout)
		err := w.db.QueryRowContext(attempt, "SELECT COALESCE(SUM(slot = 0), 0), COALESCE(SUM(slot = 1), 0) FROM task_executions WHERE status = 0").Scan(&waiting, &taken)
		cancel()
		if err != nil {
			continue // the database is away, or its schema has no slots yet
		}
		w.report.count(func(r *Result) { r.Waiting = max(r.Waiting, waiting) })
		if taken > maxJobs && w.previous == nil {
			w.report.problem("%d tasks have a slot at once, and the limit is %d", taken, maxJobs)
		}
	}
}
