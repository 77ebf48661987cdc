package schema

import (
	"fmt"
	"strings"
)

// checkReferences checks, list by list, that every reference names another
// task of its list, that every task can be reached, and that nothing loops.
func (d *decoder) checkReferences() {
	for _, list := range d.lists {
		g := d.graphOf(list)
		g.reportLoops(d.report)
		if !list.partial {
			g.reportUnreachable(d.report)
		}
	}
}

// graph is a list's tasks and those that each may be followed by.
type graph struct {
	nodes []*taskNode
	edges [][]edge
}

// edge is a reference that names a task of the list.
type edge struct {
	to int
	at *path
}

// graphOf resolves a list's references and reports those that it cannot.
func (d *decoder) graphOf(list *taskList) *graph {
	g := &graph{nodes: list.nodes, edges: make([][]edge, len(list.nodes))}
	index := make(map[string]int, len(list.nodes))
	for i, node := range list.nodes {
		if _, twice := index[node.task.Name]; !twice {
			index[node.task.Name] = i
		}
	}
	for i, node := range list.nodes {
		for _, ref := range node.successors {
			to, ok := index[ref.name]
			switch {
			case !ok:
				d.reportUnknown(list, ref)
			case list.nodes[to] == node:
				d.add(ref.at, "%q names its own task; name another task of the list", ref.name)
			default:
				g.edges[i] = append(g.edges[i], edge{to, ref.at})
			}
		}
	}
	return g
}

func (d *decoder) reportUnknown(list *taskList, ref reference) {
	switch other, ok := d.byName[ref.name]; {
	case d.full(): // spare the search for a suggestion that nobody sees
		d.untold++
	case ok:
		d.add(ref.at, "%q is in another list, %s; only a task of this list, %s, can follow", ref.name, other.list.at, list.at)
	default:
		names := make([]string, 0, len(list.nodes))
		for _, node := range list.nodes {
			names = append(names, node.task.Name)
		}
		d.add(ref.at, "no task is named %q%s", ref.name, didYouMean(ref.name, names))
	}
}

// reportLoops reports each reference that leads back to a task on the way to it.
func (g *graph) reportLoops(r *report) {
	const (
		unseen = iota
		onTrail
		done
	)
	state := make([]int, len(g.nodes))
	var trail []int
	onTrailAt := make([]int, len(g.nodes))
	var visit func(i int)
	visit = func(i int) {
		state[i] = onTrail
		onTrailAt[i] = len(trail)
		trail = append(trail, i)
		for _, e := range g.edges[i] {
			switch state[e.to] {
			case unseen:
				visit(e.to)
			case onTrail:
				r.add(e.at, "this closes a loop: %s; a workflow only goes forward", g.describeLoop(trail[onTrailAt[e.to]:]))
			}
		}
		trail = trail[:len(trail)-1]
		state[i] = done
	}
	for i := range g.nodes {
		if state[i] == unseen {
			visit(i)
		}
	}
}

// describeLoop names the tasks of a loop, and leaves out the end of a long one.
func (g *graph) describeLoop(loop []int) string {
	const most = 20
	left := max(0, len(loop)-most)
	var names []string
	for _, i := range loop[:len(loop)-left] {
		names = append(names, g.nodes[i].task.Name)
	}
	if left > 0 {
		names = append(names, fmt.Sprintf("(%d more)", left))
	}
	return strings.Join(append(names, g.nodes[loop[0]].task.Name), " -> ")
}

// reportUnreachable reports the tasks that nothing leads to. Tasks that would
// be reached if those were are only counted: linking the first mends them too.
func (g *graph) reportUnreachable(r *report) {
	if len(g.nodes) == 0 {
		return
	}
	reached := make([]bool, len(g.nodes))
	g.reach(0, reached)
	named := make([]bool, len(g.nodes))
	for _, edges := range g.edges {
		for _, e := range edges {
			named[e.to] = true
		}
	}
	first := g.nodes[0].task.Name
	// Those that no task names come first; what is left then are loops.
	for _, inLoop := range []bool{false, true} {
		for i, node := range g.nodes {
			if reached[i] || named[i] != inLoop {
				continue
			}
			follow := ""
			if n := g.reach(i, reached) - 1; n > 0 {
				follow = fmt.Sprintf(" (nor would %d after it)", n)
			}
			r.add(node.at, "nothing leads from the list's first task, %q, to %q, so it would never run%s; name it in a next, or remove it", first, node.task.Name, follow)
		}
	}
}

// reach marks what follows task i, itself included, and returns how many tasks
// it marked.
func (g *graph) reach(i int, reached []bool) int {
	reached[i] = true
	count := 1
	for _, e := range g.edges[i] {
		if !reached[e.to] {
			count += g.reach(e.to, reached)
		}
	}
	return count
}
