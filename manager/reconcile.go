package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/engine"
	"github.com/jobnetes/jobnetes/schema"
)

// inconsistentRows is why an execution fails whose rows make no sense.
const inconsistentRows = "InconsistentRows"

// unrunnable is an execution that will never make sense, however often it is
// tried, or is not to go on: it fails.
type unrunnable struct {
	reason string
	err    error
}

func (u *unrunnable) Error() string { return u.err.Error() }
func (u *unrunnable) Unwrap() error { return u.err }

// reconcile moves one execution on as far as it goes now. Whatever goes wrong
// stays with that execution: it is tried again, after a growing pause.
func (m *Manager) reconcile(ctx context.Context, id uint64) {
	m.mu.Lock()
	h := m.held[id]
	m.mu.Unlock()
	if h == nil || m.database.Err() != nil {
		return
	}
	if h.cancel.Swap(false) {
		h.x = nil
	} else if m.paused(h.pause) {
		return
	}
	news := m.takeNews(h)
	if h.x != nil && !news.all && len(news.tasks) == 0 && len(h.rest) == 0 {
		return // the pass before has taken up what this one was queued for
	}
	ctx, done := m.database.While(ctx)
	defer done()
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	defer m.endPass(h)
	h.logTime = &logTime{}
	err := m.pass(ctx, h, func() error {
		return m.safely(ctx, slog.Uint64("execution_id", id), func() error { return m.move(ctx, h, news) })
	})
	if never := whyNever(err); never != nil {
		err = m.safely(ctx, slog.Uint64("execution_id", id), func() error { return m.abort(ctx, h, never) })
	}
	switch {
	case err == nil:
		h.pause = pause{}
		if len(h.rest) > 0 {
			m.wakeTask(id)
		}
	case errors.Is(err, dao.ErrConflict):
		// Another manager's by now, or a job recorded an output at the last
		// moment: what is in memory is out of date, and loading will tell.
		h.x = nil
		m.log.InfoContext(ctx, "execution changed in between, reading it again", "execution_id", id, "error", err)
		m.wakeAll(h)
	default:
		h.x = nil
		h.pause = m.pauseAfter(h.pause)
		m.database.Doubt()
		m.log.ErrorContext(ctx, "moving an execution failed, trying again", "execution_id", id, "errors", h.pause.errors, "again_at", h.pause.until, "error", err)
	}
}

// whyNever returns why an execution that gave err will never go on, or nil. A
// statement that the database refuses today it refuses tomorrow.
func whyNever(err error) *unrunnable {
	var never *unrunnable
	if errors.As(err, &never) {
		return never
	}
	if errors.Is(err, dao.ErrRefused) {
		return &unrunnable{reason: "InternalError", err: err}
	}
	return nil
}

// safely makes a panic an error of the one execution, or task, that it happened
// with; whose names it in the log.
func (m *Manager) safely(ctx context.Context, whose slog.Attr, do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			m.log.ErrorContext(ctx, "panic: this is a bug of jobnetes", whose, "panic", p, "stack", string(debug.Stack()))
			err = &unrunnable{reason: "InternalError", err: fmt.Errorf("jobnetes panicked: %v: please report it, with the manager's log", p)}
		}
	}()
	return do()
}

// move is one pass: load, then observe, decide, commit and act until nothing
// more can be done now. It looks at what is new, unless all is read anew.
func (m *Manager) move(ctx context.Context, h *held, n news) (err error) {
	if h.x == nil {
		n.all = true
		if h.x, err = m.load(ctx, h); err != nil || h.x == nil {
			return err
		}
	}
	for rows := h.rowsOf(n); ; rows = append(h.x.StartedJobs(), h.takeRest()...) {
		seen, err := m.observe(ctx, h, rows, n.all)
		if err != nil {
			return err
		}
		transitions := h.x.Decide(observations(seen), m.cfg.Now())
		if len(transitions) == 0 {
			return nil
		}
		if err := m.commit(ctx, h, h.x.Row(), transitions); err != nil {
			return err
		}
		m.act(ctx, h, seen)
		n.all = false
		if h.x.Row().Status.Ended() {
			m.drop(h)
			return nil
		}
	}
}

// act does what may only be done once it is written that tasks have ended. What
// it leaves undone the retention pass does.
func (m *Manager) act(ctx context.Context, h *held, seen []observed) {
	for _, o := range seen {
		delete(h.looks, o.TaskID)
		h.unwritten.Delete(o.TaskID)
		switch {
		case o.heldUp:
			if err := m.jobs.Delete(ctx, o.job.Name, o.job.UID); err != nil {
				m.log.ErrorContext(ctx, "deleting a Job that cannot start failed, trying again later", "job", o.job.Name, "task_id", o.TaskID, "error", err)
			}
		case o.Succeeded:
			m.keepLater(endedTask{taskID: o.TaskID, job: o.job, pods: o.pods})
		}
	}
}

