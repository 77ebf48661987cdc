package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/test/cluster"
	"github.com/jobnetes/jobnetes/test/machine"
)

// The services as processes, with managers that poll once in an hour: a start and a
// cancel are taken up nevertheless, and what a manager gives back by the other one.
func TestNobodyWaitsForAPoll(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	ns := c.Namespace(t)
	c.PlayPods(t, ns, func(ctx context.Context, pod *corev1.Pod) cluster.Exits {
		if pod.Labels["jobnetes.dev/task"] == "endless" {
			<-ctx.Done()
		}
		return cluster.Exits{"c": {}}
	})
	s := newServices(t, c.Kubeconfig, ns)
	s.env = append(s.env, "JOBNETES_MANAGER_POLL_INTERVAL=1h")
	if out, err := s.command("migrate").CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v: %s", err, out)
	}
	for id, name := range []string{"short", "endless"} {
		s.sql(t, fmt.Sprintf(`INSERT INTO workflows (id, name, definition, user_id) VALUES (%d, '%s', '{"name": "%s", "tasks": [
			{"name": "%s", "type": "kube-job", "job": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "x"}]}}}}}]}', 1)`, id+1, name, name, name))
	}
	s.start(t, "jobapi")
	first := s.start(t, "manager")
	port, err := machine.Port()
	if err != nil {
		t.Fatal(err)
	}
	s.start(t, "manager", fmt.Sprintf("JOBNETES_MANAGER_METRICS_PORT=%d", port))
	await(t, "two managers", func() bool { return s.number(t, "SELECT COUNT(*) FROM managers WHERE address <> ''") == 2 })
	for range 4 {
		if out, err := s.command("start", "short", "--watch").CombinedOutput(); err != nil {
			t.Fatalf("start: %v: %s", err, out)
		}
	}
	for range 4 {
		if out, err := s.command("start", "endless").CombinedOutput(); err != nil {
			t.Fatalf("start: %v: %s", err, out)
		}
	}
	launched := "SELECT COUNT(DISTINCT lease_owner) FROM workflow_executions WHERE status = 1 AND id IN (SELECT workflow_execution_id FROM task_executions WHERE job_uid IS NOT NULL)"
	await(t, "launches by both managers", func() bool { return s.number(t, launched) == 2 })
	if err := first.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, "the handover", func() bool {
		return s.number(t, "SELECT COUNT(DISTINCT lease_owner) FROM workflow_executions WHERE status = 1") == 1 &&
			s.number(t, "SELECT COUNT(*) FROM workflow_executions WHERE status = 1 AND lease_owner IS NOT NULL") == 4
	})
	for id := 5; id <= 8; id++ {
		if out, err := s.command("cancel", fmt.Sprint(id)).CombinedOutput(); err != nil {
			t.Fatalf("cancel: %v: %s", err, out)
		}
	}
	await(t, "the end of what was cancelled", func() bool {
		return s.number(t, "SELECT COUNT(*) FROM workflow_executions WHERE status = 3") == 4
	})
}

// number returns what a query counts.
func (s *services) number(t *testing.T, query string) (n int) {
	t.Helper()
	db, err := sql.Open("mysql", s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}
