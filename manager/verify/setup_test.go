package verify

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/manager/engine"
	"github.com/jobnetes/jobnetes/manager/kube"
	language "github.com/jobnetes/jobnetes/schema"
	"github.com/jobnetes/jobnetes/test/machine"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

const (
	installation = "i1"
	namespace    = "jobs"
	managerUser  = "system:serviceaccount:jobnetes:manager"
)

// world is a database, a cluster in memory, its audit log, and a manager that moves
// executions as the real one does, but at once.
type world struct {
	*dao.Store
	t     testing.TB
	gdb   *gorm.DB
	now   time.Time
	jobs  map[string]*batchv1.Job
	audit []string
	// meanwhile happens between the two looks.
	meanwhile func()
	made      int
}

// onEach runs a test on SQLite and on MariaDB.
func onEach(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, newWorld(t, sqlite(t)))
	})
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		if strings.HasPrefix(t.Name(), "TestDrift/") {
			machine.Slow(t) // a database for each kind of drift
		}
		test(t, newWorld(t, db.Config{Driver: db.MySQL, DSN: mariadb.Database(t)}))
	})
}

func newWorld(t testing.TB, cfg db.Config) *world {
	t.Helper()
	gdb, err := db.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(gdb) })
	if _, err := db.Migrate(t.Context(), gdb); err != nil {
		t.Fatal(err)
	}
	return &world{
		Store: dao.New(gdb), t: t, gdb: gdb, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), jobs: map[string]*batchv1.Job{}, meanwhile: func() {},
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) sql(statement string, args ...any) {
	w.t.Helper()
	if err := w.gdb.Exec(statement, args...).Error; err != nil {
		w.t.Fatalf("%s: %v", statement, err)
	}
}

// unchecked is sql without foreign keys, as a dump is restored.
func (w *world) unchecked(statement string) {
	w.t.Helper()
	off, on := "SET foreign_key_checks = 0", "SET foreign_key_checks = 1"
	if w.gdb.Name() == "sqlite" {
		off, on = "PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys = ON"
	}
	w.must(w.gdb.Connection(func(one *gorm.DB) error {
		return cmp.Or(one.Exec(off).Error, one.Exec(statement).Error, one.Exec(on).Error)
	}))
}

// start schedules an execution.
func (w *world) start(definition, input string) uint64 {
	w.t.Helper()
	wf, _, err := w.ApplyWorkflow(w.t.Context(), "w", definition, dao.DefaultUserID, w.now)
	w.must(err)
	id, err := w.CreateExecution(w.t.Context(), dao.NewExecution{WorkflowID: wf.ID, Name: "test", Input: input, Actor: "test"}, w.now)
	w.must(err)
	return id
}

// result is what a Job does: it leaves an output, records one, or fails.
type result struct{ output, recorded, reason string }

// run claims what there is and moves the execution until only Jobs without a result
// are left; these run in the cluster.
func (w *world) run(id uint64, results map[string]result) {
	w.t.Helper()
	lease, row, x := w.claim(id)
	var seen []engine.Observation
	for {
		w.now = w.now.Add(time.Second)
		if ts := x.Decide(seen, w.now); len(ts) > 0 {
			w.must(w.Commit(w.t.Context(), lease, row, ts, w.now))
		}
		seen = nil
		for _, t := range x.RunningJobs() {
			if t.JobUID == nil {
				w.launch(lease, t)
			}
			if r, ok := results[t.TaskName]; ok {
				seen = append(seen, w.finish(t, r))
			}
		}
		if len(seen) == 0 {
			return
		}
	}
}

