package manager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang/mock/gomock"
	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/engine"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// indexed is a task "a", each of whose indexes notes that it ran, then does what
// script says.
func (w *world) indexed(next string, completions int, spec, script string) string {
	job := w.job("a", next, fmt.Sprintf(`[ "$JOBNETES_INDEX" = "$JOB_COMPLETION_INDEX" ] || exit 9; mktemp %s/a-$JOBNETES_INDEX.XXXXXXXX >/dev/null; %s`, w.ran, script))
	return strings.Replace(job, `"job": {"spec": {"backoffLimit": 0`, fmt.Sprintf(`"indexed": true, "job": {"spec": {%s"completions": %d`, spec, completions), 1)
}

// Each index runs once, and the next task has their outputs in their order: what was
// recorded, else what a pod has left, else {}.
func TestIndexedTask(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		run(t, w.manager(t, "m1"))
		const script = `case $JOBNETES_INDEX in 1) while ! test -e %s/go; do sleep 0.05; done;; 2) exit 0;; esac; echo "{\"i\": $JOBNETES_INDEX}" >$JOBNETES_OUTPUT`
		id := w.start(t, workflow(w.indexed("b", 4, `"parallelism": 3, `, fmt.Sprintf(script, w.ran)), w.job("b", "", `echo "{\"got\": $JOBNETES_INPUT}" >$JOBNETES_OUTPUT`)), "{}")
		a := w.task(t, id, "a")
		if a.IndexCount == nil || *a.IndexCount != 4 {
			t.Fatalf("the task has %v indexes", a.IndexCount)
		}
		if err := w.RecordIndexOutput(t.Context(), a.ID, 1, `"recorded"`, time.Now()); err != nil {
			t.Fatal(err)
		}
		await(t, "what the others have left", func() bool {
			n, err := w.Indexes(t.Context(), a.ID)
			return err == nil && n.Succeeded == 3 // while the Job runs
		})
		touch(t, w.ran+"/go")
		e := w.ended(t, id)
		var output struct{ Got []any }
		if err := json.Unmarshal([]byte(e.Output), &output); err != nil {
			t.Fatalf("%s: %s %s: %v", e.Status, e.ErrorMsg, e.Output, err)
		}
		want := []any{map[string]any{"i": 0.0}, "recorded", map[string]any{}, map[string]any{"i": 3.0}}
		if diff := cmp.Diff(want, output.Got); diff != "" {
			t.Errorf("b's input (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]int{"a": 4, "a-0": 1, "a-1": 1, "a-2": 1, "a-3": 1, "b": 1, "go": 1}, w.runs(t)); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
	})
}

// One index's failure lets the others go on; then the task fails, and says which.
func TestIndexedTaskFails(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		run(t, w.manager(t, "m1"))
		id := w.start(t, workflow(w.indexed("", 3, `"parallelism": 1, "backoffLimitPerIndex": 0, `, `test $JOBNETES_INDEX != 0 || { echo no luck; exit 4; }`)), "{}")
		e, a := w.ended(t, id), w.task(t, id, "a")
		if a.ErrorReason != batchv1.JobReasonFailedIndexes || !strings.Contains(a.ErrorMsg, "1 of 3 indexes failed (0): pod ") || !strings.Contains(a.ErrorMsg, "container c exited with code 4") {
			t.Errorf("%s: %s: %s", e.Status, a.ErrorReason, a.ErrorMsg)
		}
		if n, err := w.Indexes(t.Context(), a.ID); err != nil || n.Succeeded != 2 {
			t.Errorf("the database has %+v, %v; want that two have succeeded", n, err)
		}
	})
}

