package webadmin

import "sync"

// maxUndrawn bounds the memory of versions without a graph. It is far above the number
// of those that are looked at often.
const maxUndrawn = 1024

// undrawn remembers of which versions of workflows there is no graph: to find that
// out, a large definition is parsed, which takes a second for 10,000 tasks. The zero
// value is ready, and safe for concurrent use.
type undrawn struct {
	mu    sync.Mutex
	notes map[uint64]string // from a version's id to the reason
}

// graph draws a definition. version is its id, nil if it is none that stays the same.
func (u *undrawn) graph(version *uint64, definition string) graphView {
	if version == nil {
		return newGraph(definition)
	}
	if note, known := u.known(*version); known {
		return graphView{Note: note}
	}
	g := newGraph(definition)
	if g.graph == nil {
		u.remember(*version, g.Note)
	}
	return g
}

func (u *undrawn) known(version uint64) (note string, known bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	note, known = u.notes[version]
	return note, known
}

func (u *undrawn) remember(version uint64, note string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.notes == nil || len(u.notes) >= maxUndrawn {
		u.notes = make(map[uint64]string)
	}
	u.notes[version] = note
}
