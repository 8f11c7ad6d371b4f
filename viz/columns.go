package viz

import (
	"fmt"
	"math"
)

// Columns shows quantities by category, side by side: free blocks by order
// before and after, say. At most seven series are drawn, as in [Lines].
type Columns struct {
	Frame
	// XLabel says what the categories are, Names are their names, from left to
	// right.
	XLabel string
	Names  []string
	// Y starts at zero, or below it if a value does, unless it is logarithmic.
	Y Axis
	// Series have a value for each category; NaN leaves it empty.
	Series []Series
}

// SVG draws the graph.
func (g Columns) SVG() []byte {
	c := newCanvas(g.Frame)
	shown := g.Series[:min(len(g.Series), maxSeries)]
	c.swatches(shown, len(g.Series)-len(shown))
	c.text(margin, c.y+small, "kv-m", "", g.Y.Label)
	c.y += 24
	ys := make([][]float64, len(shown))
	for i := range shown {
		ys[i] = shown[i].Y
	}
	y := g.Y
	y.FromZero = true
	lo, hi := y.reach(ys...)
	p := &plot{right: width - margin - 6, top: c.y, bottom: c.y + 190}
	var ticksAt []float64
	var step float64
	p.y, ticksAt, step = y.axisScale(lo, max(hi, 0), p.bottom, p.top, 5)
	p.left = margin + labelWidth(ticksAt, step) + 8
	c.yAxis(p, ticksAt, step)
	base := p.y.at(max(0, p.y.lo))
	slot := (p.right - p.left) / float64(max(len(g.Names), 1))
	w := slot * 0.8 / float64(max(len(shown), 1))
	labels, rows := categoryLabels(g.Names, slot)
	for k, name := range g.Names {
		left := p.left + slot*(float64(k)+0.1)
		for i, s := range shown {
			if k >= len(s.Y) || math.IsNaN(s.Y[k]) {
				continue
			}
			top := p.y.at(s.Y[k])
			c.rect(left+w*float64(i), min(top, base), w, math.Abs(base-top), `fill="`+seriesColours[i]+`"`,
				fmt.Sprintf("%s, %s: %s", name, s.Name, cell(s.Y[k])))
		}
		for i, line := range labels[k] {
			c.text(left+slot*0.4, p.bottom+14+float64(i)*(small+2), "kv-m kv-s", "middle", line)
		}
	}
	c.line(p.left, base, p.right, base, "kv-a")
	c.y = p.bottom + 16 + float64(rows)*(small+2)
	c.text((p.left+p.right)/2, c.y, "kv-m", "middle", g.XLabel)
	c.y += 10
	return c.finish(g.Frame)
}

// categoryLabels breaks names into lines that fit below their columns. Where one
// word does not, only as many names are kept as leave room for each other.
func categoryLabels(names []string, slot float64) (labels [][]string, rows int) {
	labels, rows = make([][]string, len(names)), 1
	free := math.Inf(-1) // where the last label ends, in slots
	for k, name := range names {
		lines := wrap(name, slot-4, small)
		w := 0.0
		for _, line := range lines {
			w = max(w, textWidth(line, small)/slot)
		}
		if middle := float64(k) + 0.5; middle-w/2 >= free {
			labels[k], free = lines, middle+w/2+6/slot
			rows = max(rows, len(lines))
		}
	}
	return labels, rows
}

// swatches names series above the plot by the colours of their areas, in the
// order in which they stand side by side.
func (c *canvas) swatches(shown []Series, more int) {
	x := margin
	for i, s := range shown {
		w := 18 + textWidth(s.Name, fontSize) + 14
		if x > margin && x+w > width-margin {
			x = margin
			c.y += lineStep
		}
		c.rect(x, c.y+2, 12, 12, `fill="`+seriesColours[i]+`"`, "")
		c.text(x+18, c.y+12, "kv-t", "", s.Name)
		x += w
	}
	if more > 0 {
		c.y += lineStep
		c.text(margin, c.y+12, "kv-m", "", fmt.Sprintf("and %d more, not shown", more))
	}
	c.y += lineStep + 8
}

// CSV has a line for each category and a column for each series, those not
// drawn too.
func (g Columns) CSV() []byte {
	head := []string{g.XLabel}
	for _, s := range g.Series {
		head = append(head, s.Name)
	}
	lines := [][]string{head}
	for k, name := range g.Names {
		line := []string{name}
		for _, s := range g.Series {
			v := math.NaN()
			if k < len(s.Y) {
				v = s.Y[k]
			}
			line = append(line, cell(v))
		}
		lines = append(lines, line)
	}
	return writeCSV(lines)
}