// An index is tried again, by itself, as often as backoffLimitPerIndex says.
func TestIndexIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newLocal(t) // a cluster waits 10 s before
	run(t, w.manager(t, "m1"))
	id := w.start(t, workflow(w.indexed("", 3, `"backoffLimitPerIndex": 2, `, fmt.Sprintf(`test $(ls %s | grep -c "^a-1\.") -ge 3 || test $JOBNETES_INDEX != 1`, w.ran))), "{}")
	if e := w.ended(t, id); e.Status != dao.ExecutionSuccess || e.Output != "[]" {
		t.Errorf("%s: %s, output %s", e.Status, e.ErrorMsg, e.Output)
	}
	if diff := cmp.Diff(map[string]int{"a": 5, "a-0": 1, "a-1": 3, "a-2": 1}, w.runs(t)); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}

// indexPod is a pod that has succeeded with an index, and left a message.
func indexPod(index int, message string) corev1.Pod {
	p := podOf(time.Time{}, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: message}})
	p.Status.Phase = corev1.PodSucceeded
	p.Labels = map[string]string{batchv1.ControllerUidLabel: "u1"}
	p.Annotations = map[string]string{batchv1.JobCompletionIndexAnnotation: strconv.Itoa(index)}
	return p
}

// launchedIndexed is launched of an indexed task; the watch tells of the pods that
// are in told.
func launchedIndexed(t *testing.T, count uint32, told *[]corev1.Pod) (m *mocked, job **batchv1.Job) {
	t.Helper()
	m, job = launched(t)
	for _, row := range m.held[1].x.RunningJobs() {
		row.IndexCount = &count
	}
	m.jobs.EXPECT().SucceededIndexes(types.UID("u1"), count).AnyTimes().DoAndReturn(func(types.UID, uint32) []corev1.Pod {
		pods := *told
		*told = nil
		return pods
	})
	*job = runningJob(m.now)
	return m, job
}

// keeps expects indexes to be written.
func (m *mocked) keeps(t *testing.T, last bool, want ...dao.IndexOutput) *gomock.Call {
	t.Helper()
	return m.store.EXPECT().KeepIndexes(gomock.Any(), gomock.Any(), uint64(5), gomock.Any(), last, gomock.Any()).
		DoAndReturn(func(_ context.Context, _ dao.Lease, _ uint64, got []dao.IndexOutput, _ bool, _ time.Time) error {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
			return nil
		})
}

// Outputs are written together: when there are many, or the first has waited.
func TestOutputsOfIndexesAreWrittenTogether(t *testing.T) {
	t.Parallel()
	var told []corev1.Pod
	m, _ := launchedIndexed(t, 2*kube.IndexBatch, &told)
	m.reconcile(t.Context(), 1) // nothing is told: nothing is done
	told = []corev1.Pod{indexPod(3, `{"x":1}`)}
	m.reconcile(t.Context(), 1)
	m.now = m.now.Add(indexPause / 2)
	told = []corev1.Pod{indexPod(1, "no JSON")}
	m.reconcile(t.Context(), 1)
	m.keeps(t, false, dao.IndexOutput{Index: 3, Output: `{"x":1}`}, dao.IndexOutput{Index: 1, Output: "{}"})
	m.now = m.now.Add(indexPause / 2)
	m.reconcile(t.Context(), 1)
	m.reconcile(t.Context(), 1) // they are written
	var want []dao.IndexOutput
	for i := range kube.IndexBatch {
		told = append(told, indexPod(i, ""))
		want = append(want, dao.IndexOutput{Index: uint32(i), Output: "{}"})
	}
	m.keeps(t, false, want...)
	m.reconcile(t.Context(), 1)
}

// What a write that failed has not written the next one does.
func TestOutputsOfIndexesThatCouldNotBeWritten(t *testing.T) {
	t.Parallel()
	told := []corev1.Pod{indexPod(0, "")}
	m, _ := launchedIndexed(t, 2, &told)
	m.reconcile(t.Context(), 1)
	m.now = m.now.Add(indexPause)
	m.keeps(t, false, dao.IndexOutput{Output: "{}"}).Return(dao.ErrUnavailable)
	m.reconcile(t.Context(), 1)
	told = []corev1.Pod{indexPod(1, "")}
	m.now = m.now.Add(time.Minute)
	m.keeps(t, false, dao.IndexOutput{Output: "{}"}, dao.IndexOutput{Index: 1, Output: "{}"})
	m.reconcile(t.Context(), 1)
}

