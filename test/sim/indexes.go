package sim

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// indexCount is how many indexes an indexed task has.
const indexCount = 3

// indexed says whether a task of a workload is.
func indexed(seed uint64, execution int, task string) bool {
	return stream(seed, fmt.Sprintf("indexed %d %s", execution, task)).IntN(4) == 0
}

// indexOutput is what an index leaves, by RecordTaskOutput or as termination message;
// nothing if it leaves nothing.
func (p plan) indexOutput(index int) string {
	if (len(p.output)+index)%4 == 0 {
		return nothing
	}
	return strings.TrimSuffix(p.output, "}") + fmt.Sprintf(`,"index":%d}`, index)
}

func (p plan) recordsIndex(index int) bool {
	return p.indexOutput(index) != nothing && (p.records == (index%2 == 0))
}

// isIndexed says whether a Job has a pod for each index.
func (j *job) isIndexed() bool { return isIndexed(j.obj) }

func isIndexed(obj *batchv1.Job) bool { return obj.Spec.CompletionMode != nil }

// createPods makes the pods that a Job has.
func (c *cluster) createPods(j *job) {
	j.pods = append(j.pods, c.pod(j, corev1.PodPending, corev1.ContainerState{}))
	for j.isIndexed() && len(j.pods) < indexCount {
		j.pods = append(j.pods, c.pod(j, corev1.PodPending, corev1.ContainerState{}))
	}
	for i := range j.pods {
		if j.isIndexed() {
			j.pods[i].Annotations = map[string]string{batchv1.JobCompletionIndexAnnotation: strconv.Itoa(i)}
		}
	}
}

// endIndex ends the pod of the next index, once that has recorded its output. It says
// whether something is left to be done.
func (c *cluster) endIndex(j *job) bool {
	index := slices.IndexFunc(j.pods, func(p corev1.Pod) bool {
		return p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
	})
	fail := j.plan.kind == fails && index == 1
	if !fail && j.plan.recordsIndex(index) && (j.record == nil || j.record.index != index) {
		c.beginRecord(j, index, j.plan.indexOutput(index))
		return true
	}
	end := &corev1.ContainerStateTerminated{Reason: "Completed", FinishedAt: metav1.NewTime(c.w.now())}
	s := &j.pods[index].Status
	s.Phase = corev1.PodSucceeded
	switch output := j.plan.indexOutput(index); {
	case fail:
		s.Phase, end.Reason, end.ExitCode = corev1.PodFailed, "Error", 1
	case output != nothing && !j.plan.recordsIndex(index):
		end.Message = output
	}
	s.ContainerStatuses[0].State = corev1.ContainerState{Terminated: end}
	if s.Phase == corev1.PodSucceeded {
		c.tell(j, event{obj: j.obj, pod: j.pods[index].DeepCopy()})
	}
	return index+1 < len(j.pods)
}

// countIndexes brings a Job's status up to date once all of its pods have ended.
func (j *job) countIndexes(s *batchv1.JobStatus) {
	if !j.isIndexed() {
		return
	}
	s.Succeeded, s.CompletedIndexes, s.FailedIndexes = indexCount, "0-2", new("")
	if j.plan.kind == fails {
		s.Succeeded, s.CompletedIndexes, s.FailedIndexes = indexCount-1, "0,2", new("1")
	}
}

// indexOutputs is what the output of an indexed task has to be once its Job has
// succeeded: what was recorded in time, and else what the pods have left.
func (w *world) indexOutputs(j *job, taskID uint64) string {
	var outputs []string
	for i := range indexCount {
		output := j.plan.indexOutput(i)
		if row := w.db.indexes[indexKey{taskID, uint32(i)}]; row.recorded {
			output = row.output
		} else if j.plan.recordsIndex(i) {
			output = nothing // it was told that its Job had ended: no success
		}
		outputs = append(outputs, output)
	}
	if !slices.ContainsFunc(outputs, func(o string) bool { return o != nothing }) {
		return "[]"
	}
	return "[" + strings.Join(outputs, ",") + "]"
}

// indexKey and indexRow are a row of task_indexes.
type indexKey struct {
	task  uint64
	index uint32
}

type indexRow struct {
	output              string
	recorded, succeeded bool
}

// index returns a row of task_indexes.
func (t *tx) index(k indexKey) indexRow {
	if row, ok := t.indexes[k]; ok {
		return row
	}
	return t.db.indexes[k]
}

// recordIndex is dao.RecordIndexOutput, which jobapi calls for a job.
func (db *database) recordIndex(taskID uint64, index uint32, data string) error {
	return db.transaction(func(t *tx) error {
		row, k := t.task(taskID), indexKey{taskID, index}
		if row == nil {
			return noTask(taskID)
		}
		if row.Status != dao.TaskRunning || row.IndexesClosed {
			return conflicting("record the output of index %d of task %d: its Job has ended", index, taskID)
		}
		t.indexes[k] = indexRow{output: data, recorded: true, succeeded: t.index(k).succeeded}
		t.recorded[recordKey{taskID, int(index)}] = data
		return nil
	})
}

