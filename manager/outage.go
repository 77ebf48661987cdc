package manager

import (
	"context"
	"log/slog"
	"time"

	"github.com/jobnetes/jobnetes/reach"
)

// addProbes makes what watches the database and the place where Jobs run. While
// one of them is away, nothing is tried that needs it: with the database away, no
// execution moves; with the API server away, those move that need no Job. Its
// return ends all pauses and wakes everything that is held.
func (m *Manager) addProbes() {
	m.database = reach.New(reach.Config{Name: "database", Ping: m.pingDatabase, Changed: m.returned, Now: m.cfg.Now, Log: m.log})
	m.cluster = reach.New(reach.Config{Name: "API server", Ping: m.jobs.Ping, Changed: m.returned, Now: m.cfg.Now, Log: m.log})
}

// States says whether what this manager needs can be reached: first the database,
// then the API server.
func (m *Manager) States() []reach.State {
	return []reach.State{m.database.State(), m.cluster.State()}
}

// settleTime is how long after the database's return leases that have run out are
// left to their holders: all that live have noticed by then, who look once a second
// and wait for 3 s at the most, and have renewed them. Otherwise whoever looks first
// would have all, and each execution would have lost a holder that lives.
const settleTime = 5 * time.Second

// outage is one of the database: when it began, and settleTime after its end.
type outage struct{ began, settled time.Time }

// alive returns since when a manager must have been seen, but for the time of a
// lease, to count as living now: those who lived when an outage began have had no
// chance to say so until it is settled.
func (o outage) alive(now time.Time) time.Time {
	if now.Before(o.settled) {
		return o.began
	}
	return now
}

func (m *Manager) lastOutage() outage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.outage
}

// pingDatabase renews the leases first of all when the database is back: they
// have run out meanwhile, and without one no Job is created.
func (m *Manager) pingDatabase(ctx context.Context) error {
	err := m.store.Ping(ctx)
	if s := m.database.State(); err == nil && s.Err != nil {
		m.mu.Lock()
		m.outage = outage{began: s.Since, settled: m.cfg.Now().Add(settleTime)}
		m.mu.Unlock()
		m.renew(ctx)
		m.takeBackStrikes(ctx)
	}
	return err
}

// errorLevel is that of an error of the database: none is seen while the database is
// known to be away, since an outage is logged once.
func (m *Manager) errorLevel() slog.Level {
	if m.database.Err() != nil {
		return slog.LevelDebug
	}
	return slog.LevelError
}

// returned ends all pauses and wakes what is held.
func (m *Manager) returned(_ context.Context, err error) {
	if err == nil {
		m.returns.Add(1)
		m.callTurns()
		m.queueHeld()
	}
}

// pause is how long to wait after errors in a row.
type pause struct {
	errors int
	until  time.Time
	// returns is how often the database or the API server had returned when it
	// began: a later return ends it.
	returns int64
}

// maxPause is the longest pause between two tries at what fails.
const maxPause = 30 * time.Second

// paused says whether p is not over yet.
func (m *Manager) paused(p pause) bool {
	return p.returns == m.returns.Load() && m.cfg.Now().Before(p.until)
}

// pauseAfter returns the pause after one more error; p is the one before.
func (m *Manager) pauseAfter(p pause) pause {
	if returns := m.returns.Load(); p.returns != returns {
		p = pause{returns: returns}
	}
	p.errors++
	p.until = m.cfg.Now().Add(min(time.Second<<min(p.errors-1, 10), maxPause))
	return p
}
