package sim

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// disturb has a fault happen that is not one call's, if one is to.
func (w *world) disturb() bool {
	k, ok := w.faults.strikes()
	if !ok {
		return false
	}
	if !w.strike(k) { // there is nobody it could happen to
		w.faults.number[k]--
		return false
	}
	return true
}

func (w *world) strike(k fault) bool {
	switch k {
	case killed, stopped, paused, watchCut, woken:
		return w.strikeManager(k)
	case dbAway:
		w.dbBack = w.now().Add(w.faults.seconds(20))
		w.trace.add(w, "the database is away")
	case apiAway:
		w.apiBack = w.now().Add(w.faults.seconds(20))
		w.trace.add(w, "the API server is away")
	case deletedJob:
		return w.deleteJob()
	case overruled:
		return w.overrule()
	case takenName:
		return w.takeName()
	case lateRecord, otherRecord:
		return w.recordAgain(k == otherRecord)
	case cancelled:
		return w.cancel()
	case endedAPI:
		return w.endAPI()
	case calledAgain:
		return w.callAgain()
	case reusedID:
		return w.reuseID()
	}
	return true
}

// strikeManager has a fault happen to one of the managers.
func (w *world) strikeManager(k fault) bool {
	alive := w.alive()
	if len(alive) == 0 {
		return false
	}
	switch p := anyOf(w.faults.details, alive); k {
	case killed:
		w.trace.add(w, p.owner, "is killed")
		w.kill(p)
	case stopped:
		w.trace.add(w, p.owner, "is told to stop")
		p.cancel()
		p.replaceAt = w.now().Add(w.faults.seconds(20))
	case paused:
		return w.pause(p)
	case watchCut:
		p.watch.connected, p.watch.queue = false, nil
		w.trace.add(w, p.owner, "has its watch cut")
	case woken:
		return w.wake(p)
	}
	return true
}

// kill ends a process as kill -9 does. Its requests are not carried out, or are,
// or will be.
func (w *world) kill(p *process) {
	w.mu.Lock()
	p.dead, p.paused = true, false
	w.mu.Unlock()
	for _, c := range w.waiting() {
		if c.process == p {
			w.abandon(c, errKilled)
		}
	}
	p.cancel()
	p.replaceAt = w.now().Add(w.faults.seconds(20))
}

// pause stops a process, mostly for longer than its lease.
func (w *world) pause(p *process) bool {
	if p.paused {
		return false
	}
	w.trace.add(w, p.owner, "stands still")
	frozen := p.now()
	w.mu.Lock()
	p.paused, p.frozen = true, frozen
	w.mu.Unlock()
	p.resumeAt = w.now().Add(lease/2 + w.faults.seconds(30))
	return true
}

func (w *world) resume(p *process) {
	w.trace.add(w, p.owner, "goes on")
	w.mu.Lock()
	defer w.mu.Unlock()
	p.paused = false
	for _, c := range w.pending {
		if c.process == p {
			c.late = false
		}
	}
}

// wake has a process told what jobapi tells: by a clock that is the same, or another.
func (w *world) wake(p *process) bool {
	if p.paused {
		return false
	}
	w.trace.add(w, p.owner, "is woken")
	if w.faults.details.IntN(4) == 0 {
		p.manager.Cancelled()
	} else {
		p.manager.Started(w.now())
	}
	return true
}

// restore has one process go on, or be replaced, whose time has come.
func (w *world) restore() bool {
	now := w.now()
	for slot, p := range w.slots {
		switch {
		case p.paused && !p.resumeAt.After(now):
			w.resume(p)
			return true
		case !p.replaceAt.IsZero() && !p.replaceAt.After(now) && p.hasExited():
			w.start(slot)
			return true
		}
	}
	return false
}

// cease ends all faults. What is under way comes within seconds.
func (w *world) cease() {
	w.trace.add(w, "the faults cease")
	w.calm, w.faults.over = true, true
	now := w.now()
	w.dbBack, w.apiBack = now, now
	for _, o := range w.orphans {
		if late := now.Add(5 * time.Second); o.due.After(late) {
			o.due = late
		}
	}
	for _, p := range w.slots {
		if p.paused {
			p.resumeAt = now
		}
		if !p.replaceAt.IsZero() {
			p.replaceAt = now
		}
	}
	for _, a := range w.apis {
		if !a.replaceAt.IsZero() {
			a.replaceAt = now
		}
	}
}

