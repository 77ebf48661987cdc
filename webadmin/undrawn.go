package webadmin

import "sync"

// undrawn remembers of which versions of workflows there is no graph: to find that
// out, a large definition is parsed, which takes a second for 10,000 tasks. The zero
// value is ready, and safe for concurrent use.
type undrawn struct{ notes sync.Map } // from a version's id to the reason

// graph draws a definition. version is its id, nil if it is none that stays the same.
func (u *undrawn) graph(version *uint64, definition string) graphView {
	if version == nil {
		return newGraph(definition)
	}
	if note, known := u.notes.Load(*version); known {
		return graphView{Note: note.(string)}
	}
	g := newGraph(definition)
	if g.graph == nil {
		u.notes.Store(*version, g.Note)
	}
	return g
}
