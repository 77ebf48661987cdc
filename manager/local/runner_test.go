package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// blocker writes its process id to DIR/pid, and a line to DIR/runs, and ends
// when there is DIR/go.
func blocker(dir string) corev1.Container {
	c := shell("c", `echo ran >> "$1/runs"; echo $$ > "$1/pid"; until [ -e "$1/go" ]; do sleep 0.01; done`)
	c.Args = []string{"sh", dir}
	return c
}

func TestCreate(t *testing.T) {
	t.Parallel()
	r, dir := setup(t), t.TempDir()
	given := newJob("taken", blocker(dir))
	given.Labels = map[string]string{"a": "b"}
	first := create(t, r, given)
	if first.UID == "" || first.CreationTimestamp.IsZero() || first.Labels["a"] != "b" {
		t.Errorf("stored: uid %q, created %v, labels %v", first.UID, first.CreationTimestamp, first.Labels)
	}
	if given.UID != "" {
		t.Error("the caller's job was changed")
	}
	if _, err := r.Create(context.Background(), given); !apierrors.IsAlreadyExists(err) {
		t.Errorf("second Create: %v, want AlreadyExists", err)
	}
	if got := get(t, r, "taken"); got.UID != first.UID {
		t.Errorf("uid = %s, want %s", got.UID, first.UID)
	}
	waitFile(t, filepath.Join(dir, "pid"))
	until(t, "the pod to be seen active", func() bool { return r.Cached("taken").Status.Active == 1 })
	until(t, "the pod to be seen running", func() bool { return pods(t, r, "taken")[0].Status.Phase == corev1.PodRunning })
	info, err := os.Stat(r.jobDir("taken").recordPath())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("job.json: mode %v, error %v, want 0600: it holds a token", info.Mode(), err)
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	r, ctx := setup(t), context.Background()
	if _, err := r.Get(ctx, "none"); !apierrors.IsNotFound(err) {
		t.Errorf("Get: %v, want NotFound", err)
	}
	if got := r.Cached("none"); got != nil {
		t.Errorf("Cached = %v, want nil", got)
	}
	if got := pods(t, r, "none"); len(got) != 0 {
		t.Errorf("Pods = %v, want none", got)
	}
	if err := r.Delete(ctx, "none", ""); err != nil {
		t.Errorf("Delete: %v, want nil", err)
	}
	create(t, r, newJob("job", shell("c", "echo hi")))
	waitJob(t, r, "job")
	pod := pods(t, r, "job")[0].Name
	for name, names := range map[string][2]string{
		"pod":           {"job-none", "c"},
		"container":     {pod, "none"},
		"path as a pod": {"job-/../" + pod, "c"},
		"path":          {pod, "../c"},
	} {
		if _, err := r.Logs(ctx, names[0], names[1]); !apierrors.IsNotFound(err) {
			t.Errorf("Logs, unknown %s: %v, want NotFound", name, err)
		}
	}
}

func TestDeleteEndsWhatRuns(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		script string
		grace  int64
		// killRunner: the process that runs the Job is killed before.
		killRunner bool
	}{
		"a command that heeds TERM":  {script: "echo $$; exec sleep 1000", grace: 30},
		"a command that ignores it":  {script: "trap '' TERM; echo $$; while :; do sleep 0.05; done", grace: 0},
		"a process of another group": {script: "setsid sh -c 'echo $$; exec sleep 1000'", grace: 30},
		"without its environment":    {script: "env -i sh -c 'echo $$; exec sleep 1000'; :", grace: 30},
		"its runner is dead":         {script: "setsid sh -c 'echo $$; exec sleep 1000'", grace: 30, killRunner: true},
		"dead, no environment":       {script: "env -i sh -c 'echo $$; exec sleep 1000'; :", grace: 30, killRunner: true},
	}
	r := setup(t)
	number := 0
	for name, tc := range tests {
		number++
		jobName := fmt.Sprintf("job-%d", number)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := newJob(jobName, shell("c", tc.script))
			job.Spec.Template.Spec.TerminationGracePeriodSeconds = &tc.grace
			stored := create(t, r, job)
			var pid string
			// Running is reported when the process has been noted.
			until(t, "its first line, running", func() bool {
				list := pods(t, r, jobName)
				if len(list) > 0 && list[0].Status.Phase == corev1.PodRunning {
					pid = strings.TrimSpace(logOf(t, r, list[0].Name, "c"))
				}
				return pid != ""
			})
			if tc.killRunner {
				killHolder(t, r, jobName)
			}
			if err := r.Delete(context.Background(), jobName, "other-uid"); err != nil {
				t.Error(err)
			}
			if r.Cached(jobName) == nil {
				t.Fatal("deleted although the UID is another")
			}
			if err := r.Delete(context.Background(), jobName, stored.UID); err != nil {
				t.Fatal(err)
			}
			waitGone(t, pid)
			if _, err := r.Get(context.Background(), jobName); !apierrors.IsNotFound(err) {
				t.Errorf("Get: %v, want NotFound", err)
			}
			if _, err := os.Stat(string(r.jobDir(jobName))); !os.IsNotExist(err) {
				t.Errorf("its folder: %v, want not exist", err)
			}
			create(t, r, newJob(jobName, shell("c", "exit 0"))) // the name is free
			checkConditions(t, waitJob(t, r, jobName), batchv1.JobReasonCompletionsReached)
		})
	}
}

