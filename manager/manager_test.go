package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
)

func TestRunsToTheEnd(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		run(t, w.manager(t, "m1"))
		cases := map[string]struct {
			definition, input string
			wantStatus        dao.ExecutionStatus
			wantOutput        string
			wantError         []string
		}{
			"chain": {
				definition: workflow(w.job("a", "b", output(`{"n": 1}`)), w.job("b", "", `printf '{"got": %s}' "$JOBNETES_INPUT" >"$JOBNETES_OUTPUT"`)),
				wantStatus: dao.ExecutionSuccess, wantOutput: `{"got": {"n": 1}}`,
			},
			"input is passed on as it is": {
				definition: workflow(w.job("a", "", `printf '{"got": %s}' "$JOBNETES_INPUT" >"$JOBNETES_OUTPUT"`)),
				input:      `{"price": "$$5 $(HOME) $HOME"}`,
				wantStatus: dao.ExecutionSuccess, wantOutput: `{"got": {"price": "$$5 $(HOME) $HOME"}}`,
			},
			"nested parallel sets": {
				definition: workflow(fmt.Sprintf(`{"name": "out", "type": "parallel", "task-sets": [[{"name": "in", "type": "parallel", "task-sets": [[%s], [%s]]}], [%s]]}`,
					w.job("a", "", output(`{"a":1}`)), w.job("b", "", output(`{"b":2}`)), w.job("c", "", output(`{"c":3}`)))),
				wantStatus: dao.ExecutionSuccess, wantOutput: `[[{"a":1},{"b":2}],{"c":3}]`,
			},
			"branch": {
				definition: workflow(w.job("first", "check", output(`{"value": 4}`)),
					`{"name": "check", "type": "branch", "tasks": [{"condition": "$.value > 3", "next": "big"}, {"condition": "$.value <= 3", "next": "small"}]}`,
					w.job("big", "", output(`{"big": true}`)), w.job("small", "", "")),
				wantStatus: dao.ExecutionSuccess, wantOutput: `{"big": true}`,
			},
			"failing task": {
				definition: workflow(w.job("a", "b", "exit 3"), w.job("b", "", "")),
				wantStatus: dao.ExecutionFailed, wantOutput: `{}`,
				wantError: []string{`task "a" failed: BackoffLimitExceeded`, "exited with code 3"},
			},
			"failing task in a parallel set": {
				definition: workflow(fmt.Sprintf(`{"name": "fan", "type": "parallel", "task-sets": [[%s], [%s]]}`, w.job("a", "", "exit 4"), w.job("b", "b2", "")+","+w.job("b2", "", ""))),
				wantStatus: dao.ExecutionFailed, wantOutput: `{}`,
				wantError: []string{`task "fan" failed: SetFailed: 1 of 2 sets failed: set 1: task "a" failed`, "exited with code 4"},
			},
			"all containers get the variables": {
				definition: workflow(`{"name": "a", "type": "kube-job", "job": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [
					{"name": "first", "command": ["true"]},
					{"name": "second", "command": ["sh", "-c", "test -n \"$JOBNETES_TOKEN\" && printf '{\"task\": %s, \"execution\": %s, \"endpoint\": \"%s\"}' $JOBNETES_TASK_ID $JOBNETES_EXECUTION_ID $JOBNETES_JOBAPI_ENDPOINT > $JOBNETES_OUTPUT"]}]}}}}}`),
				wantStatus: dao.ExecutionSuccess, wantOutput: `{"task": 1, "execution": 1, "endpoint": "127.0.0.1:1"}`,
			},
		}
		for name, tc := range cases {
			if w.config != nil { // the API server wants images, this computer does not care
				tc.definition = strings.ReplaceAll(tc.definition, `"command": ["true"]`, `"image": "x", "command": ["true"]`)
				tc.definition = strings.ReplaceAll(tc.definition, `{"name": "second",`, `{"name": "second", "image": "x",`)
			}
			t.Run(name, func(t *testing.T) {
				if tc.input == "" {
					tc.input = "{}"
				}
				id := w.start(t, tc.definition, tc.input)
				e := w.ended(t, id)
				if name == "all containers get the variables" {
					tc.wantOutput = fmt.Sprintf(`{"task": %d, "execution": %d, "endpoint": "127.0.0.1:1"}`, w.task(t, id, "a").ID, id)
				}
				if e.Status != tc.wantStatus || e.Output != tc.wantOutput {
					t.Errorf("status %s, output %s (%s); want %s, %s", e.Status, e.Output, e.ErrorMsg, tc.wantStatus, tc.wantOutput)
				}
				for _, want := range tc.wantError {
					if !strings.Contains(e.ErrorMsg, want) {
						t.Errorf("error_msg %q has no %q", e.ErrorMsg, want)
					}
				}
			})
		}
	})
}

