package webadmin

import (
	"fmt"
	"strings"

	"github.com/jobnetes/jobnetes/schema"
)

// graph is the drawing of a definition: pure geometry, in pixels. draw makes
// it; overlay, in graph_status.go, says how far an execution has come.
type graph struct {
	W, H int
	Top  *lane
	Desc string // for those who cannot see the picture
}

// lane is a list of tasks, drawn from left to right: the top list, or a set of
// a parallel. What it holds has coordinates of its own, which begin at InX, InY
// in the lane's frame.
type lane struct {
	X, Y, W, H int
	InX, InY   int
	Title      string // empty: the top list
	Boxes      []*box
	Edges      []*edge
}

// box is a task. A parallel's holds its lanes, whose coordinates begin at the
// box's upper left corner.
type box struct {
	X, Y, W, H int
	Task       *schema.Task
	Name       string // of the task, as far as there is room
	Lanes      []*lane
	State      taskState
}

// HeadH is the height of a box without its lanes.
func (*box) HeadH() int { return boxH }

// TextX is where the box's text begins: after the icon, if it has one.
func (b *box) TextX() int {
	if b.State.Pill.Key == "" {
		return textX
	}
	return iconTextX
}

// edge leads from a task to one that may follow it.
type edge struct {
	From, To   string
	Conditions []string // of a branch, any of which leads here
	Label      *label
	Path       string // of an SVG <path>
	HeadX      int    // the tip of its arrow
	HeadY      int
	Taken      bool
}

// Title is the edge in words.
func (e *edge) Title() string {
	text := e.From + " to " + e.To
	if len(e.Conditions) > 0 {
		text += ", if " + strings.Join(e.Conditions, " or ")
	}
	if e.Taken {
		text += ": taken"
	}
	return text
}

// label is what stands on an edge.
type label struct {
	X, Y, W, H int
	Text       string
}

// Sizes in pixels.
const (
	margin      = 8 // around the drawing, for strokes
	boxH        = 52
	boxMinW     = 164
	textX       = 14 // where a box's text begins ...
	iconTextX   = 40 // ... and where it does after an icon
	boxPadR     = 14 // after the name
	nameLimit   = 30 // characters
	lanePad     = 14
	laneTitleH  = 22
	laneGap     = 10
	labelH      = 20
	labelPadW   = 16
	labelLimit  = 36 // characters
	labelCharW  = 6.8
	defaultWord = "default"
)

// draw lays a definition out.
func draw(def *schema.Definition) *graph {
	top := layList(def.Tasks)
	top.X, top.Y = margin, margin
	return &graph{W: top.W + 2*margin, H: top.H + 2*margin, Top: top}
}

// countTasks counts a list's tasks at every depth.
func countTasks(tasks []*schema.Task) int {
	n := len(tasks)
	for _, t := range tasks {
		for _, set := range t.Sets {
			n += countTasks(set)
		}
	}
	return n
}

func layList(tasks []*schema.Task) *lane {
	var (
		l        = &lane{}
		f        = &flow{}
		vertices = make(map[string]*vertex, len(tasks))
		labels   = map[*edge]*vertex{}
	)
	for _, t := range tasks {
		b := layBox(t)
		l.Boxes = append(l.Boxes, b)
		vertices[t.Name] = f.add(b.W, b.H)
	}
	for _, t := range tasks {
		for _, e := range edgesOf(t) {
			from, to := vertices[t.Name], vertices[e.To]
			l.Edges = append(l.Edges, e)
			if e.Label == nil {
				connect(from, to)
				continue
			}
			labels[e] = f.add(e.Label.W, e.Label.H)
			connect(from, labels[e])
			connect(labels[e], to)
		}
	}
	l.W, l.H = f.place()
	for _, b := range l.Boxes {
		v := vertices[b.Task.Name]
		b.X, b.Y = v.X, v.Y
	}
	for _, e := range l.Edges {
		e.follow(f, vertices[e.From], labels[e], vertices[e.To])
	}
	return l
}

// layBox sizes a task's box, and lays out the lanes in it.
func layBox(t *schema.Task) *box {
	b := &box{Task: t, Name: shortName(t.Name, nameLimit), H: boxH}
	b.W = max(boxMinW, iconTextX+textWidth(b.Name)+boxPadR)
	if len(t.Sets) == 0 {
		return b
	}
	y := boxH + laneGap
	for i, set := range t.Sets {
		l := layList(set)
		l.Title = fmt.Sprintf("set %d", i+1)
		l.X, l.Y, l.InX, l.InY = lanePad, y, lanePad, laneTitleH
		l.W, l.H = l.W+2*lanePad, l.H+laneTitleH+lanePad
		y += l.H + laneGap
		b.W = max(b.W, l.W+2*lanePad)
		b.Lanes = append(b.Lanes, l)
	}
	for _, l := range b.Lanes {
		l.W = b.W - 2*lanePad
	}
	b.H = y - laneGap + lanePad
	return b
}

// edgesOf returns the edges that leave a task: one for each task that may
// follow, in the order in which a branch tries them.
func edgesOf(t *schema.Task) []*edge {
	if t.Next != "" {
		return []*edge{{From: t.Name, To: t.Next}}
	}
	var edges []*edge
	byTarget := map[string]*edge{}
	add := func(condition, to string) {
		e := byTarget[to]
		if e == nil {
			e = &edge{From: t.Name, To: to}
			byTarget[to] = e
			edges = append(edges, e)
		}
		e.Conditions = append(e.Conditions, condition)
	}
	for _, c := range t.Choices {
		add(c.Condition.String(), c.Next)
	}
	if t.Default != "" {
		add(defaultWord, t.Default)
	}
	for _, e := range edges {
		text := oneLine(strings.Join(e.Conditions, " or "), labelLimit)
		e.Label = &label{Text: text, H: labelH, W: labelPadW + int(labelCharW*float64(len([]rune(text))))}
	}
	return edges
}

// textWidth estimates how wide a text is at the size of names, from above: the
// fonts differ from computer to computer, and these are the widths of DejaVu
// Sans Bold, one of the widest.
func textWidth(text string) int {
	width := 0.0
	for _, c := range text {
		switch {
		case strings.ContainsRune("ijl.,:;'|!I-", c):
			width += 5.7
		case strings.ContainsRune("tfr()[]", c):
			width += 6.7
		case strings.ContainsRune("mwMW@%", c) || c > '~': // other scripts too
			width += 14.9
		case c >= 'A' && c <= 'Z':
			width += 11.5
		default:
			width += 9.7
		}
	}
	return int(width)
}

// shortName cuts a long name in its middle: names differ at either end.
func shortName(name string, limit int) string {
	runes := []rune(name)
	if len(runes) <= limit {
		return name
	}
	head := limit / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(limit-head-1):])
}
