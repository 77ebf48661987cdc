package webadmin

import (
	"fmt"
	"strings"
	"testing"
)

// A version's definition never changes, so it is seen by another one whether it was
// parsed again.
func TestWhatIsNotDrawnIsParsedOnce(t *testing.T) {
	t.Parallel()
	var sets []string
	for i := range maxGraphTasks { // the parallel itself makes it one more
		sets = append(sets, fmt.Sprintf(`[{"name": "t%d", "type": "kube-job", "job": JOB}]`, i))
	}
	large := definition(`{"name": "w", "tasks": [{"name": "all", "type": "parallel", "task-sets": [` + strings.Join(sets, ",") + `]}]}`)
	var u undrawn
	one, other := uint64(1), uint64(2)
	first := u.graph(&one, large)
	if first.graph != nil || !strings.Contains(first.Note, "too large") {
		t.Fatalf("got %+v, want a note that it is too large", first)
	}
	if again := u.graph(&one, nightly); again != first {
		t.Errorf("got %+v, want what was said before: %+v", again, first)
	}
	for name, version := range map[string]*uint64{"another version": &other, "no version": nil} {
		if g := u.graph(version, nightly); g.graph == nil {
			t.Errorf("%s: got no graph: %s", name, g.Note)
		}
	}
	// What is drawn is drawn each time: executions lay their states over it.
	if a, b := u.graph(&other, nightly), u.graph(&other, nightly); a.graph == nil || a.graph == b.graph {
		t.Error("two executions share a graph")
	}
}

// However many versions have no graph, so many are remembered, and the last one is.
func TestUndrawnIsBounded(t *testing.T) {
	t.Parallel()
	var u undrawn
	for version := range uint64(maxUndrawn + 2) {
		if g := u.graph(&version, "no definition"); g.graph != nil {
			t.Fatal("what is no definition has a graph")
		}
		if _, known := u.known(version); !known || len(u.notes) > maxUndrawn {
			t.Fatalf("version %d is known: %t; %d are remembered, want %d at the most", version, known, len(u.notes), maxUndrawn)
		}
	}
}