func (w *world) claim(id uint64) (dao.Lease, *dao.WorkflowExecution, *engine.Execution) {
	w.t.Helper()
	leases, err := w.ClaimScheduled(w.t.Context(), dao.Claimant{Owner: "m1", Namespace: namespace}, w.now, w.now.Add(10*time.Minute), 1000)
	w.must(err)
	running, err := w.ClaimRunning(w.t.Context(), dao.Claimant{Owner: "m1", Namespace: namespace}, w.now, w.now.Add(10*time.Minute), 1000)
	w.must(err)
	leases = append(leases, running...)
	i := slices.IndexFunc(leases, func(l dao.Lease) bool { return l.ExecutionID == id })
	if i < 0 {
		w.t.Fatalf("execution %d could not be claimed", id)
	}
	row, err := w.Execution(w.t.Context(), id)
	w.must(err)
	if row.WorkflowVersionID == nil {
		v, err := w.PinVersion(w.t.Context(), leases[i], w.now)
		w.must(err)
		row.WorkflowVersionID = &v.ID
	}
	v, err := w.WorkflowVersion(w.t.Context(), *row.WorkflowVersionID)
	w.must(err)
	def, err := language.Parse([]byte(v.Definition))
	w.must(err)
	tasks, err := w.Tasks(w.t.Context(), id)
	w.must(err)
	x, err := engine.Load(def, &row, tasks)
	w.must(err)
	return leases[i], &row, x
}

func (w *world) launch(l dao.Lease, t *dao.TaskExecution) {
	w.t.Helper()
	j := w.create(*t.ExecutionName, labels(t))
	uid := string(j.UID)
	w.must(w.MarkLaunched(w.t.Context(), l, t.ID, uid, w.now))
	t.JobUID = &uid
}

func labels(t *dao.TaskExecution) map[string]string {
	return map[string]string{
		kube.LabelManagedBy: kube.ManagedBy, kube.LabelInstallation: installation,
		kube.LabelExecutionID: fmt.Sprint(t.WorkflowExecutionID), kube.LabelTaskID: fmt.Sprint(t.ID), kube.LabelAttempt: fmt.Sprint(t.Attempt),
	}
}

// create makes a Job, and has it noted in the audit log.
func (w *world) create(name string, labels map[string]string) *batchv1.Job {
	w.made++
	j := &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{Kind: "Job", APIVersion: "batch/v1"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, UID: types.UID(fmt.Sprintf("uid-%d", w.made)), Labels: labels},
	}
	w.jobs[name] = j
	w.note("create", name, 201, j)
	return j
}

// note writes to the audit log.
func (w *world) note(verb, name string, code int, object any) {
	w.t.Helper()
	line, err := json.Marshal(map[string]any{
		"kind": "Event", "auditID": fmt.Sprint("audit-", len(w.audit)), "stage": "ResponseComplete", "verb": verb, "requestReceivedTimestamp": w.now,
		"user":           map[string]any{"username": managerUser},
		"objectRef":      map[string]any{"apiGroup": "batch", "resource": "jobs", "namespace": namespace, "name": name},
		"responseStatus": map[string]any{"code": code}, "responseObject": object,
	})
	w.must(err)
	// As the API server writes it, kind first.
	w.audit = append(w.audit, eventBegins+","+strings.TrimPrefix(strings.Replace(string(line), `"kind":"Event",`, "", 1), "{"))
}

func (w *world) finish(t *dao.TaskExecution, r result) engine.Observation {
	w.t.Helper()
	w.end(*t.ExecutionName)
	o := engine.Observation{TaskID: t.ID, Succeeded: r.reason == "", Output: r.output, Reason: r.reason, Message: "it broke"}
	if r.recorded != "" {
		w.must(w.RecordOutput(w.t.Context(), t.ID, r.recorded, w.now))
		o.Recorded, o.RecordedRev = &r.recorded, 1
	}
	return o
}

// end has a Job succeed.
func (w *world) end(name string) {
	at := metav1.NewTime(w.now)
	w.jobs[name].Status = batchv1.JobStatus{
		CompletionTime: &at, Conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, LastTransitionTime: at}},
	}
}

