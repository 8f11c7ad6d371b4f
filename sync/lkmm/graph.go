package lkmm

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strings"
)

// Sizes of a drawing, in pixels.
const (
	boxWidth     = 190
	boxHeight    = 30
	columnGap    = 150
	rowGap       = 46
	marginLeft   = 90
	marginTop    = 110
	marginBottom = 40
	charWidth    = 6.6 // of the labels' font
)

// labelColors are the colours of edges; other labels are fences.
var labelColors = map[string]string{
	"rf": "#c0392b", "co": "#2457a8", "fr": "#b9770e", "po": "#7f8c8d", "po-loc": "#7f8c8d",
	"addr": "#7d3c98", "data": "#7d3c98", "ctrl": "#7d3c98", "rmw": "#555555",
}

func labelColor(label string) string {
	if c, ok := labelColors[label]; ok {
		return c
	}
	return "#1e7a45"
}

// Title says in a line what the evidence shows.
func (ev *Evidence) Title() string {
	if ev.Broken == 0 {
		return ev.Test.Name + ": allowed"
	}
	return fmt.Sprintf("%s: forbidden by %s", ev.Test.Name, ev.Broken)
}

// drawing lays out an execution: a column for every thread, program order from
// top to bottom.
type drawing struct {
	ev            *Evidence
	x, y          []float64 // centre of an event's box
	width, height float64
	onCycle       map[int]bool
	taken         []rect // labels and boxes
	ports         map[port][]int
	out           *bufio.Writer
}

type rect struct{ x, y, w, h float64 } // centre and size

// port is a side of an event's box where edges end.
type port struct {
	event int
	right bool
}

func newDrawing(ev *Evidence, w io.Writer) *drawing {
	d := &drawing{ev: ev, onCycle: map[int]bool{}, ports: map[port][]int{}, out: bufio.NewWriter(w)}
	for _, e := range ev.Cycle {
		d.onCycle[e] = true
	}
	rows := make([]int, len(ev.Test.Threads))
	for _, e := range ev.Events {
		d.x = append(d.x, marginLeft+boxWidth/2+float64(e.Thread)*(boxWidth+columnGap))
		d.y = append(d.y, marginTop+boxHeight/2+float64(rows[e.Thread])*(boxHeight+rowGap))
		rows[e.Thread]++
		last := len(d.x) - 1
		d.taken = append(d.taken, rect{d.x[last], d.y[last], boxWidth, boxHeight})
	}
	d.width = 2*marginLeft + float64(len(rows))*(boxWidth+columnGap) - columnGap
	d.height = marginTop + marginBottom + float64(slices.Max(rows))*(boxHeight+rowGap) - rowGap
	d.width = max(d.width, 2*marginLeft+float64(max(len(ev.Title()), len(ev.State)))*8)
	d.assignPorts()
	return d
}

// sides says at which sides of the boxes an edge starts and ends: facing each
// other, or, within a thread, both on the left for fences and on the right for
// the rest.
func (d *drawing) sides(e EvidenceEdge) (fromRight, toRight bool) {
	switch from, to := d.ev.Events[e.From].Thread, d.ev.Events[e.To].Thread; {
	case from < to:
		return true, false
	case from > to:
		return false, true
	}
	_, basic := labelColors[e.Label]
	return basic, basic
}

// assignPorts collects the edges at each side of a box, sorted by where they
// lead, so that they fan out without crossing.
func (d *drawing) assignPorts() {
	for i, e := range d.ev.Edges {
		fromRight, toRight := d.sides(e)
		d.ports[port{e.From, fromRight}] = append(d.ports[port{e.From, fromRight}], i)
		d.ports[port{e.To, toRight}] = append(d.ports[port{e.To, toRight}], i)
	}
	// Each is sorted by itself, so order does not matter.
	for p, edges := range d.ports {
		slices.SortStableFunc(edges, func(a, b int) int {
			return int(d.y[d.other(a, p.event)] - d.y[d.other(b, p.event)])
		})
	}
}

func (d *drawing) other(edge, event int) int {
	e := d.ev.Edges[edge]
	if e.From == event {
		return e.To
	}
	return e.From
}

// anchor is the point where an edge meets a box.
func (d *drawing) anchor(edge, event int, right bool) (x, y float64) {
	edges := d.ports[port{event, right}]
	pos := slices.Index(edges, edge)
	x, y = d.x[event]-boxWidth/2, d.y[event]
	if right {
		x += boxWidth
	}
	return x, y + (float64(pos)-float64(len(edges)-1)/2)*min(7, (boxHeight-6)/float64(max(1, len(edges)-1)))
}

// WriteSVG draws the execution: a column for each thread, the cycle in bold.
func (ev *Evidence) WriteSVG(w io.Writer) error {
	d := newDrawing(ev, w)
	d.header()
	for i := range ev.Edges {
		if !d.onCycle[i] {
			d.drawEdge(i)
		}
	}
	d.boxes()
	for i := range ev.Edges {
		if d.onCycle[i] {
			d.drawEdge(i)
		}
	}
	fmt.Fprintln(d.out, "</svg>")
	return d.out.Flush()
}