func TestEndOfAnIndexedTask(t *testing.T) {
	t.Parallel()
	large := dao.IndexOutput{Index: 1, Output: `"` + strings.Repeat("x", engine.MaxParallelOutput) + `"`}
	cases := map[string]struct {
		before, after  dao.Indexes    // what the database has
		listed         [][]corev1.Pod // nil: nothing is asked
		keeps          [][]dao.IndexOutput
		outputs        []dao.IndexOutput
		output, reason string
		message        string
	}{
		"all told":  {before: dao.Indexes{Succeeded: 3, Outputs: 3, Bytes: 9}, outputs: []dao.IndexOutput{{Index: 0, Output: `1`}, {Index: 2, Output: `"2"`}}, output: `[1,{},"2"]`},
		"no output": {before: dao.Indexes{Succeeded: 3, Outputs: 3, Bytes: 6}, outputs: []dao.IndexOutput{{Index: 0, Output: "{}"}, {Index: 1, Output: "{}"}, {Index: 2, Output: "{}"}}, output: "[]"},
		"one was missed": {
			before: dao.Indexes{Succeeded: 2, Outputs: 2}, after: dao.Indexes{Succeeded: 3, Outputs: 3},
			listed:  [][]corev1.Pod{{indexPod(0, ""), indexPod(7, "")}, {stranger(indexPod(2, ""))}, {indexPod(1, `{"a":1}`), indexPod(2, "text")}},
			keeps:   [][]dao.IndexOutput{{{Index: 0, Output: "{}"}}, {{Index: 1, Output: `{"a":1}`}, {Index: 2, Output: "{}"}}},
			outputs: []dao.IndexOutput{{Index: 0, Output: "{}"}, {Index: 1, Output: `{"a":1}`}, {Index: 2, Output: "{}"}},
			output:  `[{},{"a":1},{}]`, message: "no output was taken: 1 of 3 indexes (2): container c of pod w-a-5-1-abcde left a termination message that is not a JSON object",
		},
		"pods are gone": {
			before: dao.Indexes{Succeeded: 1, Outputs: 1}, after: dao.Indexes{Succeeded: 1, Outputs: 1}, listed: [][]corev1.Pod{{}},
			outputs: []dao.IndexOutput{{Index: 0, Output: "1"}}, output: "[1,{},{}]", message: "no output was taken: the pods of 2 indexes were gone",
		},
		"too large":          {before: dao.Indexes{Succeeded: 3, Outputs: 1, Bytes: int64(len(large.Output))}, reason: engine.OutputTooLarge, message: "the outputs of the 3 indexes have 2097162 bytes together"},
		"inserted by SQL":    {before: dao.Indexes{Succeeded: 3, Outputs: 1}, outputs: []dao.IndexOutput{{Index: 3, Output: "1"}}, output: "[]"},
		"as large as it may": {before: dao.Indexes{Succeeded: 3, Outputs: 1, Bytes: engine.MaxParallelOutput - 8}, outputs: []dao.IndexOutput{{Index: 0, Output: "1"}}, output: "[1,{},{}]"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told []corev1.Pod
			m, job := launchedIndexed(t, 3, &told)
			*job = withConditions(*job, batchv1.JobComplete)
			(*job).Status.Succeeded = 3
			calls := []*gomock.Call{m.keeps(t, true), m.store.EXPECT().Indexes(gomock.Any(), uint64(5)).Return(tc.before, nil)}
			if tc.listed != nil {
				for i, pods := range tc.listed {
					from, next := strconv.Itoa(i), strconv.Itoa(i+1)
					if i == 0 {
						from = ""
					}
					if i+1 == len(tc.listed) {
						next = ""
					}
					calls = append(calls, m.jobs.EXPECT().SucceededPods(gomock.Any(), "w-a-5-1", from).Return(pods, next, nil))
				}
				for _, k := range tc.keeps {
					m.keeps(t, true, k...).After(calls[1])
				}
				calls = append(calls, m.store.EXPECT().Indexes(gomock.Any(), uint64(5)).Return(tc.after, nil))
			}
			if tc.reason == "" {
				calls = append(calls, m.store.EXPECT().IndexOutputs(gomock.Any(), uint64(5)).Return(tc.outputs, nil))
			}
			gomock.InOrder(calls...)
			m.store.EXPECT().Commit(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).
				DoAndReturn(func(_ context.Context, _ dao.Lease, _ *dao.WorkflowExecution, ts []dao.Transition, _ time.Time) error {
					task, message := ts[0].Task, ts[0].Message
					if tc.reason == "" && (task.Status != dao.TaskSuccess || task.Output != tc.output) {
						t.Errorf("the task is %s with the output %.100s, want %.100s", task.Status, task.Output, tc.output)
					}
					if tc.reason != "" {
						message = task.ErrorMsg
					}
					if task.ErrorReason != tc.reason || !strings.HasPrefix(message, tc.message) || (tc.message == "") != (message == "") {
						t.Errorf("reason %q, message %q; want %q, %q", task.ErrorReason, message, tc.reason, tc.message)
					}
					return nil
				})
			m.reconcile(t.Context(), 1)
		})
	}
}

