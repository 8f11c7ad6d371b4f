package viz

import (
	"fmt"
	"math"
)

// Intervals compares a number by name: a dot for each with a line over its
// interval.
type Intervals struct {
	Frame
	Value Axis
	Rows  []Interval
}

// Interval is a value with the interval that it lies in. A NaN is no value.
type Interval struct {
	Name       string
	At, Lo, Hi float64
	// Mark sets it off: the one that the others are compared with.
	Mark bool
}

// SVG draws the graph.
func (g Intervals) SVG() []byte {
	const rowHeight = 20.0
	c := newCanvas(g.Frame)
	names := 0.0
	var values []float64
	for _, r := range g.Rows {
		names = max(names, textWidth(r.Name, fontSize))
		values = append(values, r.At, r.Lo, r.Hi)
	}
	lo, hi := bounds(values)
	if g.Value.FromZero {
		lo = min(lo, 0)
	}
	xs, step := ticks(lo, max(hi, g.Value.Max), 5)
	p := &plot{left: margin + names + 12, right: width - margin - 12, top: c.y, bottom: c.y + rowHeight*float64(len(g.Rows))}
	p.x = scale{lo: xs[0], hi: xs[len(xs)-1], a: p.left, b: p.right}
	y := p.top
	c.xAxis(p, xs, step, g.Value.Label)
	for _, r := range g.Rows {
		g.row(c, p, r, y+rowHeight/2)
		y += rowHeight
	}
	return c.finish(g.Frame)
}

// row draws a name with its dot and line.
func (g Intervals) row(c *canvas, p *plot, r Interval, y float64) {
	class, colour := "kv-t", seriesColours[0]
	if r.Mark {
		class, colour = "kv-t kv-h", seriesColours[3]
	}
	c.text(margin, y+4, class, "", r.Name)
	if math.IsNaN(r.At) {
		c.text(p.left+4, y+4, "kv-m kv-s", "", "none")
		return
	}
	title := fmt.Sprintf("%s: %.4g (%.4g to %.4g)", r.Name, r.At, r.Lo, r.Hi)
	x1, x2 := p.x.at(r.Lo), p.x.at(r.Hi)
	if x2-x1 > 0.5 {
		c.rect(x1, y-1.5, x2-x1, 3, fmt.Sprintf(`fill="%s"`, colour), title)
		for _, x := range []float64{x1, x2} {
			c.rect(x-0.75, y-5, 1.5, 10, fmt.Sprintf(`fill="%s"`, colour), "")
		}
	}
	x := p.x.at(r.At)
	if r.Mark {
		c.rect(x-5, y-5, 10, 10, fmt.Sprintf(`fill="%s"`, colour), title)
		return
	}
	c.rect(x-5, y-5, 10, 10, fmt.Sprintf(`rx="5" fill="%s"`, colour), title)
}