// deleteJob deletes a Job that is noted, at once or with its pods first.
func (w *world) deleteJob() bool {
	j := pick(w, w.cluster.all, func(j *job) bool {
		t := w.db.tasks[idOf(j.obj, kube.LabelTaskID)]
		noted := t != nil && (t.Status.Ended() || t.JobUID != nil && *t.JobUID == string(j.obj.UID))
		return j.phase != gone && !j.foreign && j.obj.DeletionTimestamp == nil && (noted || w.schedule.Gaps)
	})
	if j == nil {
		return false
	}
	j.cut = true
	w.touch(j.obj)
	if w.faults.details.IntN(2) == 0 {
		w.trace.add(w, "a stranger deletes", j.obj.Name, string(j.obj.UID))
		w.cluster.remove(j)
		return true
	}
	w.trace.add(w, "a stranger deletes in the foreground", j.obj.Name, string(j.obj.UID))
	w.cluster.update(j, func(obj *batchv1.Job) {
		now := metav1.NewTime(w.now())
		obj.DeletionTimestamp = &now
	})
	return true
}

// overrule has the Job controller find, once a Job's pod has succeeded, that the
// Job's deadline has passed. The task may end either way.
func (w *world) overrule() bool {
	j := pick(w, w.cluster.all, func(j *job) bool { return j.phase == exited && j.proven && !j.foreign && !j.late })
	if j == nil {
		return false
	}
	j.late = true
	w.touch(j.obj)
	w.trace.add(w, "the Job controller is about to end", j.obj.Name, "for its deadline")
	return true
}

// takeName makes another database's Job under the name of a task's.
func (w *world) takeName() bool {
	var tasks []*dao.TaskExecution
	for _, id := range w.executionIDs() {
		for _, id := range w.db.tasksOf[id] {
			tasks = append(tasks, w.db.tasks[id])
		}
	}
	t := pick(w, tasks, func(t *dao.TaskExecution) bool {
		return t.Status == dao.TaskRunning && t.ExecutionName != nil && t.JobUID == nil && w.cluster.jobs[*t.ExecutionName] == nil
	})
	if t == nil {
		return false
	}
	w.touched[t.WorkflowExecutionID] = true
	obj := kube.Build(kube.Task{
		Job: &batchv1.Job{}, Name: *t.ExecutionName, Installation: "another", TaskName: t.TaskName,
		ExecutionID: t.WorkflowExecutionID, TaskID: t.ID, Attempt: t.Attempt,
	})
	if _, err := w.cluster.create(obj, true); err != nil {
		panic(err) // the name is free
	}
	w.trace.add(w, "a stranger makes a Job named", obj.Name)
	return true
}

// recordAgain has a record of an output under way that its job has sent before;
// or another one, by which the task's output is either.
func (w *world) recordAgain(other bool) bool {
	j := pick(w, w.cluster.all, func(j *job) bool {
		return (j.plan.records || j.isIndexed()) && j.phase >= recording && j.phase != gone && !j.foreign && j.plan.kind != fails
	})
	if j == nil {
		return false
	}
	if j.isIndexed() {
		return w.recordIndexAgain(j, other)
	}
	output, task := j.plan.output, idOf(j.obj, kube.LabelTaskID)
	if other {
		output = `{"value":5,"other":true}`
		w.touch(j.obj)
	}
	w.trace.add(w, "a record is sent again for", j.obj.Name)
	w.newRecord("record again for "+j.obj.Name, recordKey{task, whole}, output, w.now().Add(w.faults.seconds(10)))
	return true
}

func (w *world) touch(obj *batchv1.Job) { w.touched[idOf(obj, kube.LabelExecutionID)] = true }

// pick returns one of those that fit, or none.
func pick[T any](w *world, all []*T, fits func(*T) bool) *T {
	var fit []*T
	for _, x := range all {
		if fits(x) {
			fit = append(fit, x)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return fit[w.faults.details.IntN(len(fit))]
}
