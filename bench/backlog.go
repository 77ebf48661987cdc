package bench

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
)

// The claims that are measured: as many executions at once as a manager claims, and
// as with one that has just been started.
var claimSizes = []int{1, 50}

const (
	claims     = 200              // that are measured, of each size
	claimLease = 15 * time.Second // as is the default
)

// measureBacklog measures how long claims take: with none queued but what is
// claimed, with many queued, and with ten times as many that have finished beside.
// The floor is the first. SIZE is how many are queued.
func measureBacklog(t *testing.T, b *bench) {
	ctx, cancel := context.WithTimeout(t.Context(), scenarioTimeout)
	defer cancel()
	d := newDatabase(t)
	store, err := openStore(ctx, t, d)
	if err != nil {
		t.Fatal(err)
	}
	queued := b.sizes(1_000_000)[0]
	steps := []struct {
		work             string
		finished, queued int
	}{
		{"claims, nothing else queued", 0, 0},
		{fmt.Sprintf("claims, %s queued", label(float64(queued))), 0, queued},
		{fmt.Sprintf("claims, %s queued and %s finished", label(float64(queued)), label(float64(10*queued))), 10 * queued, 0},
	}
	if err := d.insertWorkflow(ctx); err != nil {
		t.Fatal(err)
	}
	p := plot{file: "bench-backlog.svg", title: "Claims of 50 against executions in the database", x: "executions", y: "ms"}
	p.curves = []curve{{name: "p50"}, {name: "p99"}}
	floors := map[int]sample{}
	rows := 0
	for _, step := range steps {
		if err := d.insertExecutions(ctx, step.finished, step.queued); err != nil {
			t.Fatal(err)
		}
		if err := d.flush(ctx); err != nil {
			t.Fatal(err)
		}
		rows += step.finished + step.queued
		for _, size := range claimSizes {
			took, err := d.timeClaims(ctx, store, size)
			if err != nil {
				t.Fatal(err)
			}
			if floors[size] == nil {
				floors[size] = took
			}
			b.addPercentiles(step.work, fmt.Sprintf("claim of %d", size), took, floors[size])
			if size == claimSizes[len(claimSizes)-1] {
				p.curves[0].points = append(p.curves[0].points, point{float64(rows), took.percentile(50)})
				p.curves[1].points = append(p.curves[1].points, point{float64(rows), took.percentile(99)})
			}
		}
		slog.InfoContext(ctx, "measured", "work", step.work)
	}
	b.plots = append(b.plots, p)
}

func openStore(ctx context.Context, t *testing.T, d *database) (*dao.Store, error) {
	host, text, err := net.SplitHostPort(d.access.Addr)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	opened, err := db.Open(ctx, db.Config{Driver: db.MySQL, User: d.access.User, Password: d.access.Passwd, Host: host, Port: port, Name: d.access.DBName})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = db.Close(opened) })
	return dao.New(opened), nil
}

// insertWorkflow inserts the workflow that all executions are of. Nothing runs them.
func (d *database) insertWorkflow(ctx context.Context) error {
	text := string(chain("backlog", 1))
	if err := d.do(ctx, "INSERT INTO workflows (id, name, definition, user_id) VALUES (1, 'backlog', ?, 1)", text); err != nil {
		return err
	}
	return d.do(ctx, "INSERT INTO workflow_versions (id, workflow_id, version, definition) VALUES (1, 1, 1, ?)", text)
}

// insertExecutions inserts executions that have finished, and then some that are
// queued.
func (d *database) insertExecutions(ctx context.Context, finished, queued int) error {
	const columns = "INSERT INTO workflow_executions (workflow_id, workflow_version_id, name, status, started_at, ended_at, wake_at) SELECT 1, 1, "
	const batch = 100_000 // rows of one transaction
	for _, part := range []struct {
		rows   int
		values string
	}{
		{finished, "'finished', 2, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), NULL"},
		{queued, "'queued', 0, NULL, NULL, UTC_TIMESTAMP(6)"},
	} {
		for left := part.rows; left > 0; left -= batch {
			if err := d.do(ctx, columns+part.values+fmt.Sprintf(" FROM seq_1_to_%d", min(batch, left))); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush has the server write to its disk what was inserted, as fast as that can, for two
// minutes at the most. It would do so later, at the expense of the claims.
func (d *database) flush(ctx context.Context) error {
	const (
		clean = 100 // pages: some change all the time
		looks = 120 // one each second
	)
	for _, setting := range []string{"innodb_io_capacity_max = 40000", "innodb_io_capacity = 20000", "innodb_max_dirty_pages_pct = 0"} {
		if err := d.do(ctx, "SET GLOBAL "+setting); err != nil {
			return err
		}
	}
	for range looks {
		var name string
		var dirty int
		if err := d.row(ctx, "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'", nil, &name, &dirty); err != nil {
			return err
		}
		if dirty <= clean {
			break
		}
		if err := pause(ctx, time.Second); err != nil {
			return fmt.Errorf("%d pages are not written yet: %w", dirty, err)
		}
	}
	for _, setting := range []string{"innodb_max_dirty_pages_pct", "innodb_io_capacity", "innodb_io_capacity_max"} {
		if err := d.do(ctx, "SET GLOBAL "+setting+" = DEFAULT"); err != nil {
			return err
		}
	}
	return nil
}

// timeClaims gives how long claims of so many executions take, in milliseconds: what
// a manager asks to see if there are any, and the claim. Between them as many are
// queued as were claimed, and those that were claimed begin, as they do in the end,
// so that each claim moves on in the queue.
func (d *database) timeClaims(ctx context.Context, store *dao.Store, size int) (sample, error) {
	const warmUp = 20
	var took sample
	for n := range warmUp + claims {
		if err := d.insertExecutions(ctx, 0, size); err != nil {
			return nil, err
		}
		now := time.Now()
		if _, err := store.Due(ctx, dao.Claimant{Owner: "bench", Namespace: "bench"}, now, now.Add(-claimLease)); err != nil {
			return nil, err
		}
		leases, err := store.ClaimScheduled(ctx, dao.Claimant{Owner: "bench", Namespace: "bench"}, now, now.Add(claimLease), size)
		if err != nil {
			return nil, err
		}
		if n >= warmUp {
			took = append(took, milliseconds(time.Since(now)))
		}
		if len(leases) != size {
			return nil, fmt.Errorf("claimed %d executions, want %d", len(leases), size)
		}
		err = d.do(ctx, "UPDATE workflow_executions SET status = 2, started_at = UTC_TIMESTAMP(6), ended_at = UTC_TIMESTAMP(6), "+
			"lease_owner = NULL, lease_until = NULL, wake_at = NULL WHERE lease_owner = 'bench'")
		if err != nil {
			return nil, err
		}
	}
	return took, nil
}