// killHolder kills the process that runs the Job and waits for its end.
func killHolder(t *testing.T, r *Runner, job string) {
	t.Helper()
	if err := signalHolder(r.jobDir(job).lockPath(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// TestChanged: Run tells of each Job that appears, changes and goes.
func TestChanged(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	var r *Runner
	ready := make(chan struct{})
	r = start(t, testConfig(t.TempDir()), func(obj metav1.Object) {
		<-ready
		what := "here"
		if r.Cached(obj.GetName()) == nil {
			what = "gone"
		} else if c := ended(&obj.(*batchv1.Job).Status); c != nil {
			what = string(c.Type)
		}
		mu.Lock()
		defer mu.Unlock()
		seen = slices.Compact(append(seen, what))
	})
	close(ready)
	saw := func(what string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Contains(seen, what)
		}
	}
	dir := t.TempDir()
	create(t, r, newJob("job", blocker(dir)))
	until(t, "change: job added", saw("here"))
	touch(t, filepath.Join(dir, "go"))
	until(t, "change: job ended", saw("Complete"))
	if err := r.Delete(context.Background(), "job", ""); err != nil {
		t.Fatal(err)
	}
	until(t, "change: job deleted", saw("gone"))
}

// TestSlots: one Job at a time, in the order of their creation, also when a new
// Runner takes over.
func TestSlots(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	cfg.Slots = 1
	r, stop := startStoppable(t, cfg, func(metav1.Object) {})
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	for i, dir := range dirs {
		create(t, r, newJob(fmt.Sprintf("job-%d", i), blocker(dir)))
	}
	waitFile(t, filepath.Join(dirs[0], "pid"))
	stop()

	r = start(t, cfg, func(metav1.Object) {})
	for i, dir := range dirs {
		waitFile(t, filepath.Join(dir, "pid"))
		for later := i + 1; later < len(dirs); later++ {
			name := fmt.Sprintf("job-%d", later)
			for _, job := range []*batchv1.Job{get(t, r, name), r.Cached(name)} {
				if job.Status.StartTime != nil || job.Status.Active != 0 {
					t.Errorf("%s seems to run while job-%d has the only slot", name, i)
				}
			}
		}
		touch(t, filepath.Join(dir, "go"))
	}
	for i, dir := range dirs {
		checkConditions(t, waitJob(t, r, fmt.Sprintf("job-%d", i)), batchv1.JobReasonCompletionsReached)
		if runs := waitFile(t, filepath.Join(dir, "runs")); runs != "ran" {
			t.Errorf("runs of job-%d: %q, want one", i, runs)
		}
	}
}

func TestWaitingJobCanBeDeleted(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	cfg.Slots = 1
	r, dir := start(t, cfg, func(metav1.Object) {}), t.TempDir()
	create(t, r, newJob("first", blocker(dir)))
	waitFile(t, filepath.Join(dir, "pid"))
	never := t.TempDir()
	create(t, r, newJob("second", blocker(never)))
	create(t, r, newJob("third", shell("c", "exit 0")))
	if err := r.Delete(context.Background(), "second", ""); err != nil {
		t.Fatal(err)
	}
	touch(t, filepath.Join(dir, "go"))
	waitJob(t, r, "third")
	if _, err := os.Stat(filepath.Join(never, "runs")); !os.IsNotExist(err) {
		t.Error("the deleted job ran")
	}
}

func TestOneRunnerPerFolder(t *testing.T) {
	t.Parallel()
	r := setup(t)
	second, err := New(r.cfg)
	if err == nil {
		t.Fatal("a second Runner on the same folder", second.Close())
	}
	if want := fmt.Sprintf("in use by process %d", os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("error %q, want it to say %q", err, want)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*Config){
		"no command":        func(c *Config) { c.Runner = nil },
		"a relative one":    func(c *Config) { c.Runner = []string{"jobnetes"} },
		"negative slots":    func(c *Config) { c.Slots = -1 },
		"negative back-off": func(c *Config) { c.BackoffBase = -1 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t.TempDir())
			change(&cfg)
			if r, err := New(cfg); err == nil {
				t.Error("no error", r.Close())
			}
		})
	}
}

