package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
	"github.com/jobnetes/jobnetes/schema"
)

const (
	// claimGrace is how long an execution may be due without being claimed:
	// managers look every second.
	claimGrace = time.Minute
	// moveGrace is how long a manager may take over a Job: its pauses after errors
	// are 30 s at the most, and so is by default the time between two lists of Jobs.
	moveGrace = 5 * time.Minute
	// wakeGrace is how far in the future an execution may be looked at next: leases
	// last seconds.
	wakeGrace = time.Hour
	// managerGrace is how long ago a manager that lives was last seen at the most.
	managerGrace = time.Minute
)

// checkOpen wants that somebody moves an execution that has not ended.
func (l *look) checkOpen(ctx context.Context, h *dao.History) error {
	held := l.checkClaim(h)
	for _, t := range h.Tasks {
		if t.TaskType != string(schema.KubeJob) || t.Status.Ended() || t.ExecutionName == nil || t.Waits() {
			continue
		}
		if t.JobUID == nil {
			if held && l.longAgo(t.StartedAt, moveGrace) {
				l.addOf(h.Execution.ID, t, JobNotCreated, "task %q runs since %s and has no Job yet, though manager %s holds the execution", t.TaskName, stamp(t.StartedAt), *h.Execution.LeaseOwner)
			}
			continue
		}
		if l.v.jobs == nil || t.Elsewhere(l.v.cfg.Namespace) {
			continue
		}
		if err := l.checkRunning(ctx, h, t, held); err != nil {
			return err
		}
	}
	return nil
}

func (l *look) longAgo(at time.Time, grace time.Duration) bool { return at.Before(l.now.Add(-grace)) }

// checkClaim looks who holds the execution, and who will look at it when. It says
// whether a lease is in force.
func (l *look) checkClaim(h *dao.History) (held bool) {
	e := &h.Execution
	held = e.LeaseUntil != nil && e.LeaseUntil.After(l.now)
	l.leased = l.leased || held
	if e.WakeAt == nil {
		return held // a CHECK of the table refuses it
	}
	switch {
	case e.WakeAt.After(l.now.Add(wakeGrace)):
		l.addOf(e.ID, nil, WakesLate, "no other manager will look at it before %s; it is held by %s", stamp(*e.WakeAt), holder(e))
		l.findings[len(l.findings)-1].free = e.LeaseOwner == nil
	case l.longAgo(*e.WakeAt, claimGrace):
		f := finding(NotClaimed, fmt.Sprintf("it is %s, and %s might have taken it up since %s; it is held by %s", e.Status, claimants(h), stamp(*e.WakeAt), holder(e)))
		f.ExecutionID, f.since, f.queued = e.ID, *e.WakeAt, e.Status == dao.ExecutionScheduled && e.LeaseOwner == nil
		l.idle = append(l.idle, f)
	}
	return held
}

// claimants says which managers may claim an execution.
func claimants(h *dao.History) string {
	for _, t := range h.Tasks {
		if !t.Status.Ended() && t.Elsewhere("") {
			return fmt.Sprintf("any manager whose k8s.job-namespace is %s, where its Job %s is,", t.Namespace, *t.ExecutionName)
		}
	}
	return "any manager"
}

func holder(e *dao.WorkflowExecution) string {
	if e.LeaseOwner == nil || e.LeaseUntil == nil {
		return "nobody"
	}
	return fmt.Sprintf("%s until %s", *e.LeaseOwner, stamp(*e.LeaseUntil))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// checkRunning compares a running task with its Job.
func (l *look) checkRunning(ctx context.Context, h *dao.History, t *dao.TaskExecution, held bool) error {
	_, listed := l.jobs[*t.ExecutionName]
	j, err := l.job(ctx, *t.ExecutionName)
	if err != nil {
		return err
	}
	switch id := h.Execution.ID; {
	case j == nil:
		l.addOf(id, t, JobGone, "task %q runs, and its Job (UID %s) is gone", t.TaskName, *t.JobUID)
	case string(j.uid) != *t.JobUID:
		l.addOf(id, t, JobGone, "task %q runs, and its Job (UID %s) is gone: the Job that has its name now (UID %s) is another", t.TaskName, *t.JobUID, j.uid)
	case j.installation != l.v.cfg.Installation:
		l.addJob(j, t, JobRelabelled, "its label %s is %q and should be %q: no manager sees it", kube.LabelInstallation, j.installation, l.v.cfg.Installation)
	case !listed && j.mislabelled(t) != "":
		l.addJob(j, t, JobRelabelled, "it is the Job of task %d, and %s", t.ID, j.mislabelled(t))
	case held && j.finished && l.longAgo(j.ended, moveGrace):
		l.addOf(id, t, JobEndNotSeen, "task %q runs, and its Job has ended at %s", t.TaskName, stamp(j.ended))
	}
	return nil
}

// checkManagers says whether anybody moves what is due. With no manager there is one
// finding, not one for each execution.
func (l *look) checkManagers(ctx context.Context) error {
	if len(l.idle) == 0 {
		return nil
	}
	seen, err := l.v.rows.ManagerSeen(ctx)
	if err != nil {
		return err
	}
	if !l.leased && l.longAgo(seen, managerGrace) {
		l.addNoManager(seen)
		return nil
	}
	for _, f := range l.idle {
		if !f.queued { // new ones wait in order while all managers hold what they may
			l.add(f)
		}
	}
	return nil
}

func (l *look) addNoManager(seen time.Time) {
	longest := l.idle[0]
	for _, f := range l.idle {
		if f.since.Before(longest.since) {
			longest = f
		}
	}
	when := "none is registered"
	if !seen.IsZero() {
		when = "the last was seen at " + stamp(seen)
	}
	f := finding(NoManager, fmt.Sprintf("%s for a manager, this one since %s, and none runs: %s", count(len(l.idle), "execution waits", "executions wait"), stamp(longest.since), when))
	f.ExecutionID = longest.ExecutionID
	l.add(f)
}
