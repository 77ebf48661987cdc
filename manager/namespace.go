package manager

import (
	"context"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/schema"
)

// A Job's name is unique in its namespace only, and a manager sees the Jobs of one. So
// the row says in which one the Job is, or will be, before it is created, and no
// manager of another one moves the execution meanwhile. Claims leave it out
// (dao.Claimant); what they cannot know yet is found when it is loaded.

// placeJobs notes in the rows of tasks that are about to start where their Jobs will
// be and, if there is a limit, that they wait for their turn.
func (m *Manager) placeJobs(row *dao.WorkflowExecution, ts []dao.Transition) {
	for _, t := range ts {
		if t.Type != dao.EventTaskStarted || schema.Type(t.Task.TaskType) != schema.KubeJob {
			continue
		}
		t.Task.Namespace, t.Task.QueueRank = m.cfg.Namespace, -row.Priority
		if m.limited() {
			slot := dao.SlotWaiting
			t.Task.Slot = &slot
		}
	}
}

// takeTasks has the rows of an execution's running kube-jobs say that their Jobs are,
// or will be, in this manager's namespace, and counts them if there is a limit. False
// if a Job may be in another one: then the execution is given back.
func (m *Manager) takeTasks(ctx context.Context, h *held, tasks []*dao.TaskExecution) (bool, error) {
	changed := 0
	for _, row := range tasks {
		if schema.Type(row.TaskType) != schema.KubeJob || row.Status.Ended() {
			continue
		}
		if row.Elsewhere(m.cfg.Namespace) {
			m.log.WarnContext(ctx, "execution given back: a task's Job is in another namespace, whose managers go on with it",
				"execution_id", row.WorkflowExecutionID, "task_id", row.ID, "namespace", row.Namespace)
			m.drop(h)
			m.release(ctx, []dao.Lease{h.lease})
			return false, nil
		}
		if row.Take(m.cfg.Namespace, m.limited()) {
			changed++
		}
	}
	if changed == 0 {
		return true, nil
	}
	return true, m.store.TakeTasks(ctx, h.lease, m.cfg.Namespace, m.limited(), changed, m.cfg.Now())
}
