package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/sched"
	workload "github.com/kernsim/kernsim/sched/recorded"
)

// whatIfRow is what one scheduler did for the tasks of one name; the tagged
// fields are those of --json. Times are ns; latencies are from being woken to
// running.
type whatIfRow struct {
	Comm       string `json:"comm"`
	Tasks      int    `json:"tasks"`
	Scheduler  string `json:"scheduler"`
	Run        uint64 `json:"run_ns"`
	Switches   int    `json:"switches"`
	Preempted  int    `json:"preempted"`
	Wakeups    int    `json:"wakeups"`
	Median     uint64 `json:"median_latency_ns"`
	P99        uint64 `json:"p99_latency_ns"`
	MaxLatency uint64 `json:"max_latency_ns"`

	latencies []uint64
}

// asRecorded names the trace's own kernel in the table.
const asRecorded = "as recorded"

func runWhatIf(cmd *cobra.Command, f *schedFlags, path string) error {
	r, done, err := openTrace(path)
	if err != nil {
		return &inputError{err}
	}
	defer done()
	w, err := workload.Read(r)
	if errors.Is(err, workload.ErrNoSwitch) {
		err = fmt.Errorf("%s: %w", path, err)
	}
	if err != nil {
		return &inputError{err}
	}
	groups := [][]whatIfRow{recordedRows(w)}
	kernels := strings.Split(f.kernel, ",")
	if len(kernels) > 1 && f.trace+f.gantt != "" {
		return &usageError{fmt.Errorf("--trace and --gantt want one --kernel")}
	}
	var cfg sched.SimConfig
	until := w.Duration
	if f.duration > 0 {
		until = uint64(f.duration)
	}
	for _, kernel := range kernels {
		if cfg, err = f.config(kernel); err != nil {
			return err
		}
		w.Config(&cfg)
		rows, err := f.whatIf(w, cfg, until)
		if err != nil {
			return err
		}
		groups = append(groups, rows)
	}
	out := cmd.OutOrStdout()
	rows := interleave(groups)
	if f.json {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(rows)
	}
	printWhatIf(out, rows, len(groups))
	fmt.Fprintf(out, "\n%d tasks on %d CPU(s), %s of trace; simulated for %s, HZ=%d\n", len(w.Tasks), w.CPUs, time.Duration(w.Duration), time.Duration(until), f.hz)
	if w.Lost > 0 {
		fmt.Fprintf(out, "the trace lost events in %d places: what happened there is not known\n", w.Lost)
	}
	if w.Gaps > 0 {
		fmt.Fprintf(out, "%d switches leave another task than the last one went to: %s ms of CPU time are nobody's\n", w.Gaps, milli(w.Unknown))
	}
	if w.Deadline > 0 {
		fmt.Fprintf(out, "%d deadline tasks run as SCHED_FIFO: the trace does not tell their reservations\n", w.Deadline)
	}
	return nil
}

// recordedRows are the trace's own figures.
func recordedRows(w *workload.Workload) []whatIfRow {
	var sum whatIfSum
	for i := range w.Tasks {
		t := &w.Tasks[i]
		row := sum.row(t.Comm, asRecorded)
		row.Tasks++
		row.Run += t.Run
		row.Switches += t.Switches
		row.Preempted += t.Preempted
		row.latencies = append(row.latencies, t.Latencies...)
	}
	return sum.done()
}