func TestTTL(t *testing.T) {
	t.Parallel()
	r := setup(t)
	kept, expired := newJob("kept", shell("c", "exit 0")), newJob("expired", shell("c", "exit 1"))
	kept.Spec.TTLSecondsAfterFinished = new(int32(3600))
	expired.Spec.TTLSecondsAfterFinished = new(int32(0))
	create(t, r, kept)
	create(t, r, expired)
	until(t, "removal of the expired job", func() bool { return r.Cached("expired") == nil })
	waitJob(t, r, "kept")
}

// TestRunnerThatCannotStart: the Job stays, is tried again, and can be deleted.
func TestRunnerThatCannotStart(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	cfg.Runner = []string{"/nonexistent/jobnetes"}
	r := start(t, cfg, func(metav1.Object) {})
	create(t, r, newJob("job", shell("c", "exit 0")))
	if got := get(t, r, "job"); got.Status.StartTime != nil {
		t.Errorf("started at %v", got.Status.StartTime)
	}
	if err := r.Delete(context.Background(), "job", ""); err != nil {
		t.Error(err)
	}
}

// TestKilledDev: a Runner in another process is killed; its Job goes on, runs
// once, and the next Runner sees it end.
func TestKilledDev(t *testing.T) {
	t.Parallel()
	data, dir := t.TempDir(), t.TempDir()
	// Created while no Runner runs: the other process starts it.
	r, err := New(testConfig(data))
	if err != nil {
		t.Fatal(err)
	}
	create(t, r, newJob("job", blocker(dir)))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	dev := exec.Command(r.cfg.Runner[0], "dev", data)
	dev.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	waitFile(t, filepath.Join(dir, "pid"))
	// All of its process group, as a terminal does.
	if err := signalGroup(dev.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = dev.Wait()

	r = start(t, testConfig(data), func(metav1.Object) {})
	until(t, "the pod to be seen active", func() bool { return r.Cached("job").Status.Active == 1 })
	touch(t, filepath.Join(dir, "go"))
	checkConditions(t, waitJob(t, r, "job"), batchv1.JobReasonCompletionsReached)
	if runs := waitFile(t, filepath.Join(dir, "runs")); runs != "ran" {
		t.Errorf("runs = %q, want one", runs)
	}
}

// TestKilledJobRunner: the process that runs a Job dies. The pod counts as
// failed, nothing of it is left when the next one starts.
func TestKilledJobRunner(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		sig          syscall.Signal
		backoffLimit int32
		wantReason   string
		wantPod      string
	}{
		"retried":                {syscall.SIGKILL, 1, batchv1.JobReasonCompletionsReached, "NodeLost"},
		"the back-off limit":     {syscall.SIGKILL, 0, batchv1.JobReasonBackoffLimitExceeded, "NodeLost"},
		"TERM, as at a shutdown": {syscall.SIGTERM, 1, batchv1.JobReasonCompletionsReached, "Terminated"},
	}
	r := setup(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			// The first attempt leaves a process of another group and waits
			// forever; the second one checks that both have gone.
			c := shell("c", `
				alive() { kill -0 "$1" 2>/dev/null && ! grep -q ') Z ' "/proc/$1/stat"; }
				if [ -e "$1/stray" ]; then
					alive "$(cat "$1/stray")" && exit 2
					alive "$(cat "$1/main")" && exit 3
					exit 0
				fi
				echo $$ > "$1/main"
				setsid sh -c 'echo $$ > "$1/stray"; exec sleep 1000' sh "$1"`)
			c.Args = []string{"sh", dir}
			jobName := strings.ToLower(strings.NewReplacer(" ", "-", ",", "").Replace(name))
			job := newJob(jobName, c)
			job.Spec.BackoffLimit = &tc.backoffLimit
			create(t, r, job)
			stray := waitFile(t, filepath.Join(dir, "stray"))
			until(t, "the pod to be seen running", func() bool { return pods(t, r, jobName)[0].Status.Phase == corev1.PodRunning })
			if err := signalHolder(r.jobDir(jobName).lockPath(), tc.sig); err != nil {
				t.Fatal(err)
			}
			got := waitJob(t, r, jobName)
			checkConditions(t, got, tc.wantReason)
			if got.Status.Failed != 1 {
				t.Errorf("%d pods failed, want 1", got.Status.Failed)
			}
			first := pods(t, r, jobName)[0]
			if first.Status.Reason != tc.wantPod || first.Status.Phase != corev1.PodFailed {
				t.Errorf("first pod: %s, %s, want Failed, %s", first.Status.Phase, first.Status.Reason, tc.wantPod)
			}
			waitGone(t, stray)
		})
	}
}

