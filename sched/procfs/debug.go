package procfs

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Debug is a /sys/kernel/debug/sched/debug (before 5.13 /proc/sched_debug).
type Debug struct {
	Version string // "v0.11, 6.1.0-56-amd64 #1"
	Head    []Line // clocks
	Sysctl  []Line
	CPUs    []DebugCPU
}

// DebugCPU is a CPU's part.
type DebugCPU struct {
	Title  string // "cpu#0, 999.989 MHz"
	Lines  []Line
	Queues []DebugQueue
	// Header are the two lines above the tasks; Tasks the rows.
	Header [2]string
	Tasks  []string
}

// DebugQueue is a run queue: of a group (cfs_rq) or a CPU (rt_rq, dl_rq).
type DebugQueue struct {
	Title string // "cfs_rq[0]:/A/a2"
	Lines []Line
}

// Value gives a line's value; false if there is none of that name.
func (q *DebugQueue) Value(name string) (int64, bool) { return value(q.Lines, name) }

// Value gives a line's value; false if there is none of that name.
func (c *DebugCPU) Value(name string) (int64, bool) { return value(c.Lines, name) }

const (
	versionStart = "Sched Debug Version: "
	tasksTitle   = "runnable tasks:"
)

// WriteTo writes the text (sched_debug_show).
func (d *Debug) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s\n", versionStart, d.Version)
	for _, l := range d.Head {
		fmt.Fprintf(&b, "%-40s: %s\n", l.Name, l.Text)
	}
	b.WriteString("\nsysctl_sched\n")
	for _, l := range d.Sysctl {
		fmt.Fprintf(&b, "  .%-40s: %s\n", l.Name, l.Text)
	}
	b.WriteByte('\n')
	for i := range d.CPUs {
		d.CPUs[i].write(&b)
	}
	return b.WriteTo(w)
}

func (c *DebugCPU) write(b *bytes.Buffer) {
	section := func(title string, lines []Line) {
		fmt.Fprintf(b, "%s\n", title)
		for _, l := range lines {
			fmt.Fprintf(b, "  .%-30s: %s\n", l.Name, l.Text)
		}
		b.WriteByte('\n')
	}
	section(c.Title, c.Lines)
	for i := range c.Queues {
		section(c.Queues[i].Title, c.Queues[i].Lines)
	}
	fmt.Fprintf(b, "%s\n%s\n%s\n", tasksTitle, c.Header[0], c.Header[1])
	for _, t := range c.Tasks {
		fmt.Fprintf(b, "%s\n", t)
	}
	b.WriteByte('\n')
}

// ReadDebug reads the text of any kernel from 5.4 on. Empty lines may be missing,
// as in console logs. file is its name for errors, which are the reader's or a
// ParseError.
func ReadDebug(r io.Reader, file string) (*Debug, error) {
	in := newLineReader(r, file)
	if !in.next() {
		return nil, in.end(strconv.Quote(versionStart))
	}
	if !strings.HasPrefix(in.text, versionStart) {
		return nil, in.bad(strconv.Quote(versionStart))
	}
	d := &Debug{Version: in.text[len(versionStart):]}
	into := &d.Head
	var cpu *DebugCPU
	header := 0 // lines of the tasks' header still to come
	tasks := false
	for in.next() {
		text := in.text
		switch {
		case header > 0:
			cpu.Header[2-header] = text
			header--
		case text == "":
		case text == "sysctl_sched":
			into = &d.Sysctl
		case strings.HasPrefix(text, "cpu#"):
			d.CPUs = append(d.CPUs, DebugCPU{Title: text})
			cpu, tasks = &d.CPUs[len(d.CPUs)-1], false
			into = &cpu.Lines
		case cpu == nil && !isLine(text):
			return nil, in.bad("a figure, or a CPU")
		case cpu != nil && isQueue(text):
			cpu.Queues = append(cpu.Queues, DebugQueue{Title: text})
			into, tasks = &cpu.Queues[len(cpu.Queues)-1].Lines, false
		case text == tasksTitle && cpu != nil:
			header, tasks = 2, true
		case tasks:
			cpu.Tasks = append(cpu.Tasks, text)
		case isLine(text):
			name, value, _ := strings.Cut(text, ": ")
			*into = append(*into, Line{strings.TrimPrefix(strings.TrimSpace(name), "."), value})
		default:
			return nil, in.bad("a figure, a queue or a CPU")
		}
	}
	if err := in.s.Err(); err != nil || header > 0 {
		return nil, in.end("the tasks' header")
	}
	return d, nil
}

func isLine(text string) bool { return strings.Contains(text, ": ") }

func isQueue(text string) bool {
	return strings.HasPrefix(text, "cfs_rq[") || strings.HasPrefix(text, "rt_rq[") || strings.HasPrefix(text, "dl_rq[")
}