// Two managers share many executions: each task's command runs once.
func TestTwoManagers(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		run(t, w.manager(t, "m1"))
		jobs := w.jobs
		if w.config != nil {
			jobs = w.client(t, w.config)
		} else {
			jobs = unwatched{jobs} // one Runner may be run but once
		}
		run(t, w.manager(t, "m2", func(_ *Config, _ *Store, j *Jobs) { *j = jobs }))
		const executions = 12
		want := map[string]int{"a": executions, "b": executions, "c": executions}
		var ids []uint64
		for range executions {
			ids = append(ids, w.start(t, workflow(w.job("a", "fan", ""), fmt.Sprintf(`{"name": "fan", "type": "parallel", "task-sets": [[%s], [%s]]}`, w.job("b", "", ""), w.job("c", "", ""))), "{}"))
		}
		for _, id := range ids {
			if e := w.ended(t, id); e.Status != dao.ExecutionSuccess {
				t.Errorf("execution %d: %s: %s", id, e.Status, e.ErrorMsg)
			}
		}
		if got := w.runs(t); !maps.Equal(got, want) {
			t.Errorf("runs: %v, want %v", got, want)
		}
	})
}

// unwatched is Jobs whose watch another manager of this process runs.
type unwatched struct{ Jobs }

func (unwatched) Run(ctx context.Context, _ func(metav1.Object)) error {
	<-ctx.Done()
	return ctx.Err()
}

// With the watch cut off for good, polling alone ends every execution.
func TestWithoutWatch(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	var refused atomic.Int32
	config := w.config
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Query().Get("watch") != "" {
				refused.Add(1)
				return nil, errors.New("the watch is cut off")
			}
			return next.RoundTrip(r)
		})
	})
	w.jobs = w.client(t, config)
	run(t, w.manager(t, "m1"))
	e := w.ended(t, w.start(t, workflow(w.job("a", "b", output(`{"n": 1}`)), w.job("b", "", output(`{"n": 2}`))), "{}"))
	if e.Status != dao.ExecutionSuccess || e.Output != `{"n": 2}` {
		t.Errorf("%s, %s: %s", e.Status, e.Output, e.ErrorMsg)
	}
	if refused.Load() == 0 {
		t.Error("no watch was tried: the test proves nothing")
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A Job whose creation was answered by silence is adopted, not made twice.
func TestAnswerLost(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		lossy := &lossyCreate{Jobs: w.jobs}
		run(t, w.manager(t, "m1", func(_ *Config, _ *Store, j *Jobs) { *j = lossy }))
		e := w.ended(t, w.start(t, workflow(w.job("a", "", "")), "{}"))
		if e.Status != dao.ExecutionSuccess {
			t.Errorf("%s: %s", e.Status, e.ErrorMsg)
		}
		if got := w.runs(t); !maps.Equal(got, map[string]int{"a": 1}) || lossy.calls.Load() == 0 {
			t.Errorf("runs: %v, calls of Create: %d", got, lossy.calls.Load())
		}
	})
}

// lossyCreate loses the answer of the first Create.
type lossyCreate struct {
	Jobs
	calls atomic.Int32
}

func (l *lossyCreate) Create(ctx context.Context, job *batchv1.Job) (*batchv1.Job, error) {
	created, err := l.Jobs.Create(ctx, job)
	if l.calls.Add(1) == 1 {
		return nil, apierrors.NewTimeoutError("the answer was lost", 1)
	}
	return created, err
}

// When a manager vanishes, another one takes its executions over after the
// lease, and the Job that runs is not started again.
func TestTakeover(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		dead := &deadStore{Store: w.Store}
		stop := run(t, w.manager(t, "dead", func(c *Config, s *Store, _ *Jobs) { c.Lease, *s = 2*time.Second, dead }))
		signal := w.ran + "/go"
		id := w.start(t, workflow(w.job("a", "b", fmt.Sprintf(`while ! test -e %s; do sleep 0.05; done`, signal)), w.job("b", "", "")), "{}")
		await(t, "the Job's launch", func() bool { return w.task(t, id, "a").JobUID != nil })
		dead.dead.Store(true)
		stop()

		w.reopenJobs(t)
		run(t, w.manager(t, "heir"))
		await(t, "the takeover", func() bool {
			e, err := w.Execution(t.Context(), id)
			return err == nil && e.LeaseOwner != nil && *e.LeaseOwner == "heir"
		})
		touch(t, signal)
		if e := w.ended(t, id); e.Status != dao.ExecutionSuccess {
			t.Errorf("%s: %s", e.Status, e.ErrorMsg)
		}
		if got := w.runs(t); got["a"] != 1 || got["b"] != 1 {
			t.Errorf("runs: %v", got)
		}
	})
}

