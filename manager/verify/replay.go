package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/engine"
	"github.com/jobnetes/jobnetes/schema"
)

// The reasons of executions that were aborted because they could not be decided on:
// there is nothing to play again.
var undecidable = [...]string{"InvalidDefinition", "InconsistentRows", "InternalError"}

// abortedFor returns why an execution was ended by other means than its definition;
// empty if it was not.
func abortedFor(h *dao.History) string {
	for _, e := range h.Events {
		if e.Type == dao.EventExecutionFailed && e.Reason != engine.InvalidInput {
			return e.Reason
		}
	}
	return ""
}

// replays are the executions by what came of playing them again; of all others
// something is found.
type replays struct {
	agree, tasks int // those that come to their rows, and the tasks of these
	notBegun     int
	cutOff       int // ended before they began, or since they could not be decided on
	unversioned  int // that went on, as rows say, without a version
}

// checkReplay plays an execution again, and compares. What is said is left out: it
// may be worded otherwise by another build.
func (l *look) checkReplay(ctx context.Context, h *dao.History) error {
	e, aborted := &h.Execution, abortedFor(h)
	switch {
	case e.WorkflowName == "":
		l.addOf(e.ID, nil, RowsInconsistent, "its workflow (id %d) is missing", e.WorkflowID)
		return nil
	case e.Status == dao.ExecutionScheduled && len(h.Tasks) > 0:
		l.addOf(e.ID, h.Tasks[0], TaskUnexpected, "the execution is scheduled, and has %s already", count(len(h.Tasks), "task", "tasks"))
		return nil
	case e.Status == dao.ExecutionScheduled:
		l.replays.notBegun++
		return nil
	case slices.Contains(undecidable[:], aborted) || aborted != "" && len(h.Tasks) == 0:
		l.replays.cutOff++
		return nil
	case e.WorkflowVersionID == nil:
		l.replays.unversioned++
		return nil
	}
	def, invalid, err := l.v.defs.get(ctx, *e.WorkflowVersionID)
	if errors.Is(err, dao.ErrNotFound) {
		l.addOf(e.ID, nil, RowsInconsistent, "the version of its workflow (id %d) is missing", *e.WorkflowVersionID)
		return nil
	}
	if err != nil {
		return err
	}
	if invalid != nil {
		l.addOf(e.ID, nil, DefinitionInvalid, "version %d of workflow %q is not a valid definition: %v", e.WorkflowVersion, e.WorkflowName, invalid)
		return nil
	}
	row := *e // Load takes rows over
	if _, err := engine.Load(def, &row, h.Tasks); err != nil {
		l.addOf(e.ID, nil, RowsInconsistent, "its rows do not fit version %d of workflow %q: %v", e.WorkflowVersion, e.WorkflowName, err)
		return nil
	}
	l.counts.Replayed++
	kept := map[string]*dao.TaskExecution{}
	for _, t := range h.Tasks {
		if kept[t.TaskName] != nil {
			l.addOf(e.ID, t, TaskUnexpected, "task %q has another row, %d", t.TaskName, kept[t.TaskName].ID)
			continue
		}
		kept[t.TaskName] = t
	}
	p, err := play(def, e, kept, aborted != "")
	if err != nil {
		return err
	}
	l.compare(h, p, kept, aborted != "")
	return nil
}

// played is an execution that was played again.
type played struct {
	row   *dao.WorkflowExecution
	tasks map[string]*dao.TaskExecution // by name
	names map[uint64]string             // of tasks, by the ids of the play
}

// play plays an execution again: its Jobs end as the kept rows say. It ends where
// they do.
func play(def *schema.Definition, e *dao.WorkflowExecution, kept map[string]*dao.TaskExecution, aborted bool) (*played, error) {
	p := &played{row: &dao.WorkflowExecution{ID: e.ID, Input: e.Input, Output: engine.NoOutput}, tasks: map[string]*dao.TaskExecution{}, names: map[uint64]string{}}
	x, err := engine.Load(def, p.row, nil)
	if err != nil {
		return nil, fmt.Errorf("play execution %d again: %w", e.ID, err)
	}
	var seen []engine.Observation
	for {
		for _, t := range x.Decide(seen, e.CreatedAt) {
			p.apply(t)
		}
		seen = nil
		for _, job := range x.RunningJobs() {
			if t := kept[job.TaskName]; t != nil && t.Status.Ended() && (!aborted || !endedWith(e, t)) {
				seen = append(seen, engine.Observation{
					TaskID: job.ID, Succeeded: t.Status == dao.TaskSuccess, Output: t.Output,
					Recorded: t.RecordedOutput, RecordedRev: t.RecordedRev, Reason: t.ErrorReason, Message: t.ErrorMsg,
				})
			}
		}
		if len(seen) == 0 {
			return p, nil
		}
	}
}

// endedWith says whether a task failed in the moment in which its execution did.
func endedWith(e *dao.WorkflowExecution, t *dao.TaskExecution) bool {
	return t.Status == dao.TaskFailed && e.EndedAt != nil && t.EndedAt != nil && t.EndedAt.Equal(*e.EndedAt)
}

// apply does what dao.Commit does to rows: it gives them ids and links.
func (p *played) apply(t dao.Transition) {
	if t.Type != dao.EventTaskStarted {
		return
	}
	row := t.Task
	row.ID = uint64(len(p.names) + 1)
	p.tasks[row.TaskName], p.names[row.ID] = row, row.TaskName
	if t.Parent != nil {
		row.ParentTaskExecutionID = &t.Parent.ID
	}
	if t.Prev != nil {
		row.PrevTaskExecutionID, t.Prev.NextTaskExecutionID = &t.Prev.ID, &row.ID
	}
}

// definitions parses definitions and keeps some: versions never change.
type definitions struct {
	rows   Rows
	parsed map[uint64]definition
}

type definition struct {
	*schema.Definition
	invalid error
}

// maxDefinitions is how many parsed definitions are kept.
const maxDefinitions = 256

// get returns the definition of a version, or why it is none; dao.ErrNotFound if the
// version is missing.
func (d *definitions) get(ctx context.Context, versionID uint64) (def *schema.Definition, invalid, err error) {
	kept, ok := d.parsed[versionID]
	if !ok {
		v, err := d.rows.WorkflowVersion(ctx, versionID)
		if err != nil {
			return nil, nil, err
		}
		kept.Definition, kept.invalid = schema.Parse([]byte(v.Definition))
		if d.parsed == nil || len(d.parsed) >= maxDefinitions {
			d.parsed = map[uint64]definition{}
		}
		d.parsed[versionID] = kept
	}
	return kept.Definition, kept.invalid, nil
}
