package manager

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/engine"
)

// held is an execution that this manager holds the lease of. Only the worker
// that has it from the queue touches x, rest, turns, waiting, suspect, strikes, logTime,
// the pauses, the looks and unwritten.
type held struct {
	lease  dao.Lease // as it was claimed
	until  time.Time // as it was last renewed; under Manager.mu
	x      *engine.Execution
	cancel atomic.Bool // somebody wants it to be cancelled: its row, read again, says who
	// toCancel says that cancel was set; under Manager.mu.
	toCancel bool
	news     news                 // what the next pass is to look at; under Manager.mu
	rest     []*dao.TaskExecution // tasks whose Jobs are left to be launched by the next pass
	turns    bool                 // the pass in hand may have freed slots, or left tasks that wait
	pause    pause                // after an error of the execution as a whole
	pauses   map[uint64]pause     // after an error with a task's Job, by task
	looks    map[uint64]*look     // what running Jobs have shown, by task
	// suspect says that it may be what its holders died of, and strikes how many of
	// them did so in the midst of a pass over it.
	suspect bool
	strikes uint32
	// unstruck is strikes if the row may count a pass that is over; else nil.
	unstruck atomic.Pointer[uint32]
	// logTime is what the logs of failed Jobs may take of the pass in hand.
	logTime *logTime
	waiting int // tasks, for slots
	// granted are the tasks that were seen to have a slot; under Manager.mu. It
	// outlives x, which may have been read before.
	granted map[uint64]bool
	// unnoted are Jobs that were seen and could not be noted, by task. It outlives
	// x: the note may have been written though its answer was lost, and then a Job
	// that somebody deletes must not be made again.
	unnoted sync.Map
	// unwritten has an *unwritten of each indexed task, by its id: a pass takes up several at once.
	unwritten sync.Map
}

func (m *Manager) holds(id uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held[id] != nil
}

// count returns how many executions are held.
func (m *Manager) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.held)
}

// byID returns all that is held.
func (m *Manager) byID() map[uint64]*held {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.held)
}

// all returns all that is held, the oldest execution first.
func (m *Manager) all() []*held {
	return slices.SortedFunc(maps.Values(m.byID()), func(a, b *held) int { return cmp.Compare(a.lease.ExecutionID, b.lease.ExecutionID) })
}

// withdraw forgets an execution that no worker has in hand, and that none will
// take then. False if it is in hand, or not held any more.
func (m *Manager) withdraw(h *held) bool {
	id := h.lease.ExecutionID
	m.mu.Lock()
	if m.held[id] != h {
		m.mu.Unlock()
		return false
	}
	delete(m.held, id)
	m.mu.Unlock()
	if !m.queue.inHand(id) {
		m.queue.mark(id, false)
		return true
	}
	// Its worker may have looked it up before, and goes on with it.
	m.mu.Lock()
	if m.held[id] == nil {
		m.held[id] = h
		h.news = news{all: true} // nobody has noted what has changed meanwhile
	}
	m.mu.Unlock()
	m.queue.add(id) // or it has not, and found nothing
	return false
}
