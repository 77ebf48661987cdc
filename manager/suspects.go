package manager

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

const (
	// suspectAfter is how many holders in a row an execution must have lost, without
	// getting on, to be suspected of being what they died of.
	suspectAfter = 3
	// maxStrikes is how many of them must have died in the midst of a pass over it
	// for that to be certain.
	maxStrikes = 3
	// managersDied begins the message of an execution that is ended for it.
	managersDied = "ManagersDied"
	// noteTimeout is how long the end of a pass over a suspect may take to be noted.
	noteTimeout = 5 * time.Second
)

// suspect says whether h is one: some execution that its holders held may be what
// they died of, by its size or a fatal error, and it may be this one. Suspects are
// moved one at a time, and the database knows which one, so that the next death
// tells. The first pass waits for a part of the lease that is another one for each
// claim: a manager that dies of something else, as soon as it has started, must not
// do so in the midst of the same execution time and again.
func (m *Manager) suspect(h *held) {
	l := h.lease
	h.suspect = l.Takeovers >= suspectAfter || l.Strikes >= maxStrikes
	if !h.suspect {
		return
	}
	wait := rand.New(rand.NewPCG(l.ExecutionID, l.Epoch)).Int64N(int64(m.cfg.Lease)) //nolint:gosec // no secret
	h.pause = pause{until: m.cfg.Now().Add(time.Duration(wait)), returns: m.returns.Load()}
	m.log.Warn("an execution has lost its managers, one after the other, without getting on: it may be what they died of, and is moved with care",
		"execution_id", l.ExecutionID, "takeovers", l.Takeovers, "strikes", l.Strikes, "last_manager", l.Lost, "first_pass_at", h.pause.until)
}

// pass moves h on. If it is suspect, it is noted before that a pass begins and
// after that it has ended.
func (m *Manager) pass(ctx context.Context, h *held, move func() error) error {
	if !h.suspect {
		return move()
	}
	if h.strikes >= maxStrikes {
		return died(h)
	}
	h.unstruck.Store(nil)
	if err := m.store.SetStrikes(ctx, h.lease, h.strikes+1); err != nil {
		return m.unnotable(ctx, h, err)
	}
	err := move()
	if h.suspect { // has not got on, which would have set the note back
		note, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
		defer cancel()
		harmless, end := err == nil && len(h.rest) == 0 && len(h.pauses) == 0, m.store.SetStrikes
		if harmless { // it has been looked at from all sides
			end = m.store.Acquit
		}
		if noteErr := end(note, h.lease, h.strikes); noteErr != nil {
			return errors.Join(err, m.unnotable(ctx, h, noteErr))
		}
		if !harmless {
			return err
		}
	}
	h.suspect = false
	m.queue.mark(h.lease.ExecutionID, false)
	return err
}

// unnotable forgets an execution whose lease is lost. Renewing finds it again
// should it not be.
func (m *Manager) unnotable(ctx context.Context, h *held, err error) error {
	if errors.Is(err, dao.ErrConflict) {
		m.log.InfoContext(ctx, "lease lost, another manager goes on", "execution_id", h.lease.ExecutionID, "epoch", h.lease.Epoch)
		m.drop(h)
		return nil
	}
	strikes := h.strikes
	h.unstruck.Store(&strikes)
	return err
}

// takeBackStrikes corrects the rows that count a pass in the midst of which an outage
// came: its manager lives. A row that cannot be corrected now the next pass corrects.
func (m *Manager) takeBackStrikes(ctx context.Context) {
	for _, h := range m.all() {
		strikes := h.unstruck.Swap(nil)
		if strikes == nil {
			continue
		}
		if err := m.store.SetStrikes(ctx, h.lease, *strikes); err != nil {
			m.log.WarnContext(ctx, "a death that was none is still counted: until the execution is moved again", "execution_id", h.lease.ExecutionID, "error", err)
		}
	}
}

// died says why an execution is not moved any more.
func died(h *held) error {
	last := "those that ended without a word"
	if h.lease.Lost != "" {
		last += ", the last of them " + h.lease.Lost
	}
	return &unrunnable{reason: managersDied, err: fmt.Errorf("%d managers died, or stood still for longer than their lease, each in the midst of moving this execution: "+
		"it is likely what they died of, as of want of memory, and is ended so that others go on; see how the managers' processes ended (OOMKilled?) and the last lines of their logs: %s; "+
		"give managers more memory, or the execution less to do at once or smaller outputs, and start it again", h.strikes, last)}
}
