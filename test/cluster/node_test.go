package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobnetes/jobnetes/test/machine"
)

// A pod on the real node has logs, a name server, Services, and a way to this
// machine.
func TestNodeRunsPods(t *testing.T) {
	t.Parallel()
	c := StartNode(t)
	namespace := c.Namespace(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			_, _ = fmt.Fprintln(conn, "hello from the machine")
			_ = conn.Close()
		}
	}()
	host, port, err := net.SplitHostPort(c.Relay(t, listener.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	job := runJob(t, c, namespace, corev1.PodSpec{Containers: []corev1.Container{{
		Name: "main", Image: busyboxImage, ImagePullPolicy: corev1.PullIfNotPresent,
		Command: []string{"sh", "-ec", `nslookup kubernetes.default.svc.cluster.local | grep 10.96.0.1
			nc -w 5 10.96.0.1 443 < /dev/null && echo "the Service answers"
			nc ` + host + " " + port + " < /dev/null"},
	}}})
	awaitCondition(t, c, namespace, batchv1.JobComplete)
	log := c.Kubectl(t, "--namespace", namespace, "logs", "job/"+job.Name)
	for _, want := range []string{"10.96.0.1", "the Service answers", "hello from the machine"} {
		if !strings.Contains(log, want) {
			t.Errorf("the pod's log is %q, want %q in it", log, want)
		}
	}
}

func TestSimulatedNodesPlayPods(t *testing.T) {
	t.Parallel()
	c := StartNode(t)
	if c.dir == "" {
		t.Skip("the cluster that KUBECONFIG names has no simulated nodes of ours")
	}
	namespace := c.Namespace(t)
	runJob(t, c, namespace, corev1.PodSpec{
		NodeSelector: map[string]string{SimulatedLabel: SimulatedValue},
		Tolerations:  []corev1.Toleration{{Key: SimulatedLabel, Operator: corev1.TolerationOpExists}},
		Containers:   []corev1.Container{{Name: "main", Image: "no-such-image"}},
	})
	awaitCondition(t, c, namespace, batchv1.JobComplete)
}

func TestAuditLogHasJobWrites(t *testing.T) {
	t.Parallel()
	c := Start(t)
	namespace := c.Namespace(t)
	createJob(t, c, namespace)
	jobs := c.Client.BatchV1().Jobs(namespace)
	job, err := jobs.Get(t.Context(), "job", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jobs.Create(t.Context(), &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "job"}, Spec: job.Spec}, metav1.CreateOptions{}); err == nil {
		t.Fatal("the API server took a second Job of that name")
	}
	if err := jobs.Delete(t.Context(), "job", metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range c.JobWrites(t, namespace) {
		if w.Verb == "patch" {
			continue // the controllers', of finalizers
		}
		got = append(got, fmt.Sprintf("%s %s %d %t", w.Verb, w.Name, w.Code, w.UID == job.UID))
	}
	want := "create job 201 true, create job 422 false, delete job 200 true"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The command's life: two clusters at once, a crash, a start that recovers from
// it, and an end that leaves nothing.
func TestUpRecoversAndDownLeavesNothing(t *testing.T) {
	t.Parallel()
	StartNode(t) // the other one
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	folder, err := machine.NewFolder("updown")
	if err != nil {
		t.Fatal(err)
	}
	command, err := buildCommand(t.Context(), folder.Path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(folder.Path, "data")
	run := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), command, append(args, "--dir", dir)...).CombinedOutput()
		if err != nil {
			t.Fatalf("cluster %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if out, err := exec.CommandContext(ctx, command, "down", "--dir", dir).CombinedOutput(); err != nil {
			t.Errorf("cluster down: %v: %s", err, out)
		}
		if err := folder.Remove(); err != nil {
			t.Error(err)
		}
	})

	if said := run("up"); !strings.Contains(said, "export KUBECONFIG="+dir+"/kubeconfig") {
		t.Errorf("up said %q, want it to say how to reach the cluster", said)
	}
	first := served(t, dir)
	run("up") // changes nothing
	if again := served(t, dir); again != first {
		t.Errorf("process %+v serves after a second up, want %+v still", again, first)
	}
	if err := syscall.Kill(first.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	poll(t, "the process that served it is gone", func(context.Context) (bool, error) {
		_, running, err := ownerOf(dir)
		return !running, err
	})
	run("up") // must not take the ready file of the first for its own
	if ready, err := isReady(dir); err != nil || !ready || served(t, dir) == first {
		t.Errorf("after a crash and an up the cluster is ready: %t, %v, served by %+v", ready, err, served(t, dir))
	}
	c, err := connect(filepath.Join(dir, "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	if err := nodeReady(t.Context(), c.Client); err != nil {
		t.Errorf("after a crash: %v", err)
	}
	// An up that comes while the cluster is being ended gives one that stays.
	downAgain := exec.CommandContext(t.Context(), command, "down", "--dir", dir)
	if err := downAgain.Start(); err != nil {
		t.Fatal(err)
	}
	for ready := true; ready && err == nil; { // it has been asked to end
		ready, err = isReady(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	run("up")
	if err := downAgain.Wait(); err != nil {
		t.Error(err)
	}
	if ready, err := isReady(dir); err != nil || !ready {
		t.Errorf("after a down and an up at once the cluster is ready: %t, %v", ready, err)
	}
	run("down")
	run("down") // there is none
	for _, pattern := range []string{dir, dir + ".*", "/sys/fs/cgroup/*/" + boxName(dir), "/sys/fs/cgroup/" + boxName(dir)} {
		if left, err := filepath.Glob(pattern); err != nil || len(left) > 0 {
			t.Errorf("down has left %v (%v)", left, err)
		}
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		if line, err := os.ReadFile(p); err == nil && strings.Contains(string(line), dir+"/") {
			t.Errorf("down has left process %s: %q", p, line)
		}
	}
}

// served gives the process that serves the cluster in dir.
func served(t *testing.T, dir string) owner {
	t.Helper()
	o, running, err := ownerOf(dir)
	if err != nil || !running {
		t.Fatalf("no process serves the cluster in %s: %v", dir, err)
	}
	return o
}

// One process has the lock, whoever asks about it meanwhile; and it is free when
// that process is killed, with what it wrote still there.
func TestLock(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cluster")
	ask := func() (owner, bool) {
		o, running, err := ownerOf(dir)
		if err != nil {
			t.Error(err)
		}
		return o, running
	}
	if o, running := ask(); running {
		t.Errorf("%+v has a lock that nobody has taken", o)
	}
	stop := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				ask()
			}
		}
	})
	var last owner
	for range 200 {
		l, err := takeLock(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := takeLock(dir); !errors.Is(err, errRunning) {
			t.Fatalf("a second one took the lock: %v", err)
		}
		if o, running := ask(); !running || o != l.own || o == last {
			t.Fatalf("the lock is said to be of %+v (%t), want %+v", o, running, l.own)
		}
		last = l.own
		if err := l.file.Close(); err != nil { // as a crash does
			t.Fatal(err)
		}
		// A process that another test is just starting has the file, too, until
		// it has become a program of its own.
		poll(t, "the lock is free", func(context.Context) (bool, error) {
			_, running := ask()
			return !running, nil
		})
	}
	close(stop)
	asking.Wait()
	l, err := takeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.release(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(dir + "*"); err != nil || len(left) > 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
}

func TestFoldersThatCannotBe(t *testing.T) {
	t.Parallel()
	full := t.TempDir()
	for _, name := range []string{"letter.txt", "images", "box.json", readyFile} {
		if err := os.WriteFile(filepath.Join(full, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]struct {
		do   func() error
		want string
	}{
		"hidden by the box":  {func() error { _, err := checkFolder("/var/lib/x"); return err }, "has a /var/lib of its own"},
		"too long":           {func() error { _, err := checkFolder("/tmp/" + strings.Repeat("x", 80)); return err }, "choose a shorter one"},
		"a quote":            {func() error { _, err := checkFolder(`/tmp/q"uote`); return err }, `"\"uote" is not for the settings`},
		"somebody's":         {func() error { return remove(full) }, "not a cluster's"},
		"load, none running": {func() error { return Load(t.Context(), filepath.Join("/tmp", "no-such-cluster"), []string{"x"}) }, "no cluster is running"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := tc.do(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(full, "letter.txt")); err != nil {
		t.Errorf("somebody's file is gone: %v", err)
	}
}

// runJob makes the Job "job" of pods that are not tried again.
func runJob(t *testing.T, c *Cluster, namespace string, pod corev1.PodSpec) *batchv1.Job {
	t.Helper()
	pod.RestartPolicy = corev1.RestartPolicyNever
	job, err := c.Client.BatchV1().Jobs(namespace).Create(t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "job"},
		Spec:       batchv1.JobSpec{BackoffLimit: new(int32(0)), Template: corev1.PodTemplateSpec{Spec: pod}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return job
}
