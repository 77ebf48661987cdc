package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// job is what is kept of a Job: there may be many.
type job struct {
	name                       string
	uid                        types.UID
	managedBy, installation    string // labels, as the next three
	execution, taskID, attempt string
	finished, deleting         bool
	ended                      time.Time
}

func newJob(j *batchv1.Job) *job {
	ended, finished := kube.EndedAt(j)
	return &job{
		name: j.Name, uid: j.UID, managedBy: j.Labels[kube.LabelManagedBy], installation: j.Labels[kube.LabelInstallation],
		execution: j.Labels[kube.LabelExecutionID], taskID: j.Labels[kube.LabelTaskID], attempt: j.Labels[kube.LabelAttempt],
		finished: finished, ended: ended, deleting: j.DeletionTimestamp != nil,
	}
}

// listJobs reads the Jobs of the installation.
func (l *look) listJobs(ctx context.Context) error {
	if l.v.jobs == nil || l.v.cfg.Installation == "" {
		return nil
	}
	err := l.v.jobs.EachJob(ctx, l.v.cfg.ExecutionID, func(j *batchv1.Job) {
		l.jobs[j.Name] = newJob(j)
		l.counts.Jobs++
	})
	if err != nil {
		return fmt.Errorf("%w (%s)", err, rowsOnly)
	}
	return nil
}

// rowsOnly is what can be done without the API server.
const rowsOnly = "--rows-only looks at the database only"

// getJobs reads single Jobs.
func (l *look) getJobs(ctx context.Context, names []string) error {
	if l.v.jobs == nil {
		return nil
	}
	for _, name := range names {
		j, err := l.v.getJob(ctx, name)
		if err != nil {
			return err
		}
		if j != nil {
			l.jobs[name] = j
		}
	}
	return nil
}

// job returns the Job of that name, nil if there is none. One that was not listed
// may be newer than the list, or have other labels.
func (l *look) job(ctx context.Context, name string) (*job, error) {
	if j := l.jobs[name]; j != nil {
		return j, nil
	}
	return l.v.getJob(ctx, name)
}

func (v *Verifier) getJob(ctx context.Context, name string) (*job, error) {
	j, err := v.jobs.Get(ctx, name)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read Job %s: %w (%s)", name, err, rowsOnly)
	default:
		return newJob(j), nil
	}
}

// jobBatch is how many Jobs one question to the database covers.
const jobBatch = 500

// checkJobs wants that each Job is a task's, and the only one of it. A Job is only
// ever created when its task's row is there, so rows are read after Jobs.
func (l *look) checkJobs(ctx context.Context) error {
	for names := range slices.Chunk(slices.Sorted(maps.Keys(l.jobs)), jobBatch) {
		var ids []uint64
		for _, name := range names {
			if id, err := strconv.ParseUint(l.jobs[name].taskID, 10, 64); err == nil {
				ids = append(ids, id)
			}
		}
		tasks, err := l.v.rows.TasksOfJobs(ctx, names, ids)
		if err != nil {
			return err
		}
		byName, byID := map[string]*dao.TaskExecution{}, map[string]*dao.TaskExecution{}
		for _, t := range tasks {
			byID[strconv.FormatUint(t.ID, 10)] = t
			if t.ExecutionName != nil {
				byName[*t.ExecutionName] = t
			}
		}
		for _, name := range names {
			if j := l.jobs[name]; !j.deleting && j.installation == l.v.cfg.Installation {
				l.checkJob(j, byName[name], byID[j.taskID])
			}
		}
	}
	return nil
}

// checkJob compares a Job with the row of the task that has its name, and that of
// the task which its label names; each may be nil.
func (l *look) checkJob(j *job, named, labelled *dao.TaskExecution) {
	switch {
	case named == nil && labelled == nil:
		l.addJob(j, nil, JobOrphan, "no task has a Job of that name, and there is no task %q, which its label names", j.taskID)
	case named == nil:
		l.addJob(j, labelled, JobDoubled, "its labels say that it is of task %d, whose Job has another name", labelled.ID)
	case named.JobUID != nil && *named.JobUID != string(j.uid):
		l.addJob(j, named, JobDoubled, "its UID is %s, and that of the task's Job is %s", j.uid, *named.JobUID)
	case j.mislabelled(named) != "":
		l.addJob(j, named, JobRelabelled, "it is the Job of task %d, and %s", named.ID, j.mislabelled(named))
	case named.Status.Ended() && named.EndedAt != nil && !j.finished && l.longAgo(*named.EndedAt, moveGrace):
		l.addJob(j, named, JobRunsOn, "its task ended at %s, and it still runs", stamp(*named.EndedAt))
	}
}

// mislabelled says which label is not what it should be.
func (j *job) mislabelled(t *dao.TaskExecution) string {
	for _, l := range []struct{ key, have, want string }{
		{kube.LabelManagedBy, j.managedBy, kube.ManagedBy},
		{kube.LabelExecutionID, j.execution, strconv.FormatUint(t.WorkflowExecutionID, 10)},
		{kube.LabelTaskID, j.taskID, strconv.FormatUint(t.ID, 10)},
		{kube.LabelAttempt, j.attempt, strconv.FormatUint(uint64(t.Attempt), 10)},
	} {
		if l.have != l.want {
			return fmt.Sprintf("its label %s is %q and should be %q", l.key, l.have, l.want)
		}
	}
	return ""
}

// addJob adds a finding about a Job; t is the task that it has to do with, or nil.
func (l *look) addJob(j *job, t *dao.TaskExecution, kind Kind, format string, args ...any) {
	f := finding(kind, fmt.Sprintf(format, args...))
	f.Job, f.UID = j.name, j.uid
	if t != nil {
		f.ExecutionID, f.TaskID = t.WorkflowExecutionID, t.ID
	}
	l.add(f)
}
