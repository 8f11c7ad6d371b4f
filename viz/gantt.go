package viz

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/kernsim/kernsim/sched"
)

// Gantt shows which task ran when: a row for each task, a bar for each time it
// had a CPU, and a thin line where it was runnable and waited. It watches a
// simulation between two times.
type Gantt struct {
	Frame
	sim         *sched.Sim
	from, until uint64
	rows        map[sched.TaskID]*ganttRow
	order       []sched.TaskID
	left        int // tasks that found no row
}

// ganttRow is a task's row.
type ganttRow struct {
	runs, waits   []span
	runsFrom      uint64
	waitsFrom     uint64
	running, wait bool
	cpu           sched.CPU
}

type span struct {
	from, until uint64
	cpu         sched.CPU
}

// maxGanttRows is how many tasks one graph shows, maxSpans how many bars a row
// has.
const (
	maxGanttRows = 24
	maxSpans     = 20_000
)

// NewGantt makes a graph of a simulation from one time to another, in ns. Its
// Watch has to see all events from the start.
func NewGantt(s *sched.Sim, from, until uint64) *Gantt {
	return &Gantt{sim: s, from: from, until: until, rows: map[sched.TaskID]*ganttRow{}}
}

func (g *Gantt) row(t sched.TaskID) *ganttRow {
	if int(t) < g.sim.Machine().CPUs() {
		return nil // the idle tasks
	}
	r := g.rows[t]
	if r == nil {
		if len(g.rows) == maxGanttRows {
			g.left++
			return nil
		}
		r = &ganttRow{}
		g.rows[t] = r
		g.order = append(g.order, t)
	}
	return r
}

// Watch takes an event of the simulation.
func (g *Gantt) Watch(e *sched.SimEvent) {
	if e.Time >= g.until {
		return
	}
	switch e.Kind {
	case sched.SimWakeup, sched.SimWakeupNew:
		if r := g.row(e.Task); r != nil && !r.running {
			r.wait, r.waitsFrom = true, e.Time
		}
	case sched.SimSwitch:
		if r := g.row(e.Task); r != nil && r.running {
			r.running = false
			g.add(&r.runs, r.runsFrom, e.Time, r.cpu)
			r.wait, r.waitsFrom = e.State == sched.StateRunning, e.Time
		}
		if r := g.row(e.Next); r != nil {
			if r.wait {
				g.add(&r.waits, r.waitsFrom, e.Time, e.CPU)
			}
			r.wait, r.running, r.runsFrom, r.cpu = false, true, e.Time, e.CPU
		}
	}
}

func (g *Gantt) add(list *[]span, from, until uint64, cpu sched.CPU) {
	from, until = max(from, g.from), min(until, g.until)
	if from < until && len(*list) < maxSpans {
		*list = append(*list, span{from, until, cpu})
	}
}

// end closes what goes on at the end of the time shown.
func (g *Gantt) end() {
	for _, t := range g.order {
		r := g.rows[t]
		if r.running {
			g.add(&r.runs, r.runsFrom, g.until, r.cpu)
		}
		if r.wait {
			g.add(&r.waits, r.waitsFrom, g.until, r.cpu)
		}
		r.running, r.wait = false, false
	}
}

// WriteSVG draws the graph.
func (g *Gantt) WriteSVG(w io.Writer) error {
	_, err := w.Write(g.SVG())
	return err
}

// SVG draws the graph.
func (g *Gantt) SVG() []byte {
	const rowHeight = 17.0
	g.end()
	m := g.sim.Machine()
	f := g.Frame
	if f.Title == "" {
		f.Title = "Which task ran when"
	}
	if f.Source == "" {
		f.Source = fmt.Sprintf("Simulation, %d CPU(s). Bars: running, coloured by CPU; thin lines: runnable and waiting.", m.CPUs())
		if g.left > 0 {
			f.Source += fmt.Sprintf(" Only the first %d tasks are shown.", maxGanttRows)
		}
	}
	c := newCanvas(f)
	names := 40.0
	for _, t := range g.order {
		names = max(names, textWidth(g.sim.Comm(t), fontSize))
	}
	p := &plot{left: margin + names + 8, right: width - margin - 4, top: c.y}
	p.bottom = c.y + rowHeight*float64(max(len(g.order), 1))
	x, label := timeAxis([]uint64{g.from, g.until})
	label = "time" + strings.TrimPrefix(label, "time since the first request")
	if g.from > 0 {
		label = "time from " + strconv.FormatFloat(float64(g.from)/1e6, 'f', -1, 64) + " ms on" + strings.TrimPrefix(label, "time")
	}
	p.x = scale{x[0], x[1], p.left, p.right}
	values, step := ticks(x[0], x[1], 5)
	y := c.y
	at := scale{float64(g.from), float64(g.until), p.left, p.right}
	c.xAxis(p, values, step, label)
	for _, t := range g.order {
		c.text(margin, y+rowHeight-4.5, "kv-t", "", g.sim.Comm(t))
		c.line(p.left, y+rowHeight, p.right, y+rowHeight, "kv-g")
		for _, s := range g.rows[t].waits {
			c.rect(at.at(float64(s.from)), y+rowHeight/2, at.at(float64(s.until))-at.at(float64(s.from)), 1.2, `class="kv-n"`, "")
		}
		for _, s := range g.rows[t].runs {
			c.rect(at.at(float64(s.from)), y+2.5, max(at.at(float64(s.until))-at.at(float64(s.from)), 0.3), rowHeight-5,
				`fill="`+seriesColours[int(s.cpu)%len(seriesColours)]+`"`, "")
		}
		y += rowHeight
	}
	if m.CPUs() > 1 {
		g.key(c)
	}
	return c.finish(f)
}

// key says which colour is which CPU.
func (g *Gantt) key(c *canvas) {
	x := margin
	for cpu := range min(g.sim.Machine().CPUs(), len(seriesColours)) {
		text := "CPU " + strconv.Itoa(cpu)
		c.rect(x, c.y+2, 10, 10, `fill="`+seriesColours[cpu]+`"`, "")
		c.text(x+14, c.y+11, "kv-m kv-s", "", text)
		x += 14 + textWidth(text, small) + 12
	}
	c.y += lineStep + 2
}
