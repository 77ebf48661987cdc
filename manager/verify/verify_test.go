package verify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// all is a definition with every type of task.
var all = workflow(
	kubeJob("extract", "fan"),
	parallel("fan", "check", kubeJob("a", "a2")+","+kubeJob("a2", ""), parallel("inner", "", kubeJob("b", ""), kubeJob("c", ""))),
	branch("check", "size($) == 2", "load"),
	kubeJob("load", ""))

var (
	well = map[string]result{"extract": {output: `{"n":1}`}, "a": {output: "{}"}, "a2": {recorded: `{"a":2}`}, "b": {output: `{"b":1}`}, "c": {}, "load": {output: `{"rows":3}`}}
	// ill is well, with one Job that fails.
	ill = func(name string) map[string]result {
		r := map[string]result{name: {reason: "BackoffLimitExceeded", output: `{"partly":1}`}}
		for n, ok := range well {
			if n != name {
				r[n] = ok
			}
		}
		return r
	}
)

// populate makes executions of all shapes, none of which is wrong.
func populate(w *world) {
	w.run(w.start(all, "{}"), well)
	for _, name := range []string{"extract", "a", "a2", "c", "load"} {
		w.run(w.start(all, "{}"), ill(name))
	}
	w.run(w.start(workflow(branch("x", "$.n > 1", "y"), kubeJob("y", "")), `{"n": 0}`), nil) // NoBranchTaken
	w.run(w.start(workflow(branch("x", "$.n > 1", "y"), kubeJob("y", "")), `{}`), nil)       // ConditionError
	w.run(w.start(workflow(kubeJob("x", "")), `"`+strings.Repeat("x", 200<<10)+`"`), nil)    // InputTooLarge
	w.run(w.start(workflow(`{"name": "p", "type": "parallel", "task-sets": []}`), "{}"), nil)
	w.run(w.start(all, "no JSON"), nil) // InvalidInput
	w.abort(w.start(all, "{}"), "Cancelled")
	w.abort(w.start(all, "{}"), "InvalidDefinition")
	half := w.start(all, "{}")
	w.run(half, map[string]result{"extract": {}, "a": {}, "b": {}})
	w.release()
	w.abort(half, "Cancelled")
	w.sql("INSERT INTO workflow_executions (workflow_id, name, input, wake_at) VALUES (1, 'by hand', '{}', ?)", w.now)
	id, err := w.ExecutionIDs(w.t.Context(), true, 0, 1)
	w.must(err)
	w.run(id[0], well)
	w.start(all, "{}") // is taken up by the next claim
	w.run(w.start(all, "{}"), map[string]result{"extract": {}, "a": {}})
	w.start(all, "{}")
}

// A system on which nothing is wrong gives no finding, and all is proved. Looking
// changes nothing.
func TestClean(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		populate(w)
		before := checksum(w)
		for _, change := range []func(*Config){func(*Config) {}, repairing, func(c *Config) { c.All = false }, func(c *Config) { c.ExecutionID = 1 }} {
			if r := w.verify(change); len(r.Findings) > 0 {
				t.Errorf("found %+v", r.Findings)
			}
		}
		r := w.verify()
		if r.Counts.Executions != 18 || r.Counts.Open != 3 || r.Counts.Replayed != 14 || r.Counts.Tasks < 60 || r.Counts.Jobs != len(w.jobs) {
			t.Errorf("counts %+v", r.Counts)
		}
		if a := r.Audit; a.Creates != w.made || a.Launched != w.made || a.Matched != w.made || a.Outside+a.Adopted+a.Unattributed+a.Unreadable != 0 {
			t.Errorf("audit %+v of %d Jobs", a, w.made)
		}
		if len(r.Proved) != 5 || len(r.Unchecked) != 2 {
			t.Errorf("proved %q, unchecked %q", r.Proved, r.Unchecked)
		}
		if after := checksum(w); after != before {
			t.Error("looking has changed rows")
		}
	})
}

