package viz

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/kernsim/kernsim/sched"
)

// SchedRecorder collects what the scheduler's graphs show of its run queues and
// entities. Its zero value records all the time there is; pass its Observe to
// replay.Options.ObserveSched, or call it during a simulation.
type SchedRecorder struct {
	// From and Until bound what is recorded, in ns since the first call of
	// Observe; an Until of 0 is the end.
	From, Until uint64
	// Samples is how many moments are kept at least, if there are as many; 0
	// means 400.
	Samples int
	// Name gives a task's name; nil, or "" as its answer: the pid alone.
	Name func(pid int32) string

	begun bool
	start uint64
	// base is the first virtual runtime seen: others are kept relative to it, as
	// they may start just below 2^64.
	base     uint64
	haveBase bool
	// step is the least time between two moments, which grows: when there are
	// twice as many moments as wanted, every second is dropped.
	step    uint64
	ns      []uint64
	tasks   []schedTrack
	running [][]float64 // by CPU: runnable tasks
	tracked bool        // some entity's load has been updated
}

// schedTrack is what is known of a task. Values are by moment and NaN where
// it had none; a list that is too short ends with NaNs.
type schedTrack struct {
	pid  int32
	nice int
	// ran is how long it ran while it was looked at; exec its sum_exec_runtime
	// at the last look, at the time seen.
	ran, exec, seen      uint64
	vruntime, util, load []float64
}

func (r *SchedRecorder) want() int {
	if r.Samples > 0 {
		return r.Samples
	}
	return 400
}

// Observe looks at a machine; its time is the latest clock of its run queues.
// Calls that come sooner than the graphs' resolution asks for cost next to
// nothing.
func (r *SchedRecorder) Observe(m *sched.Machine) {
	now := uint64(0)
	for cpu := range m.CPUs() {
		now = max(now, m.RunQueue(sched.CPU(cpu)).Clock)
	}
	if now == 0 {
		return
	}
	if !r.begun {
		r.begun, r.start = true, now
	}
	at := now - min(r.start, now)
	if at < r.From || r.Until > 0 && at > r.Until {
		return
	}
	if n := len(r.ns); n > 0 && at < r.ns[n-1]+max(r.step, 1) {
		return
	}
	r.add(at, m)
	if len(r.ns) >= 2*r.want() {
		r.thin()
	}
}

func (r *SchedRecorder) add(at uint64, m *sched.Machine) {
	for cpu := range m.CPUs() {
		if cpu == len(r.running) {
			r.running = append(r.running, nil)
		}
		r.running[cpu] = append(r.running[cpu], float64(m.RunQueue(sched.CPU(cpu)).NrRunning))
	}
	r.ns = append(r.ns, at)
	for id := m.CPUs(); id < m.Tasks(); id++ {
		i := id - m.CPUs()
		if i == len(r.tasks) {
			r.tasks = append(r.tasks, schedTrack{seen: at, exec: m.Entity(m.EntityOf(sched.TaskID(id))).SumExec})
		}
		r.addTask(&r.tasks[i], at, m, sched.TaskID(id))
	}
}

// addTask takes the newest moment's values of a task; those of the moments
// before without any are NaN.
func (r *SchedRecorder) addTask(t *schedTrack, at uint64, m *sched.Machine, id sched.TaskID) {
	task := m.Task(id)
	e := m.Entity(m.EntityOf(id))
	t.pid, t.nice = task.PID, task.Nice
	// A replay takes values over that no event told before: nobody runs longer
	// than time goes on.
	if d := e.SumExec - t.exec; d <= at-t.seen {
		t.ran += d
	}
	t.exec, t.seen = e.SumExec, at
	if task.Class != sched.ClassFair {
		return
	}
	put := func(list *[]float64, v float64) {
		for len(*list) < len(r.ns)-1 {
			*list = append(*list, math.NaN())
		}
		*list = append(*list, v)
	}
	// A virtual runtime of just 0 is one that a replay does not know yet.
	if task.OnRQ && e.OnRQ && e.Vruntime != 0 {
		if !r.haveBase {
			r.base, r.haveBase = e.Vruntime, true
		}
		put(&t.vruntime, float64(int64(e.Vruntime-r.base)))
	}
	r.tracked = r.tracked || e.Load.LastUpdate != 0
	put(&t.util, float64(e.Load.Util))
	put(&t.load, float64(e.Load.Load))
}

func (r *SchedRecorder) label(t *schedTrack) string {
	s := "pid " + strconv.Itoa(int(t.pid))
	if r.Name != nil {
		if n := r.Name(t.pid); n != "" {
			s = n + "-" + strconv.Itoa(int(t.pid))
		}
	}
	if t.nice != 0 {
		s += fmt.Sprintf(" (nice %d)", t.nice)
	}
	return s
}