// recordIndexAgain has a record of an index under way that it has sent before; or
// another one, by which the task's output is either.
func (w *world) recordIndexAgain(j *job, other bool) bool {
	var sent []int
	for i, p := range j.pods {
		if p.Status.Phase == corev1.PodSucceeded && j.plan.recordsIndex(i) {
			sent = append(sent, i)
		}
	}
	if len(sent) == 0 {
		return false
	}
	index := sent[w.faults.details.IntN(len(sent))]
	output, task := j.plan.indexOutput(index), idOf(j.obj, kube.LabelTaskID)
	if other {
		output = `{"value":5,"other":true}`
		w.touch(j.obj)
	}
	w.trace.add(w, "a record is sent again for an index of", j.obj.Name)
	w.orphans = append(w.orphans, &orphan{key: "record of an index for " + j.obj.Name, due: w.now().Add(w.faults.seconds(10)), task: task, carryOut: func() {
		_ = w.db.recordIndex(task, uint32(index), output) // a conflict if the Job has ended
	}})
	return true
}

func (s *store) KeepIndexes(ctx context.Context, l dao.Lease, taskID uint64, outputs []dao.IndexOutput, last bool, now time.Time) error {
	outputs = slices.Clone(outputs)
	return s.change(s.hold(ctx, l.ExecutionID, "KeepIndexes %d %t", taskID, last), &l, func(t *tx) error {
		row, db := t.task(taskID), s.db()
		if row == nil || !db.unfenced && !holds(t.execution(l.ExecutionID), l) || !db.unconditional && row.Status != dao.TaskRunning {
			return conflicting("keep the outputs of the indexes of task %d", taskID)
		}
		row.UpdatedAt, row.IndexesClosed = micros(now), row.IndexesClosed || last && !db.unclosed
		for _, o := range outputs {
			k := indexKey{taskID, o.Index}
			kept := t.index(k)
			if !kept.recorded && !kept.succeeded {
				kept.output = o.Output
			}
			kept.succeeded = true
			t.indexes[k] = kept
		}
		return t.saveTask(row)
	})
}

func (s *store) Indexes(ctx context.Context, taskID uint64) (dao.Indexes, error) {
	return ask(s.p, s.read(ctx, "Indexes %d", taskID), func() (n dao.Indexes, _ error) {
		for k, row := range s.db().indexes {
			if k.task != taskID {
				continue
			}
			n.Outputs++
			n.Bytes += int64(len(row.output))
			if row.succeeded {
				n.Succeeded++
			}
		}
		return n, nil
	})
}

func (s *store) IndexOutputs(ctx context.Context, taskID uint64) ([]dao.IndexOutput, error) {
	return ask(s.p, s.read(ctx, "IndexOutputs %d", taskID), func() (outputs []dao.IndexOutput, _ error) {
		for i := range uint32(indexCount) {
			if row, ok := s.db().indexes[indexKey{taskID, i}]; ok {
				outputs = append(outputs, dao.IndexOutput{Index: i, Output: row.output})
			}
		}
		s.p.w.hurryRecords(taskID)
		return outputs, nil
	})
}

// hurryRecords has records under way of a task's indexes arrive now, when its outputs
// have just been read: one that changed them would be lost.
func (w *world) hurryRecords(taskID uint64) {
	w.orphans = slices.DeleteFunc(w.orphans, func(o *orphan) bool {
		if o.task != taskID {
			return false
		}
		w.trace.add(w, o.key, "is carried out late")
		o.carryOut()
		return true
	})
}

func (k *jobs) SucceededIndexes(job types.UID, _ uint32) []corev1.Pod {
	return k.p.watch.takeIndexes(job)
}

// SucceededPods gives one pod at a time.
func (k *jobs) SucceededPods(ctx context.Context, jobName, from string) (pods []corev1.Pod, next string, err error) {
	pods, err = ask(k.p, k.request(ctx, false, "SucceededPods %s %s", jobName, from), func() (pods []corev1.Pod, _ error) {
		if j := k.p.w.cluster.jobs[jobName]; j != nil {
			for i := range j.pods {
				if j.pods[i].Status.Phase == corev1.PodSucceeded && j.pods[i].Name > from {
					pods = append(pods, *j.pods[i].DeepCopy())
				}
			}
		}
		return pods, nil
	})
	if err == nil && len(pods) > 1 {
		pods, next = pods[:1], pods[0].Name
	}
	return pods, next, err
}

// indexPods are what a watch has told of the pods of an indexed Job.
type indexPods struct {
	pods []corev1.Pod // that were not taken yet
	seen map[string]bool
}

func (v *watch) takeIndexes(job types.UID) []corev1.Pod {
	v.mu.Lock()
	defer v.mu.Unlock()
	g := v.indexes[job]
	if g == nil {
		g = &indexPods{seen: map[string]bool{}}
		v.indexes[job] = g
	}
	pods := g.pods
	g.pods = nil
	return pods
}

// seeIndex gathers a pod, if somebody has asked for those of its Job; v is locked.
func (v *watch) seeIndex(job types.UID, pod *corev1.Pod) {
	if g := v.indexes[job]; g != nil && !g.seen[pod.Name] {
		g.seen[pod.Name] = true
		g.pods = append(g.pods, *pod)
	}
}
