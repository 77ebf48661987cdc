package manager

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/golang/mock/gomock"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
)

// inProgress shows Jobs as if the Job controller never got to say how they ended.
type inProgress struct{ Jobs }

func (j inProgress) Cached(name string) *batchv1.Job { return unjudged(j.Jobs.Cached(name)) }

func (j inProgress) Get(ctx context.Context, name string) (*batchv1.Job, error) {
	job, err := j.Jobs.Get(ctx, name)
	return unjudged(job), err
}

func unjudged(job *batchv1.Job) *batchv1.Job {
	if job != nil {
		job = job.DeepCopy()
		job.Status = batchv1.JobStatus{Active: 1}
	}
	return job
}

// On a cluster an execution goes on at the success of each pod, with what the pod
// has left, and does not wait for the Job controller.
func TestGoesOnAtThePodsSuccess(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	run(t, w.manager(t, "m1", func(_ *Config, _ *Store, j *Jobs) { *j = inProgress{*j} }))
	id := w.start(t, workflow(w.job("a", "b", ""), w.job("b", "", output(`{"y": 2}`))), "{}")
	e := w.ended(t, id)
	if e.Status != dao.ExecutionSuccess {
		t.Fatalf("it has ended as %s: %s", e.Status, e.ErrorMsg)
	}
	var output map[string]int
	if err := json.Unmarshal([]byte(e.Output), &output); err != nil || output["y"] != 2 {
		t.Errorf("its output is %s (%v), want b's", e.Output, err)
	}
}

// What the pod has left is read from what the watch told: nothing is asked.
func TestSuccessOfAPodAsksNothing(t *testing.T) {
	t.Parallel()
	m, job := launched(t)
	*job = runningJob(m.now)
	m.reconcile(t.Context(), 1) // it runs: nothing is done
	p := podOf(m.now, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: `{"x":1}`}})
	p.Status.Phase = corev1.PodSucceeded
	m.succeeded = &p
	m.store.EXPECT().Commit(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).
		DoAndReturn(func(_ context.Context, _ dao.Lease, e *dao.WorkflowExecution, ts []dao.Transition, _ any) error {
			if e.Status != dao.ExecutionSuccess || ts[0].Type != dao.EventTaskSucceeded || ts[0].Task.Output != `{"x":1}` {
				t.Errorf("written: %s, %s with %s", e.Status, ts[0].Type, ts[0].Task.Output)
			}
			return nil
		})
	m.reconcile(t.Context(), 1) // any other call would fail the test
}

// The Job of a task that has succeeded by its pod is not taken for one that was
// left running: it comes to its end by itself, and is kept for the retention.
func TestJobThatIsAboutToBeCompleteIsKept(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	job := runningJob(m.now)
	for _, tc := range []struct {
		succeeded bool
		deletes   int
	}{{true, 0}, {false, 1}} {
		m.jobs.EXPECT().List().Return([]*batchv1.Job{job})
		m.store.EXPECT().EndedTasks(gomock.Any(), []uint64{5}).Return(map[uint64]dao.EndedTask{5: {JobName: job.Name, Succeeded: tc.succeeded}}, nil)
		m.jobs.EXPECT().Get(gomock.Any(), job.Name).Times(tc.deletes).Return(job, nil)
		m.jobs.EXPECT().Delete(gomock.Any(), job.Name, job.UID).Times(tc.deletes).Return(nil)
		m.deleteJobs(t.Context())
	}
}