// thin drops every second moment.
func (r *SchedRecorder) thin() {
	half := func(in []float64) []float64 {
		out := in[:0]
		for i := 0; i < len(in); i += 2 {
			out = append(out, in[i])
		}
		return out
	}
	n := 0
	for i := 0; i < len(r.ns); i += 2 {
		r.ns[n] = r.ns[i]
		n++
	}
	r.ns = r.ns[:n]
	r.step = (r.ns[n-1] - r.ns[0]) / uint64(r.want())
	for cpu := range r.running {
		r.running[cpu] = half(r.running[cpu])
	}
	for i := range r.tasks {
		t := &r.tasks[i]
		for _, list := range []*[]float64{&t.vruntime, &t.util, &t.load} {
			*list = half(*list)
		}
	}
}

// Graphs gives everything that was recorded: none if nothing was, and those of
// load averages only if the machine tracked them.
func (r *SchedRecorder) Graphs(source string) []NamedGraph {
	if len(r.ns) < 2 {
		return nil
	}
	out := []NamedGraph{
		{"vruntime", "How the tasks' virtual runtimes go forward: each at the rate of its weight while it runs, and the scheduler lets run who is behind. " +
			"Lines that stay together are fairness; a gap is a task that sleeps. Each CPU's queue has a virtual time of its own.", r.vruntime(source)},
		{"runqueue", "How many tasks are runnable on each CPU, the running one among them: the length of its run queue.", r.runQueues(source)},
	}
	for _, l := range []struct {
		id, title, caption, label string
		of                        func(*schedTrack) []float64
	}{
		{"pelt", "Utilization of tasks (PELT)", "Which share of a CPU a task used lately, as the kernel's load tracking has it: what was 32 ms ago counts half. 1024 is a whole CPU.",
			"util_avg (1024 is a CPU)", func(t *schedTrack) []float64 { return t.util }},
		{"pelt-load", "Load of tasks (PELT)", "How much a task wanted to run lately, times its weight: what load balancing and group shares go by.",
			"load_avg (weight × runnable share)", func(t *schedTrack) []float64 { return t.load }},
	} {
		if r.tracked {
			out = append(out, NamedGraph{l.id, l.caption, r.loads(source, l.title, l.label, l.of)})
		}
	}
	return out
}

// busiest gives the tasks with the most CPU time that have values, most first;
// further ones only count.
func (r *SchedRecorder) busiest(of func(*schedTrack) []float64) []*schedTrack {
	var out []*schedTrack
	for i := range r.tasks {
		if t := &r.tasks[i]; len(of(t)) > 0 && t.ran > 0 {
			out = append(out, t)
		}
	}
	slices.SortStableFunc(out, func(a, b *schedTrack) int { return cmp.Compare(b.ran, a.ran) })
	return out
}

// series brings a task's values to the length of the time axis.
func (r *SchedRecorder) series(values []float64) []float64 {
	out := slices.Clone(values)
	for len(out) < len(r.ns) {
		out = append(out, math.NaN())
	}
	return out
}

func (r *SchedRecorder) lines(title, source string, y Axis) Lines {
	x, label := timeAxis(r.ns)
	return Lines{Frame: Frame{title, source}, X: x, XLabel: timeOnly(label), Y: y}
}

func (r *SchedRecorder) vruntime(source string) Lines {
	g := r.lines("Virtual runtime", source, Axis{Label: "virtual runtime (ms, from the least one shown)"})
	tasks := r.busiest(func(t *schedTrack) []float64 { return t.vruntime })
	least := math.Inf(1)
	for _, t := range tasks[:min(len(tasks), maxSeries)] {
		for _, v := range t.vruntime {
			if !math.IsNaN(v) {
				least = min(least, v)
			}
		}
	}
	for _, t := range tasks {
		y := r.series(t.vruntime)
		for i := range y {
			y[i] = (y[i] - least) / 1e6
		}
		g.Series = append(g.Series, Series{r.label(t), y})
	}
	return g
}

func (r *SchedRecorder) runQueues(source string) Rows {
	x, label := timeAxis(r.ns)
	g := Rows{Frame: Frame{"Length of the run queues", source}, X: x, XLabel: timeOnly(label), RowsLabel: "CPU", ValueLabel: "runnable tasks"}
	for cpu, y := range r.running {
		g.Rows = append(g.Rows, Row{Name: "CPU " + strconv.Itoa(cpu), Y: y, Shade: 0.3})
	}
	return g
}

// timeOnly takes from a time axis's label what it counts from.
func timeOnly(label string) string {
	return "time" + strings.TrimPrefix(label, "time since the first request")
}

// maxLoads is how many tasks a graph of load averages shows: they cross often.
const maxLoads = 5

func (r *SchedRecorder) loads(source, title, label string, of func(*schedTrack) []float64) Lines {
	g := r.lines(title, source, Axis{Label: label, FromZero: true})
	for _, t := range r.busiest(of) {
		g.Series = append(g.Series, Series{r.label(t), r.series(of(t))})
	}
	g.Most = maxLoads
	return g
}
