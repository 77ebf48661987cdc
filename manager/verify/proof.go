package verify

import "fmt"

// conclude says what has been proved, and what could not be looked at.
func (v *Verifier) conclude(replayed *replays) {
	r, c := &v.report, v.report.Counts
	r.Proved, r.Unchecked = []string{}, []string{}
	r.concludeReplays(replayed)
	if !r.found(EventMissing, EventUnexpected, EventOrder, CheckPanicked) {
		r.prove("%s with the rows, one for each step, in order", count(c.Events, "event agrees", "events agree"))
	}
	if !v.cfg.All && v.cfg.ExecutionID == 0 {
		r.leave("executions that have ended: --all looks at them")
	}
	if c.Elsewhere > 0 {
		r.leave("the Jobs of %s, as they are in another namespace than %s: run it with their k8s.job-namespace, too", count(c.Elsewhere, "task", "tasks"), v.cfg.Namespace)
	}
	switch {
	case v.jobs == nil:
		r.leave("the cluster's Jobs")
	case !r.found(JobOrphan, JobDoubled, JobGone, JobRelabelled):
		r.prove("%s in the cluster: each is the one Job of its task", count(c.Jobs, "Job", "Jobs"))
	}
	r.concludeAudit()
}

// concludeReplays tells of executions that come to their rows, whatever is found of
// others.
func (r *Report) concludeReplays(replayed *replays) {
	if replayed.agree > 0 || r.Counts.Executions == 0 {
		r.prove("%d of %s (%s), played again by their definitions, come to the very rows that there are: no step of theirs is lost or doubled",
			replayed.agree, count(r.Counts.Executions, "execution", "executions"), count(replayed.tasks, "task", "tasks"))
	}
	if n := replayed.notBegun; n > 0 {
		r.leave("%s not begun, so that there is nothing to play again", count(n, "execution has", "executions have"))
	}
	if n := replayed.cutOff; n > 0 {
		r.leave("%s not played again: cancelled before the first task, or ended by InvalidDefinition, InconsistentRows or InternalError", count(n, "execution was", "executions were"))
	}
	if n := replayed.unversioned; n > 0 {
		r.leave("%s not played again: no version of the workflow is noted", count(n, "execution was", "executions were"))
	}
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
		r.prove("%s created according to the audit log: each for a task, and none twice for an attempt", count(a.Creates, "Job was", "Jobs were"))
	}
	// Of none, each is under one of the heads below.
	if a.Matched > 0 && !r.found(CreateMissing) {
		r.prove("%d of %s with a Job: its creation is in the audit log", a.Matched, count(a.Launched, "task", "tasks"))
	}
	if n := a.Adopted; n > 0 {
		r.leave("%s a Job whose creation the log lacks, but has a refusal to create it again: the API server may have died before it noted it", count(n, "task has", "tasks have"))
	}
	if n := a.Unlogged; n > 0 {
		r.leave("%s a Job whose creation the log lacks, though the Job exists, or its deletion is in the log: the API server may have died before it noted it, or the log is not complete; that such a Job was made once rests on the uniqueness of its name alone", count(n, "task has", "tasks have"))
	}
	if a.Errored > 0 {
		r.leave("of these tasks, %d have a creation in the log that the API server answered with an error (5xx), as when etcd dies: the Job was made all the same", a.Errored)
	}
	if n := a.Outside; n > 0 {
		r.leave("%s with a Job began before the audit log does, or after it ends", count(n, "task", "tasks"))
	}
	if n := a.Unattributed; n > 0 {
		r.leave("%s created under a name that no task's Job has; the log does not say whose: have the API server log at level RequestResponse", count(n, "Job was", "Jobs were"))
	}
	if n := a.Unreadable; n > 0 {
		r.leave("%s of the audit log not whole", count(n, "line is", "lines are"))
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