// checksum is all that is in the tables.
func checksum(w *world) string {
	var text strings.Builder
	for _, table := range []string{"workflows", "workflow_versions", "workflow_executions", "task_executions", "execution_events", "secrets", "managers", "task_logs"} {
		var rows []map[string]any
		w.must(w.gdb.Table(table).Find(&rows).Error)
		fmt.Fprintln(&text, table, rows)
	}
	return text.String()
}

// drift is something that goes wrong with a system on which execution 1 has ended
// and execution 2 runs, held by m1, with the Job of "extract".
type drift struct {
	do       func(w *world)
	want     []Kind
	what     string // that the first finding says
	repaired bool
	wantJobs int // after the repair; 0: as before
}

var drifts = map[string]drift{
	"definition changed": {
		do:   func(w *world) { w.sql(`UPDATE workflow_versions SET definition = '{"name": "w"}'`) },
		want: []Kind{DefinitionInvalid}, what: "not a valid definition",
	},
	"workflow missing": {
		do:   func(w *world) { w.unchecked("UPDATE workflow_executions SET workflow_id = 777 WHERE id = 2") },
		want: []Kind{RowsInconsistent}, what: "its workflow (id 777) is missing",
	},
	"version missing": {
		do:   func(w *world) { w.unchecked("UPDATE workflow_executions SET workflow_version_id = 777 WHERE id = 2") },
		want: []Kind{RowsInconsistent}, what: "version of its workflow (id 777) is missing",
	},
	"set that is not there": {
		do:   func(w *world) { w.sql("UPDATE task_executions SET set_index = 7 WHERE task_name = 'c'") },
		want: []Kind{RowsInconsistent}, what: "part of a set",
	},
	"task renamed": {
		do:   func(w *world) { w.sql("UPDATE task_executions SET task_name = 'a' WHERE workflow_execution_id = 2") },
		want: []Kind{TaskMissing, TaskUnexpected}, what: `"extract" has no row`,
	},
	"attempt doubled": {
		do: func(w *world) {
			w.sql("INSERT INTO task_executions (workflow_execution_id, task_name, task_type, attempt, input, started_at) VALUES (2, 'extract', 'kube-job', 2, '{}', ?)", w.now)
			w.sql("INSERT INTO execution_events (workflow_execution_id, task_execution_id, at, type, actor) SELECT 2, MAX(id), ?, 'TaskStarted', 'x' FROM task_executions", w.now)
		},
		want: []Kind{TaskUnexpected}, what: "has another row",
	},
	"scheduled with tasks": {
		do: func(w *world) {
			w.sql("UPDATE workflow_executions SET status = 0, started_at = NULL WHERE id = 2")
		},
		want: []Kind{TaskUnexpected},
	},
	"input changed": {
		do:   func(w *world) { w.sql(`UPDATE task_executions SET input = '{"n":2}' WHERE task_name = 'b'`) },
		want: []Kind{TaskDiffers}, what: `input is {"n":2} and should be {"n":1}`,
	},
	"indexes changed": {
		do:   func(w *world) { w.sql(`UPDATE task_executions SET index_count = 3 WHERE task_name = 'b'`) },
		want: []Kind{TaskDiffers}, what: `index_count is 3 and should be NULL`,
	},
	"recorded output not taken": {
		do:   func(w *world) { w.sql(`UPDATE task_executions SET output = '{}' WHERE task_name = 'a2'`) },
		want: []Kind{TaskDiffers}, what: `output is {} and should be {"a":2}`,
	},
	"neighbours unlinked": {
		do: func(w *world) {
			w.sql("UPDATE task_executions SET prev_task_execution_id = NULL WHERE task_name = 'a2'")
		},
		want: []Kind{TaskDiffers}, what: `prev_task_execution_id is NULL and should be that of "a"`,
	},
	"Job renamed in the row": {
		do:   func(w *world) { w.sql("UPDATE task_executions SET execution_name = 'x' WHERE task_name = 'load'") },
		want: []Kind{CreateMissing, JobDoubled, LaunchedTwice, TaskDiffers}, what: "execution_name is x", repaired: true, wantJobs: -1,
	},
	"output changed": {
		do:   func(w *world) { w.sql("UPDATE workflow_executions SET output = '{}' WHERE id = 1") },
		want: []Kind{ExecutionDiffers}, what: "its output is {}",
	},
	"ended too early": {
		do: func(w *world) {
			w.sql("UPDATE workflow_executions SET status = 2, ended_at = ?, wake_at = NULL, lease_owner = NULL, lease_until = NULL WHERE id = 2", w.now)
			w.sql("INSERT INTO execution_events (workflow_execution_id, at, type, actor) VALUES (2, ?, 'ExecutionSucceeded', 'x')", w.now)
		},
		want: []Kind{ExecutionDiffers, TaskRunsOn},
	},
	"event deleted": {
		do:   func(w *world) { w.sql("DELETE FROM execution_events WHERE type = 'ExecutionSucceeded'") },
		want: []Kind{EventMissing}, what: "ExecutionSucceeded",
	},
	"event doubled": {
		do: func(w *world) {
			w.sql("INSERT INTO execution_events (workflow_execution_id, task_execution_id, at, type, actor) SELECT workflow_execution_id, task_execution_id, at, type, actor FROM execution_events WHERE type = 'TaskSucceeded' AND workflow_execution_id = 1 ORDER BY id DESC LIMIT 1")
		},
		want: []Kind{EventUnexpected}, what: "for the second time",
	},
	"event of what has not happened": {
		do: func(w *world) {
			w.sql("INSERT INTO execution_events (workflow_execution_id, task_execution_id, at, type, actor) VALUES (2, ?, ?, 'TaskFailed', 'x')", w.task(2, "extract").ID, w.now)
		},
		want: []Kind{EventUnexpected}, what: "has not happened",
	},
	"events out of order": {
		do: func(w *world) {
			w.sql("UPDATE execution_events SET type = CASE type WHEN 'TaskStarted' THEN 'TaskSucceeded' WHEN 'TaskSucceeded' THEN 'TaskStarted' END WHERE task_execution_id = ?", w.task(1, "load").ID)
		},
		want: []Kind{EventOrder}, what: "comes after",
	},
	"no manager": {
		do: func(w *world) {
			w.sql("UPDATE workflow_executions SET wake_at = ?, lease_until = ? WHERE id = 2", w.now.Add(-time.Hour), w.now.Add(-time.Hour))
			w.start(all, "{}")
		},
		want: []Kind{NoManager}, what: "none runs: none is registered",
	},
	"manager hangs": {
		do: func(w *world) {
			w.sql("UPDATE workflow_executions SET wake_at = ?, lease_until = ? WHERE id = 2", w.now.Add(-time.Hour), w.now.Add(-time.Hour))
			w.sql("INSERT INTO managers (owner, seen_at) VALUES ('m2', ?)", w.now)
		},
		want: []Kind{NotClaimed}, what: "held by m1",
	},
	"wakes late": {
		do: func(w *world) {
			w.release()
			w.sql("UPDATE workflow_executions SET wake_at = ? WHERE id = 2", w.now.AddDate(1, 0, 0))
		},
		want: []Kind{WakesLate}, what: "held by nobody", repaired: true,
	},
	"held for a year": {
		do: func(w *world) {
			w.sql("UPDATE workflow_executions SET wake_at = ?, lease_until = ? WHERE id = 2", w.now.AddDate(1, 0, 0), w.now.AddDate(1, 0, 0))
		},
		want: []Kind{WakesLate}, what: "held by m1",
	},
	"Job never created": {
		do: func(w *world) {
			delete(w.jobs, *w.task(2, "extract").ExecutionName)
			w.sql("UPDATE task_executions SET job_uid = NULL, started_at = ? WHERE workflow_execution_id = 2", w.now.Add(-time.Hour))
		},
		want: []Kind{JobNotCreated}, what: "has no Job yet",
	},
	"Job's end not seen": {
		do: func(w *world) {
			w.end(*w.task(2, "extract").ExecutionName)
			w.now = w.now.Add(moveGrace + time.Second)
		},
		want: []Kind{JobEndNotSeen},
	},
	"Job deleted": {
		do:   func(w *world) { delete(w.jobs, *w.task(2, "extract").ExecutionName) },
		want: []Kind{JobGone}, what: "is gone",
	},
	"Job replaced": {
		do: func(w *world) {
			t := w.task(2, "extract")
			w.jobs[*t.ExecutionName].UID = "another"
		},
		want: []Kind{JobDoubled, JobGone}, repaired: true, wantJobs: -1,
	},
	"orphan": {
		do: func(w *world) {
			w.create("orphan", labels(&dao.TaskExecution{ID: 999, WorkflowExecutionID: 999, Attempt: 1}))
		},
		want: []Kind{CreatedUnknown, JobOrphan}, repaired: true, wantJobs: -1,
	},
	"Job copied": {
		do:   func(w *world) { w.create("copy", labels(w.task(2, "extract"))) },
		want: []Kind{JobDoubled, LaunchedTwice}, repaired: true, wantJobs: -1,
	},
	"label changed": {
		do: func(w *world) {
			l := labels(w.task(2, "extract"))
			l["jobnetes.dev/execution-id"] = "77"
			w.jobs[*w.task(2, "extract").ExecutionName].Labels = l
		},
		want: []Kind{JobRelabelled}, what: `is "77" and should be "2"`,
	},
	"installation's label removed": {
		do:   func(w *world) { w.jobs[*w.task(2, "extract").ExecutionName].Labels = nil },
		want: []Kind{JobRelabelled}, what: "no manager sees it",
	},
	"Job runs on": {
		do: func(w *world) {
			name := *w.task(1, "load").ExecutionName
			w.jobs[name].Status.Conditions = nil
			w.now = w.now.Add(moveGrace + time.Second)
		},
		want: []Kind{JobRunsOn}, repaired: true, wantJobs: -1,
	},
	"launched twice": {
		do: func(w *world) {
			t := w.task(1, "load")
			w.note("delete", *t.ExecutionName, 200, nil)
			w.sql("UPDATE task_executions SET job_uid = ? WHERE id = ?", w.create(*t.ExecutionName, labels(t)).UID, t.ID)
		},
		want: []Kind{LaunchedTwice}, what: "created 2 times",
	},
	"creation not in the log": {
		do: func(w *world) {
			name := *w.task(1, "b").ExecutionName
			w.audit = without(w.audit, name)
			delete(w.jobs, name)
		},
		want: []Kind{CreateMissing}, what: "has no creation of it",
	},
}