// stranger makes a pod another Job's.
func stranger(p corev1.Pod) corev1.Pod {
	p.Labels = map[string]string{batchv1.ControllerUidLabel: "u2"}
	return p
}

// That the database could not be asked says nothing of pods.
func TestIndexesThatCannotBeCounted(t *testing.T) {
	t.Parallel()
	var told []corev1.Pod
	m, job := launchedIndexed(t, 3, &told)
	*job = withConditions(*job, batchv1.JobComplete)
	(*job).Status.Succeeded = 3
	m.store.EXPECT().KeepIndexes(gomock.Any(), gomock.Any(), uint64(5), gomock.Any(), true, gomock.Any()).AnyTimes().Return(nil)
	m.jobs.EXPECT().SucceededPods(gomock.Any(), "w-a-5-1", "").Return([]corev1.Pod{indexPod(0, "")}, "", nil)
	gomock.InOrder(
		m.store.EXPECT().Indexes(gomock.Any(), uint64(5)).Return(dao.Indexes{Succeeded: 2}, nil),
		m.store.EXPECT().Indexes(gomock.Any(), uint64(5)).Return(dao.Indexes{}, errors.New("the database is away")),
		m.store.EXPECT().Indexes(gomock.Any(), uint64(5)).Return(dao.Indexes{Succeeded: 3}, nil),
	)
	m.store.EXPECT().IndexOutputs(gomock.Any(), uint64(5)).Return(nil, nil)
	m.store.EXPECT().Commit(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).
		DoAndReturn(func(_ context.Context, _ dao.Lease, _ *dao.WorkflowExecution, ts []dao.Transition, _ time.Time) error {
			if ts[0].Message != "" {
				t.Errorf("the event says %q, though no pod was gone", ts[0].Message)
			}
			return nil
		})
	m.reconcile(t.Context(), 1)
	m.now = m.now.Add(time.Minute)
	m.reconcile(t.Context(), 1)
}

// A list that a pass has no time to end the next one goes on with; one that began too
// long ago begins anew.
func TestListOfIndexesGoesOn(t *testing.T) {
	t.Parallel()
	var told []corev1.Pod
	m, job := launchedIndexed(t, 3, &told)
	*job = withConditions(*job, batchv1.JobComplete)
	(*job).Status.Succeeded = 3
	m.store.EXPECT().Indexes(gomock.Any(), uint64(5)).Times(3).Return(dao.Indexes{}, nil)
	m.store.EXPECT().KeepIndexes(gomock.Any(), gomock.Any(), uint64(5), gomock.Any(), true, gomock.Any()).AnyTimes().Return(nil)
	list := func(from, next string, err error) *gomock.Call {
		return m.jobs.EXPECT().SucceededPods(gomock.Any(), "w-a-5-1", from).Return([]corev1.Pod{indexPod(0, "")}, next, err)
	}
	gomock.InOrder(
		list("", "1", nil), list("1", "", context.DeadlineExceeded),
		list("1", "2", nil), list("2", "", apierrors.NewResourceExpired("too old")),
		list("", "", context.DeadlineExceeded),
	)
	for range 3 {
		m.reconcile(t.Context(), 1)
		m.now = m.now.Add(time.Minute)
	}
}

