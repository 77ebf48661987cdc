package webadmin

import (
	"math"
	"slices"
)

// A flow is a directed graph without cycles that is to be drawn from left to
// right: every vertex is put into a layer (a column), and every edge that spans
// several layers gets a vertex without content in each layer between, so that
// it has a way of its own past the others. Vertices of a layer are then placed
// one below another: nothing can overlap.
type flow struct {
	vertices []*vertex
	layers   [][]*vertex
	ends     []int // where each column ends, to the right
}

// vertex is a box, an edge's label, or a place where an edge passes.
type vertex struct {
	W, H    int
	X, Y    int // of the upper left corner
	layer   int
	pass    bool // no more than a place where an edge passes
	in, out []*vertex
}

// middle is the height at which edges come and go.
func (v *vertex) middle() int { return v.Y + v.H/2 }

// Space between columns, in which edges turn, and between rows, in pixels.
const (
	columnGap = 36
	rowGap    = 18
)

func (f *flow) add(w, h int) *vertex {
	v := &vertex{W: w, H: h}
	f.vertices = append(f.vertices, v)
	return v
}

func connect(from, to *vertex) {
	from.out = append(from.out, to)
	to.in = append(to.in, from)
}

// place lays the graph out and returns its size. What a vertex was connected to
// first is drawn above what it was connected to later.
func (f *flow) place() (width, height int) {
	f.assignLayers()
	f.splitLongEdges()
	f.orderLayers()
	width = f.placeColumns()
	return width, f.placeRows()
}

// assignLayers puts each vertex right after the last of its predecessors.
func (f *flow) assignLayers() {
	waiting := make(map[*vertex]int, len(f.vertices))
	var ready []*vertex
	for _, v := range f.vertices {
		if waiting[v] = len(v.in); len(v.in) == 0 {
			ready = append(ready, v)
		}
	}
	for len(ready) > 0 {
		v := ready[0]
		ready = ready[1:]
		for _, to := range v.out {
			to.layer = max(to.layer, v.layer+1)
			if waiting[to]--; waiting[to] == 0 {
				ready = append(ready, to)
			}
		}
	}
}

// passH is the height of the place where an edge passes through a layer.
const passH = 12

func (f *flow) splitLongEdges() {
	for _, v := range slices.Clone(f.vertices) {
		for i, to := range v.out {
			from := v
			for layer := v.layer + 1; layer < to.layer; layer++ {
				pass := f.add(0, passH)
				pass.pass, pass.layer, pass.in = true, layer, []*vertex{from}
				if from == v {
					v.out[i] = pass
				} else {
					from.out = []*vertex{pass}
				}
				from = pass
			}
			if from != v {
				from.out = []*vertex{to}
				to.in[slices.Index(to.in, v)] = from
			}
		}
	}
}

// orderLayers orders each layer as a walk in depth reaches its vertices: what
// follows the first choice is above what follows the second, all the way.
func (f *flow) orderLayers() {
	seen := map[*vertex]bool{}
	var walk func(v *vertex)
	walk = func(v *vertex) {
		if seen[v] {
			return
		}
		seen[v] = true
		for len(f.layers) <= v.layer {
			f.layers = append(f.layers, nil)
		}
		f.layers[v.layer] = append(f.layers[v.layer], v)
		for _, to := range v.out {
			walk(to)
		}
	}
	for _, v := range f.vertices {
		if len(v.in) == 0 {
			walk(v)
		}
	}
}

func (f *flow) placeColumns() (width int) {
	x := 0
	for _, layer := range f.layers {
		column := 0
		for _, v := range layer {
			column = max(column, v.W)
		}
		for _, v := range layer {
			v.X = x
			if v.pass {
				v.W = column
			}
		}
		width = x + column
		f.ends = append(f.ends, width)
		x = width + columnGap
	}
	return width
}

// sweeps is how often rows are aligned with their neighbours; more moves
// nothing that a reader would see.
const sweeps = 6

func (f *flow) placeRows() (height int) {
	middle := make(map[*vertex]float64, len(f.vertices))
	for sweep := range sweeps {
		forth := sweep%2 == 0
		for i := range f.layers {
			if forth {
				align(f.layers[i], middle, func(v *vertex) []*vertex { return v.in })
			} else {
				align(f.layers[len(f.layers)-1-i], middle, func(v *vertex) []*vertex { return v.out })
			}
		}
	}
	top := math.MaxInt
	for _, v := range f.vertices {
		v.Y = int(math.Round(middle[v])) - v.H/2
		top = min(top, v.Y)
	}
	for _, v := range f.vertices {
		v.Y -= top
		height = max(height, v.Y+v.H)
	}
	return height
}

// align moves the vertices of a layer to the mean height of their neighbours, as
// far as the others of the layer allow.
func align(layer []*vertex, middle map[*vertex]float64, neighbours func(*vertex) []*vertex) {
	wanted := make([]float64, len(layer))
	for i, v := range layer {
		near := neighbours(v)
		if len(near) == 0 {
			wanted[i] = middle[v]
			continue
		}
		for _, n := range near {
			wanted[i] += middle[n] / float64(len(near))
		}
	}
	for i, y := range spread(layer, wanted) {
		middle[layer[i]] = y
	}
}

// spread returns the middles that are nearest to the wanted ones (least
// squares) and keep the vertices of a layer in order and apart. It is isotonic
// regression by pooling adjacent violators: neighbours that would collide move
// as one block to the mean of what they want.
func spread(layer []*vertex, wanted []float64) []float64 {
	type block struct {
		sum   float64
		count int
	}
	offset := make([]float64, len(layer)) // of each middle from the first, if all touch
	var blocks []block
	for i, v := range layer {
		if i > 0 {
			offset[i] = offset[i-1] + float64(layer[i-1].H+v.H)/2 + rowGap
		}
		blocks = append(blocks, block{wanted[i] - offset[i], 1})
		for n := len(blocks); n > 1 && blocks[n-2].sum*float64(blocks[n-1].count) > blocks[n-1].sum*float64(blocks[n-2].count); n-- {
			blocks[n-2].sum += blocks[n-1].sum
			blocks[n-2].count += blocks[n-1].count
			blocks = blocks[:n-1]
		}
	}
	var middles []float64
	for _, b := range blocks {
		for range b.count {
			middles = append(middles, b.sum/float64(b.count)+offset[len(middles)])
		}
	}
	return middles
}
