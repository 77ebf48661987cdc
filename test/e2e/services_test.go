package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/test/cluster"
	"github.com/jobnetes/jobnetes/test/machine"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

// The services as three processes, on MariaDB and a real API server: migrate,
// refuse what is not migrated, run a workflow that was inserted by SQL.
func TestServices(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	ns := c.Namespace(t)
	c.PlayPods(t, ns, func(_ context.Context, pod *corev1.Pod) cluster.Exits {
		return cluster.Exits{"c": {Message: fmt.Sprintf(`{"task": %q}`, pod.Labels["jobnetes.dev/task"])}}
	})
	s := newServices(t, c.Kubeconfig, ns)

	if out, err := s.command("manager").CombinedOutput(); err == nil || !strings.Contains(string(out), "run `jobnetes migrate`") {
		t.Fatalf("a manager on an empty database: %v: %s", err, out)
	}
	for range 2 { // twice is once
		if out, err := s.command("migrate").CombinedOutput(); err != nil {
			t.Fatalf("migrate: %v: %s", err, out)
		}
	}
	s.sql(t, `INSERT INTO workflows (name, definition, user_id) VALUES ('by-sql', '{"name": "by-sql", "tasks": [
		{"name": "a", "type": "kube-job", "next": "b", "job": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "x"}]}}}}},
		{"name": "b", "type": "kube-job", "job": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "x"}]}}}}}]}', 1)`)
	for _, name := range []string{"manager", "jobapi", "webadmin"} {
		s.start(t, name)
	}
	out, err := s.command("start", "1", "--watch").CombinedOutput()
	if err != nil || !strings.Contains(string(out), `{"task": "b"}`) {
		t.Errorf("start by id: %v: %s", err, out)
	}
	s.page(t, "", http.StatusUnauthorized)
	if text := s.page(t, s.password, http.StatusOK); !strings.Contains(text, "by-sql") {
		t.Errorf("the list of executions has no by-sql: %s", text)
	}
	s.sql(t, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)")
	another := s.command("jobapi")
	port, err := machine.Port()
	if err != nil {
		t.Fatal(err)
	}
	another.Env = append(another.Env, "JOBNETES_JOBAPI_METRICS_PORT=0", fmt.Sprint("JOBNETES_JOBAPI_PORT=", port)) // the one that runs has its own
	if out, err := another.CombinedOutput(); err == nil || !strings.Contains(string(out), "knows only up to") {
		t.Errorf("a jobapi on a newer schema: %v: %s", err, out)
	}
}

// services are the three services' settings.
type services struct {
	env      []string
	dsn      string
	webadmin string
	password string
	logs     string
}

func newServices(t *testing.T, kubeconfig, namespace string) *services {
	t.Helper()
	s := &services{dsn: mariadb.Database(t), password: "secret of the test", logs: t.TempDir()}
	db, err := mysql.ParseDSN(s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(db.Addr, ":")
	s.env = append(os.Environ(),
		"HOME="+t.TempDir(), // has no config.yaml
		"JOBNETES_DB_HOST="+host, "JOBNETES_DB_PORT="+port, "JOBNETES_DB_USER="+db.User, "JOBNETES_DB_PASSWORD="+db.Passwd, "JOBNETES_DB_NAME="+db.DBName,
		"JOBNETES_K8S_CONFIG_PATH="+kubeconfig, "JOBNETES_K8S_JOB_NAMESPACE="+namespace,
		"JOBNETES_JOBAPI_PASSWORD="+s.password, "JOBNETES_WEBADMIN_PASSWORD="+s.password, "JOBNETES_DATA="+t.TempDir())
	for _, name := range []string{"JOBAPI", "WEBADMIN", "MANAGER"} {
		s.env = append(s.env, "JOBNETES_"+name+"_BIND_ADDRESS=127.0.0.1")
	}
	for _, key := range []string{"JOBAPI_PORT", "JOBAPI_METRICS_PORT", "MANAGER_METRICS_PORT", "WEBADMIN_PORT"} {
		port, err := machine.Port()
		if err != nil {
			t.Fatal(err)
		}
		s.env = append(s.env, fmt.Sprintf("JOBNETES_%s=%d", key, port))
		s.webadmin = fmt.Sprintf("http://127.0.0.1:%d/", port) // the last one
	}
	return s
}

func (s *services) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Env = s.env
	return cmd
}

// start starts a service, with more of an environment, and waits until it says that it
// listens or works.
func (s *services) start(t *testing.T, name string, env ...string) *machine.Process {
	t.Helper()
	cmd := s.command(name)
	cmd.Env = slices.Concat(cmd.Env, env)
	p, err := machine.Start(cmd, filepath.Join(s.logs, name+strings.Join(env, "")+".log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s: %s", name, p.Tail())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Await(ctx, func(context.Context) error {
		for _, word := range []string{"manager started", "jobapi listens", "webadmin listens"} {
			if strings.Contains(p.Tail(), word) {
				return nil
			}
		}
		return fmt.Errorf("%s has not said that it is there", name)
	}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *services) sql(t *testing.T, statement string) {
	t.Helper()
	execute(t, s.dsn, statement)
}

func (s *services) page(t *testing.T, password string, want int) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.webadmin, nil)
	if err != nil {
		t.Fatal(err)
	}
	if password != "" {
		r.SetBasicAuth("jobnetesadmin", password)
	}
	client := http.Client{Timeout: 30 * time.Second}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, res)
	if res.StatusCode != want {
		t.Errorf("webadmin: %s, want %d", res.Status, want)
	}
	return text
}
