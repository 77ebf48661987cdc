package webadmin

import (
	"fmt"
	"strings"
)

// arrowLen is how much of an edge's end its arrow covers, in pixels.
const arrowLen = 8

// waypoint is where an edge enters a column and where it leaves it, at one height.
type waypoint struct{ enter, leave, y int }

// follow draws the edge through the places that the layout left for it.
func (e *edge) follow(f *flow, from, label, to *vertex) {
	if label != nil {
		e.Label.X, e.Label.Y = label.X, label.Y
	}
	e.trace(waypoints(f, from, label, to))
}

func waypoints(f *flow, from, label, to *vertex) []waypoint {
	var way []waypoint
	way = append(way, waypoint{from.X + from.W, f.ends[from.layer], from.middle()})
	if label != nil {
		way = append(way, passes(f, from, label)...)
		way = append(way, waypoint{label.X, f.ends[label.layer], label.middle()})
		from = label
	}
	way = append(way, passes(f, from, to)...)
	return append(way, waypoint{to.X, to.X, to.middle()})
}

// passes returns the places between a vertex and one that it is connected to.
func passes(f *flow, from, to *vertex) []waypoint {
	for _, v := range from.out {
		var way []waypoint
		for v.pass {
			way = append(way, waypoint{v.X, f.ends[v.layer], v.middle()})
			v = v.out[0]
		}
		if v == to {
			return way
		}
	}
	return nil
}

// trace writes the path: straight through columns, in curves between them.
func (e *edge) trace(way []waypoint) {
	var path strings.Builder
	first, last := way[0], way[len(way)-1]
	fmt.Fprintf(&path, "m%d %d", first.enter, first.y)
	if first.leave > first.enter {
		fmt.Fprintf(&path, "h%d", first.leave-first.enter)
	}
	x, y := first.leave, first.y
	for i, p := range way[1:] {
		dx, dy := p.enter-x, p.y-y
		if i == len(way)-2 {
			dx -= arrowLen
		}
		if dy == 0 {
			fmt.Fprintf(&path, "h%d", dx)
		} else {
			fmt.Fprintf(&path, "c%d 0 %d %d %d %d", dx/2, dx-dx/2, dy, dx, dy)
		}
		if p.leave > p.enter {
			fmt.Fprintf(&path, "h%d", p.leave-p.enter)
		}
		x, y = p.leave, p.y
	}
	e.Path, e.HeadX, e.HeadY = path.String(), last.enter, last.y
}