// whatIf runs the recorded behaviour under a scheduler.
func (f *schedFlags) whatIf(w *workload.Workload, cfg sched.SimConfig, until uint64) ([]whatIfRow, error) {
	s, err := sched.NewSim(cfg)
	if err != nil {
		return nil, &inputError{err}
	}
	if err := w.Spawn(s); err != nil {
		return nil, &inputError{err}
	}
	idle := sched.TaskID(s.Machine().CPUs())
	var sum whatIfSum
	watch := func(e *sched.SimEvent) {
		switch {
		case e.Kind == sched.SimRuns && e.Task >= idle:
			row := sum.row(s.Comm(e.Task), cfg.Profile.Name)
			row.latencies = append(row.latencies, e.Value)
		case e.Kind == sched.SimSwitch && e.Next >= idle:
			sum.row(s.Comm(e.Next), cfg.Profile.Name).Switches++
		}
		if e.Kind == sched.SimSwitch && e.Task >= idle && e.State == sched.StateRunning {
			sum.row(s.Comm(e.Task), cfg.Profile.Name).Preempted++
		}
	}
	if err := f.simulate(s, until, watch); err != nil {
		return nil, err
	}
	for id := idle; int(id) < s.Machine().Tasks(); id++ {
		row := sum.row(s.Comm(id), cfg.Profile.Name)
		row.Tasks++
		row.Run += s.Times(id).Run
	}
	return sum.done(), nil
}

// whatIfSum collects rows by name.
type whatIfSum struct {
	rows  []whatIfRow
	index map[string]int
}

func (s *whatIfSum) row(comm, scheduler string) *whatIfRow {
	i, ok := s.index[comm]
	if !ok {
		if s.index == nil {
			s.index = map[string]int{}
		}
		i = len(s.rows)
		s.index[comm] = i
		s.rows = append(s.rows, whatIfRow{Comm: comm, Scheduler: scheduler})
	}
	return &s.rows[i]
}

// done puts a row for all tasks first and computes the quantiles.
func (s *whatIfSum) done() []whatIfRow {
	all := whatIfRow{}
	for i := range s.rows {
		r := &s.rows[i]
		all.Scheduler = r.Scheduler
		all.Tasks += r.Tasks
		all.Run += r.Run
		all.Switches += r.Switches
		all.Preempted += r.Preempted
		all.latencies = append(all.latencies, r.latencies...)
	}
	rows := append([]whatIfRow{all}, s.rows...)
	for i := range rows {
		r := &rows[i]
		slices.Sort(r.latencies)
		if r.Wakeups = len(r.latencies); r.Wakeups > 0 {
			r.Median = r.latencies[(r.Wakeups-1)/2]
			r.P99 = r.latencies[(r.Wakeups*99+99)/100-1]
			r.MaxLatency = r.latencies[r.Wakeups-1]
		}
	}
	return rows
}

// interleave puts the schedulers' rows of a name below each other, all tasks
// first and then the names that ran longest in the trace.
func interleave(groups [][]whatIfRow) []whatIfRow {
	first := groups[0][1:]
	slices.SortStableFunc(first, func(a, b whatIfRow) int { return cmp.Or(cmp.Compare(b.Run, a.Run), cmp.Compare(a.Comm, b.Comm)) })
	out := []whatIfRow{}
	for _, head := range groups[0] {
		for _, rows := range groups {
			if i := slices.IndexFunc(rows, func(r whatIfRow) bool { return r.Comm == head.Comm }); i >= 0 {
				out = append(out, rows[i])
			}
		}
	}
	return out
}

// maxWhatIfNames are the names that the table shows.
const maxWhatIfNames = 12

func printWhatIf(w io.Writer, rows []whatIfRow, schedulers int) {
	t := newTable(w, "task", "scheduler", "run ms", "switches", "preempted", "wakeups", "median us", "99% us", "max latency us")
	for i := range rows {
		if i >= (maxWhatIfNames+1)*schedulers {
			break
		}
		r := &rows[i]
		name := ""
		if r.Scheduler == asRecorded {
			name = r.Comm
			if name == "" {
				name = "all"
			}
			if r.Tasks > 1 {
				name += fmt.Sprintf(" (%d tasks)", r.Tasks)
			}
			if i > 0 {
				t.AppendSeparator()
			}
		}
		t.AppendRow([]any{name, r.Scheduler, milli(r.Run), r.Switches, r.Preempted, r.Wakeups, micro(r.Median), micro(r.P99), micro(r.MaxLatency)})
	}
	t.Render()
}
