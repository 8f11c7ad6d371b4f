// Package cyclictest measures how late real-time tasks run in a simulation, as
// rt-tests' cyclictest does on a machine, and reads and writes cyclictest's
// histograms.
//
// On each CPU a SCHED_FIFO task sleeps until the next multiple of an interval.
// Its latency is the time from its timer to its first instruction. A simulation
// knows what the scheduler adds to that: interrupts that run first, kernel work
// that cannot be preempted (by the preemption model), sections with preemption
// disabled, tasks of a higher priority. Hardware's part (timers' error, caches,
// firmware, the cost of the switch unless SimConfig.SwitchCost says one) is
// not in it: compare the shapes of two simulations, not a simulation's
// microseconds with a board's.
package cyclictest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/kernsim/kernsim/sched"
)

// Options describe a measurement.
type Options struct {
	// Interval of the timers in ns; 0 means 1 ms (-i 1000).
	Interval int64
	// Priority is SCHED_FIFO's, 1 to 99; 0 means 80 (-p80).
	Priority int
	// Duration in ns of simulated time; 0 means 10 s.
	Duration uint64
	// Buckets are the histogram's, of a µs each; 0 means 400 (-h400).
	Buckets int
	// Work is what the task computes each time in ns; 0 means 2 µs.
	Work int64
}

// Histogram counts latencies. The first index is the thread (CPU).
type Histogram struct {
	// Counts of the latencies of so many whole µs.
	Counts [][]uint64
	// Total of each thread, with those beyond the last bucket (Overflows).
	Total, Overflows []uint64
	// Min, Avg and Max are µs, rounded down.
	Min, Avg, Max []uint64
	// Sum is the last column of each row: all threads. Files of one thread
	// have none.
	Sum bool
	// Cycles are the lines about overflows at the end, if there are any.
	Cycles []string
}

// Run measures on a machine under a load: the tasks, interrupts and preemption
// model of cfg. The error is the simulation's.
func Run(cfg sched.SimConfig, o Options) (*Histogram, error) {
	if o.Interval == 0 {
		o.Interval = 1_000_000
	}
	if o.Priority == 0 {
		o.Priority = 80
	}
	if o.Duration == 0 {
		o.Duration = 10_000_000_000
	}
	if o.Buckets == 0 {
		o.Buckets = 400
	}
	if o.Work == 0 {
		o.Work = 2000
	}
	s, err := sched.NewSim(cfg)
	if err != nil {
		return nil, err
	}
	if _, err := s.SpawnAll(); err != nil {
		return nil, err
	}
	cpus := s.Machine().CPUs()
	h := newHistogram(cpus, max(o.Buckets, 1))
	h.Sum = cpus > 1
	thread := map[sched.TaskID]int{}
	sums := make([]uint64, cpus)
	for cpu := range cpus {
		id, err := s.Spawn(sched.TaskSpec{Comm: "cyclictest", CPUs: sched.MaskOf(sched.CPU(cpu)), Attr: sched.Attr{Policy: sched.PolicyFIFO, RTPriority: o.Priority},
			Program: sched.Loop(sched.Every(o.Interval), sched.Compute(o.Work))})
		if err != nil {
			return nil, err
		}
		thread[id] = cpu
	}
	started := make([]bool, cpus)
	s.Watch(func(e *sched.SimEvent) {
		if e.Kind != sched.SimRuns {
			return
		}
		i, ok := thread[e.Task]
		if !ok {
			return
		}
		if !started[i] { // its first run is no timer's
			started[i] = true
			return
		}
		sums[i] += e.Value / 1000
		h.add(i, e.Value/1000)
	})
	if err := s.Run(o.Duration); err != nil {
		return nil, err
	}
	for i := range h.Avg {
		if h.Total[i] > 0 {
			h.Avg[i] = sums[i] / h.Total[i]
		}
	}
	return h, nil
}

func newHistogram(threads, buckets int) *Histogram {
	h := &Histogram{Total: make([]uint64, threads), Overflows: make([]uint64, threads), Min: make([]uint64, threads), Avg: make([]uint64, threads), Max: make([]uint64, threads)}
	for range threads {
		h.Counts = append(h.Counts, make([]uint64, buckets))
	}
	return h
}

// add counts a latency.
func (h *Histogram) add(thread int, us uint64) {
	if h.Total[thread] == 0 {
		h.Min[thread] = us
	}
	h.Total[thread]++
	h.Min[thread], h.Max[thread] = min(h.Min[thread], us), max(h.Max[thread], us)
	if us < uint64(len(h.Counts[thread])) {
		h.Counts[thread][us]++
		return
	}
	h.Overflows[thread]++
}

// Threads is how many threads were measured.
func (h *Histogram) Threads() int { return len(h.Counts) }

// All gives the counts of all threads together.
func (h *Histogram) All() []uint64 {
	if len(h.Counts) == 0 {
		return nil
	}
	out := make([]uint64, len(h.Counts[0]))
	for _, c := range h.Counts {
		for us, n := range c {
			out[us] += n
		}
	}
	return out
}

// Quantile gives the latency in µs that a share (0 to 1) of all samples does not
// exceed; those beyond the last bucket count as the longest.
func (h *Histogram) Quantile(share float64) uint64 {
	total, longest := uint64(0), uint64(0)
	for i := range h.Total {
		total += h.Total[i]
		longest = max(longest, h.Max[i])
	}
	want := uint64(share * float64(total))
	seen := uint64(0)
	for us, n := range h.All() {
		if seen += n; n > 0 && seen >= want {
			return uint64(us)
		}
	}
	return longest
}