func (d *drawing) header() {
	fmt.Fprintf(d.out, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="sans-serif">`+"\n",
		d.width, d.height, d.width, d.height)
	fmt.Fprintf(d.out, `<rect width="%.0f" height="%.0f" fill="white"/>`+"\n<defs>\n", d.width, d.height)
	for _, c := range d.colors() {
		fmt.Fprintf(d.out, `<marker id="m%s" viewBox="0 0 8 8" refX="7" refY="4" markerUnits="userSpaceOnUse" markerWidth="10" markerHeight="10" orient="auto"><path d="M0 0L8 4L0 8z" fill="%s"/></marker>`+"\n",
			c[1:], c)
	}
	fmt.Fprintln(d.out, "</defs>")
	fmt.Fprintf(d.out, `<text x="20" y="30" font-size="17" font-weight="bold" fill="#222">%s</text>`+"\n", html.EscapeString(d.ev.Title()))
	fmt.Fprintf(d.out, `<text x="20" y="52" font-size="13" font-family="monospace" fill="#444">%s</text>`+"\n", html.EscapeString(d.ev.State))
	for t, th := range d.ev.Test.Threads {
		fmt.Fprintf(d.out, `<text x="%.0f" y="%d" font-size="14" font-weight="bold" text-anchor="middle" fill="#222">%s</text>`+"\n",
			marginLeft+boxWidth/2+float64(t)*(boxWidth+columnGap), marginTop-14, html.EscapeString(th.Name))
	}
}

// colors lists the colours in use, in order.
func (d *drawing) colors() []string {
	var out []string
	for _, e := range d.ev.Edges {
		if c := labelColor(e.Label); !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	slices.Sort(out)
	return out
}

// boxes draws the events and the program order between them.
func (d *drawing) boxes() {
	for i, e := range d.ev.Events {
		if i > 0 && d.ev.Events[i-1].Thread == e.Thread {
			fmt.Fprintf(d.out, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#c9ced3" stroke-width="1.5"/>`+"\n",
				d.x[i], d.y[i-1]+boxHeight/2, d.x[i], d.y[i]-boxHeight/2)
		}
		fill, stroke := "#f7f8fa", "#9aa3ad"
		if d.marksCycle(i) {
			fill, stroke = "#fff4d6", "#8a6d1d"
		}
		fmt.Fprintf(d.out, `<rect x="%.1f" y="%.1f" width="%d" height="%d" rx="5" fill="%s" stroke="%s"/>`+"\n",
			d.x[i]-boxWidth/2, d.y[i]-boxHeight/2, boxWidth, boxHeight, fill, stroke)
		fmt.Fprintf(d.out, `<text x="%.1f" y="%.1f" font-size="12" font-family="monospace" text-anchor="middle" fill="#222"%s>%s</text>`+"\n",
			d.x[i], d.y[i]+4, fitText(e.Text), html.EscapeString(e.Text))
	}
}

// fitText squeezes a text that is too long for a box.
func fitText(s string) string {
	if float64(len(s))*7.3 <= boxWidth-10 {
		return ""
	}
	return fmt.Sprintf(` textLength="%d" lengthAdjust="spacingAndGlyphs"`, boxWidth-12)
}

// marksCycle says whether an event lies on the cycle.
func (d *drawing) marksCycle(event int) bool {
	for _, i := range d.ev.Cycle {
		if e := d.ev.Edges[i]; e.From == event || e.To == event {
			return true
		}
	}
	return false
}

// drawEdge draws an edge as a curve with its label.
func (d *drawing) drawEdge(i int) {
	e := d.ev.Edges[i]
	fromRight, toRight := d.sides(e)
	x1, y1 := d.anchor(i, e.From, fromRight)
	x2, y2 := d.anchor(i, e.To, toRight)
	color := labelColor(e.Label)
	width, opacity := 1.1, 0.45
	if d.onCycle[i] {
		width, opacity = 2.4, 1
	} else if len(d.ev.Cycle) == 0 {
		width, opacity = 1.6, 1
	}
	c := d.curve(i, x1, y1, x2, y2, fromRight, toRight)
	fmt.Fprintf(d.out, `<path d="%s" fill="none" stroke="%s" stroke-width="%.1f" stroke-opacity="%.2f" marker-end="url(#m%s)"/>`+"\n",
		c.path, color, width, opacity, color[1:])
	places := labelPlaces
	if fromRight != toRight {
		places = crossingPlaces
	}
	d.label(e.Label, color, opacity, c.at, places)
}

// labelPlaces are where along an edge its label may stand, the best first;
// edges between threads often cross in the middle, so that their labels stand
// before it.
var (
	labelPlaces    = []float64{0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.18, 0.82}
	crossingPlaces = []float64{0.34, 0.42, 0.26, 0.5, 0.58, 0.66, 0.74, 0.18, 0.82}
)