// deadStore keeps a manager from giving its leases back, as kill -9 does.
type deadStore struct {
	Store
	dead atomic.Bool
}

func (d *deadStore) Leave(ctx context.Context, owner string, but []uint64, now time.Time) error {
	if d.dead.Load() {
		return nil
	}
	return d.Store.Leave(ctx, owner, but, now)
}

// After SIGTERM, another manager goes on at once, not after the lease.
func TestHandover(t *testing.T) {
	t.Parallel()
	w := newLocal(t)
	stop := run(t, w.manager(t, "first", func(c *Config, _ *Store, _ *Jobs) { c.Lease = time.Hour }))
	id := w.start(t, workflow(w.job("a", "", "sleep 300")), "{}")
	await(t, "the Job's launch", func() bool { return w.task(t, id, "a").JobUID != nil })
	stop()
	if e, err := w.Execution(t.Context(), id); err != nil || e.LeaseOwner != nil {
		t.Errorf("after Run the lease is still held: %v, %v", e.LeaseOwner, err)
	}
	task := w.task(t, id, "a")
	if err := w.jobs.Delete(t.Context(), *task.ExecutionName, ""); err != nil {
		t.Error(err)
	}
}

// A Job that somebody deletes is not started again, and not waited for.
func TestJobDeletedByAStranger(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		run(t, w.manager(t, "m1"))
		id := w.start(t, workflow(w.job("a", "", "sleep 300")), "{}")
		await(t, "the Job's run", func() bool { return w.runs(t)["a"] == 1 && w.task(t, id, "a").JobUID != nil })
		if err := w.jobs.Delete(t.Context(), *w.task(t, id, "a").ExecutionName, ""); err != nil {
			t.Fatal(err)
		}
		e := w.ended(t, id)
		if e.Status != dao.ExecutionFailed || !strings.Contains(e.ErrorMsg, "JobDeleted") {
			t.Errorf("%s: %s", e.Status, e.ErrorMsg)
		}
	})
}

// A Job by the task's name that is not the task's is left alone.
func TestForeignJob(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		id := w.start(t, workflow(w.job("a", "", "")), "{}")
		m := w.manager(t, "m1", func(_ *Config, _ *Store, j *Jobs) { *j = &squatter{Jobs: w.jobs} })
		run(t, m)
		e := w.ended(t, id)
		if e.Status != dao.ExecutionFailed || !strings.Contains(e.ErrorMsg, "JobReplaced") {
			t.Errorf("%s: %s", e.Status, e.ErrorMsg)
		}
	})
}

// squatter makes a Job without the task's labels before each Create.
type squatter struct{ Jobs }

func (s *squatter) Create(ctx context.Context, job *batchv1.Job) (*batchv1.Job, error) {
	other := job.DeepCopy()
	other.Labels = map[string]string{"owner": "stranger"}
	if _, err := s.Jobs.Create(ctx, other); err != nil {
		return nil, err
	}
	return s.Jobs.Create(ctx, job)
}

// A Job that is refused for good fails its task with the API server's words.
func TestRefusedJob(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		run(t, w.manager(t, "m1"))
		// Kubernetes wants an image, a process of this computer a command.
		id := w.start(t, workflow(`{"name": "a", "type": "kube-job", "job": {"spec": {"template": {"spec": {"containers": [{"name": "c"}]}}}}}`), "{}")
		e := w.ended(t, id)
		if e.Status != dao.ExecutionFailed || !strings.Contains(e.ErrorMsg, "JobInvalid: the Job was refused") || !strings.Contains(e.ErrorMsg, "containers[0]") {
			t.Errorf("%s: %s", e.Status, e.ErrorMsg)
		}
	})
}

