package sim

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
	"github.com/jobnetes/jobnetes/schema"
)

// limits is the limit on running Jobs of a schedule.
type limits struct {
	all, inNamespace int // 0: none
	// late says that the managers of the beginning know no limit, as those of a build
	// before it, or before it was set.
	late bool
}

func newLimits(seed uint64) limits {
	rng := stream(seed, "limits")
	var l limits
	switch n := 1 + rng.IntN(3); rng.IntN(6) {
	case 0, 1:
		l.all = n
	case 2:
		l.inNamespace = n
	}
	l.late = rng.IntN(4) == 0
	return l
}

// most is how many Jobs may run; 0: any number.
func (l limits) most() int { return max(l.all, l.inNamespace) }

// limitsOf returns the limits that the nth process of a schedule knows.
func (w *world) limitsOf(n int) limits {
	if w.limits.late && n < len(w.slots) {
		return limits{}
	}
	return w.limits
}

// waits and granted say where a task is that a limit counts.
func waits(row *dao.TaskExecution) bool {
	return row.Slot != nil && *row.Slot == dao.SlotWaiting && row.Status == dao.TaskRunning
}

func granted(row *dao.TaskExecution) bool {
	return row.Slot != nil && *row.Slot == dao.SlotGranted && row.Status == dao.TaskRunning
}

// place compares tasks by whose turn it is first.
func place(a, b *dao.TaskExecution) int {
	return cmp.Or(cmp.Compare(a.QueueRank, b.QueueRank), cmp.Compare(a.WorkflowExecutionID, b.WorkflowExecutionID), cmp.Compare(a.ID, b.ID))
}