// Each kind of drift is found, and told; what can be repaired is, once and for all.
func TestDrift(t *testing.T) {
	t.Parallel()
	for name, tc := range drifts {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, w *world) {
				w.run(w.start(all, "{}"), well)
				w.run(w.start(all, "{}"), nil)
				tc.do(w)
				before, jobs := checksum(w), len(w.jobs)
				r := w.verify()
				if got := kinds(r); !slices.Equal(got, tc.want) {
					t.Fatalf("found %v, want %v: %+v", got, tc.want, r.Findings)
				}
				if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return strings.Contains(f.What, tc.what) }) {
					t.Errorf("found %+v, want %q", r.Findings, tc.what)
				}
				if r.Left() != len(r.Findings) || checksum(w) != before || len(w.jobs) != jobs {
					t.Error("it was changed without being asked to be")
				}
				r = w.verify(repairing)
				if repaired := r.Left() < len(r.Findings); repaired != tc.repaired {
					t.Fatalf("repaired: %t, want %t: %+v", repaired, tc.repaired, r.Findings)
				}
				if !tc.repaired && checksum(w) != before || len(w.jobs) != jobs+tc.wantJobs {
					t.Errorf("the repair changed what it should not: %d Jobs, had %d", len(w.jobs), jobs)
				}
				left := r.Left()
				if r = w.verify(); len(r.Findings) > left && !slices.Contains(kinds(r), JobGone) {
					t.Errorf("after the repair found %+v", r.Findings)
				}
			})
		})
	}
}

