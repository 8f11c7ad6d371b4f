package viz

import (
	"fmt"
	"math"
	"strconv"
)

// Contention shows how long locks are waited for and held.
type Contention struct {
	Frame
	Locks []LockTimes
}

// LockTimes are a lock's times, as a row of /proc/lock_stat has them.
type LockTimes struct {
	Name string
	// Wait is of acquisitions that found the lock held by another, Hold of all.
	// An N of zero is none.
	Wait, Hold Times
}

// Times are least, mean and greatest of N times in µs, and their sum.
type Times struct {
	N                   uint64
	Min, Mean, Max, Sum float64
}

// maxLocks is how many rows the graph has.
const maxLocks = 20

// SVG draws the graph: for each lock two lines from the least to the greatest
// time, with a mark at the mean.
func (g Contention) SVG() []byte {
	const rowHeight = 30.0
	c := newCanvas(g.Frame)
	shown := g.Locks[:min(len(g.Locks), maxLocks)]
	c.contentionKey(len(g.Locks) - len(shown))
	names, shares := 60.0, textWidth("contended", small)
	var times []float64
	for i := range shown {
		l := &shown[i]
		names = max(names, min(textWidth(shortName(l.Name), small), 170))
		shares = max(shares, textWidth(l.share(), small))
		for _, t := range []Times{l.Wait, l.Hold} {
			if t.N > 0 {
				times = append(times, t.Min, t.Max)
			}
		}
	}
	c.text(width-margin, c.y+small, "kv-m kv-s", "end", "contended")
	c.y += lineStep
	p := &plot{left: margin + names + 8, right: width - margin - shares - 10, top: c.y, bottom: c.y + rowHeight*float64(max(len(shown), 1))}
	xTicks, _ := p.horizontal(Axis{Log: true}, 0, times)
	y := p.top
	c.xAxis(p, xTicks, 0, "time (µs, logarithmic)")
	for i := range shown {
		l := &shown[i]
		c.text(margin, y+19, "kv-t kv-s", "", shortName(l.Name))
		c.text(width-margin, y+19, "kv-t kv-s", "end", l.share())
		c.times(p, "waited for "+l.Name, l.Wait, y+10, waitColour)
		c.times(p, "held "+l.Name, l.Hold, y+21, holdColour)
		c.line(p.left, y+rowHeight, p.right, y+rowHeight, "kv-g")
		y += rowHeight
	}
	return c.finish(g.Frame)
}

var waitColour, holdColour = seriesColours[3], seriesColours[0]

// contentionKey explains the two lines.
func (c *canvas) contentionKey(more int) {
	x := margin
	for i, text := range []string{"waited", "held"} {
		c.rect(x, c.y+7, 26, 3, `fill="`+[]string{waitColour, holdColour}[i]+`"`, "")
		c.timeMark(x+13, c.y+8.5, []string{waitColour, holdColour}[i], "")
		c.text(x+32, c.y+13, "kv-t", "", text)
		x += 32 + textWidth(text, fontSize) + 14
	}
	c.text(x, c.y+13, "kv-m kv-s", "", "least to greatest, mark at the mean")
	if more > 0 {
		c.y += lineStep
		c.text(margin, c.y+13, "kv-m kv-s", "", fmt.Sprintf("and %d more, not shown", more))
	}
	c.y += lineStep + 6
}

// timeMark is a mean: round for waits, square for holds.
func (c *canvas) timeMark(x, y float64, colour, title string) {
	round := ""
	if colour == waitColour {
		round = ` rx="4"`
	}
	c.rect(x-4, y-4, 8, 8, `fill="`+colour+`"`+round, title)
}

func (c *canvas) times(p *plot, what string, t Times, y float64, colour string) {
	if t.N == 0 {
		return
	}
	title := fmt.Sprintf("%s %s times: %s to %s µs, mean %s, all together %s", what, Count(t.N), short(t.Min), short(t.Max), short(t.Mean), short(t.Sum))
	x1, x2 := p.x.at(t.Min), p.x.at(t.Max)
	c.rect(x1, y-1.5, max(x2-x1, 1), 3, `fill="`+colour+`"`, title)
	c.timeMark(p.x.at(t.Mean), y, colour, title)
}

// share is how many of the acquisitions had to wait.
func (l *LockTimes) share() string {
	if l.Hold.N == 0 {
		return Count(l.Wait.N)
	}
	return Count(l.Wait.N) + " of " + Count(l.Hold.N)
}

// shortName cuts a name that has no room.
func shortName(s string) string {
	const most = 27
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// CSV has a line for each lock, with the columns of /proc/lock_stat.
func (g Contention) CSV() []byte {
	lines := [][]string{{"class name", "contentions", "waittime-min", "waittime-max", "waittime-total", "waittime-avg",
		"acquisitions", "holdtime-min", "holdtime-max", "holdtime-total", "holdtime-avg"}}
	for _, l := range g.Locks {
		line := []string{l.Name}
		for _, t := range []Times{l.Wait, l.Hold} {
			line = append(line, strconv.FormatUint(t.N, 10))
			for _, v := range []float64{t.Min, t.Max, t.Sum, t.Mean} {
				if t.N == 0 {
					v = math.NaN()
				}
				line = append(line, cell(v))
			}
		}
		lines = append(lines, line)
	}
	return writeCSV(lines)
}
