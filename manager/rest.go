package manager

import (
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

// A manager that holds nothing, has found nothing, and is told of what comes, leaves out
// every other poll. What it is not told of waits for two polls at the most, until it is
// looked at; and for one more if it is left to others, since this one holds its share.

// maxUnasked bounds for how long the database is not asked for a sign of life because
// polls ask it.
const maxUnasked = 2500 * time.Millisecond

// noteLook takes up that the database has answered, and whether there is anything to do.
func (m *Manager) noteLook(d dao.Due) {
	m.mu.Lock()
	m.restNext = m.cfg.Address != "" && len(m.held) == 0 && d.Running+d.Scheduled == 0
	polls := time.Duration(1)
	if m.restNext {
		polls = 2
	}
	m.mu.Unlock()
	// A quarter longer than until the next look, which may be a little late.
	m.database.Answered(min(polls*m.cfg.PollInterval*5/4, maxUnasked))
}

// rest says whether this poll is to be left out.
func (m *Manager) rest() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	rest := m.restNext && len(m.held) == 0
	m.restNext = false
	return rest
}
