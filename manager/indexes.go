package manager

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/engine"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// indexPause is how long the outputs of indexes wait for others to be written with
// them.
const indexPause = 2 * time.Second

// unwritten are outputs of a task's indexes that are not in the database yet. It is
// only about work: what it has not, or is lost, is listed when the Job has ended.
type unwritten struct {
	outputs []dao.IndexOutput
	since   time.Time // when the first of them came
	notes   notes     // why outputs were not taken
	from    string    // where the list of the Job's pods goes on
}

// add takes up what pods have left.
func (u *unwritten) add(pods []corev1.Pod, now time.Time) {
	if len(u.outputs) == 0 {
		u.since = now
	}
	for i := range pods {
		if index, ok := kube.IndexOf(&pods[i]); ok {
			output, note := kube.OutputOf(&pods[i])
			u.outputs = append(u.outputs, dao.IndexOutput{Index: index, Output: cmp.Or(output, engine.NoOutput)})
			u.notes.add(index, note)
		}
	}
}

// takeUp takes up what the watch has told of the pods of an indexed task, and says
// whether it is time to write it.
func (m *Manager) takeUp(h *held, row *dao.TaskExecution, now time.Time) (due bool) {
	if row.IndexCount == nil || row.JobUID == nil {
		return false
	}
	u := h.unwrittenOf(row.ID)
	u.add(m.jobs.SucceededIndexes(types.UID(*row.JobUID), *row.IndexCount), now)
	return len(u.outputs) >= kube.IndexBatch || len(u.outputs) > 0 && !now.Before(u.since.Add(indexPause))
}

func (h *held) unwrittenOf(taskID uint64) *unwritten {
	u, _ := h.unwritten.LoadOrStore(taskID, &unwritten{})
	return u.(*unwritten)
}

// keepIndexes writes what was taken up of an indexed task; with last no index
// records any more.
func (m *Manager) keepIndexes(ctx context.Context, h *held, row *dao.TaskExecution, last bool) error {
	u := h.unwrittenOf(row.ID)
	if err := m.store.KeepIndexes(ctx, h.lease, row.ID, u.outputs, last, m.cfg.Now()); err != nil {
		return err
	}
	u.outputs = nil
	return nil
}

// closeIndexes writes what is left to be written of an indexed task whose Job has
// ended, and lists pods for it if the watch has not told of all. It returns what
// there is then; not done if the next pass is to go on.
func (m *Manager) closeIndexes(ctx context.Context, h *held, row *dao.TaskExecution, job *batchv1.Job) (n dao.Indexes, done bool, err error) {
	if err := m.keepIndexes(ctx, h, row, true); err != nil {
		return dao.Indexes{}, false, err
	}
	n, err = m.store.Indexes(ctx, row.ID)
	if err != nil || n.Succeeded >= int(job.Status.Succeeded) {
		return n, err == nil, err
	}
	if all, err := m.listIndexes(ctx, h, row, job); err != nil || !all {
		return dao.Indexes{}, false, err
	}
	n, err = m.store.Indexes(ctx, row.ID)
	return n, err == nil, err
}

// listPages is how many pages of pods a pass lists of a task: a few seconds' work, of
// the time that it has.
const listPages = 5

// listIndexes writes what the pods of an indexed task's Job have left that are there.
// If they are too many for one pass, the next one goes on, at once.
func (m *Manager) listIndexes(ctx context.Context, h *held, row *dao.TaskExecution, job *batchv1.Job) (all bool, err error) {
	u := h.unwrittenOf(row.ID)
	for range listPages {
		pods, next, err := m.jobs.SucceededPods(ctx, job.Name, u.from)
		if apierrors.IsResourceExpired(err) {
			u.from = ""
		}
		if err != nil {
			return false, err
		}
		u.add(ofJob(job, row, pods), m.cfg.Now())
		if len(u.outputs) > 0 {
			if err := m.keepIndexes(ctx, h, row, true); err != nil {
				return false, err
			}
		}
		if u.from = next; next == "" {
			return true, nil
		}
	}
	m.wakeTask(h.lease.ExecutionID, row.ID)
	return false, nil
}

// ofJob returns those pods that are the Job's own and do one of the task's indexes.
func ofJob(job *batchv1.Job, row *dao.TaskExecution, pods []corev1.Pod) (own []corev1.Pod) {
	for _, p := range pods {
		if index, ok := kube.IndexOf(&p); ok && index < *row.IndexCount && p.Labels[batchv1.ControllerUidLabel] == string(job.UID) {
			own = append(own, p)
		}
	}
	return own
}

// indexedSuccess returns that an indexed task's Job has succeeded, with the array of
// its indexes' outputs, of which n says what there is.
func (m *Manager) indexedSuccess(ctx context.Context, h *held, row *dao.TaskExecution, job *batchv1.Job, n dao.Indexes) (*observed, error) {
	count := int(*row.IndexCount)
	size := int(n.Bytes) + (count-n.Outputs)*len(engine.NoOutput) + (count-1)*len(",") + len("[]")
	if size > engine.MaxParallelOutput {
		return failed(row, engine.OutputTooLarge, fmt.Sprintf("the outputs of the %d indexes have %d bytes together, and at most %d can be passed on: let them leave references in place of data",
			count, size, engine.MaxParallelOutput)), nil
	}
	outputs, err := m.store.IndexOutputs(ctx, row.ID)
	if err != nil {
		return nil, err
	}
	note := h.unwrittenOf(row.ID).notes.of(outputs, count)
	if gone := int(job.Status.Succeeded) - n.Succeeded; gone > 0 {
		note = fmt.Sprintf("the pods of %d indexes were gone before it was read what they left in $%s", gone, kube.EnvOutput)
	}
	return &observed{job: job, note: note, Observation: engine.Observation{
		TaskID: row.ID, Succeeded: true, Output: arrayOf(outputs, count),
	}}, nil
}

// arrayOf returns the array of the outputs of count indexes; empty if none has left
// any.
func arrayOf(outputs []dao.IndexOutput, count int) string {
	all, some := make([]string, count), false
	for i := range all {
		all[i] = engine.NoOutput
	}
	for _, o := range outputs {
		if int(o.Index) < count { // not what somebody has inserted by SQL
			all[o.Index], some = o.Output, some || o.Output != engine.NoOutput
		}
	}
	if !some {
		return "[]"
	}
	return "[" + strings.Join(all, ",") + "]"
}
