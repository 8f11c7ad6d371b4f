package viz

import (
	"fmt"
	"math"
	"strings"
)

// Series is one line of a graph.
type Series struct {
	Name string
	// Y has a value for each X of the graph; NaN leaves a gap.
	Y []float64
}

// Lines shows a few quantities over a common X, at most seven: further series
// are not drawn but named in the legend as left out.
type Lines struct {
	Frame
	XLabel string
	X      []float64
	Y      Axis
	Series []Series
}

// SVG draws the graph.
func (g Lines) SVG() []byte {
	c := newCanvas(g.Frame)
	shown := g.Series[:min(len(g.Series), maxSeries)]
	g.legend(c, shown)
	c.text(margin, c.y+small, "kv-m", "", g.Y.Label)
	c.y += 24
	ys := make([][]float64, len(shown))
	for i := range shown {
		ys[i] = shown[i].Y
	}
	lo, hi := bounds(ys...)
	if g.Y.FromZero {
		lo = min(lo, 0)
	}
	hi = max(hi, g.Y.Max)
	yTicks, yStep := ticks(lo, hi, 5)
	xlo, xhi := bounds(g.X)
	xTicks, xStep := ticks(xlo, xhi, 6)
	p := &plot{left: margin + labelWidth(yTicks, yStep) + 8, right: width - margin - 6, top: c.y, bottom: c.y + 190}
	p.x = scale{xlo, xhi, p.left, p.right}
	p.y = scale{yTicks[0], yTicks[len(yTicks)-1], p.bottom, p.top}
	c.yAxis(p, yTicks, yStep)
	c.xAxis(p, xTicks, xStep, g.XLabel)
	for i := range shown {
		c.path(p, g.X, shown[i].Y, i)
	}
	return c.finish(g.Frame)
}

// legend names the series above the plot, as many to a line as fit.
func (g Lines) legend(c *canvas, shown []Series) {
	x := margin
	for i, s := range shown {
		w := 30 + textWidth(s.Name, fontSize) + 14
		if x > margin && x+w > width-margin {
			x = margin
			c.y += lineStep
		}
		fmt.Fprintf(&c.b, `<line x1="%s" y1="%s" x2="%s" y2="%s" %s/>`+"\n", num(x), num(c.y+8), num(x+24), num(c.y+8), stroke(i))
		c.text(x+30, c.y+12, "kv-t", "", s.Name)
		x += w
	}
	if n := len(g.Series) - len(shown); n > 0 {
		c.y += lineStep
		c.text(margin, c.y+12, "kv-m", "", fmt.Sprintf("and %d more, not shown", n))
	}
	c.y += lineStep + 8
}

func stroke(i int) string {
	s := fmt.Sprintf(`stroke="%s" stroke-width="2" fill="none" stroke-linejoin="round" stroke-linecap="round"`, seriesColours[i])
	if seriesDashes[i] != "" {
		s += fmt.Sprintf(` stroke-dasharray="%s"`, seriesDashes[i])
	}
	return s
}

// path draws a series, with gaps where a value is missing.
func (c *canvas) path(p *plot, xs, ys []float64, i int) {
	var d strings.Builder
	n := min(len(xs), len(ys))
	pen := "M"
	for k := range n {
		if math.IsNaN(ys[k]) {
			pen = "M"
			continue
		}
		d.WriteString(pen + num(p.x.at(xs[k])) + " " + num(p.y.at(ys[k])))
		if pen == "M" && (k+1 == n || math.IsNaN(ys[k+1])) {
			d.WriteString("h0") // a value between gaps is a dot
		}
		pen = "L"
	}
	fmt.Fprintf(&c.b, `<path d="%s" %s/>`+"\n", d.String(), stroke(i))
}

// labelWidth is the width of the widest tick label.
func labelWidth(values []float64, step float64) float64 {
	w := 0.0
	for _, v := range values {
		w = max(w, textWidth(tickLabel(v, step), small))
	}
	return w
}