// What is found about events is told of the task that they are of. Rows are only to be
// believed if nothing is found about them.
func TestEventsAdvice(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		do    string
		want  []Kind // of events
		tasks int    // of these, those of the task
		say   string
	}{
		"an event deleted":  {"DELETE FROM execution_events WHERE type = 'TaskFailed'", []Kind{EventMissing}, 1, "believe the rows"},
		"an event inserted": {"INSERT INTO execution_events (workflow_execution_id, task_execution_id, at, type, actor) SELECT 1, 1, at, 'TaskSucceeded', 'x' FROM execution_events WHERE id = 1", []Kind{EventUnexpected}, 1, "believe the rows"},
		"a row changed":     {"UPDATE workflow_executions SET status = 2, error_msg = '' WHERE id = 1", []Kind{EventMissing, EventUnexpected}, 0, "the events have what happened"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sqlite(t))
			w.run(w.start(all, "{}"), ill("extract"))
			w.run(w.start(all, "{}"), well)
			w.sql("DELETE FROM execution_events WHERE type = 'ExecutionStarted' AND workflow_execution_id = 2") // another's
			w.sql(tc.do)
			var kinds []Kind
			tasks := 0
			for _, f := range w.verify().Findings {
				if !slices.Contains(aboutEvents, f.Kind) {
					continue
				}
				say := tc.say
				if f.ExecutionID == 2 {
					say = "believe the rows"
				} else {
					kinds = append(kinds, f.Kind)
				}
				if f.TaskID == 1 {
					tasks++
				}
				if !strings.Contains(f.Do, say) {
					t.Errorf("%s of execution %d: %s, want %s", f.Kind, f.ExecutionID, f.Do, say)
				}
			}
			if !slices.Equal(kinds, tc.want) || tasks != tc.tasks {
				t.Errorf("found %v, %d of the task; want %v, %d", kinds, tasks, tc.want, tc.tasks)
			}
		})
	}
}

