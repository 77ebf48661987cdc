package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/jobapi/token"
	"github.com/jobnetes/jobnetes/manager/kube"
	"github.com/jobnetes/jobnetes/manager/local"
	"github.com/jobnetes/jobnetes/test/cluster"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

// patience is how long the tests wait for what happens in other processes.
const patience = 10 * time.Minute

// TestMain makes the test binary serve as the process that runs a local Job.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "job-runner" {
		if err := local.RunJob(context.Background(), os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// world is a database and a place where Jobs run.
type world struct {
	*dao.Store
	dsn    db.Config
	jobs   Jobs
	config *rest.Config // of the cluster; nil: local
	dir    string       // of the local Runner
	ns     string
	ran    string // a folder where each job leaves a file per run
}

// onEach runs a test with local processes on SQLite, and with a real API server
// and Job controller on MariaDB.
func onEach(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	t.Run("local", func(t *testing.T) { t.Parallel(); test(t, newLocal(t)) })
	t.Run("cluster", func(t *testing.T) { t.Parallel(); test(t, newCluster(t)) })
}

func newLocal(t *testing.T) *world {
	t.Helper()
	w := &world{dsn: db.Config{Driver: db.SQLite, Path: filepath.Join(t.TempDir(), "jobnetes.db")}, dir: t.TempDir(), ran: t.TempDir()}
	w.open(t)
	w.reopenJobs(t)
	t.Cleanup(func() { // local Jobs outlive their Runner
		for _, job := range w.jobs.List() {
			if err := w.jobs.Delete(context.Background(), job.Name, job.UID); err != nil {
				t.Error(err)
			}
		}
		_ = w.jobs.(*local.Runner).Close()
	})
	return w
}

// reopenJobs gives w the Jobs as the process of another manager has them.
func (w *world) reopenJobs(t *testing.T) {
	t.Helper()
	if w.config != nil {
		w.jobs = w.client(t, w.config)
		return
	}
	if w.jobs != nil {
		if err := w.jobs.(*local.Runner).Close(); err != nil {
			t.Fatal(err)
		}
	}
	runner, err := local.New(local.Config{Dir: w.dir, Runner: []string{executable(t), "job-runner"}, BackoffBase: 10 * time.Millisecond, Log: quietLog()})
	if err != nil {
		t.Fatal(err)
	}
	w.jobs = runner
}

func newCluster(t *testing.T) *world {
	t.Helper()
	w, c := newUnplayed(t)
	c.PlayPods(t, w.ns, playPod)
	return w
}

// newUnplayed is newCluster without anybody who runs pods.
func newUnplayed(t *testing.T) (*world, *cluster.Cluster) {
	t.Helper()
	c := cluster.Start(t)
	w := &world{dsn: db.Config{Driver: db.MySQL, DSN: mariadb.Database(t)}, config: c.Config(), ns: c.Namespace(t), ran: t.TempDir()}
	w.open(t)
	w.jobs = w.client(t, w.config)
	return w, c
}

func (w *world) client(t *testing.T, config *rest.Config) *kube.Client {
	t.Helper()
	client, err := kube.New(config, kube.Config{Namespace: w.ns, Installation: "i1", RelistInterval: time.Second}, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (w *world) open(t *testing.T) {
	t.Helper()
	gdb, err := db.Open(t.Context(), w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(gdb) })
	if _, err := db.Migrate(t.Context(), gdb); err != nil {
		t.Fatal(err)
	}
	w.Store = dao.New(gdb)
}

// playPod does what a kubelet does to a pod's containers, as processes: it runs
// their commands and takes their exit codes and termination messages.
func playPod(ctx context.Context, pod *corev1.Pod) cluster.Exits {
	exits := cluster.Exits{}
	for _, c := range pod.Spec.Containers {
		message, err := os.CreateTemp("", "jobnetes-message-")
		if err != nil {
			exits[c.Name] = cluster.Exit{Code: 128, Message: err.Error()}
			continue
		}
		cmd := exec.CommandContext(ctx, c.Command[0], c.Command[1:]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that all of it can be ended
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		cmd.Env = os.Environ()
		for _, e := range c.Env {
			value := strings.ReplaceAll(e.Value, "$$", "$")
			if e.ValueFrom != nil { // the only one there is
				value = pod.Annotations[batchv1.JobCompletionIndexAnnotation]
			}
			cmd.Env = append(cmd.Env, e.Name+"="+value)
		}
		cmd.Env = append(cmd.Env, "JOBNETES_OUTPUT="+message.Name())
		err = cmd.Run()
		data, _ := io.ReadAll(message)
		_ = message.Close()
		_ = os.Remove(message.Name())
		exit := cluster.Exit{Message: string(data)}
		var code *exec.ExitError
		if errors.As(err, &code) {
			exit.Code = int32(code.ExitCode())
		}
		exits[c.Name] = exit
	}
	return exits
}

func executable(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func quietLog() *slog.Logger {
	if os.Getenv("JOBNETES_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// manager makes a manager on w, with a short poll interval.
func (w *world) manager(t *testing.T, owner string, change ...func(*Config, *Store, *Jobs)) *Manager {
	t.Helper()
	tokens, err := token.NewTokens([]byte(strings.Repeat("k", token.MinKeyBytes)))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Owner: owner, Installation: "i1", PollInterval: 50 * time.Millisecond, Namespace: w.ns, JobapiEndpoint: "127.0.0.1:1"}
	store, jobs := Store(w.Store), w.jobs
	for _, c := range change {
		c(&cfg, &store, &jobs)
	}
	m, err := New(cfg, store, jobs, tokens, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// run runs a manager until stop is called, or the test ends.
func run(t *testing.T, m *Manager) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// start applies a definition and starts it.
func (w *world) start(t *testing.T, definition, input string) uint64 {
	t.Helper()
	wf, _, err := w.ApplyWorkflow(t.Context(), t.Name(), definition, dao.DefaultUserID, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	id, err := w.CreateExecution(t.Context(), dao.NewExecution{WorkflowID: wf.ID, Name: "test", Input: input, Actor: "test"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// ended waits until the execution has ended.
func (w *world) ended(t *testing.T, id uint64) dao.WorkflowExecution {
	t.Helper()
	var e dao.WorkflowExecution
	await(t, fmt.Sprintf("the end of execution %d", id), func() bool {
		var err error
		if e, err = w.Execution(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return e.Status.Ended()
	})
	return e
}

// task returns the row of a task, once it is there.
func (w *world) task(t *testing.T, executionID uint64, name string) *dao.TaskExecution {
	t.Helper()
	var found *dao.TaskExecution
	await(t, "task "+name, func() bool {
		rows, err := w.Tasks(t.Context(), executionID)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if r.TaskName == name {
				found = r
			}
		}
		return found != nil
	})
	return found
}

// await looks until something in another process is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if so() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

// runs says how often each task's command was run.
func (w *world) runs(t *testing.T) map[string]int {
	t.Helper()
	files, err := os.ReadDir(w.ran)
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, f := range files {
		name, _, _ := strings.Cut(f.Name(), ".")
		n[name]++
	}
	return n
}

// The builders of definitions. A job notes that it ran, then does what script
// says.

func workflow(tasks ...string) string {
	return `{"name": "w", "tasks": [` + strings.Join(tasks, ",") + `]}`
}

func (w *world) job(name, next, script string) string {
	mark := fmt.Sprintf("mktemp %s/%s.XXXXXXXX >/dev/null; ", w.ran, name)
	return fmt.Sprintf(`{"name": %q%s, "type": "kube-job", "job": {"spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [
		{"name": "c", "image": "busybox", "command": ["sh", "-c", %q]}]}}}}}`, name, nextOf(next), mark+script)
}

func nextOf(next string) string {
	if next == "" {
		return ""
	}
	return fmt.Sprintf(`, "next": %q`, next)
}

func output(json string) string { return fmt.Sprintf(`echo '%s' >"$JOBNETES_OUTPUT"`, json) }

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