// An execution that makes no sense fails alone.
func TestBrokenExecutions(t *testing.T) {
	t.Parallel()
	w := newLocal(t)
	run(t, w.manager(t, "m1"))
	broken := w.start(t, `{"name": "w", "tasks": "none"}`, "{}")
	notJSON := w.start(t, workflow(w.job("a", "", "")), `{`)
	good := w.start(t, workflow(w.job("b", "", "")), "{}")
	if e := w.ended(t, good); e.Status != dao.ExecutionSuccess {
		t.Errorf("the good one: %s: %s", e.Status, e.ErrorMsg)
	}
	if e := w.ended(t, broken); e.Status != dao.ExecutionFailed || !strings.Contains(e.ErrorMsg, "InvalidDefinition") || !strings.Contains(e.ErrorMsg, "$.tasks") {
		t.Errorf("the broken definition: %s: %s", e.Status, e.ErrorMsg)
	}
	if e := w.ended(t, notJSON); e.Status != dao.ExecutionFailed || e.ErrorMsg != "the input is not JSON" {
		t.Errorf("the broken input: %s: %s", e.Status, e.ErrorMsg)
	}
}

// An execution whose workflow, or its version, is missing, as after a part of a dump was
// restored, fails, and says so.
func TestMissingRows(t *testing.T) {
	t.Parallel()
	w := newLocal(t)
	ofNothing, ofNoVersion := w.start(t, workflow(w.job("a", "", "")), "{}"), w.start(t, workflow(w.job("a", "", "")), "{}")
	gdb, err := db.Open(t.Context(), w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(gdb) })
	err = gdb.Connection(func(one *gorm.DB) error {
		return cmp.Or(one.Exec("PRAGMA foreign_keys = OFF").Error,
			one.Exec("UPDATE workflow_executions SET workflow_id = 777, workflow_version_id = NULL WHERE id = ?", ofNothing).Error,
			one.Exec("UPDATE workflow_executions SET workflow_version_id = 778 WHERE id = ?", ofNoVersion).Error)
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, w.manager(t, "m1"))
	for id, want := range map[uint64]string{
		ofNothing:   "InconsistentRows: its workflow (id 777) is missing",
		ofNoVersion: "InconsistentRows: the version of its workflow (id 778) is missing",
	} {
		if e := w.ended(t, id); e.Status != dao.ExecutionFailed || !strings.Contains(e.ErrorMsg, want) {
			t.Errorf("%s: %s, want %s", e.Status, e.ErrorMsg, want)
		}
	}
}

// What a job records goes before its termination message.
func TestRecordedOutput(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		run(t, w.manager(t, "m1"))
		id := w.start(t, workflow(w.job("a", "", fmt.Sprintf(`while ! test -e %s/go; do sleep 0.05; done; echo '{"message": 1}' >"$JOBNETES_OUTPUT"`, w.ran))), "{}")
		if err := w.RecordOutput(t.Context(), w.task(t, id, "a").ID, `{"recorded": 1}`, time.Now()); err != nil {
			t.Fatal(err)
		}
		touch(t, w.ran+"/go")
		if e := w.ended(t, id); e.Output != `{"recorded": 1}` {
			t.Errorf("%s, output %s", e.Status, e.Output)
		}
	})
}

// Finished Jobs are deleted after the retention, running ones never.
func TestRetention(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		m := w.manager(t, "m1", func(c *Config, _ *Store, _ *Jobs) { c.JobRetention = time.Hour })
		run(t, m)
		done := w.start(t, workflow(w.job("a", "", "")), "{}")
		w.ended(t, done)
		running := w.start(t, workflow(w.job("b", "", "sleep 300")), "{}")
		await(t, "the Job's launch", func() bool { return w.task(t, running, "b").JobUID != nil })
		finished, still := *w.task(t, done, "a").ExecutionName, *w.task(t, running, "b").ExecutionName

		m.deleteJobs(t.Context())
		if _, err := w.jobs.Get(t.Context(), finished); err != nil {
			t.Errorf("before the retention has passed: %v", err)
		}
		later := w.manager(t, "m2", func(c *Config, _ *Store, _ *Jobs) {
			c.JobRetention, c.Now = time.Hour, func() time.Time { return time.Now().Add(time.Hour + 2*time.Second) }
		})
		await(t, "the finished Job in the watch", func() bool { return len(w.jobs.List()) == 2 })
		await(t, "the deletion", func() bool { // the task may have ended a second before its Job
			later.deleteJobs(t.Context())
			_, err := w.jobs.Get(t.Context(), finished)
			return apierrors.IsNotFound(err)
		})
		if _, err := w.jobs.Get(t.Context(), still); err != nil {
			t.Errorf("the running Job: %v", err)
		}
		if err := w.jobs.Delete(t.Context(), still, ""); err != nil {
			t.Error(err)
		}
	})
}
