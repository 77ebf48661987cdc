package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
	"github.com/jobnetes/jobnetes/schema"
)

// checkTransaction looks at what is about to be committed.
func (w *world) checkTransaction(t *tx) {
	for _, id := range slices.Sorted(maps.Keys(t.leases)) {
		if l, e := t.leases[id], w.db.executions[id]; !holds(e, l) {
			w.violate("%s writes execution %d with epoch %d, but epoch %d is in force", l.Owner, id, l.Epoch, e.LeaseEpoch)
		}
	}
	w.checkSlots(t)
	var want []string
	for _, id := range slices.Sorted(maps.Keys(t.executions)) {
		if w.db.executions[id] == nil {
			want = append(want, w.checkStarted(t, t.executions[id])...)
			continue
		}
		want = append(want, w.checkExecution(t, w.db.executions[id], t.executions[id])...)
		if t.held(id) && slices.ContainsFunc(t.events, func(e dao.ExecutionEvent) bool { return e.WorkflowExecutionID == id }) {
			w.lost[id] = 0 // it gets on: a request to cancel it is no step
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.tasks)) {
		want = append(want, w.checkTask(t, w.db.tasks[id], t.tasks[id])...)
	}
	var got []string
	for _, e := range t.events {
		got = append(got, eventName(e.Type, e.WorkflowExecutionID, e.TaskExecutionID))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		w.violate("rows and events differ: the rows say %v, the events %v", want, got)
	}
}

func eventName(t dao.EventType, execution uint64, task *uint64) string {
	if task == nil {
		return fmt.Sprintf("%s of execution %d", t, execution)
	}
	return fmt.Sprintf("%s of task %d, execution %d", t, *task, execution)
}

// checkExecution returns the events that the change of a row asks for.
func (w *world) checkExecution(t *tx, before, after *dao.WorkflowExecution) (events []string) {
	if after.LeaseEpoch < before.LeaseEpoch || after.LeaseEpoch > before.LeaseEpoch+1 {
		w.violate("execution %d goes from epoch %d to %d", after.ID, before.LeaseEpoch, after.LeaseEpoch)
	}
	events = w.checkCancel(t, before, after)
	w.checkHolder(before, after)
	if before.Status == after.Status {
		return events
	}
	if strings.HasPrefix(after.ErrorMsg, "ManagersDied") {
		w.checkSuspect(after.ID)
	}
	if before.Status.Ended() || after.Status < before.Status {
		w.violate("execution %d goes back from %s to %s", after.ID, before.Status, after.Status)
	}
	if !t.held(after.ID) {
		w.violate("execution %d becomes %s without a lease", after.ID, after.Status)
	}
	started := slices.ContainsFunc(t.events, func(e dao.ExecutionEvent) bool {
		return e.WorkflowExecutionID == after.ID && e.Type == dao.EventExecutionStarted
	})
	// One that fails before it is decided on has never started.
	if before.Status == dao.ExecutionScheduled && (started || after.Status != dao.ExecutionFailed) {
		events = append(events, eventName(dao.EventExecutionStarted, after.ID, nil))
	}
	if after.Status.Ended() {
		w.checkTasksEnded(t, after.ID)
	}
	switch after.Status {
	case dao.ExecutionSuccess:
		events = append(events, eventName(dao.EventExecutionSucceeded, after.ID, nil))
	case dao.ExecutionFailed:
		events = append(events, eventName(dao.EventExecutionFailed, after.ID, nil))
	}
	return events
}

// checkTasksEnded says whether no task of an execution that ends runs.
func (w *world) checkTasksEnded(t *tx, execution uint64) {
	for _, id := range t.siblings(execution) {
		if row := t.task(id); !row.Status.Ended() {
			w.violate("execution %d ends, and its task %d (%s) runs", execution, id, row.TaskName)
		}
	}
}

// checkHolder looks at who may write from now on, and counts holders that were
// lost without having got on.
func (w *world) checkHolder(before, after *dao.WorkflowExecution) {
	if after.LeaseOwner == nil || before.LeaseOwner != nil && *before.LeaseOwner == *after.LeaseOwner {
		return
	}
	if after.LeaseEpoch == before.LeaseEpoch {
		w.violate("%s takes execution %d under the epoch of its holder before, %d", *after.LeaseOwner, after.ID, after.LeaseEpoch)
	}
	if before.LeaseOwner != nil {
		w.lost[after.ID]++
	}
}

