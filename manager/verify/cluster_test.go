package verify

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/jobapi/token"
	"github.com/jobnetes/jobnetes/manager"
	"github.com/jobnetes/jobnetes/manager/kube"
	"github.com/jobnetes/jobnetes/test/cluster"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

// patience is how long the test waits for what happens in other processes.
const patience = 60 * time.Second

// live is a manager that runs on a real API server and a real database.
type live struct {
	*world
	c      *cluster.Cluster
	ns     string
	client *kube.Client
	stop   func()
}

func startReal(t *testing.T) *live {
	t.Helper()
	c := cluster.Start(t)
	r := &live{world: newWorld(t, db.Config{Driver: db.MySQL, DSN: mariadb.Database(t)}), c: c, ns: c.Namespace(t)}
	c.PlayPods(t, r.ns, func(ctx context.Context, pod *corev1.Pod) cluster.Exits {
		if pod.Labels[kube.LabelTask] == "slow" {
			<-ctx.Done()
		}
		return cluster.Exits{"c": {Message: `{"n":1}`}}
	})
	var err error
	r.client, err = kube.New(c.Config(), kube.Config{Namespace: r.ns, Installation: installation}, slog.New(slog.DiscardHandler))
	r.must(err)
	tokens, err := token.NewTokens([]byte(strings.Repeat("k", token.MinKeyBytes)))
	r.must(err)
	m, err := manager.New(manager.Config{
		Owner: "m1", Installation: installation, Namespace: r.ns, PollInterval: 50 * time.Millisecond, JobapiEndpoint: "127.0.0.1:1",
	}, r.Store, r.client, tokens, slog.New(slog.DiscardHandler))
	r.must(err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	r.stop = func() {
		cancel()
		r.must(<-ended)
	}
	return r
}

// verify runs verify as the command does, with a short wait.
func (r *live) verify(change ...func(*Config)) *Report {
	r.t.Helper()
	log, err := os.Open(r.c.AuditLog(r.t))
	r.must(err)
	defer func() { _ = log.Close() }()
	cfg := Config{Installation: installation, Namespace: r.ns, All: true, Wait: func(context.Context) error { return nil }}
	for _, c := range change {
		c(&cfg)
	}
	report, err := New(cfg, r.Store, r.Store, r.client).Run(r.t.Context(), []Log{{Name: log.Name(), Reader: log}})
	r.must(err)
	return report
}

func (r *live) await(what string, so func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

// On a real cluster all is proved from its own audit log; drift that is made by
// hand is found, and repaired.
func TestOnCluster(t *testing.T) {
	t.Parallel()
	r := startReal(t)
	var ids []uint64
	for range 5 {
		ids = append(ids, r.startAt(workflow(kubeJob("extract", "fan"), parallel("fan", "", kubeJob("a", "a2")+","+kubeJob("a2", ""), indexed("b")))))
	}
	slow := r.startAt(workflow(kubeJob("slow", "")))
	for _, id := range ids {
		r.await("the end of executions", func() bool {
			e, err := r.Execution(t.Context(), id)
			r.must(err)
			return e.Status.Ended()
		})
	}
	r.await("the slow Job", func() bool {
		tasks, err := r.Tasks(t.Context(), slow)
		r.must(err)
		return len(tasks) == 1 && tasks[0].JobUID != nil
	})
	report := r.verify()
	if a := report.Audit; len(report.Findings) > 0 || a.Creates != 21 || a.Launched != 21 || a.Matched != 21 || report.Counts.Jobs != 21 || len(report.Proved) != 5 {
		t.Fatalf("%+v, %+v", report, a)
	}

	r.stop()
	jobs := r.c.Client.BatchV1().Jobs(r.ns)
	task := r.task(slow, "slow")
	copied := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "copy", Labels: labels(task)},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "busybox"}},
		}}},
	}
	_, err := jobs.Create(t.Context(), copied, metav1.CreateOptions{})
	r.must(err)
	orphan := copied.DeepCopy()
	orphan.Name, orphan.Labels = "orphan", labels(&dao.TaskExecution{ID: 9999, WorkflowExecutionID: 9999, Attempt: 1})
	_, err = jobs.Create(t.Context(), orphan, metav1.CreateOptions{})
	r.must(err)
	background := metav1.DeletePropagationBackground
	r.must(jobs.Delete(t.Context(), *task.ExecutionName, metav1.DeleteOptions{PropagationPolicy: &background}))
	relabelled := *r.task(ids[0], "a").ExecutionName
	_, err = jobs.Patch(t.Context(), relabelled, types.MergePatchType, []byte(fmt.Sprintf(`{"metadata": {"labels": {%q: "x"}}}`, kube.LabelManagedBy)), metav1.PatchOptions{})
	r.must(err)

	want := []Kind{CreatedUnknown, JobDoubled, JobGone, JobOrphan, JobRelabelled, LaunchedTwice}
	if got := kinds(r.verify()); !slices.Equal(got, want) {
		t.Fatalf("found %v, want %v", got, want)
	}
	if report = r.verify(repairing); report.Left() != len(report.Findings)-2 {
		t.Errorf("repaired %+v", report.Findings)
	}
	r.await("the deletion of Jobs", func() bool {
		got := kinds(r.verify())
		return slices.Equal(got, []Kind{CreatedUnknown, JobGone, JobRelabelled, LaunchedTwice})
	})
}

// indexed is a task of one Job with three indexes.
func indexed(name string) string {
	return strings.Replace(kubeJob(name, ""), `"job": {"spec": {`, `"indexed": true, "job": {"spec": {"completions": 3, `, 1)
}

// startAt starts an execution now.
func (r *live) startAt(definition string) uint64 {
	r.now = time.Now()
	return r.start(definition, "{}")
}
