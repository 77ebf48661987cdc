package manager

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang/mock/gomock"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// fanned is a manager that holds an execution of many Jobs at once.
type fanned struct {
	*mocked
	looked []string // whose Jobs were looked at, since it was emptied
}

// newFanned has all Jobs run, or with launch none be created yet.
func newFanned(t *testing.T, n int, launch bool) *fanned {
	t.Helper()
	f := &fanned{mocked: newMocked(t)}
	owner, version := "m1", uint64(1)
	at := f.now
	f.store.EXPECT().Execution(gomock.Any(), uint64(1)).Return(dao.WorkflowExecution{
		ID: 1, Status: dao.ExecutionRunning, StartedAt: &at, WorkflowVersionID: &version, WorkflowName: "w", Input: "{}", Output: "{}", LeaseOwner: &owner, LeaseEpoch: 1,
	}, nil)
	rows := []*dao.TaskExecution{{ID: 1, WorkflowExecutionID: 1, TaskName: "fan", TaskType: "parallel", Attempt: 1, StartedAt: at}}
	var sets []string
	for i := range uint32(n) {
		name := fmt.Sprint("t", i)
		sets = append(sets, fmt.Sprintf(`[{"name": %q, "type": "kube-job", "job": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "x"}]}}}}}]`, name))
		row := &dao.TaskExecution{ID: uint64(i) + 2, WorkflowExecutionID: 1, ParentTaskExecutionID: new(uint64(1)), SetIndex: &i, TaskName: name, TaskType: "kube-job",
			Attempt: 1, ExecutionName: &name, Namespace: "ns", StartedAt: at}
		if !launch {
			row.JobUID = new("u" + name)
		}
		rows = append(rows, row)
	}
	f.cfg.Namespace = "ns"
	f.store.EXPECT().Tasks(gomock.Any(), uint64(1)).Return(rows, nil)
	f.store.EXPECT().WorkflowVersion(gomock.Any(), version).Return(dao.WorkflowVersion{Version: 1,
		Definition: `{"name": "w", "tasks": [{"name": "fan", "type": "parallel", "task-sets": [` + strings.Join(sets, ",") + `]}]}`}, nil)
	f.jobs.EXPECT().Cached(gomock.Any()).AnyTimes().DoAndReturn(func(name string) *batchv1.Job {
		f.looked = append(f.looked, name)
		if launch {
			return nil
		}
		return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("u" + name)}}
	})
	return f
}

// tell tells of a change of a task's Job.
func (f *fanned) tell(taskID uint64) {
	f.changed(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{kube.LabelExecutionID: "1", kube.LabelTaskID: strconv.FormatUint(taskID, 10)}}})
}

// What an event costs does not go with how many tasks there are; a poll looks at all.
func TestEventsAreOfTheirTasks(t *testing.T) {
	t.Parallel()
	f := newFanned(t, 50, false)
	steps := []struct {
		name string
		do   func()
		want int
	}{
		{"the first pass", func() {}, 50},
		{"two events", func() { f.tell(7); f.tell(9); f.tell(7) }, 2},
		{"one of no running task", func() { f.tell(777) }, 0},
		{"a poll", func() { f.queueHeld() }, 50},
		{"a poll and an event", func() { f.tell(7); f.queueHeld(); f.tell(8) }, 50},
		{"an event that the pass before has taken up", func() { f.queue.add(1) }, 0},
		{"a claim of what is held", func() { f.hold(f.held[1].lease) }, 50},
		{"an event, and one while it is withdrawn in vain", func() {
			f.queue.tryTake(trusted)
			f.tell(7)
			if f.withdraw(f.held[1]) {
				t.Error("what a worker has in hand is withdrawn")
			}
		}, 50},
	}
	for _, s := range steps {
		f.looked = nil
		s.do()
		f.Manager.reconcile(t.Context(), 1)
		if len(f.looked) != s.want {
			t.Errorf("%s: %d Jobs are looked at, want %d", s.name, len(f.looked), s.want)
		}
	}
}

// The Jobs of a wide parallel are launched by several passes, each of them once.
func TestLaunchesOfAWideParallel(t *testing.T) {
	t.Parallel()
	const n = 2*launchesPerPass + 50
	f := newFanned(t, n, true)
	created := make(chan string, n)
	f.jobs.EXPECT().Create(gomock.Any(), gomock.Any()).Times(n).DoAndReturn(func(_ context.Context, job *batchv1.Job) (*batchv1.Job, error) {
		created <- job.Name
		job = job.DeepCopy()
		job.UID = types.UID("u" + job.Name)
		return job, nil
	})
	f.jobs.EXPECT().Get(gomock.Any(), gomock.Any()).AnyTimes().DoAndReturn(func(_ context.Context, name string) (*batchv1.Job, error) {
		return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("u" + name)}}, nil
	})
	f.store.EXPECT().MarkLaunched(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).Times(n).Return(nil)
	for i, want := range []int{launchesPerPass, 2 * launchesPerPass, n, n} {
		f.tell(2 + n - 1) // whose Job is among the last
		f.now = f.now.Add(time.Second)
		f.Manager.reconcile(t.Context(), 1)
		if len(created) != want {
			t.Fatalf("%d Jobs are launched by %d passes, want %d", len(created), i+1, want)
		}
	}
	close(created)
	var names []string
	for name := range created {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != n {
		t.Error("a Job was launched twice")
	}
}
