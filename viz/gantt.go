package viz

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/trace"
)

// Gantt shows which task ran when: a row for each task, a bar for each time it
// had a CPU, and a thin line where it was runnable and waited. It watches a
// simulation, or is given a trace's events, between two times.
type Gantt struct {
	Frame
	from, until uint64
	// start is the time of a trace's first event, which times count from.
	start    uint64
	begun    bool
	rows     map[ganttKey]*ganttRow
	order    []*ganttRow
	left     int // tasks that found no row
	cpus     int
	idle     sched.TaskID // tasks below it are idle tasks
	comm     func(sched.TaskID) string
	simulate bool
}

// ganttKey names a task: by its id in a simulation, by its pid (with a label
// where those were replaced) in a trace.
type ganttKey struct {
	label string
	id    int32
}

// ganttRow is a task's row.
type ganttRow struct {
	name          string
	seq           int
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

// ran is how long the task had a CPU in the time shown.
func (r *ganttRow) ran() (ns uint64) {
	for _, s := range r.runs {
		ns += s.until - s.from
	}
	return ns
}

// maxGanttRows is how many tasks one graph shows, maxGanttTasks how many it
// keeps, maxSpans how many bars a row has.
const (
	maxGanttRows  = 24
	maxGanttTasks = 4096
	maxSpans      = 20_000
)

// NewGantt makes a graph of a simulation from one time to another, in ns. Its
// Watch has to see all events from the start.
func NewGantt(s *sched.Sim, from, until uint64) *Gantt {
	return &Gantt{from: from, until: until, rows: map[ganttKey]*ganttRow{}, cpus: s.Machine().CPUs(), idle: sched.TaskID(s.Machine().CPUs()),
		comm: s.Comm, simulate: true}
}

// NewTraceGantt makes a graph of a trace from one time to another, in ns after
// its first event. Its WatchTrace has to see all events from the start.
func NewTraceGantt(from, until uint64) *Gantt {
	return &Gantt{from: from, until: until, rows: map[ganttKey]*ganttRow{}}
}

func (g *Gantt) row(k ganttKey, name string) *ganttRow {
	r := g.rows[k]
	if r == nil {
		if len(g.rows) == maxGanttTasks {
			g.left++
			return nil
		}
		r = &ganttRow{name: name, seq: len(g.order)}
		g.rows[k] = r
		g.order = append(g.order, r)
	}
	if name != "" {
		r.name = name
	}
	return r
}

// task gives the row of a simulation's task, nil for an idle one.
func (g *Gantt) task(t sched.TaskID) *ganttRow {
	if t < g.idle {
		return nil
	}
	return g.row(ganttKey{id: int32(t)}, g.comm(t))
}

// Watch takes an event of the simulation.
func (g *Gantt) Watch(e *sched.SimEvent) {
	if e.Time >= g.until {
		return
	}
	switch e.Kind {
	case sched.SimWakeup, sched.SimWakeupNew:
		g.woken(g.task(e.Task), e.Time)
	case sched.SimSwitch:
		g.switched(g.task(e.Task), g.task(e.Next), e.Time, e.CPU, e.State == sched.StateRunning)
	}
}

// maxTraceCPUs bounds what a trace may claim.
const maxTraceCPUs = 8192

// WatchTrace takes an event of a trace: sched_switch, sched_wakeup and
// sched_wakeup_new; others are passed over.
func (g *Gantt) WatchTrace(ev *trace.Event) {
	if ev.CPU < 0 || ev.CPU >= maxTraceCPUs {
		return
	}
	if !g.begun {
		g.begun, g.start = true, ev.Time
	}
	at := ev.Time - min(g.start, ev.Time)
	if at >= g.until {
		return
	}
	switch ev.Kind {
	case trace.KindSchedWakeup, trace.KindSchedWakeupNew:
		g.woken(g.traced(ev.Sched.Label, ev.Sched.PID, ev.Sched.Comm), at)
	case trace.KindSchedSwitch:
		w := &ev.Switch
		g.cpus = max(g.cpus, int(ev.CPU)+1)
		prev := g.traced(w.PrevLabel, w.PrevPID, w.PrevComm)
		if prev != nil && !prev.running && len(prev.runs) == 0 {
			// It has run since before the trace, or the time shown.
			prev.running, prev.runsFrom, prev.cpu = true, g.from, sched.CPU(ev.CPU)
		}
		runnable := strings.HasPrefix(w.PrevState, "R") || w.PrevState == "0" || w.PrevState == ""
		g.switched(prev, g.traced(w.NextLabel, w.NextPID, w.NextComm), at, sched.CPU(ev.CPU), runnable)
	}
}

// traced gives the row of a trace's task, nil for an idle one.
func (g *Gantt) traced(label string, pid int32, comm string) *ganttRow {
	if pid == 0 && label == "" {
		return nil
	}
	return g.row(ganttKey{label, pid}, comm+"-"+strconv.Itoa(int(pid)))
}

func (g *Gantt) woken(r *ganttRow, at uint64) {
	if r != nil && !r.running {
		r.wait, r.waitsFrom = true, at
	}
}

func (g *Gantt) switched(prev, next *ganttRow, at uint64, cpu sched.CPU, runnable bool) {
	if prev != nil && prev.running {
		prev.running = false
		g.add(&prev.runs, prev.runsFrom, at, prev.cpu)
		prev.wait, prev.waitsFrom = runnable, at
	}
	if next != nil {
		if next.wait {
			g.add(&next.waits, next.waitsFrom, at, cpu)
		}
		next.wait, next.running, next.runsFrom, next.cpu = false, true, at, cpu
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
	for _, r := range g.order {
		if r.running {
			g.add(&r.runs, r.runsFrom, g.until, r.cpu)
		}
		if r.wait {
			g.add(&r.waits, r.waitsFrom, g.until, r.cpu)
		}
		r.running, r.wait = false, false
	}
}

// shown gives the rows of the tasks that ran longest or waited, in the order in
// which they were first seen.
func (g *Gantt) shown() []*ganttRow {
	var out []*ganttRow
	for _, r := range g.order {
		if len(r.runs)+len(r.waits) > 0 {
			out = append(out, r)
		}
	}
	if len(out) > maxGanttRows {
		slices.SortStableFunc(out, func(a, b *ganttRow) int { return cmp.Compare(b.ran(), a.ran()) })
		out = out[:maxGanttRows]
		slices.SortFunc(out, func(a, b *ganttRow) int { return cmp.Compare(a.seq, b.seq) })
	}
	return out
}

// WriteSVG draws the graph.
func (g *Gantt) WriteSVG(w io.Writer) error {
	_, err := w.Write(g.SVG())
	return err
}

// frame fills in what the caller left out.
func (g *Gantt) frame(shown int) Frame {
	f := g.Frame
	if f.Title == "" {
		f.Title = "Which task ran when"
	}
	if f.Source == "" && g.simulate {
		f.Source = fmt.Sprintf("Simulation, %d CPU(s)", g.cpus)
	}
	f.Source += " · Bars: running, coloured by CPU; thin lines: runnable and waiting."
	if all := g.left + g.tasks(); all > shown {
		f.Source += fmt.Sprintf(" The %d tasks of %d that ran longest.", shown, all)
	}
	return f
}

// tasks counts those that ran or waited in the time shown.
func (g *Gantt) tasks() (n int) {
	for _, r := range g.order {
		if len(r.runs)+len(r.waits) > 0 {
			n++
		}
	}
	return n
}

// SVG draws the graph.
func (g *Gantt) SVG() []byte {
	const rowHeight = 17.0
	g.end()
	rows := g.shown()
	f := g.frame(len(rows))
	c := newCanvas(f)
	if g.cpus > 1 {
		g.key(c)
	}
	names := 40.0
	for _, r := range rows {
		names = max(names, textWidth(shortName(r.name), fontSize))
	}
	p := &plot{left: margin + names + 8, right: width - margin - 6, top: c.y}
	p.bottom = c.y + rowHeight*float64(max(len(rows), 1))
	until := max(g.until, g.from+1)
	x, label := timeAxis([]uint64{g.from, until})
	label = timeOnly(label)
	p.x = scale{lo: x[0], hi: x[1], a: p.left, b: p.right}
	if g.from > 0 {
		// The ticks count from the start, not from where the drawing begins.
		at := x[1] / float64(until-g.from)
		p.x.lo, p.x.hi = float64(g.from)*at, float64(until)*at
	}
	values, step := ticks(p.x.lo, p.x.hi, 5)
	y := c.y
	at := scale{lo: float64(g.from), hi: float64(until), a: p.left, b: p.right}
	c.xAxis(p, values, step, label)
	for _, r := range rows {
		c.text(margin, y+rowHeight-4.5, "kv-t", "", shortName(r.name))
		c.line(p.left, y+rowHeight, p.right, y+rowHeight, "kv-g")
		for _, s := range joinedSpans(r.waits, at) {
			c.rect(at.at(float64(s.from)), y+rowHeight/2-0.7, at.at(float64(s.until))-at.at(float64(s.from)), 1.4, `class="kv-m"`, "")
		}
		for _, s := range joinedSpans(r.runs, at) {
			c.rect(at.at(float64(s.from)), y+2.5, max(at.at(float64(s.until))-at.at(float64(s.from)), 0.3), rowHeight-5,
				`fill="`+seriesColours[int(s.cpu)%len(seriesColours)]+`"`, "")
		}
		y += rowHeight
	}
	return c.finish(f)
}

// joinedSpans joins spans of a CPU with less between them than an eye can see, so
// that a picture of a busy hour stays small.
func joinedSpans(in []span, at scale) []span {
	const least = 0.2
	out := make([]span, 0, min(len(in), 4096))
	for _, s := range in {
		if n := len(out); n > 0 && out[n-1].cpu == s.cpu && at.at(float64(s.from))-at.at(float64(out[n-1].until)) < least {
			out[n-1].until = s.until
			continue
		}
		out = append(out, s)
	}
	return out
}

// key says which colour is which CPU.
func (g *Gantt) key(c *canvas) {
	x := margin
	for cpu := range min(g.cpus, len(seriesColours)) {
		text := "CPU " + strconv.Itoa(cpu)
		if cpu+len(seriesColours) < g.cpus {
			text += ", " + strconv.Itoa(cpu+len(seriesColours)) + ", …"
		}
		w := 14 + textWidth(text, small) + 12
		if x > margin && x+w > width-margin {
			x = margin
			c.y += lineStep
		}
		c.rect(x, c.y+2, 10, 10, `fill="`+seriesColours[cpu]+`"`, "")
		c.text(x+14, c.y+11, "kv-m kv-s", "", text)
		x += w
	}
	c.y += lineStep + 6
}

// CSV has a line for each time that a task of the graph ran or waited.
func (g *Gantt) CSV() []byte {
	g.end()
	lines := [][]string{{"task", "state", "cpu", "from_ns", "until_ns"}}
	for _, r := range g.shown() {
		for _, part := range []struct {
			state string
			spans []span
		}{{"running", r.runs}, {"waiting", r.waits}} {
			for _, s := range part.spans {
				lines = append(lines, []string{r.name, part.state, strconv.Itoa(int(s.cpu)), strconv.FormatUint(s.from, 10), strconv.FormatUint(s.until, 10)})
			}
		}
	}
	return writeCSV(lines)
}