// Every kind is found by a test, has advice, and is documented.
func TestKinds(t *testing.T) {
	t.Parallel()
	found := map[Kind]bool{CheckPanicked: true} // TestPanic
	for _, tc := range drifts {
		for _, k := range tc.want {
			found[k] = true
		}
	}
	docs, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for k, a := range advices() {
		if !found[k] || a.why == "" || a.do == "" || !strings.Contains(string(docs), "`"+string(k)+"`") {
			t.Errorf("%s: found by a test: %t; it has to have advice, and to be in docs/operations.md", k, found[k])
		}
		delete(found, k)
	}
	if len(found) > 0 {
		t.Errorf("no advice for %v", found)
	}
}

// What is so only for a moment is not reported.
func TestSecondLook(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.run(w.start(all, "{}"), well)
		w.run(w.start(all, "{}"), nil)
		name := *w.task(2, "extract").ExecutionName
		j := w.jobs[name]
		delete(w.jobs, name)
		for _, orphan := range []string{"gone", "going", "another's"} {
			w.create(orphan, labels(&dao.TaskExecution{ID: 999, WorkflowExecutionID: 999, Attempt: 1}))
			w.audit = w.audit[:len(w.audit)-1]
		}
		w.meanwhile = func() {
			w.jobs[name] = j
			delete(w.jobs, "gone")
			at := metav1.NewTime(w.now)
			w.jobs["going"].DeletionTimestamp = &at
			w.jobs["another's"].Labels[kube.LabelInstallation] = "i2"
		}
		if r := w.verify(); len(r.Findings) > 0 {
			t.Errorf("found %+v", r.Findings)
		}
	})
}

// New executions that wait while all managers hold what they may are not drift, nor
// is a task that waits for its turn.
func TestWaiting(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.run(w.start(all, "{}"), nil)
		w.start(all, "{}")
		delete(w.jobs, *w.task(1, "extract").ExecutionName)
		w.sql("UPDATE task_executions SET job_uid = NULL, slot = 0 WHERE workflow_execution_id = 1")
		w.now = w.now.Add(8 * time.Minute) // the lease is for 10
		if r := w.verify(); len(r.Findings) > 0 {
			t.Errorf("found %+v", r.Findings)
		}
	})
}

