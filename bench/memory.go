package bench

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// measureMemory measures what running tasks need of a manager's memory. Their Jobs
// are suspended, so that they run for ever, without pods.
func measureMemory(t *testing.T, b *bench) {
	const each, settle = 500, 20 * time.Second
	const work = "running tasks, by executions of 500"
	w, ctx := newWorld(t, fan("held", each, suspendedJob()))
	w.startManagers(1)
	p := plot{
		file: "bench-memory.svg", title: "A manager's memory by running tasks", x: "running tasks", y: "MiB",
		curves: []curve{{name: "jobnetes"}},
	}
	var idle, last point
	for _, tasks := range append([]int{0}, b.sizes(4000, 1000, 4000, 16000)...) {
		if err := w.hold(ctx, "held", tasks, each); err != nil {
			t.Fatal(err)
		}
		if err := pause(ctx, settle); err != nil {
			t.Fatal(err)
		}
		now, _, err := memory(w.managers[0].Pid())
		if err != nil {
			t.Fatal(err)
		}
		b.add(work, fmt.Sprintf("memory with %s", label(float64(tasks))), "MiB", only(now), nil)
		at := point{float64(tasks), now}
		if tasks > 0 {
			b.add(work, fmt.Sprintf("each of %s", label(at.x)), "KiB", only((at.y-idle.y)*1024/at.x), nil)
		} else {
			idle = at
		}
		if last.x > 0 {
			b.add(work, fmt.Sprintf("each more, from %s to %s", label(last.x), label(at.x)), "KiB", only((at.y-last.y)*1024/(at.x-last.x)), nil)
		}
		p.curves[0].points = append(p.curves[0].points, at)
		last = at
	}
	b.plots = append(b.plots, p)
}

// hold starts executions of a workflow that never ends, which has so many tasks each,
// until so many tasks run with their Jobs.
func (w *world) hold(ctx context.Context, workflow string, tasks, each int) error {
	const look = "SELECT COUNT(*) FROM task_executions WHERE status = 0 AND job_uid IS NOT NULL"
	var running int
	if err := w.row(ctx, look, nil, &running); err != nil {
		return err
	}
	if _, err := w.client.startMany(ctx, workflow, (tasks-running+each-1)/each); err != nil {
		return err
	}
	for running < tasks {
		if err := w.row(ctx, look, nil, &running); err != nil {
			return err
		}
		if err := pause(ctx, time.Second); err != nil {
			return fmt.Errorf("%d of %d tasks run: %w", running, tasks, err)
		}
	}
	return nil
}