// inTurn returns the tasks of a namespace that fit, in the order of their turns.
func (db *database) inTurn(namespace string, fits func(*dao.TaskExecution) bool) []*dao.TaskExecution {
	var rows []*dao.TaskExecution
	for _, row := range db.tasks {
		if row.Namespace == namespace && fits(row) {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, place)
	return rows
}

// free is how many slots are free.
func (db *database) free(l dao.JobLimits) int {
	all := 0
	for _, row := range db.tasks {
		if granted(row) || row.Slot == nil && row.Status == dao.TaskRunning && row.JobUID != nil {
			all++
		}
	}
	free := len(db.tasks)
	if l.All > 0 {
		free = min(free, l.All-all)
	}
	if l.InNamespace > 0 {
		free = min(free, l.InNamespace-len(db.inTurn(l.Namespace, granted)))
	}
	return max(free, 0)
}

// GrantSlots counts and grants in one transaction: the lock on its row keeps out
// every other one.
func (s *store) GrantSlots(ctx context.Context, l dao.JobLimits, now time.Time) (int, error) {
	return ask(s.p, s.write(ctx, "GrantSlots"), func() (int, error) { return s.db().grant(l, s.db().free(l), now) })
}

// grant gives so many slots to those whose turn it is.
func (db *database) grant(l dao.JobLimits, free int, now time.Time) (n int, _ error) {
	err := db.transaction(func(t *tx) error {
		for _, row := range db.inTurn(l.Namespace, waits) {
			if n == free {
				break
			}
			n++
			row = copyTask(row)
			row.Slot, row.UpdatedAt = fresh(row.Slot), micros(now)
			*row.Slot = dao.SlotGranted
			if err := t.saveTask(row); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

func (s *store) GrantedTasks(ctx context.Context, namespace string) ([]dao.Grant, error) {
	return ask(s.p, s.read(ctx, "GrantedTasks"), func() (grants []dao.Grant, _ error) {
		for _, row := range s.db().inTurn(namespace, granted) {
			if row.JobUID == nil {
				grants = append(grants, dao.Grant{TaskID: row.ID, ExecutionID: row.WorkflowExecutionID})
			}
		}
		return grants, nil
	})
}

func (s *store) TakeTasks(ctx context.Context, l dao.Lease, namespace string, limited bool, tasks int, now time.Time) error {
	return s.change(s.hold(ctx, l.ExecutionID, "TakeTasks %d", l.ExecutionID), &l, func(t *tx) error {
		e := t.execution(l.ExecutionID)
		changed := 0
		for _, id := range s.db().tasksOf[l.ExecutionID] {
			row := t.task(id)
			if row.TaskType != string(schema.KubeJob) || row.Status.Ended() || row.Elsewhere(namespace) || !row.Take(namespace, limited) {
				continue
			}
			row.QueueRank, row.UpdatedAt = -e.Priority, micros(now)
			changed++
			if err := t.saveTask(row); err != nil {
				return err
			}
		}
		if changed != tasks || !s.db().unfenced && !holds(e, l) {
			return conflicting("take up %d running tasks of execution %d", tasks, l.ExecutionID)
		}
		return nil
	})
}

func (s *store) ClaimInTurn(ctx context.Context, by dao.Claimant, due, until time.Time, ahead, limit int) ([]dao.Lease, error) {
	scheduled, err := ask(s.p, s.read(ctx, "ClaimInTurn"), func() (rows []*dao.WorkflowExecution, _ error) {
		for _, e := range s.db().scheduled() {
			rows = append(rows, copyExecution(e))
		}
		return rows, nil
	})
	if err != nil {
		return nil, err
	}
	waiting, err := ask(s.p, s.read(ctx, "ClaimInTurn: tasks"), func() (rows []*dao.TaskExecution, _ error) {
		for _, row := range s.db().inTurn(by.Namespace, waits) {
			rows = append(rows, copyTask(row))
		}
		return rows, nil
	})
	if err != nil {
		return nil, err
	}
	var found []uint64
	for i, e := range scheduled {
		first := &dao.TaskExecution{QueueRank: -e.Priority, WorkflowExecutionID: e.ID}
		before := 0
		for _, row := range waiting {
			if place(row, first) < 0 {
				before++
			}
		}
		if i+before >= ahead || len(found) == limit {
			break
		}
		if !e.WakeAt.After(micros(due)) {
			found = append(found, e.ID)
		}
	}
	return s.claimThese(ctx, by, found, due, until)
}

// scheduled returns the executions that are to begin, in the order of their turns.
func (db *database) scheduled() []*dao.WorkflowExecution {
	var found []*dao.WorkflowExecution
	for _, e := range db.executions {
		if e.Status == dao.ExecutionScheduled {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b *dao.WorkflowExecution) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.ID, b.ID))
	})
	return found
}

// checkSlots looks at the slots that tasks are about to be given.
func (w *world) checkSlots(t *tx) {
	given := 0
	var last *dao.TaskExecution // of those that are given one now
	for _, id := range slices.Sorted(maps.Keys(t.tasks)) {
		before, after := w.db.tasks[id], t.tasks[id]
		if before != nil && before.Slot != nil && (after.Slot == nil || *after.Slot < *before.Slot) {
			w.violate("task %d loses its slot, or its place among those that wait", id)
		}
		if before != nil && waits(before) && granted(after) && !t.held(after.WorkflowExecutionID) {
			given++
			if last == nil || place(after, last) > 0 {
				last = after
			}
		}
	}
	if given == 0 {
		return
	}
	n := given
	for _, id := range slices.Sorted(maps.Keys(w.db.tasks)) {
		row := w.db.tasks[id]
		if granted(row) {
			n++
		}
		if waits(row) && t.tasks[id] == nil && place(row, last) < 0 {
			w.violate("task %d gets a slot, and task %d, whose turn it is before, waits", last.ID, id)
		}
	}
	if most := w.limits.most(); n > most {
		w.violate("%d tasks have slots, and the limit is %d", n, most)
	}
}

// checkLimit looks at a Job that a manager has created just now.
func (w *world) checkLimit(j *job, p *process) {
	if w.limitsOf(p.number).most() == 0 {
		return
	}
	task := w.db.tasks[idOf(j.obj, kube.LabelTaskID)]
	if task != nil && !granted(task) && !task.Status.Ended() {
		w.violate("%s creates the Job %s, whose task has no slot", p.owner, j.obj.Name)
	}
	running := 0
	for _, j := range w.cluster.all {
		if !j.foreign && j.phase < finished && !w.taskOver(j.obj) {
			running++
		}
	}
	if most := w.limits.most(); running > most && !w.limits.late {
		w.violate("%s creates the Job %s: %d run, and the limit is %d", p.owner, j.obj.Name, running, most)
	}
}

// unlocked grants slots without keeping others from doing the same.
type unlocked struct{ *store }

func (s *unlocked) GrantSlots(ctx context.Context, l dao.JobLimits, now time.Time) (int, error) {
	free, err := ask(s.p, s.read(ctx, "GrantSlots: count"), func() (int, error) { return s.db().free(l), nil })
	if err != nil {
		return 0, fmt.Errorf("simulated: %w", err)
	}
	return ask(s.p, s.write(ctx, "GrantSlots"), func() (int, error) { return s.db().grant(l, free, now) })
}
