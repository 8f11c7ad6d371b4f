package viz

import (
	"fmt"
	"html"
	"strconv"
	"strings"
	"unicode/utf8"
)

// All graphs are this wide, so that one fills a phone and two stand beside each
// other on a page; sizes are SVG user units.
const (
	width    = 480.0
	fontSize = 12.5
	small    = 11.0
	lineStep = 16.0
)

// styleSheet sets what follows the viewer's colour scheme. Class names start
// with kv, so that a page's own don't meet them.
const styleSheet = `<style>` +
	`.kv{font-family:"Helvetica Neue",Helvetica,Arial,"Liberation Sans","DejaVu Sans",sans-serif;font-size:12.5px}` +
	`.kv-bg{fill:#fff}.kv-t{fill:#1b1f24}.kv-m{fill:#57606a}.kv-s{font-size:11px}.kv-h{font-weight:bold;font-size:13.5px}` +
	`.kv-g{stroke:#d8dee4}.kv-a{stroke:#8c959f}.kv-n{fill:#e4e8ec}` +
	`@media screen and (prefers-color-scheme:dark){` +
	`.kv-bg{fill:#161b22}.kv-t{fill:#e6edf3}.kv-m{fill:#9da7b3}.kv-g{stroke:#30363d}.kv-a{stroke:#6e7681}.kv-n{fill:#2b323b}}` +
	`</style>`

// Frame is what every graph has around its data.
type Frame struct {
	// Title says what is shown.
	Title string
	// Source says where the data is from: capture, kernel version, machine,
	// configuration, seed. It is printed under the graph.
	Source string
}

// canvas collects a picture's elements from the top down; y is where the next
// part starts.
type canvas struct {
	b strings.Builder
	y float64
}

// margin is the space around a picture.
const margin = 10.0

// newCanvas starts a picture with the frame's title.
func newCanvas(f Frame) *canvas {
	c := &canvas{y: margin}
	for _, line := range wrap(f.Title, width-2*margin, 13.5*1.05) {
		c.text(margin, c.y+13, "kv-t kv-h", "", line)
		c.y += lineStep + 2
	}
	c.y += 4
	return c
}

// finish adds the source line and gives the whole picture.
func (c *canvas) finish(f Frame) []byte {
	for _, line := range wrap(f.Source, width-2*margin, small) {
		c.text(margin, c.y+small, "kv-m kv-s", "", line)
		c.y += small + 3
	}
	h := num(c.y + margin)
	w := num(width)
	head := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" class="kv" viewBox="0 0 %s %s" role="img" aria-label="%s">`,
		w, h, html.EscapeString(f.Title))
	bg := fmt.Sprintf(`<rect class="kv-bg" width="%s" height="%s"/>`, w, h)
	return []byte(head + styleSheet + "\n" + bg + "\n" + c.b.String() + "</svg>\n")
}

// text writes a line of text; anchor is "", "middle" or "end".
func (c *canvas) text(x, y float64, class, anchor, s string) {
	if anchor != "" {
		anchor = ` text-anchor="` + anchor + `"`
	}
	fmt.Fprintf(&c.b, `<text class="%s" x="%s" y="%s"%s>%s</text>`+"\n", class, num(x), num(y), anchor, html.EscapeString(s))
}

// line draws a straight line of a class (kv-g grid, kv-a axis).
func (c *canvas) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(&c.b, `<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`+"\n", class, num(x1), num(y1), num(x2), num(y2))
}

// rect draws a rectangle; attrs are its further attributes, title the text on
// hovering if there is one.
func (c *canvas) rect(x, y, w, h float64, attrs, title string) {
	fmt.Fprintf(&c.b, `<rect x="%s" y="%s" width="%s" height="%s" %s`, num(x), num(y), num(w), num(h), attrs)
	if title == "" {
		c.b.WriteString("/>\n")
		return
	}
	fmt.Fprintf(&c.b, "><title>%s</title></rect>\n", html.EscapeString(title))
}

// num writes a coordinate with at most two decimals.
func num(v float64) string {
	s := strconv.FormatFloat(v, 'f', 2, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}

// textWidth estimates how wide a text is in a sans font of a size; it errs to
// the wide side.
func textWidth(s string, size float64) float64 {
	return float64(utf8.RuneCountInString(s)) * size * 0.56
}

// wrap breaks a text into lines of at most w units, between words.
func wrap(s string, w, size float64) []string {
	var lines []string
	cur := ""
	for _, word := range strings.Fields(s) {
		next := word
		if cur != "" {
			next = cur + " " + word
		}
		if cur != "" && textWidth(next, size) > w {
			lines = append(lines, cur)
			next = word
		}
		cur = next
	}
	if cur != "" {
		lines = append(lines, cur)
	}
	return lines
}
