package viz

import (
	"fmt"
	"math"
)

// Heat shows a number from 0 to 1 for each row and moment as a colour.
type Heat struct {
	Frame
	XLabel string
	// X has the moments; a cell reaches to the next one.
	X []float64
	// RowsLabel heads the rows' names.
	RowsLabel string
	Rows      []HeatRow
	// Low and High say what 0 and 1 mean; None what a missing value means.
	Low, High, None string
}

// HeatRow is a row of [Heat].
type HeatRow struct {
	Name string
	// Values are 0 to 1, NaN where there is none.
	Values []float64
}

// SVG draws the graph.
func (g Heat) SVG() []byte {
	const rowHeight = 19.0
	c := newCanvas(g.Frame)
	g.key(c)
	names := textWidth(g.RowsLabel, small)
	for _, r := range g.Rows {
		names = max(names, textWidth(r.Name, fontSize))
	}
	c.text(margin, c.y+small, "kv-m kv-s", "", g.RowsLabel)
	c.y += lineStep
	p := &plot{left: margin + names + 8, right: width - margin - 6, top: c.y}
	p.bottom = c.y + float64(len(g.Rows))*rowHeight
	xlo, xhi := bounds(g.X)
	p.x = scale{lo: xlo, hi: xhi, a: p.left, b: p.right}
	for i, r := range g.Rows {
		y := p.top + float64(i)*rowHeight
		c.text(margin, y+rowHeight-5, "kv-t", "", r.Name)
		c.heatRow(p, g.X, r, y, rowHeight-1)
	}
	xTicks, xStep := ticks(xlo, xhi, 6)
	top := p.top
	p.top = p.bottom // no lines through the cells
	c.xAxis(p, xTicks, xStep, g.XLabel)
	p.top = top
	return c.finish(g.Frame)
}

// key explains the colours.
func (g Heat) key(c *canvas) {
	const bar, steps = 90.0, 15
	x := margin
	c.text(x, c.y+12, "kv-t", "", g.Low+" 0")
	x += textWidth(g.Low+" 0", fontSize) + 6
	for i := range steps {
		c.rect(x+float64(i)*bar/steps, c.y+2, bar/steps+0.3, 11, fmt.Sprintf(`fill="%s"`, viridis(float64(i)/(steps-1))), "")
	}
	x += bar + 6
	c.text(x, c.y+12, "kv-t", "", "1 "+g.High)
	c.y += lineStep + 2
	if g.None != "" {
		c.rect(margin, c.y+2, 22, 11, `class="kv-n"`, "")
		c.text(margin+28, c.y+12, "kv-t", "", g.None)
		c.y += lineStep + 2
	}
	c.y += 4
}

// heatRow draws a row's cells, neighbours of one colour as one.
func (c *canvas) heatRow(p *plot, xs []float64, r HeatRow, y, h float64) {
	n := min(len(xs), len(r.Values))
	for i := 0; i < n; {
		end := i + 1
		for end < n && heatStep(r.Values[end]) == heatStep(r.Values[i]) {
			end++
		}
		x1, x2 := p.x.at(xs[i]), p.right
		if end < n {
			x2 = p.x.at(xs[end])
		}
		attrs, title := `class="kv-n"`, r.Name+": none"
		if v := r.Values[i]; !math.IsNaN(v) {
			attrs, title = fmt.Sprintf(`fill="%s"`, viridis(heatStep(v))), fmt.Sprintf("%s: %.2f", r.Name, heatStep(v))
		}
		if x2 > x1 {
			c.rect(x1, y, x2-x1, h, attrs, title)
		}
		i = end
	}
}

// heatStep rounds a value to the steps that are told apart: hundredths; a
// missing value is -1.
func heatStep(v float64) float64 {
	if math.IsNaN(v) {
		return -1
	}
	return math.Round(v*100) / 100
}
