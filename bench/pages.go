package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// pageSizes are the tasks of the executions whose pages are measured.
var pageSizes = []int{1000, 10_000}

// page is a page of webadmin, and the query that has its rows, by which it could be
// had from the database's own client.
type page struct {
	name, path, query string
}

// measurePages measures webadmin's pages with many executions in the database. The
// floor is one plain query of the page's rows. There is no cluster: pods, and logs
// that were not kept, come from there. SIZE is how many executions there are.
func measurePages(t *testing.T, b *bench) {
	ctx, cancel := context.WithTimeout(t.Context(), scenarioTimeout)
	defer cancel()
	d := newDatabase(t)
	total := b.sizes(1_000_000)[0]
	if err := d.insertWorkflow(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.insertExecutions(ctx, total, 0); err != nil {
		t.Fatal(err)
	}
	pages, err := d.insertPages(ctx, total)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.flush(ctx); err != nil {
		t.Fatal(err)
	}
	s := startService(t, webadmin, t.TempDir(), append(d.settings(), "KUBECONFIG=/dev/null"))
	if err := s.Await(ctx, func(ctx context.Context) error { return s.get(ctx, "/readyz") }); err != nil {
		t.Fatal(err)
	}
	work := label(float64(total)) + " executions in the database"
	for _, p := range pages {
		ours, err := timeCalls(ctx, func(ctx context.Context) error { return s.get(ctx, p.path) })
		if err != nil {
			t.Fatal(err)
		}
		floor, err := timeCalls(ctx, func(ctx context.Context) error { return d.drain(ctx, p.query) })
		if err != nil {
			t.Fatal(err)
		}
		b.addPercentiles(work, p.name, ours, floor)
		slog.InfoContext(ctx, "measured", "page", p.name, "calls", len(ours))
	}
	used, peak, err := memory(s.Pid())
	if err != nil {
		t.Fatal(err)
	}
	slog.InfoContext(ctx, "webadmin's memory", "MiB", used)
	b.add(work, "memory of webadmin, peak", "MiB", only(peak), nil)
}

// insertPages inserts what the pages show beside the executions that are there, and
// gives the pages.
func (d *database) insertPages(ctx context.Context, total int) ([]page, error) {
	const list = "SELECT e.id, w.name, e.name, e.status, e.created_at, e.started_at, e.ended_at, e.error_msg FROM workflow_executions e LEFT JOIN workflows w ON w.id = e.workflow_id"
	const last = " ORDER BY e.id DESC LIMIT 51"
	pages := []page{
		{"list", "/", list + last},
		{"list, from the middle on", fmt.Sprintf("/?before=%d", total/2), list + fmt.Sprintf(" WHERE e.id < %d", total/2) + last},
		{"list of one workflow's that failed: none", "/?workflow=backlog&status=failed", list + " WHERE e.workflow_id = 1 AND e.status = 3" + last},
	}
	for _, tasks := range pageSizes {
		execution, lastTask, err := d.insertLarge(ctx, tasks)
		if err != nil {
			return nil, err
		}
		pages = append(pages, page{
			fmt.Sprintf("execution of %s tasks", label(float64(tasks))), fmt.Sprintf("/executions/%d", execution),
			fmt.Sprintf("SELECT * FROM task_executions WHERE workflow_execution_id = %d ORDER BY id", execution),
		})
		if tasks == pageSizes[len(pageSizes)-1] {
			pages = append(pages, page{"task", fmt.Sprintf("/tasks/%d", lastTask), fmt.Sprintf("SELECT * FROM v_tasks WHERE id = %d", lastTask)})
		}
	}
	return pages, nil
}

// insertLarge inserts an execution of so many tasks at once, which has succeeded, with
// its events. It gives its id and that of its last task.
func (d *database) insertLarge(ctx context.Context, tasks int) (execution, last uint64, err error) {
	name := fmt.Sprint("fan", tasks)
	text := string(fan(name, tasks, simulatedJob()))
	for _, statement := range []struct {
		text string
		args []any
	}{
		{"INSERT INTO workflows (name, definition, user_id) VALUES (?, ?, 1)", []any{name, text}},
		{"INSERT INTO workflow_versions (workflow_id, version, definition) SELECT id, 1, definition FROM workflows WHERE name = ?", []any{name}},
		{"INSERT INTO workflow_executions (workflow_id, workflow_version_id, name, status, started_at, ended_at, wake_at) " +
			"SELECT workflow_id, id, 'large', 2, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), NULL FROM workflow_versions ORDER BY id DESC LIMIT 1", nil},
		{"INSERT INTO task_executions (workflow_execution_id, task_name, task_type, status, input, started_at, ended_at) " +
			"SELECT MAX(id), 'all', 'parallel', 1, '{}', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) FROM workflow_executions", nil},
		{"INSERT INTO task_executions (workflow_execution_id, parent_task_execution_id, set_index, task_name, task_type, execution_name, job_uid, status, input, started_at, ended_at) " +
			"SELECT p.workflow_execution_id, p.id, seq - 1, CONCAT('item', seq - 1), 'kube-job', CONCAT('bench-', p.id, '-', seq), UUID(), 1, '{}', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) " +
			fmt.Sprintf("FROM seq_1_to_%d CROSS JOIN (SELECT workflow_execution_id, id FROM task_executions ORDER BY id DESC LIMIT 1) p", tasks), nil},
		{"INSERT INTO execution_events (workflow_execution_id, task_execution_id, at, type, actor) SELECT workflow_execution_id, t.id, ended_at, type, 'bench' " +
			"FROM task_executions t CROSS JOIN (SELECT 'TaskStarted' AS type UNION SELECT 'TaskSucceeded') types " +
			"WHERE workflow_execution_id = (SELECT MAX(id) FROM workflow_executions) ORDER BY t.id", nil},
	} {
		if err := d.do(ctx, statement.text, statement.args...); err != nil {
			return 0, 0, err
		}
	}
	err = d.row(ctx, "SELECT workflow_execution_id, id FROM task_executions ORDER BY id DESC LIMIT 1", nil, &execution, &last)
	return execution, last, err
}

// drain runs a query, and reads all that it gives.
func (d *database) drain(ctx context.Context, query string) error {
	return d.each(ctx, query, nil, func(*sql.Rows) error { return nil })
}

// get loads a page whole.
func (s *service) get(ctx context.Context, path string) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort("127.0.0.1", s.port)+path, nil)
	if err != nil {
		return err
	}
	request.SetBasicAuth(username, password)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("load %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return fmt.Errorf("load %s: %w", path, err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("load %s: %s", path, answer.Status)
	}
	return nil
}

// timeCalls calls one time after the other, as often as is enough for a percentile or
// for as long as is bearable, and gives how long each took in milliseconds.
func timeCalls(ctx context.Context, call func(context.Context) error) (sample, error) {
	const (
		warmUp = 3
		calls  = 300
		length = 4 * time.Second
	)
	var took sample
	began := time.Now()
	for n := 0; n < warmUp+calls && (n <= warmUp || time.Since(began) < length); n++ {
		asked := time.Now()
		if err := call(ctx); err != nil {
			return nil, err
		}
		if n >= warmUp {
			took = append(took, milliseconds(time.Since(asked)))
		}
	}
	return took, nil
}
