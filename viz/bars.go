package viz

import "fmt"

// Bar is a part of a whole.
type Bar struct {
	Name string
	// Done of Of is the bar's length; an Of of zero is an empty bar.
	Done, Of int
}

// Bars shows shares of a whole, with the numbers.
type Bars struct {
	Frame
	// ValueLabel says what is counted.
	ValueLabel string
	Bars       []Bar
}

// SVG draws the graph.
func (g Bars) SVG() []byte {
	const rowHeight = 21.0
	c := newCanvas(g.Frame)
	names, values := 0.0, textWidth(g.ValueLabel, small)
	for _, b := range g.Bars {
		names = max(names, textWidth(b.Name, fontSize))
		values = max(values, textWidth(b.text(), fontSize))
	}
	left, right := margin+names+8, width-margin-values-10
	c.text(width-margin, c.y+small, "kv-m kv-s", "end", g.ValueLabel)
	c.text(left, c.y+small, "kv-m kv-s", "", "0")
	c.text(right, c.y+small, "kv-m kv-s", "end", "100 %")
	c.y += lineStep
	for _, b := range g.Bars {
		y := c.y
		c.text(margin, y+14, "kv-t", "", b.Name)
		c.rect(left, y+3, right-left, rowHeight-7, `class="kv-n"`, "")
		if b.Of > 0 && b.Done > 0 {
			colour := seriesColours[0]
			if b.Done < b.Of {
				colour = seriesColours[1]
			}
			c.rect(left, y+3, b.length(right-left), rowHeight-7, `fill="`+colour+`"`, b.Name+": "+b.text())
		}
		c.text(width-margin, y+14, "kv-t", "end", b.text())
		c.y += rowHeight
	}
	c.y += 6
	return c.finish(g.Frame)
}

func (b Bar) text() string {
	if b.Of == 0 {
		return "none"
	}
	return fmt.Sprintf("%s of %s", Count(b.Done), Count(b.Of))
}

// length of the bar within w: what is not whole shows a gap, however small the
// rest.
func (b Bar) length(w float64) float64 {
	if b.Done >= b.Of {
		return w
	}
	return min(w*float64(b.Done)/float64(b.Of), w-3)
}
