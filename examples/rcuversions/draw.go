package main

import (
	"fmt"
	"slices"
	"strings"
)

// Sizes of the drawing in pixels.
const (
	width    = 760
	left     = 90
	stepWide = 21
	rowHigh  = 26
	panelY   = 260
	panelX   = 250
)

const (
	oldColour   = "#ee6677"
	newColour   = "#228833"
	otherColour = "#bbbbbb"
	gpColour    = "#4477aa"
)

// canvas collects SVG.
type canvas struct{ strings.Builder }

func (c *canvas) text(x, y int, style, s string) {
	fmt.Fprintf(c, `<text x="%d" y="%d"%s>%s</text>`+"\n", x, y, style, s)
}

func (c *canvas) box(x, y, w, h int, fill, title string) {
	fmt.Fprintf(c, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"><title>%s</title></rect>`+"\n", x, y, w, h, fill, title)
}

// svg draws the time line and three moments: before the update, while both versions
// are in use, and after the old one is freed.
func (h *history) svg() string {
	c := &canvas{}
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="470" font-family="sans-serif" font-size="13">`+"\n", width)
	c.text(10, 20, ` font-weight="bold"`, "Which reader sees which version, and when the old one is freed")
	for i, r := range readers {
		y := 35 + rowHigh*i
		c.text(10, y+15, "", r.name)
		for now := range steps {
			if v := h.sees[now][i]; v >= 0 {
				c.box(left+stepWide*now, y, stepWide, 18, colourOf(v), fmt.Sprintf("%s, step %d: %s", r.name, now, nameOf(v)))
			}
		}
	}
	h.update(c)
	h.moments(c)
	c.WriteString("</svg>\n")
	return c.String()
}

func colourOf(version int) string {
	return map[int]string{0: otherColour, oldVersion: oldColour, newVersion: newColour}[version]
}

func nameOf(version int) string {
	return map[int]string{0: "inside, nothing read yet", oldVersion: "uses the old version", newVersion: "uses the new version"}[version]
}

// update draws the updater's row: publication, grace period, free.
func (h *history) update(c *canvas) {
	y := 35 + rowHigh*len(readers) + 8
	c.text(10, y+15, "", "update")
	c.box(left+stepWide*h.began, y, stepWide*(h.ended-h.began+1), 18, gpColour, fmt.Sprintf("grace period, steps %d to %d", h.began, h.ended))
	c.text(left+stepWide*h.began+6, y+14, ` fill="white" font-size="11"`, "grace period")
	for _, m := range []struct {
		at   int
		what string
	}{{h.published, "published"}, {h.freed, "old version freed"}} {
		x := left + stepWide*m.at
		fmt.Fprintf(c, `<line x1="%d" y1="30" x2="%d" y2="%d" stroke="black" stroke-dasharray="4 3"/>`+"\n", x, x, y+26)
		c.text(x-20, y+40, ` font-size="11"`, m.what)
	}
}

// moments draws the pointer, the versions, and who uses which, at three steps.
func (h *history) moments(c *canvas) {
	for i, m := range []struct {
		title string
		now   int
	}{
		{"before the update", h.published - 1},
		{"after it: both are in use", h.both()},
		{"after the grace period", h.freed + 1},
	} {
		x := 10 + panelX*i
		c.text(x, panelY, ` font-weight="bold"`, fmt.Sprintf("%s (step %d)", m.title, m.now))
		c.text(x, panelY+40, "", "pointer")
		current, gone := oldVersion, m.now > h.freed
		if m.now >= h.published {
			current = newVersion
		}
		h.version(c, x, panelY+24, oldVersion, m.now, current == oldVersion, gone)
		if current == newVersion {
			h.version(c, x, panelY+104, newVersion, m.now, true, false)
		}
	}
}

// both is the first step at which each version has a reader, that of the publication if
// there is none.
func (h *history) both() int {
	for now, sees := range h.sees {
		if slices.Contains(sees, oldVersion) && slices.Contains(sees, newVersion) {
			return now
		}
	}
	return h.published
}

// version draws a version, an arrow to it if the pointer leads there, and its readers.
func (h *history) version(c *canvas, x, y, version, now int, current, gone bool) {
	style := fmt.Sprintf(`fill="%s"`, colourOf(version))
	what := map[int]string{oldVersion: "old version", newVersion: "new version"}[version]
	if gone {
		style, what = `fill="none" stroke="#999999" stroke-dasharray="4 3"`, "freed"
	}
	fmt.Fprintf(c, `<rect x="%d" y="%d" width="100" height="26" %s/>`+"\n", x+90, y, style)
	fill := ` fill="white"`
	if gone {
		fill = ` fill="#999999"`
	}
	c.text(x+98, y+18, fill, what)
	if current {
		fmt.Fprintf(c, `<path d="M%d %d L%d %d" stroke="black"/>`+"\n", x+52, panelY+36, x+88, y+13)
	}
	names := []string{}
	for i, r := range readers {
		if h.sees[now][i] == version {
			names = append(names, r.name)
		}
	}
	for i, n := range names {
		c.text(x+95, y+42+15*i, "", n)
	}
}