// WriteTo writes the histogram as cyclictest -h does.
func (h *Histogram) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	b.WriteString("# Histogram\n")
	row := func(values []uint64, sum uint64, width int, sep string) {
		for i, n := range values {
			if i > 0 {
				b.WriteString(sep)
			}
			fmt.Fprintf(&b, "%0*d", width, n)
		}
		if h.Sum {
			fmt.Fprintf(&b, "%s%0*d", sep, width, sum)
		}
		b.WriteByte('\n')
	}
	all := h.All()
	values := make([]uint64, len(h.Counts))
	for us := range all {
		for i := range h.Counts {
			values[i] = h.Counts[i][us]
		}
		fmt.Fprintf(&b, "%06d ", us)
		row(values, all[us], 6, "\t")
	}
	sum := func(v []uint64) (n uint64) {
		for _, x := range v {
			n += x
		}
		return n
	}
	longest := uint64(0)
	for _, m := range h.Max {
		longest = max(longest, m)
	}
	// The total does not count what is beyond the last bucket.
	inside := make([]uint64, len(h.Total))
	for i := range inside {
		inside[i] = h.Total[i] - h.Overflows[i]
	}
	b.WriteString("# Total: ")
	row(inside, sum(inside), 9, " ")
	keep := h.Sum
	h.Sum = false
	b.WriteString("# Min Latencies: ")
	row(h.Min, 0, 5, " ")
	b.WriteString("# Avg Latencies: ")
	row(h.Avg, 0, 5, " ")
	h.Sum = keep
	b.WriteString("# Max Latencies: ")
	row(h.Max, longest, 5, " ")
	b.WriteString("# Histogram Overflows: ")
	row(h.Overflows, sum(h.Overflows), 5, " ")
	for _, l := range h.Cycles {
		fmt.Fprintf(&b, "%s\n", l)
	}
	return b.WriteTo(w)
}

// ParseError says what in a histogram cannot be read.
type ParseError struct {
	File        string
	Line        int // from 1
	Found, Want string
}

// Error names file, line, what was found and what was expected.
func (e *ParseError) Error() string {
	return fmt.Sprintf("cyclictest: %s:%d: found %.80q, want %s", e.File, e.Line, e.Found, e.Want)
}

const (
	maxThreads = 4096
	maxBuckets = 1 << 20
)

// Read reads what cyclictest -h printed. file is its name for errors, which are
// the reader's or a ParseError.
func Read(r io.Reader, file string) (*Histogram, error) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<18)
	h := &Histogram{}
	var columns, line int
	var inside []uint64
	bad := func(text, want string) error { return &ParseError{file, line, text, want} }
	for s.Scan() {
		line++
		text := s.Text()
		name, rest, isName := strings.Cut(strings.TrimPrefix(text, "# "), ": ")
		switch {
		case text == "# Histogram" && line == 1:
		case line == 1:
			return nil, bad(text, `"# Histogram"`)
		case !strings.HasPrefix(text, "#") && text != "":
			if inside != nil {
				return nil, bad(text, "the end")
			}
			v, err := numbers(text)
			if columns == 0 {
				columns = len(v)
			}
			if err != nil || len(v) != columns || columns < 2 || columns > maxThreads || v[0] != uint64(len(h.Min)) || v[0] >= maxBuckets {
				return nil, bad(text, "the next µs and its counts")
			}
			h.Min = append(h.Min, 0) // counts rows for now
			h.Counts = append(h.Counts, v[1:])
		case isName && name == "Total":
			v, err := numbers(rest)
			if err != nil || len(v) != columns-1 {
				return nil, bad(text, "a total for each column")
			}
			inside = v
		case isName && (name == "Min Latencies" || name == "Avg Latencies"):
			v, err := numbers(rest)
			if err != nil || len(v) > columns-1 || len(v) < max(columns-2, 1) {
				return nil, bad(text, "a latency for each thread")
			}
			if name == "Min Latencies" {
				h.Sum = len(v) == columns-2
				h.Min = v
			} else {
				h.Avg = v
			}
		case isName && (name == "Max Latencies" || name == "Histogram Overflows"):
			v, err := numbers(rest)
			if err != nil || len(v) != columns-1 {
				return nil, bad(text, "a number for each column")
			}
			if h.Sum {
				v = v[:len(v)-1]
			}
			if name == "Max Latencies" {
				h.Max = v
			} else {
				h.Overflows = v
			}
		case inside != nil:
			h.Cycles = append(h.Cycles, text)
		default:
			return nil, bad(text, "a row or a summary")
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("cyclictest: %s:%d: %w", file, line+1, err)
	}
	threads := columns - 1
	if h.Sum {
		threads--
	}
	line++
	if inside == nil || len(h.Min) != threads || len(h.Avg) != threads || len(h.Max) != threads || len(h.Overflows) != threads {
		return nil, bad("the end", "Total, Min, Avg and Max Latencies, Histogram Overflows")
	}
	rows := h.Counts
	h.Counts = make([][]uint64, threads)
	h.Total = make([]uint64, threads)
	for i := range h.Counts {
		h.Counts[i] = make([]uint64, len(rows))
		for us := range rows {
			h.Counts[i][us] = rows[us][i]
		}
		h.Total[i] = inside[i] + h.Overflows[i]
	}
	return h, nil
}

func numbers(s string) ([]uint64, error) {
	var out []uint64
	for _, f := range strings.Fields(s) {
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}