// load reads the execution's rows. It returns nil, nil if the lease is lost, or was
// given back.
func (m *Manager) load(ctx context.Context, h *held) (*engine.Execution, error) {
	id := h.lease.ExecutionID
	row, err := m.store.Execution(ctx, id)
	if errors.Is(err, dao.ErrNotFound) {
		m.log.WarnContext(ctx, "execution is gone: somebody deleted its row", "execution_id", id)
		m.drop(h)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if m.lost(ctx, h, &row) {
		return nil, nil
	}
	if row.CancelRequestedAt != nil {
		return nil, errCancelled
	}
	if row.WorkflowName == "" {
		return nil, &unrunnable{reason: inconsistentRows, err: fmt.Errorf("its workflow (id %d) is missing: was the database restored in part?", row.WorkflowID)}
	}
	def, err := m.definitionOf(ctx, h, &row)
	if err != nil {
		return nil, err
	}
	var tasks []*dao.TaskExecution
	if row.Status != dao.ExecutionScheduled { // else there are none
		if tasks, err = m.store.Tasks(ctx, id); err != nil {
			return nil, err
		}
	}
	m.recorders.note(*row.WorkflowVersionID, tasks)
	if ours, err := m.takeTasks(ctx, h, tasks); err != nil || !ours {
		return nil, err
	}
	x, err := engine.Load(def, &row, tasks)
	if err != nil {
		return nil, &unrunnable{reason: inconsistentRows, err: fmt.Errorf("the rows do not fit the definition: %w", err)}
	}
	for _, row := range x.RunningJobs() {
		if row.ExecutionName == nil {
			return nil, &unrunnable{reason: inconsistentRows, err: fmt.Errorf("task %d (%q) runs and has no execution_name, the name of its Job", row.ID, row.TaskName)}
		}
	}
	return x, nil
}

// lost says whether the row is another manager's by now, or nobody's, and forgets
// the execution if it is.
func (m *Manager) lost(ctx context.Context, h *held, row *dao.WorkflowExecution) bool {
	if !row.Status.Ended() && row.LeaseOwner != nil && *row.LeaseOwner == h.lease.Owner && row.LeaseEpoch == h.lease.Epoch {
		return false
	}
	m.log.InfoContext(ctx, "lease lost, another manager goes on", "execution_id", row.ID, "epoch", h.lease.Epoch, "now_epoch", row.LeaseEpoch)
	m.drop(h)
	return true
}

func (m *Manager) definitionOf(ctx context.Context, h *held, row *dao.WorkflowExecution) (*schema.Definition, error) {
	if row.WorkflowVersionID == nil { // inserted by SQL
		v, err := m.store.PinVersion(ctx, h.lease, m.cfg.Now())
		if err != nil {
			return nil, err
		}
		row.WorkflowVersionID = &v.ID
	}
	return m.definition(ctx, *row.WorkflowVersionID)
}

func (m *Manager) commit(ctx context.Context, h *held, row *dao.WorkflowExecution, ts []dao.Transition) error {
	m.placeJobs(row, ts)
	if err := m.store.Commit(ctx, h.lease, row, ts, m.cfg.Now()); err != nil {
		h.x = nil
		return err
	}
	h.suspect, h.strikes = false, 0 // as Commit sets them in the row
	for _, t := range ts {
		attrs := []any{"execution_id", row.ID, "workflow", row.WorkflowName, "event", t.Type}
		if t.Task != nil {
			attrs = append(attrs, "task_id", t.Task.ID, "task", t.Task.TaskName)
		}
		if t.Reason != "" || t.Message != "" {
			attrs = append(attrs, "reason", t.Reason, "message", t.Message)
		}
		m.log.InfoContext(ctx, "transition", attrs...)
	}
	h.turns = true // tasks that have ended have given their slots back
	return nil
}

// abort fails an execution that can never go on, or that somebody wants to be
// cancelled, and stops its Jobs. It reads no more than it must: the execution may be
// too large for any manager.
func (m *Manager) abort(ctx context.Context, h *held, why *unrunnable) error {
	row, tasks, err := m.store.OpenRows(ctx, h.lease.ExecutionID)
	if err != nil || m.lost(ctx, h, &row) {
		return err
	}
	var ts []dao.Transition
	if row.CancelRequestedAt != nil {
		ts = engine.Cancel(&row, tasks, m.cfg.Now())
	} else {
		ts = engine.Abort(&row, tasks, why.reason, why.reason+": "+why.Error(), m.cfg.Now())
	}
	if err := m.commit(ctx, h, &row, ts); err != nil {
		return err
	}
	m.drop(h)
	m.stopJobs(ctx, h, ts)
	return nil
}