// curve is an edge's line, as SVG and as points to put the label at.
type curve struct {
	path string
	at   func(t float64) (x, y float64)
}

func (d *drawing) curve(i int, x1, y1, x2, y2 float64, fromRight, toRight bool) curve {
	reach := columnGap * 0.45
	if fromRight == toRight { // within a thread: further out, the longer
		reach = 26 + 0.16*math.Abs(y2-y1)
	}
	if math.Abs(x2-x1) > columnGap+1 && fromRight != toRight {
		return d.detour(i, x1, y1, x2, y2)
	}
	c1, c2 := x1-reach, x2-reach
	if fromRight {
		c1 = x1 + reach
	}
	if toRight {
		c2 = x2 + reach
	}
	return curve{
		path: fmt.Sprintf("M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f", x1, y1, c1, y1, c2, y2, x2, y2),
		at: func(t float64) (x, y float64) {
			return bezier(t, x1, c1, c2, x2), bezier(t, y1, y1, y2, y2)
		},
	}
}

// detour leads an edge past the columns in between, in the gap of rows nearest
// to its middle.
func (d *drawing) detour(i int, x1, y1, x2, y2 float64) curve {
	pitch := float64(boxHeight + rowGap)
	gap := math.Round(((y1+y2)/2-marginTop+rowGap/2)/pitch)*pitch + marginTop - rowGap/2
	gap += float64(i%5-2) * 7
	turn := math.Copysign(columnGap*0.6, x2-x1)
	a, b := x1+turn, x2-turn
	return curve{
		path: fmt.Sprintf("M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1fL%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f",
			x1, y1, x1+turn/2, y1, x1+turn/2, gap, a, gap, b, gap, x2-turn/2, gap, x2-turn/2, y2, x2, y2),
		at: func(t float64) (x, y float64) { return a + t*(b-a), gap },
	}
}

// bezier is a cubic curve's coordinate at t.
func bezier(t, a, b, c, d float64) float64 {
	u := 1 - t
	return u*u*u*a + 3*u*u*t*b + 3*u*t*t*c + t*t*t*d
}

// label writes an edge's label on its curve, where nothing else is if there is
// such a place.
func (d *drawing) label(text, color string, opacity float64, at func(t float64) (x, y float64), places []float64) {
	r := rect{w: float64(len(text))*charWidth + 6, h: 14}
	for _, t := range places {
		r.x, r.y = at(t)
		if !d.overlaps(r) {
			break
		}
	}
	d.taken = append(d.taken, r)
	fmt.Fprintf(d.out, `<text x="%.1f" y="%.1f" font-size="11" font-weight="bold" text-anchor="middle" fill="%s" fill-opacity="%.2f" stroke="white" stroke-width="4" stroke-linejoin="round" paint-order="stroke">%s</text>`+"\n",
		r.x, r.y+4, color, max(opacity, 0.7), html.EscapeString(text))
}

func (d *drawing) overlaps(r rect) bool {
	for _, o := range d.taken {
		if math.Abs(r.x-o.x) < (r.w+o.w)/2 && math.Abs(r.y-o.y) < (r.h+o.h)/2 {
			return true
		}
	}
	return false
}

// WriteDOT writes the execution as a graph for Graphviz.
func (ev *Evidence) WriteDOT(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "digraph %q {\n\tlabel=%q; labelloc=t; fontname=\"sans-serif\";\n", ev.Test.Name, ev.Title()+"\n"+ev.State)
	fmt.Fprintln(out, "\tnode [shape=box, style=rounded, fontname=\"monospace\", fontsize=11];\n\tedge [fontname=\"sans-serif\", fontsize=10];")
	ev.dotThreads(out)
	bold := map[int]bool{}
	for _, i := range ev.Cycle {
		bold[i] = true
	}
	for i, e := range ev.Edges {
		style := ""
		if bold[i] {
			style = ", penwidth=2.5"
		}
		color := labelColor(e.Label)
		fmt.Fprintf(out, "\te%d -> e%d [label=%q, color=%q, fontcolor=%q, constraint=false%s];\n", e.From, e.To, e.Label, color, color, style)
	}
	fmt.Fprintln(out, "}")
	return out.Flush()
}

// dotThreads writes a cluster for each thread.
func (ev *Evidence) dotThreads(out io.Writer) {
	for t, th := range ev.Test.Threads {
		var names []string
		fmt.Fprintf(out, "\tsubgraph cluster_%d {\n\t\tlabel=%q; color=\"#c9ced3\";\n", t, th.Name)
		for i, e := range ev.Events {
			if e.Thread == t {
				fmt.Fprintf(out, "\t\te%d [label=%q];\n", i, e.Text)
				names = append(names, fmt.Sprintf("e%d", i))
			}
		}
		if len(names) > 1 {
			fmt.Fprintf(out, "\t\t%s [color=\"#c9ced3\"];\n", strings.Join(names, " -> "))
		}
		fmt.Fprintln(out, "\t}")
	}
}