// A repair is in the history of the execution.
func TestRepairIsNoted(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.run(w.start(all, "{}"), well)
		w.run(w.start(all, "{}"), nil)
		w.create("copy", labels(w.task(2, "extract")))
		w.release()
		w.sql("UPDATE workflow_executions SET wake_at = ? WHERE id = 2", w.now.AddDate(1, 0, 0))
		w.verify(repairing)
		events, err := w.Events(t.Context(), 2, 0, 100)
		w.must(err)
		var got []string
		for _, e := range events {
			if e.Actor == "verify by test" {
				got = append(got, string(e.Type)+" "+e.TaskName)
			}
		}
		slices.Sort(got)
		if want := []string{"ExecutionWoken ", "JobDeleted extract"}; !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		e, err := w.Execution(t.Context(), 2)
		w.must(err)
		if !e.WakeAt.Equal(w.now) {
			t.Errorf("it is woken at %s, want %s", e.WakeAt, w.now)
		}
	})
}

// A panic over one execution keeps no other from being checked.
func TestPanic(t *testing.T) {
	t.Parallel()
	l := New(Config{}, nil, nil, nil).newLook()
	if err := l.execution(t.Context(), &dao.History{Tasks: []*dao.TaskExecution{nil}}); err != nil || l.findings[0].Kind != CheckPanicked {
		t.Errorf("%v, %+v", err, l.findings)
	}
}

// What agrees is told whatever is found of others, and what was not played again by why.
func TestProof(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sqlite(t))
	w.run(w.start(all, "{}"), well)
	w.run(w.start(all, "{}"), well)
	w.run(w.start(all, "{}"), well)
	w.abort(w.start(all, "{}"), "InternalError")
	w.start(all, "{}")
	w.sql("UPDATE task_executions SET output = '{}' WHERE workflow_execution_id = 1 AND task_name = 'a2'")
	w.sql("DELETE FROM execution_events WHERE workflow_execution_id = 2 AND type = 'ExecutionSucceeded'")
	r := w.verify()
	if got := kinds(r); !slices.Equal(got, []Kind{EventMissing, TaskDiffers}) {
		t.Fatalf("found %+v", r.Findings)
	}
	if want := "2 of 5 executions (18 tasks), played again by their definitions"; !strings.HasPrefix(r.Proved[0], want) {
		t.Errorf("proved %q, want %s", r.Proved, want)
	}
	for _, want := range []string{"1 execution has not begun", "1 execution was not played again: "} {
		if !slices.ContainsFunc(r.Unchecked, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("not checked: %q, want %s", r.Unchecked, want)
		}
	}
}

// away is an API server that does not answer.
type away struct{ Jobs }

func (away) EachJob(context.Context, uint64, func(*batchv1.Job)) error { return errors.New("refused") }
func (away) Get(context.Context, string) (*batchv1.Job, error)         { return nil, errors.New("refused") }

// Without the API server, what can be done without it is told.
func TestAPIServerAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sqlite(t))
	w.run(w.start(all, "{}"), nil)
	for name, cfg := range map[string]Config{
		"list": {Installation: installation, Namespace: namespace}, "read": {Namespace: namespace},
	} {
		cfg.Now = func() time.Time { return w.now }
		if _, err := New(cfg, w.Store, w.Store, away{}).Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "refused (--rows-only ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoSuchExecution(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		_, err := New(Config{ExecutionID: 7}, w.Store, w.Store, nil).Run(t.Context(), nil)
		if err == nil || !strings.Contains(err.Error(), "there is no execution 7") {
			t.Errorf("%v", err)
		}
	})
}

// replica is a database that takes no writes.
type replica struct{ Repairs }

func (replica) Ping(context.Context) error { return dao.ErrReadOnly }

// Nothing is repaired by the rows of a replica, which may lag behind the Jobs.
func TestNoRepairByAReplica(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		cfg := Config{}
		repairing(&cfg)
		_, err := New(cfg, w.Store, replica{w.Store}, nil).Run(t.Context(), nil)
		if !errors.Is(err, dao.ErrReadOnly) || !strings.Contains(err.Error(), "which db.host has to name") {
			t.Errorf("got %v", err)
		}
		if _, err := New(Config{}, w.Store, replica{w.Store}, nil).Run(t.Context(), nil); err != nil {
			t.Errorf("without repairs: %v", err)
		}
	})
}