// lostForGood is how many holders in a row an execution must have lost to be ended
// for it: three to be suspect, and three more in the midst of a pass; but for one, as
// the note that a pass is under way may be written late, after it has ended well.
const lostForGood = 5

// checkSuspect says whether an execution may be ended because of the managers that
// died: that is no passing trouble.
func (w *world) checkSuspect(id uint64) {
	if w.lost[id] < lostForGood {
		w.violate("execution %d is ended for the managers that died, and it has lost %d", id, w.lost[id])
	}
	w.touched[id] = true
}

// checkTask returns the events that the change of a row asks for; before is nil
// if the row is new.
func (w *world) checkTask(t *tx, before, after *dao.TaskExecution) (events []string) {
	if before == nil {
		events = append(events, eventName(dao.EventTaskStarted, after.WorkflowExecutionID, &after.ID))
		before = &dao.TaskExecution{}
	}
	if before.JobUID != nil && (after.JobUID == nil || *after.JobUID != *before.JobUID) {
		w.violate("task %d forgets its Job %s", after.ID, *before.JobUID)
	}
	if before.JobUID == nil && after.JobUID != nil {
		w.checkAdopted(after)
	}
	if before.Status == after.Status {
		if before.Status.Ended() && (before.Output != after.Output || before.ErrorReason != after.ErrorReason) {
			w.violate("task %d has ended, and its output or reason changes", after.ID)
		}
		return events
	}
	if before.Status.Ended() {
		w.violate("task %d goes back from %s to %s", after.ID, before.Status, after.Status)
	}
	if !t.held(after.WorkflowExecutionID) {
		w.violate("task %d becomes %s without a lease", after.ID, after.Status)
	}
	if after.TaskType == string(schema.KubeJob) {
		w.checkEnd(before, after)
	}
	if after.Status == dao.TaskSuccess {
		w.checkAcknowledged(after)
		return append(events, eventName(dao.EventTaskSucceeded, after.WorkflowExecutionID, &after.ID))
	}
	return append(events, eventName(dao.EventTaskFailed, after.WorkflowExecutionID, &after.ID))
}

// checkAdopted says whether the Job that a task takes as its own is its own.
func (w *world) checkAdopted(t *dao.TaskExecution) {
	j := w.cluster.byUID[*t.JobUID]
	switch {
	case j == nil:
		w.violate("task %d notes the Job %s, which there has never been", t.ID, *t.JobUID)
	case j.foreign:
		w.violate("task %d adopts the Job %s (%s), which is a stranger's", t.ID, j.obj.Name, *t.JobUID)
	case j.obj.Labels[kube.LabelTaskID] != fmt.Sprint(t.ID):
		w.violate("task %d adopts the Job of task %s", t.ID, j.obj.Labels[kube.LabelTaskID])
	}
}

// checkEnd compares how a task with a Job ends with what has become of the Job.
func (w *world) checkEnd(before, after *dao.TaskExecution) {
	var j *job
	if after.JobUID != nil {
		j = w.cluster.byUID[*after.JobUID]
	}
	var fair bool
	switch after.ErrorReason {
	case "":
		fair = j != nil && (j.done && !j.late || j.proven) && j.plan.kind == succeeds && (after.Output == w.output(j, before) || j.cut && (after.Output == nothing || j.isIndexed()))
	case "JobDeleted":
		fair = j != nil && j.phase == gone && j.cut
	case "JobReplaced":
		fair = slices.ContainsFunc(w.cluster.all, func(o *job) bool { return o.obj.Name == *after.ExecutionName && o != j })
	case "JobInvalid":
		fair = j == nil && w.load.plan(attempt{fmt.Sprint(after.WorkflowExecutionID), after.TaskName, "1"}).kind == invalid
	case "Aborted":
		fair = w.touched[after.WorkflowExecutionID]
	case dao.Cancelled:
		fair = w.db.executions[after.WorkflowExecutionID].CancelRequestedAt != nil
	case batchv1.JobReasonDeadlineExceeded:
		fair = j != nil && j.done && j.late
	case "ImagePullBackOff":
		fair = j != nil && j.plan.kind == stuck
	default:
		fair = j != nil && j.done && j.plan.kind == fails
	}
	if !fair {
		w.violate("task %d (%s) ends as %s %s with the output %s, and its Job says otherwise: %s", after.ID, after.TaskName, after.Status, after.ErrorReason, after.Output, j)
	}
}