// DebugTask is a row of the tasks.
type DebugTask struct {
	Running  bool
	State    byte // 'R', 'S', ...
	Comm     string
	PID      int32
	Vruntime uint64
	Switches uint64
	Prio     int
	SumExec  uint64
	// Eligible, Deadline, Slice and CustomSlice are EEVDF's.
	Eligible, CustomSlice bool
	Deadline, Slice       uint64
	Wait, Sleep, Block    uint64
	Node, NUMAGroup       int
	NoNUMA                bool   // the kernel has no NUMA balancing: the two columns are missing
	Path                  string // of its cgroup
}

var debugHeaders = [...][2]string{
	Linux6_1: {" S            task   PID         tree-key  switches  prio     wait-time             sum-exec        sum-sleep",
		"-------------------------------------------------------------------------------------------------------------"},
	Linux6_12: {" S            task   PID       vruntime   eligible    deadline             slice          sum-exec      switches  prio         wait-time        sum-sleep       sum-block  node   group-id  group-path",
		strings.Repeat("-", 191)},
}

// Text prints the row (print_task).
func (t *DebugTask) Text(f Form) string {
	mark := " " + string(rune(t.State))
	if t.Running {
		mark = ">R"
	}
	ns := func(n uint64) string { return fmt.Sprintf("%9d.%06d", n/1_000_000, n%1_000_000) }
	if f == Linux6_1 {
		numa := ""
		if !t.NoNUMA {
			numa = fmt.Sprintf(" %d %d", t.Node, t.NUMAGroup)
		}
		return fmt.Sprintf("%s %15s %5d %s %9d %5d %s %s %s %s%s %s", mark, t.Comm, t.PID, ns(t.Vruntime), t.Switches, t.Prio,
			ns(t.Wait), ns(t.SumExec), ns(t.Sleep), ns(t.Block), numa, t.Path)
	}
	eligible, custom := 'N', ' '
	if t.Eligible {
		eligible = 'E'
	}
	if t.CustomSlice {
		custom = 'S'
	}
	numa := ""
	if !t.NoNUMA {
		numa = fmt.Sprintf("   %d      %d", t.Node, t.NUMAGroup)
	}
	return fmt.Sprintf("%s %15s %5d %s   %c   %s %c %s %s %9d   %5d %s %s %s%s        %s", mark, t.Comm, t.PID, ns(t.Vruntime), eligible,
		ns(t.Deadline), custom, ns(t.Slice), ns(t.SumExec), t.Switches, t.Prio, ns(t.Wait), ns(t.Sleep), ns(t.Block), numa, t.Path)
}

// ParseTask reads a row of a form; false if it is not one. A name with blanks
// is taken by its column.
func ParseTask(row string, f Form) (t DebugTask, ok bool) {
	if len(row) < 19 {
		return t, false
	}
	t.Running, t.State = row[0] == '>', row[1]
	t.Comm = strings.TrimLeft(row[3:18], " ")
	fields := strings.Fields(row[18:])
	want := 11
	if f == Linux6_12 {
		want = 14
		if len(fields) > 4 && fields[4] == "S" {
			t.CustomSlice = true
			fields = append(fields[:4], fields[5:]...)
		}
	}
	if len(fields) == want-2 {
		t.NoNUMA = true
		fields = slices.Insert(fields, len(fields)-1, "0", "0")
	}
	if len(fields) != want {
		return t, false
	}
	var bad bool
	number := func(i int) int64 {
		n, isTime, ok := parseValue(fields[i])
		bad = bad || !ok || isTime || n < 0 && i != want-2
		return n
	}
	ns := func(i int) uint64 {
		n, isTime, ok := parseValue(fields[i])
		bad = bad || !ok || !isTime || n < 0
		return uint64(n)
	}
	t.PID, t.Vruntime = int32(number(0)), ns(1)
	if f == Linux6_1 {
		t.Switches, t.Wait, t.SumExec, t.Sleep, t.Block = uint64(number(2)), ns(4), ns(5), ns(6), ns(7)
		t.Prio = prio(fields[3], &bad)
	} else {
		t.Eligible = fields[2] == "E"
		bad = bad || !t.Eligible && fields[2] != "N"
		t.Deadline, t.Slice, t.SumExec, t.Switches = ns(3), ns(4), ns(5), uint64(number(6))
		t.Prio = prio(fields[7], &bad)
		t.Wait, t.Sleep, t.Block = ns(8), ns(9), ns(10)
	}
	t.Node, t.NUMAGroup, t.Path = int(number(want-3)), int(number(want-2)), fields[want-1]
	return t, !bad
}

// prio is a priority: below 0 for deadline tasks.
func prio(s string, bad *bool) int {
	n, err := strconv.Atoi(s)
	*bad = *bad || err != nil
	return n
}
