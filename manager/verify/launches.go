package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jobnetes/jobnetes/dao"
)

// compareWithLogs compares the audit logs with the rows: each task was launched at
// most once, each Job that was created is a task's, and each Job that a task has was
// created. Logs that have nothing about these Jobs are an error: they are others, or
// leave Jobs out, and would prove anything.
func (v *Verifier) compareWithLogs(ctx context.Context, logs []Log, first *look) error {
	log := newAuditLog(v.cfg.Namespace, v.cfg.Installation)
	for _, l := range logs {
		if err := log.read(l); err != nil {
			return err
		}
	}
	if !log.judges(first.launched) {
		var names []string
		for _, l := range logs {
			names = append(names, l.Name)
		}
		return fmt.Errorf("audit log %s has no event about Jobs of namespace %s, though %s: see that it is this cluster's, and of the time in which they began, "+
			"that its policy has batch jobs with the verbs create and delete, and that k8s.job-namespace is right",
			strings.Join(names, ", "), v.cfg.Namespace, count(len(first.launched), "task has a Job there", "tasks have a Job there"))
	}
	counts := &AuditCounts{Launched: len(first.launched), Unreadable: log.unreadable, Deletes: map[string]int{}}
	v.report.Audit = counts
	if !log.to.IsZero() {
		counts.From, counts.To = &log.from, &log.to
	}
	if err := v.checkLaunched(ctx, log, first); err != nil {
		return err
	}
	return v.checkCreated(ctx, log, first.launched)
}

// checkLaunched wants a creation for each task that has a Job.
func (v *Verifier) checkLaunched(ctx context.Context, log *auditLog, first *look) error {
	counts := v.report.Audit
	for _, name := range slices.Sorted(maps.Keys(first.launched)) {
		task, w := first.launched[name], log.jobs[name]
		if w == nil {
			w = &written{}
		}
		switch {
		case slices.ContainsFunc(w.created, func(c creation) bool { return !c.hasUID || c.id == task.uid }):
			counts.Matched++
		case len(w.created) == 0 && w.refused:
			counts.Adopted++
			counts.noteErrored(w)
		case len(w.created) == 0 && (task.at.Before(log.from) || task.at.After(log.to)):
			counts.Outside++
		default:
			existed, err := first.existed(ctx, name, task, w)
			if err != nil {
				return err
			}
			v.checkUnlogged(name, task, w, existed)
		}
	}
	return nil
}

// existed says whether there is proof, but for its creation, that the API server had
// made the Job that a task's row names.
func (l *look) existed(ctx context.Context, name string, task launched, w *written) (bool, error) {
	if w.gone == task.uid {
		return true, nil
	}
	if l.v.jobs == nil {
		return false, nil
	}
	j, err := l.job(ctx, name)
	return j != nil && string(j.uid) == task.uid && j.taskID == strconv.FormatUint(task.taskID, 10), err
}

// checkUnlogged judges a task whose Job has no creation in the logs. An API server
// that is killed after it has made a Job, and before it has noted that, leaves such,
// and one whose etcd is killed before it has answered.
func (v *Verifier) checkUnlogged(name string, task launched, w *written, existed bool) {
	var f Finding
	switch another := len(w.created) > 0; {
	case another && existed:
		f = finding(LaunchedTwice, fmt.Sprintf("the task's Job, which the row says has UID %s, is not in the log, and another one by its name is: %s", task.uid, w.creations()))
	case another:
		f = finding(CreateMissing, fmt.Sprintf("the task's row says that its Job has UID %s, and the log has no creation of it, but of %s", task.uid, w.creations()))
	case existed:
		v.report.Audit.Unlogged++
		v.report.Audit.noteErrored(w)
		return
	default:
		f = finding(CreateMissing, fmt.Sprintf("the task's row says that its Job has UID %s, and the log has no creation of it; neither has it a deletion, nor is there that Job", task.uid))
	}
	f.ExecutionID, f.TaskID, f.Job = task.executionID, task.taskID, name
	v.report.Findings = append(v.report.Findings, f)
}

// noteErrored counts a Job whose creation the logs lack, if they have one that failed.
func (c *AuditCounts) noteErrored(w *written) {
	if w.errored {
		c.Errored++
	}
}

// checkCreated wants that each Job that was created is a task's, and its first.
func (v *Verifier) checkCreated(ctx context.Context, log *auditLog, launches map[string]launched) error {
	names := slices.Sorted(maps.Keys(log.jobs))
	if v.cfg.ExecutionID != 0 { // the other Jobs are other executions'
		names = slices.DeleteFunc(names, func(name string) bool { _, ok := launches[name]; return !ok })
	}
	for chunk := range slices.Chunk(names, jobBatch) {
		var ids []uint64
		for _, name := range chunk {
			if id, err := strconv.ParseUint(log.jobs[name].taskID, 10, 64); err == nil {
				ids = append(ids, id)
			}
		}
		tasks, err := v.rows.TasksOfJobs(ctx, chunk, ids)
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
		for _, name := range chunk {
			v.checkCreation(name, log.jobs[name], byName[name], byID[log.jobs[name].taskID])
		}
	}
	return nil
}

// checkCreation compares what the log has of the Jobs of a name with the task that
// has it, and the one that their label names; each may be nil.
func (v *Verifier) checkCreation(name string, w *written, named, labelled *dao.TaskExecution) {
	counts := v.report.Audit
	if named == nil && !w.ours {
		counts.Unattributed += len(w.unlabelled())
		return // somebody else's
	}
	counts.Creates += len(w.created)
	if w.deleted {
		counts.Deletes[w.deleter]++
	}
	var f Finding
	switch {
	case named == nil && len(w.created) > 0 && labelled != nil:
		f = finding(LaunchedTwice, fmt.Sprintf("a Job that is not the task's by name has its labels: %s", w.creations()))
	case named == nil && len(w.created) > 0:
		f = finding(CreatedUnknown, fmt.Sprintf("no task has a Job of that name, and there is no task %q, which its label names: %s", w.taskID, w.creations()))
	case named != nil && len(w.created) > 1:
		f = finding(LaunchedTwice, fmt.Sprintf("its Job was created %d times: %s", len(w.created), w.creations()))
	default:
		return
	}
	f.Job = name
	for _, t := range []*dao.TaskExecution{labelled, named} {
		if t != nil {
			f.ExecutionID, f.TaskID = t.WorkflowExecutionID, t.ID
		}
	}
	v.report.Findings = append(v.report.Findings, f)
}

// unlabelled are the creations of which the log has no answer.
func (w *written) unlabelled() []creation {
	return slices.DeleteFunc(slices.Clone(w.created), func(c creation) bool { return c.hasUID })
}

// creations tells who has created the Jobs when, and who has deleted them.
func (w *written) creations() string {
	var all []string
	for _, c := range w.created {
		uid := "its UID is not in the log"
		if c.hasUID {
			uid = "UID " + c.id
		}
		all = append(all, fmt.Sprintf("created at %s by %s (%s)", stamp(c.at), c.user, uid))
	}
	if w.deleted {
		all = append(all, fmt.Sprintf("last deleted at %s by %s", stamp(w.at), w.deleter))
	}
	return strings.Join(all, "; ")
}
