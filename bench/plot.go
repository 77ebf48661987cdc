package bench

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
)

// plot is a diagram of cost against size.
type plot struct {
	file   string // name in docs/images
	title  string
	x, y   string // what the axes are, with units
	curves []curve
}

// curve is the points of one kind, such as ours.
type curve struct {
	name   string
	points []point
}

type point struct{ x, y float64 }

// The picture's size, and where the axes are in it.
const (
	plotWidth, plotHeight    = 640.0, 380.0
	plotLeft, plotRight      = 70.0, 620.0
	plotTop, plotBottom      = 60.0, 320.0
	plotTicks                = 4
	pointRadius, legendWidth = 4, 150.0
)

// curveColors are told apart by the colour-blind, too (Okabe and Ito).
var curveColors = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7"}

// svg draws the plot. The x axis is logarithmic if sizes are far apart; the y axis
// begins at 0, so that what grows is seen to.
func (p plot) svg() []byte {
	x, y := p.axes()
	var b bytes.Buffer
	_, _ = fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12" fill="#333">`+"\n", plotWidth, plotHeight)
	_, _ = fmt.Fprintf(&b, `<rect width="%g" height="%g" fill="#fff"/>`+"\n", plotWidth, plotHeight)
	text(&b, plotLeft, 24, `font-size="15"`, p.title)
	for i, c := range p.curves {
		at := plotLeft + float64(i)*legendWidth
		_, _ = fmt.Fprintf(&b, `<circle cx="%g" cy="41" r="%d" fill="%s"/>`+"\n", at+pointRadius, pointRadius, color(i))
		text(&b, at+14, 45, "", c.name)
	}
	for _, tick := range y.ticks {
		at := y.place(tick)
		_, _ = fmt.Fprintf(&b, `<path d="M%g %.1fH%g" stroke="#ddd"/>`+"\n", plotLeft, at, plotRight)
		text(&b, plotLeft-8, at+4, `text-anchor="end"`, label(tick))
	}
	for _, tick := range x.ticks {
		at := x.place(tick)
		_, _ = fmt.Fprintf(&b, `<path d="M%.1f %gv5" stroke="#333"/>`+"\n", at, plotBottom)
		text(&b, at, plotBottom+20, `text-anchor="middle"`, label(tick))
	}
	_, _ = fmt.Fprintf(&b, `<path d="M%g %gH%g" stroke="#333"/>`+"\n", plotLeft, plotBottom, plotRight)
	text(&b, (plotLeft+plotRight)/2, plotHeight-14, `text-anchor="middle"`, p.x)
	text(&b, 0, 0, fmt.Sprintf(`text-anchor="middle" transform="translate(18 %g) rotate(-90)"`, (plotTop+plotBottom)/2), p.y)
	for i, c := range p.curves {
		c.draw(&b, color(i), x, y)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func color(i int) string { return curveColors[i%len(curveColors)] }

func (c curve) draw(b *bytes.Buffer, color string, x, y axis) {
	path, command := "", "M"
	for _, p := range c.points {
		path += fmt.Sprintf("%s%.1f %.1f", command, x.place(p.x), y.place(p.y))
		command = "L"
		_, _ = fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="%d" fill="%s"/>`+"\n", x.place(p.x), y.place(p.y), pointRadius, color)
	}
	_, _ = fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path, color)
}

// text writes words, which may have any character.
func text(b *bytes.Buffer, x, y float64, attributes, words string) {
	_, _ = fmt.Fprintf(b, `<text x="%.1f" y="%.1f" %s>`, x, y, attributes)
	_ = xml.EscapeText(b, []byte(words)) // a buffer takes all
	b.WriteString("</text>\n")
}

// axis maps values to places in the picture.
type axis struct {
	logarithmic bool
	low, high   float64 // values at its ends
	from, to    float64 // places of its ends
	ticks       []float64
}

func (a axis) place(value float64) float64 {
	low, high := a.low, a.high
	if a.logarithmic {
		low, high, value = math.Log10(low), math.Log10(high), math.Log10(value)
	}
	if high == low {
		return (a.from + a.to) / 2
	}
	return a.from + (value-low)/(high-low)*(a.to-a.from)
}

// axes gives the axes that have all points within them.
func (p plot) axes() (x, y axis) {
	x = axis{low: math.Inf(1), high: math.Inf(-1), from: plotLeft + 20, to: plotRight - 20}
	y = axis{from: plotBottom, to: plotTop}
	sizes := map[float64]bool{}
	for _, c := range p.curves {
		for _, point := range c.points {
			x.low, x.high = min(x.low, point.x), max(x.high, point.x)
			y.high = max(y.high, point.y)
			if !sizes[point.x] {
				sizes[point.x] = true
				x.ticks = append(x.ticks, point.x)
			}
		}
	}
	const far = 20
	x.logarithmic = x.low > 0 && x.high/x.low > far
	step := niceStep(y.high / plotTicks)
	y.high = math.Max(step*math.Ceil(y.high/step), step)
	for tick := 0.0; tick <= y.high+step/2; tick += step {
		y.ticks = append(y.ticks, tick)
	}
	return x, y
}

// niceStep gives the least of 1, 2 and 5 times a power of ten that is not under
// value.
func niceStep(value float64) float64 {
	if value <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(value)))
	for _, times := range []float64{1, 2, 5} {
		if power*times >= value {
			return power * times
		}
	}
	return power * 10
}

// label gives a value as people write it on an axis: 10,000 or 0.5.
func label(value float64) string {
	digits := strconv.FormatFloat(value, 'g', 4, 64)
	if value < 1000 {
		return digits
	}
	digits = strconv.FormatFloat(value, 'f', 0, 64)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
