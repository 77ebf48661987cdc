package verify

import "fmt"

// conclude says what has been proved, and what could not be looked at.
func (v *Verifier) conclude() {
	r, c := &v.report, v.report.Counts
	r.Proved, r.Unchecked = []string{}, []string{}
	if !r.found(TaskMissing, TaskUnexpected, TaskDiffers, ExecutionDiffers, DefinitionInvalid, RowsInconsistent, CheckPanicked, TaskRunsOn) {
		r.prove("%d of %d executions (%d tasks), played again by their definitions, come to the very rows that there are: no step is lost or doubled", c.Replayed, c.Executions, c.Tasks)
	}
	if !r.found(EventMissing, EventUnexpected, EventOrder, CheckPanicked) {
		r.prove("%d events agree with the rows, one for each step, in order", c.Events)
	}
	if left := c.Executions - c.Replayed; left > 0 {
		r.leave("%d executions were not played again: they have not begun, or were ended because they could not go on", left)
	}
	if !v.cfg.All && v.cfg.ExecutionID == 0 {
		r.leave("executions that have ended: --all looks at them")
	}
	if c.Elsewhere > 0 {
		r.leave("the Jobs of %d tasks, which are in another namespace than %s: run it with their k8s.job-namespace, too", c.Elsewhere, v.cfg.Namespace)
	}
	switch {
	case v.jobs == nil:
		r.leave("the cluster's Jobs")
	case !r.found(JobOrphan, JobDoubled, JobGone, JobRelabelled):
		r.prove("%d Jobs in the cluster: each is the one Job of its task", c.Jobs)
	}
	r.concludeAudit()
}

func (r *Report) concludeAudit() {
	a := r.Audit
	if a == nil {
		r.leave("whether an attempt had two Jobs one after the other: give the API server's audit log by --audit-log")
		return
	}
	switch {
	case a.Creates == 0:
		r.leave("whether an attempt had two Jobs one after the other: the audit log has no creation of a task's Job")
	case !r.found(LaunchedTwice, CreatedUnknown):
		r.prove("%d Jobs were created according to the audit log: each for a task, and none twice for an attempt", a.Creates)
	}
	// Of none, each is under one of the heads below.
	if a.Matched > 0 && !r.found(CreateMissing) {
		r.prove("%d of %d tasks with a Job have its creation in the audit log", a.Matched, a.Launched)
	}
	if a.Adopted > 0 {
		r.leave("%d tasks have a Job whose creation the log lacks, but has a refusal to create it again: the API server may have died before it noted it", a.Adopted)
	}
	if a.Unlogged > 0 {
		r.leave("%d tasks have a Job whose creation the log lacks, though the Job exists, or its deletion is in the log: the API server may have died before it noted it, or the log is not complete; that such a Job was made once rests on the uniqueness of its name alone", a.Unlogged)
	}
	if a.Errored > 0 {
		r.leave("of these tasks, %d have a creation in the log that the API server answered with an error (5xx), as when etcd dies: the Job was made all the same", a.Errored)
	}
	if a.Outside > 0 {
		r.leave("%d tasks with a Job began before the audit log does, or after it ends", a.Outside)
	}
	if a.Unattributed > 0 {
		r.leave("%d Jobs were created whose names are no task's; the log does not say whose they are: have the API server log at level RequestResponse", a.Unattributed)
	}
	if a.Unreadable > 0 {
		r.leave("%d lines of the audit log are not whole", a.Unreadable)
	}
}

func (r *Report) prove(format string, args ...any) {
	r.Proved = append(r.Proved, fmt.Sprintf(format, args...))
}

func (r *Report) leave(format string, args ...any) {
	r.Unchecked = append(r.Unchecked, fmt.Sprintf(format, args...))
}

// count says how many there are of what has a word for one and a word for more.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
