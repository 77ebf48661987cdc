package bench

import (
	"context"
	"database/sql"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	pb "github.com/jobnetes/jobnetes/proto"
)

// measureStart measures jobapi: from a start to the request that creates the first
// Job, and how many starts and outputs it takes of 64 clients, beside what the
// database commits of single rows of as many clients.
func measureStart(t *testing.T, b *bench) {
	w, ctx := newWorld(t, chain("one", 1), fan("held", clients, suspendedJob()))
	w.startManagers(1)
	const work = "start to the first Job's creation"
	took, err := w.timeStarts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b.addPercentiles(work, "time", took, nil)
	tasks, err := w.runningTasks(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// Managers would have the database busy with what is started.
	if err := w.stopManagers(ctx); err != nil {
		t.Fatal(err)
	}
	err = w.do(ctx, "CREATE TABLE bench_floor (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(255) NOT NULL, input LONGTEXT NOT NULL) ENGINE=InnoDB")
	if err != nil {
		t.Fatal(err)
	}
	b.flood(ctx, t, "StartWorkflow, 64 clients",
		func(ctx context.Context, _ int) error {
			_, err := w.client.start(ctx, "one")
			return err
		},
		func(ctx context.Context, _ int) error {
			return w.do(ctx, "INSERT INTO bench_floor (name, input) VALUES ('one', '{}')")
		})
	b.flood(ctx, t, "RecordTaskOutput, 64 clients",
		func(ctx context.Context, client int) error {
			_, err := w.client.RecordTaskOutput(authorized(ctx), &pb.TaskOutputRecordRequest{TaskId: tasks[client], Data: output(client)})
			return err
		},
		func(ctx context.Context, client int) error {
			return w.do(ctx, "UPDATE bench_floor SET input = ? WHERE id = ?", output(client), client+1)
		})
}

// output is an output to record. No two are the same, so that each is written.
func output(client int) []byte {
	return []byte(`{"client": ` + label(float64(client)) + `, "value": ` + label(float64(rand.IntN(999))) + `}`)
}

// timeStarts gives the milliseconds from calls of StartWorkflow to the request that
// creates the Job, one execution after the other, at times that are not those of any
// poll.
func (w *world) timeStarts(ctx context.Context) (sample, error) {
	const warmUp, starts = 5, 100
	called := map[uint64]time.Time{}
	var ids []uint64
	for n := range warmUp + starts {
		if err := pause(ctx, time.Duration(rand.Int64N(int64(time.Second)))); err != nil {
			return nil, err
		}
		now := time.Now()
		id, err := w.client.start(ctx, "one")
		if err != nil {
			return nil, err
		}
		if _, err := w.awaitEnd(ctx, []uint64{id}); err != nil {
			return nil, err
		}
		if n >= warmUp {
			called[id] = now
			ids = append(ids, id)
		}
	}
	jobs, err := w.jobsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	created := w.created()
	var took sample
	for i, id := range ids {
		took = append(took, milliseconds(created[jobs[i][0]].Sub(called[id])))
	}
	return took, nil
}

// runningTasks starts an execution with a task for each client, and gives their ids.
func (w *world) runningTasks(ctx context.Context) ([]uint64, error) {
	if err := w.hold(ctx, "held", clients, clients); err != nil {
		return nil, err
	}
	var ids []uint64
	err := w.each(ctx, "SELECT id FROM task_executions WHERE status = 0 AND job_uid IS NOT NULL", nil, func(rows *sql.Rows) error {
		var id uint64
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

// flood has the clients call ours, then the floor, one call after the other each, in
// turn several times.
func (b *bench) flood(ctx context.Context, t *testing.T, work string, ours, floor func(ctx context.Context, client int) error) {
	t.Helper()
	const runs, length, warmUp = 3, 5 * time.Second, 2 * time.Second
	var rates, waits [2]sample
	for n := range runs + 1 {
		for i, call := range []func(context.Context, int) error{floor, ours} {
			during := length
			if n == 0 {
				during = warmUp
			}
			took, err := callFor(ctx, during, call)
			if err != nil {
				t.Fatal(err)
			}
			if n > 0 {
				rates[i] = append(rates[i], float64(len(took))/during.Seconds())
				waits[i] = append(waits[i], took...)
			}
		}
		slog.InfoContext(ctx, "measured", "work", work, "run", n, "of", runs)
	}
	b.add(work, "rate", "calls/s", rates[1], rates[0])
	b.addPercentiles(work, "call", waits[1], waits[0])
}

// callFor has all clients call for so long, and gives how long each call took, in
// milliseconds.
func callFor(ctx context.Context, length time.Duration, call func(ctx context.Context, client int) error) (sample, error) {
	var (
		mu    sync.Mutex
		took  sample
		first error
		group sync.WaitGroup
	)
	end := time.Now().Add(length)
	for client := range clients {
		group.Go(func() {
			var mine sample
			var err error
			for err == nil && time.Now().Before(end) {
				began := time.Now()
				err = call(ctx, client)
				mine = append(mine, milliseconds(time.Since(began)))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			if first == nil {
				first = err
			}
		})
	}
	group.Wait()
	return took, first
}