// nothing is the output of a task that has none. It is also that of a Job whose
// pods a stranger deleted after it had succeeded.
const nothing = "{}"

// output is what a task's output has to be once its Job has succeeded.
func (w *world) output(j *job, t *dao.TaskExecution) string {
	switch {
	case j.isIndexed():
		return w.indexOutputs(j, t.ID)
	case t.RecordedOutput != nil:
		return *t.RecordedOutput
	case j.plan.records:
		return nothing // it was told that its task had ended: no success
	default:
		return j.plan.output
	}
}

// String says what is known of a Job.
func (j *job) String() string {
	if j == nil {
		return "there is none"
	}
	return fmt.Sprintf("%s (%s) is %s, has finished: %t, was deleted by a stranger: %t, its plan: %+v", j.obj.Name, j.obj.UID, j.phase, j.done, j.cut, j.plan)
}

// checkCreated looks at a Job that a manager has created just now.
func (w *world) checkCreated(j *job, owner string) {
	if first := w.cluster.made[j.attempt]; first != nil {
		w.violate("%s creates a second Job, %s (%s), for task %s of execution %s: the first was %s (%s)",
			owner, j.obj.Name, j.obj.UID, j.attempt.task, j.attempt.execution, first.obj.Name, first.obj.UID)
		return
	}
	w.cluster.made[j.attempt] = j
	if m := w.schedule.Mutation; m == NoName || m == NoCommitFirst {
		return // what is checked here is the safeguard itself, and it is to be seen what it is for
	}
	t := w.db.tasks[idOf(j.obj, kube.LabelTaskID)]
	switch {
	case t == nil:
		w.violate("%s creates the Job %s, whose task is not in the database", owner, j.obj.Name)
	case t.ExecutionName == nil || *t.ExecutionName != j.obj.Name:
		w.violate("%s creates the Job %s, which is not the name in the row of its task", owner, j.obj.Name)
	case t.Status.Ended() && w.epochOf(j.obj, owner) != 0:
		w.violate("%s holds the lease and creates the Job %s, whose task has ended", owner, j.obj.Name)
	}
}

// checkDeleted looks at a Job that a manager is about to delete.
func (w *world) checkDeleted(j *job, owner string) {
	if !w.taskOver(j.obj) {
		w.violate("%s deletes the Job %s, whose task has not ended", owner, j.obj.Name)
	}
}

// unfinished says what has not come to its end yet; empty if all has.
func (w *world) unfinished() string {
	var open []string
	for _, id := range w.executionIDs() {
		switch e := w.db.executions[id]; {
		case e == nil:
			open = append(open, fmt.Sprintf("execution %d has not been started", id))
		case !e.Status.Ended():
			open = append(open, fmt.Sprintf("execution %d is %s", id, e.Status))
		}
	}
	for _, j := range w.cluster.all {
		if j.foreign || !w.taskOver(j.obj) {
			continue
		}
		if t := w.db.tasks[idOf(j.obj, kube.LabelTaskID)]; j.phase < finished || j.phase != gone && t != nil && t.ErrorReason == dao.Cancelled {
			open = append(open, fmt.Sprintf("the Job %s is %s, and its task is over", j.obj.Name, j.phase))
		}
	}
	for _, e := range w.errands {
		open = append(open, e.key+" waits for its answer")
	}
	return strings.Join(open, "; ")
}

// checkEnds compares how executions have ended with the calm run, but for those
// that more than passing trouble has touched.
func (w *world) checkEnds() {
	if w.schedule.Calm {
		return
	}
	for i, got := range w.ends() {
		want := w.want[i]
		if w.touched[got.execution] || w.wasCancelled(got.execution) {
			continue
		}
		if got.status != want.status || got.output != want.output || !slices.Equal(got.tasks, want.tasks) {
			w.violate("execution %d ends with %+v, and without faults with %+v", got.execution, got, want)
		}
	}
}
