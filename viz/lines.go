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
	// LogX makes the horizontal axis logarithmic.
	LogX bool
	// Steps draws each value as holding until the next one.
	Steps  bool
	Y      Axis
	Series []Series
	// Most is how many series are drawn, the first ones; 0 means seven, which is
	// also the most.
	Most int
}

// SVG draws the graph.
func (g Lines) SVG() []byte {
	c := newCanvas(g.Frame)
	most := maxSeries
	if g.Most > 0 {
		most = min(most, g.Most)
	}
	shown := g.Series[:min(len(g.Series), most)]
	names := make([]string, len(shown))
	for i := range shown {
		names[i] = shown[i].Name
	}
	c.legend(names, len(g.Series)-len(shown))
	c.text(margin, c.y+small, "kv-m", "", g.Y.Label)
	c.y += 24
	ys := make([][]float64, len(shown))
	for i := range shown {
		ys[i] = shown[i].Y
	}
	lo, hi := g.Y.reach(ys...)
	p := &plot{right: width - margin - 6, top: c.y, bottom: c.y + 190}
	var yTicks []float64
	var yStep float64
	p.y, yTicks, yStep = g.Y.axisScale(lo, hi, p.bottom, p.top, 5)
	p.left = margin + labelWidth(yTicks, yStep) + 8
	xTicks, xStep := p.horizontal(Axis{Log: g.LogX}, 6, g.X)
	c.yAxis(p, yTicks, yStep)
	c.xAxis(p, xTicks, xStep, g.XLabel)
	for i := range shown {
		c.path(p, g.X, shown[i].Y, i, g.Steps)
	}
	return c.finish(g.Frame)
}

// horizontal fits the plot's horizontal scale to values, without room beside
// them unless the axis is logarithmic.
func (p *plot) horizontal(x Axis, want int, values ...[]float64) (ticksAt []float64, step float64) {
	lo, hi := x.reach(values...)
	s, ticksAt, step := x.axisScale(lo, hi, p.left, p.right, want)
	if !x.Log {
		s.lo, s.hi = lo, hi
	}
	p.x = s
	return ticksAt, step
}

// legend names the series above the plot, as many to a line as fit, and says
// how many more there are.
func (c *canvas) legend(names []string, more int) {
	x := margin
	for i, name := range names {
		w := 30 + textWidth(name, fontSize) + 14
		if x > margin && x+w > width-margin {
			x = margin
			c.y += lineStep
		}
		fmt.Fprintf(&c.b, `<line x1="%s" y1="%s" x2="%s" y2="%s" %s/>`+"\n", num(x), num(c.y+8), num(x+24), num(c.y+8), stroke(i))
		c.text(x+30, c.y+12, "kv-t", "", name)
		x += w
	}
	if more > 0 {
		c.y += lineStep
		c.text(margin, c.y+12, "kv-m", "", fmt.Sprintf("and %d more, not shown", more))
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
func (c *canvas) path(p *plot, xs, ys []float64, i int, steps bool) {
	var d strings.Builder
	n := min(len(xs), len(ys))
	pen := "M"
	for k := range n {
		if math.IsNaN(ys[k]) {
			pen = "M"
			continue
		}
		if steps && pen == "L" {
			d.WriteString("H" + num(p.x.at(xs[k])) + "V" + num(p.y.at(ys[k])))
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
