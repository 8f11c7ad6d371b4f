package viz

import (
	"fmt"
	"strings"
)

// Row is one quantity of [Rows].
type Row struct {
	Name string
	// Y has a value for each X of the graph.
	Y []float64
	// Shade is the row's place in the colour map, 0 to 1.
	Shade float64
}

// Rows shows many quantities over a common X, each in a row with a scale of its
// own from zero to its largest value, which is printed beside it.
type Rows struct {
	Frame
	XLabel string
	X      []float64
	// RowsLabel heads the names, ValueLabel the ranges.
	RowsLabel, ValueLabel string
	Rows                  []Row
}

// SVG draws the graph.
func (g Rows) SVG() []byte {
	const rowHeight, gap = 22.0, 5.0
	c := newCanvas(g.Frame)
	names, ranges := textWidth(g.RowsLabel, small), textWidth(g.ValueLabel, small)
	for _, r := range g.Rows {
		names = max(names, textWidth(r.Name, fontSize))
		ranges = max(ranges, textWidth(rangeText(r.Y), fontSize))
	}
	c.text(margin, c.y+small, "kv-m kv-s", "", g.RowsLabel)
	c.text(width-margin, c.y+small, "kv-m kv-s", "end", g.ValueLabel)
	c.y += lineStep
	p := &plot{left: margin + names + 8, right: width - margin - ranges - 8, top: c.y}
	p.bottom = c.y + float64(len(g.Rows))*(rowHeight+gap)
	xlo, xhi := bounds(g.X)
	p.x = scale{lo: xlo, hi: xhi, a: p.left, b: p.right}
	xTicks, xStep := ticks(xlo, xhi, 4)
	y := c.y
	c.xAxis(p, xTicks, xStep, g.XLabel)
	for _, r := range g.Rows {
		y += rowHeight + gap
		_, hi := bounds(r.Y)
		p.y = scale{lo: 0, hi: max(hi, 1), a: y, b: y - rowHeight}
		c.line(p.left, y, p.right, y, "kv-g")
		c.text(margin, y-5, "kv-t", "", r.Name)
		c.text(width-margin, y-5, "kv-t", "end", rangeText(r.Y))
		c.area(p, g.X, r)
	}
	return c.finish(g.Frame)
}

// rangeText writes the smallest and largest value of a row.
func rangeText(y []float64) string {
	if len(y) == 0 {
		return "none"
	}
	lo, hi := bounds(y)
	if lo == hi {
		return Count(int64(lo))
	}
	return Count(int64(lo)) + "–" + Count(int64(hi))
}

// area fills a row under its line. A value holds until the next.
func (c *canvas) area(p *plot, xs []float64, r Row) {
	n := min(len(xs), len(r.Y))
	if n == 0 {
		return
	}
	var d strings.Builder
	d.WriteString("M" + num(p.x.at(xs[0])) + " " + num(p.y.a))
	for k := range n {
		if k > 0 {
			d.WriteString("H" + num(p.x.at(xs[k])))
		}
		d.WriteString("V" + num(p.y.at(r.Y[k])))
	}
	d.WriteString("h1V" + num(p.y.a) + "Z") // the last value shows, too
	fmt.Fprintf(&c.b, `<path d="%s" fill="%s"/>`+"\n", d.String(), viridis(0.12+0.76*r.Shade))
}