// More pages than one pass lists are no error: the next pass, which is queued at once,
// goes on.
func TestListOfManyIndexes(t *testing.T) {
	t.Parallel()
	var told []corev1.Pod
	m, job := launchedIndexed(t, 3, &told)
	*job = withConditions(*job, batchv1.JobComplete)
	(*job).Status.Succeeded = 3
	m.store.EXPECT().KeepIndexes(gomock.Any(), gomock.Any(), uint64(5), gomock.Any(), true, gomock.Any()).AnyTimes().Return(nil)
	m.store.EXPECT().Indexes(gomock.Any(), uint64(5)).Times(2).Return(dao.Indexes{}, nil)
	var calls []*gomock.Call
	for i := range listPages + 1 {
		from, next := strconv.Itoa(i), strconv.Itoa(i+1)
		switch i {
		case 0:
			from = ""
		case listPages:
			next = ""
		}
		calls = append(calls, m.jobs.EXPECT().SucceededPods(gomock.Any(), "w-a-5-1", from).Return([]corev1.Pod{indexPod(0, "")}, next, nil))
	}
	gomock.InOrder(calls...)
	m.reconcile(t.Context(), 1)
	if len(m.held[1].pauses) != 0 {
		t.Error("the task is paused, as after an error")
	}
	m.store.EXPECT().Indexes(gomock.Any(), uint64(5)).Return(dao.Indexes{Succeeded: 3}, nil)
	m.store.EXPECT().IndexOutputs(gomock.Any(), uint64(5)).Return(nil, nil)
	m.store.EXPECT().Commit(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).Return(nil)
	m.Manager.reconcile(t.Context(), 1)
}

// The logs of an indexed task that succeeded are those of its pods, which are listed
// once nobody waits for it.
func TestLogsOfAnIndexedTask(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.cfg.KeptLogBytes = 100
	pods := []corev1.Pod{indexPod(0, "")}
	m.jobs.EXPECT().Pods(gomock.Any(), "w-a-5-1").Return(pods, nil)
	m.jobs.EXPECT().LogTail(gomock.Any(), pods[0].Name, "c", 100).Return([]byte("hi\n"), false, nil)
	m.store.EXPECT().KeepLogs(gomock.Any(), []dao.TaskLog{{TaskExecutionID: 5, Pod: pods[0].Name, Container: "c", Text: []byte("hi\n")}}, gomock.Any()).Return(nil)
	if err := m.keepNew(t.Context(), endedTask{taskID: 5, job: runningJob(m.now)}); err != nil {
		t.Error(err)
	}
}

// What no watch has told of the indexes is listed.
func TestIndexedTaskUntold(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		run(t, w.manager(t, "m1", func(_ *Config, _ *Store, j *Jobs) { *j = untold{*j} }))
		id := w.start(t, workflow(w.indexed("", 3, ``, `echo "{\"i\": $JOBNETES_INDEX}" >$JOBNETES_OUTPUT`)), "{}")
		if e := w.ended(t, id); e.Output != `[{"i": 0},{"i": 1},{"i": 2}]` {
			t.Errorf("%s: %s, output %s", e.Status, e.ErrorMsg, e.Output)
		}
	})
}

// untold are Jobs of whose indexes no watch tells.
type untold struct{ Jobs }

func (untold) SucceededIndexes(types.UID, uint32) []corev1.Pod { return nil }