// abort ends an execution as a manager does that cannot go on with it.
func (w *world) abort(id uint64, reason string) {
	w.t.Helper()
	lease, row, _ := w.claim(id)
	tasks, err := w.Tasks(w.t.Context(), id)
	w.must(err)
	w.now = w.now.Add(time.Second)
	w.must(w.Commit(w.t.Context(), lease, row, engine.Abort(row, tasks, reason, "because", w.now), w.now))
	for _, t := range tasks {
		if t.ExecutionName != nil {
			delete(w.jobs, *t.ExecutionName) // by the retention pass
		}
	}
}

// release gives all leases back, so that they can be claimed again.
func (w *world) release() {
	w.t.Helper()
	w.must(w.Leave(w.t.Context(), "m1", nil, w.now))
}

// task returns a task's row.
func (w *world) task(id uint64, name string) *dao.TaskExecution {
	w.t.Helper()
	tasks, err := w.Tasks(w.t.Context(), id)
	w.must(err)
	for _, t := range tasks {
		if t.TaskName == name {
			return t
		}
	}
	w.t.Fatalf("execution %d has no task %q", id, name)
	return nil
}

// verify runs verify on all there is.
func (w *world) verify(change ...func(*Config)) *Report {
	w.t.Helper()
	return w.verifyWith([]Log{{Name: "audit.log", Reader: strings.NewReader(strings.Join(w.audit, "\n") + "\n")}}, change...)
}

func (w *world) verifyWith(logs []Log, change ...func(*Config)) *Report {
	w.t.Helper()
	r, err := w.tryVerify(logs, change...)
	w.must(err)
	return r
}

func (w *world) tryVerify(logs []Log, change ...func(*Config)) (*Report, error) {
	cfg := Config{
		Installation: installation, Namespace: namespace, All: true,
		Now: func() time.Time { return w.now }, Wait: func(context.Context) error { w.meanwhile(); return nil },
	}
	for _, c := range change {
		c(&cfg)
	}
	return New(cfg, w.Store, w.Store, memory{w}).Run(w.t.Context(), logs)
}

func repairing(c *Config) { c.Actor = "verify by test" }

// kinds are those of the findings, each once.
func kinds(r *Report) []Kind {
	var all []Kind
	for _, f := range r.Findings {
		all = append(all, f.Kind)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// memory is the API server.
type memory struct{ w *world }

func (c memory) EachJob(_ context.Context, executionID uint64, each func(job *batchv1.Job)) error {
	for _, j := range c.w.jobs {
		if j.Labels[kube.LabelInstallation] == installation && (executionID == 0 || j.Labels[kube.LabelExecutionID] == fmt.Sprint(executionID)) {
			each(j)
		}
	}
	return nil
}

func (c memory) Get(_ context.Context, name string) (*batchv1.Job, error) {
	if j := c.w.jobs[name]; j != nil {
		return j, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "jobs"}, name)
}

func (c memory) Delete(_ context.Context, name string, uid types.UID) error {
	if j := c.w.jobs[name]; j != nil && j.UID == uid {
		delete(c.w.jobs, name)
	}
	return nil
}

// The builders of definitions.

func workflow(tasks ...string) string {
	return `{"name": "w", "tasks": [` + strings.Join(tasks, ",") + `]}`
}

func kubeJob(name, next string) string {
	return fmt.Sprintf(`{"name": %q, "type": "kube-job"%s, "job": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "busybox"}]}}}}}`, name, nextOf(next))
}

func parallel(name, next string, sets ...string) string {
	return fmt.Sprintf(`{"name": %q, "type": "parallel"%s, "task-sets": [[%s]]}`, name, nextOf(next), strings.Join(sets, "],["))
}

func branch(name, condition, next string) string {
	return fmt.Sprintf(`{"name": %q, "type": "branch", "tasks": [{"condition": %q, "next": %q}]}`, name, condition, next)
}

func nextOf(next string) string {
	if next == "" {
		return ""
	}
	return fmt.Sprintf(`, "next": %q`, next)
}

func sqlite(t *testing.T) db.Config {
	t.Helper()
	return db.Config{Driver: db.SQLite, Path: t.TempDir() + "/jobnetes.db"}
}
