package verify

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/schema"
)

const (
	// idPage is how many ids one statement reads, and batch of how many executions
	// all rows are in memory at once.
	idPage = 10_000
	batch  = 50
)

// look is one look at the system.
type look struct {
	v        *Verifier
	now      time.Time
	jobs     map[string]*job // what was listed, by name
	findings []Finding
	counts   Counts
	replays  replays
	// launched are the tasks that have a Job, by its name; nil: nobody wants them.
	launched map[string]launched
	leased   bool      // somebody holds an execution
	idle     []Finding // of executions that nobody holds, and that are due
}

// launched is a task whose row says that it has a Job.
type launched struct {
	executionID, taskID uint64
	uid                 string
	at                  time.Time // when the task started
}

func (v *Verifier) newLook() *look {
	return &look{v: v, now: v.cfg.Now().UTC(), jobs: map[string]*job{}}
}

func (l *look) add(f Finding) { l.findings = append(l.findings, f) }

// addOf adds a finding about an execution or, unless it is nil, one of its tasks.
func (l *look) addOf(executionID uint64, t *dao.TaskExecution, kind Kind, format string, args ...any) {
	f := finding(kind, fmt.Sprintf(format, args...))
	f.ExecutionID = executionID
	if t != nil {
		f.TaskID = t.ID
		if t.ExecutionName != nil {
			f.Job = *t.ExecutionName
		}
	}
	l.add(f)
}

// lookAtAll is the first look, at all there is to look at.
func (v *Verifier) lookAtAll(ctx context.Context, audited bool) (*look, error) {
	l := v.newLook()
	if audited {
		l.launched = map[string]launched{}
	}
	if err := l.listJobs(ctx); err != nil {
		return nil, err
	}
	if err := v.eachBatch(ctx, l.executions); err != nil {
		return nil, err
	}
	if err := l.checkJobs(ctx); err != nil {
		return nil, err
	}
	return l, l.checkManagers(ctx)
}

// lookAgain looks at what the findings of the first look are about.
func (v *Verifier) lookAgain(ctx context.Context, first *look) (*look, error) {
	l := v.newLook()
	l.leased = first.leased
	ids, names := map[uint64]bool{}, map[string]bool{}
	for _, f := range first.findings {
		if f.ExecutionID != 0 {
			ids[f.ExecutionID] = true
		}
		if f.Job != "" {
			names[f.Job] = true
		}
	}
	if err := l.getJobs(ctx, slices.Sorted(maps.Keys(names))); err != nil {
		return nil, err
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(ids)), batch) {
		if err := l.executions(ctx, chunk); err != nil {
			return nil, err
		}
	}
	if err := l.checkJobs(ctx); err != nil {
		return nil, err
	}
	return l, l.checkManagers(ctx)
}

// eachBatch calls do with the ids of the executions to look at.
func (v *Verifier) eachBatch(ctx context.Context, do func(ctx context.Context, ids []uint64) error) error {
	if v.cfg.ExecutionID != 0 {
		return do(ctx, []uint64{v.cfg.ExecutionID})
	}
	for after := uint64(0); ; {
		ids, err := v.rows.ExecutionIDs(ctx, !v.cfg.All, after, idPage)
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(ids, batch) {
			if err := do(ctx, chunk); err != nil {
				return err
			}
		}
		if len(ids) < idPage {
			return nil
		}
		after = ids[len(ids)-1]
	}
}

func (l *look) executions(ctx context.Context, ids []uint64) error {
	hs, err := l.v.rows.Histories(ctx, ids)
	if err != nil {
		return err
	}
	for _, h := range hs {
		if err := l.execution(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// execution checks one execution. A panic is a finding: it keeps no other from
// being checked.
func (l *look) execution(ctx context.Context, h *dao.History) (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.addOf(h.Execution.ID, nil, CheckPanicked, "checking it panicked: %v: %s", p, debug.Stack())
		}
	}()
	l.count(h)
	l.checkEvents(h)
	before, replayed := len(l.findings), l.counts.Replayed
	if err := l.checkReplay(ctx, h); err != nil {
		return err
	}
	ended := h.Execution.Status.Ended()
	if ended {
		l.checkOver(h)
	}
	if l.counts.Replayed > replayed && len(l.findings) == before {
		l.replays.agree++
		l.replays.tasks += len(h.Tasks)
	}
	if ended {
		return nil
	}
	return l.checkOpen(ctx, h)
}

func (l *look) count(h *dao.History) {
	l.counts.Executions++
	if !h.Execution.Status.Ended() {
		l.counts.Open++
	}
	l.counts.Tasks += len(h.Tasks)
	l.counts.Events += len(h.Events)
	for _, t := range h.Tasks {
		if t.TaskType != string(schema.KubeJob) {
			continue
		}
		l.counts.KubeJobs++
		if t.Elsewhere(l.v.cfg.Namespace) {
			l.counts.Elsewhere++
			continue // nor is it in the audit log of this namespace
		}
		if l.launched != nil && t.JobUID != nil && t.ExecutionName != nil {
			l.launched[*t.ExecutionName] = launched{t.WorkflowExecutionID, t.ID, *t.JobUID, t.StartedAt}
		}
	}
}

// checkOver wants that nothing of an execution that has ended goes on.
func (l *look) checkOver(h *dao.History) {
	for _, t := range h.Tasks {
		if !t.Status.Ended() {
			l.addOf(h.Execution.ID, t, TaskRunsOn, "the execution has ended as %s, and its task %q still runs", h.Execution.Status, t.TaskName)
		}
	}
}