// TestDeletionSurvives: a deletion that was begun is finished by the next
// Runner.
func TestDeletionSurvives(t *testing.T) {
	t.Parallel()
	cfg, dir := testConfig(t.TempDir()), t.TempDir()
	r, stop := startStoppable(t, cfg, func(metav1.Object) {})
	c := shell("c", `trap '' TERM; echo $$ > "$1/pid"; while :; do sleep 0.05; done`)
	c.Args = []string{"sh", dir}
	job := newJob("job", c)
	job.Spec.Template.Spec.TerminationGracePeriodSeconds = new(int64(1))
	create(t, r, job)
	pid := waitFile(t, filepath.Join(dir, "pid"))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	returned := make(chan error)
	go func() { returned <- r.Delete(ctx, "job", "") }()
	until(t, "the deletion to begin", func() bool { return get(t, r, "job").DeletionTimestamp != nil })
	cancel()
	if err := <-returned; !errors.Is(err, context.Canceled) {
		t.Errorf("Delete: %v, want %v", err, context.Canceled)
	}
	stop()

	r = start(t, cfg, func(metav1.Object) {})
	if got := get(t, r, "job"); got.DeletionTimestamp == nil {
		t.Error("no deletion timestamp")
	}
	until(t, "removal of the job", func() bool { return r.Cached("job") == nil })
	waitGone(t, pid)
}

// TestRemovedFolder: somebody removes all files of a running Job; nothing goes
// on unseen.
func TestRemovedFolder(t *testing.T) {
	t.Parallel()
	cfg, dir := testConfig(t.TempDir()), t.TempDir()
	r, stop := startStoppable(t, cfg, func(metav1.Object) {})
	create(t, r, newJob("job", blocker(dir)))
	pid := waitFile(t, filepath.Join(dir, "pid"))
	// After that it writes nothing that would come between.
	until(t, "the pod to be seen running", func() bool { return pods(t, r, "job")[0].Status.Phase == corev1.PodRunning })
	stop()
	if err := os.RemoveAll(cfg.Dir); err != nil {
		t.Fatal(err)
	}
	waitGone(t, pid)
}

// TestInheritedFiles: what the Runner's process was given to by the one that
// started it is not handed on to Jobs.
func TestInheritedFiles(t *testing.T) {
	t.Parallel()
	data, dir := t.TempDir(), t.TempDir()
	r, err := New(testConfig(data))
	if err != nil {
		t.Fatal(err)
	}
	create(t, r, newJob("job", blocker(dir)))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	dev := exec.Command(r.cfg.Runner[0], "dev", data)
	dev.ExtraFiles = []*os.File{writer}
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	waitFile(t, filepath.Join(dir, "pid"))
	if err := errors.Join(writer.Close(), dev.Process.Kill()); err != nil {
		t.Fatal(err)
	}
	_ = dev.Wait()
	start(t, testConfig(data), func(metav1.Object) {}) // to end the job
	if err := reader.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read from the pipe: %v, want %v: a process of the running job holds the other end", err, io.EOF)
	}
}

// TestRunJobTwice: only one process may run a Job.
func TestRunJobTwice(t *testing.T) {
	t.Parallel()
	r, dir := setup(t), t.TempDir()
	create(t, r, newJob("job", blocker(dir)))
	waitFile(t, filepath.Join(dir, "pid"))
	if err := RunJob(context.Background(), string(r.jobDir("job"))); err == nil || !strings.Contains(err.Error(), errLocked.Error()) {
		t.Errorf("second RunJob: %v, want %v", err, errLocked)
	}
	touch(t, filepath.Join(dir, "go"))
	waitJob(t, r, "job")
	lock, err := os.Open(r.jobDir("job").lockPath())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	until(t, "the lock to be given up", func() bool { held, err := isLocked(lock); return err == nil && !held })
	if err := RunJob(context.Background(), string(r.jobDir("job"))); err != nil {
		t.Errorf("RunJob of an ended job: %v, want nil", err)
	}
	if runs := waitFile(t, filepath.Join(dir, "runs")); runs != "ran" {
		t.Errorf("runs = %q, want one", runs)
	}
}

func TestExpired(t *testing.T) {
	t.Parallel()
	end := metav1.Now()
	done := batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, LastTransitionTime: end}}}
	tests := map[string]struct {
		ttl    *int32
		status batchv1.JobStatus
		want   bool
	}{
		"no ttl":      {nil, done, false},
		"running":     {new(int32(0)), batchv1.JobStatus{}, false},
		"at once":     {new(int32(0)), done, true},
		"just not":    {new(int32(11)), done, false},
		"just so":     {new(int32(10)), done, true},
		"not for now": {new(int32(3600)), done, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := &batchv1.Job{Spec: batchv1.JobSpec{TTLSecondsAfterFinished: tc.ttl}, Status: tc.status}
			if got := expired(job, end.Add(10e9)); got != tc.want {
				t.Errorf("expired = %v, want %v", got, tc.want)
			}
		})
	}
}
