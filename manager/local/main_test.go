package local

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// patience is how long the tests wait for other processes.
const patience = 30 * time.Second

// TestMain makes the test binary serve as the process that runs a Job, and as a
// Runner in a process of its own that can be killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 {
		var err error
		switch os.Args[1] {
		case "job-runner":
			err = RunJob(context.Background(), os.Args[2])
		case "dev":
			err = runDev(os.Args[2])
		default:
			os.Exit(m.Run())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func runDev(dir string) error {
	r, err := New(testConfig(dir))
	if err != nil {
		return err
	}
	return r.Run(context.Background(), func(metav1.Object) {})
}

func testConfig(dir string) Config {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return Config{
		Dir:         dir,
		Runner:      []string{self, "job-runner"},
		Slots:       20,
		BackoffBase: 10 * time.Millisecond,
		Log:         slog.New(slog.DiscardHandler),
	}
}

// setup runs a Runner on a folder of its own until the test ends, which ends
// all its Jobs too.
func setup(t *testing.T) *Runner {
	t.Helper()
	return start(t, testConfig(t.TempDir()), func(metav1.Object) {})
}

func start(t *testing.T, cfg Config, changed func(metav1.Object)) *Runner {
	t.Helper()
	r, stop := startStoppable(t, cfg, changed)
	t.Cleanup(func() {
		for _, job := range r.List() {
			if err := r.Delete(context.Background(), job.Name, job.UID); err != nil {
				t.Error(err)
			}
		}
		stop()
	})
	return r
}

// startStoppable leaves it to the test to stop the Runner, its Jobs running on.
func startStoppable(t *testing.T, cfg Config, changed func(metav1.Object)) (*Runner, func()) {
	t.Helper()
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	returned := make(chan error)
	go func() { returned <- r.Run(ctx, changed) }()
	return r, func() {
		cancel()
		if err := <-returned; err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// shell is a container that runs a script. Without the doubling, "$$" would
// reach the shell as "$".
func shell(name, script string) corev1.Container {
	return corev1.Container{Name: name, Command: []string{"sh", "-c", strings.ReplaceAll(script, "$", "$$")}}
}

// newJob is a Job without retries whose pod runs these containers.
func newJob(name string, containers ...corev1.Container) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: batchv1.JobSpec{
			BackoffLimit: new(int32(0)),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				Containers:    containers,
			}},
		},
	}
}

func create(t *testing.T, r *Runner, job *batchv1.Job) *batchv1.Job {
	t.Helper()
	stored, err := r.Create(context.Background(), job)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func get(t *testing.T, r *Runner, name string) *batchv1.Job {
	t.Helper()
	job, err := r.Get(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func pods(t *testing.T, r *Runner, name string) []corev1.Pod {
	t.Helper()
	list, err := r.Pods(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// until polls for what other processes do.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for: %s", patience, what)
		}
	}
}

// waitJob waits until the Runner has noticed the end of the Job.
func waitJob(t *testing.T, r *Runner, name string) *batchv1.Job {
	t.Helper()
	until(t, "end of job "+name, func() bool {
		job := r.Cached(name)
		return job != nil && ended(&job.Status) != nil
	})
	return get(t, r, name)
}

func waitFile(t *testing.T, path string) string {
	t.Helper()
	var data []byte
	until(t, "a line in "+path, func() bool {
		data, _ = os.ReadFile(path)
		return strings.HasSuffix(string(data), "\n")
	})
	return strings.TrimSpace(string(data))
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// waitGone waits until there is no process with that id, or a zombie only.
func waitGone(t *testing.T, pid string) {
	t.Helper()
	until(t, "end of process "+pid, func() bool { return !isAlive(pid) })
}

// exists tells whether there is a process with that id, if only a zombie.
func exists(pid string) bool {
	n, err := strconv.Atoi(pid)
	if err != nil {
		panic("no process id: " + pid)
	}
	return syscall.Kill(n, 0) == nil
}

// isAlive tells whether there is a process with that id that is no zombie.
func isAlive(pid string) bool {
	if !exists(pid) {
		return false
	}
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil { // no /proc, or it has just gone
		return exists(pid)
	}
	return !strings.Contains(string(stat), ") Z ")
}

func logOf(t *testing.T, r *Runner, pod, container string) string {
	t.Helper()
	log, err := r.Logs(context.Background(), pod, container)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	data, err := io.ReadAll(log)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
