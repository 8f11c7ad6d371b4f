package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/trace"
)

func newSchedtopCommand() *cobra.Command {
	var jsonOut bool
	var limit int
	cmd := &cobra.Command{
		Use:   "schedtop [flags] TRACE...",
		Short: "Tell from a scheduler trace what each task got",
		Long: `Reads trace text with sched_switch events (and sched_wakeup, if there are any), as
tracefs, trace-cmd report, perf script or babeltrace2 print it, plain or with
gzip or zstd, and prints for each task the time it had a CPU, its share, its
switches and migrations, and how long it waited from being woken to running.

Exit code 0: done. 2: the trace cannot be read or has no switches.`,
		Example: `  kernsim schedtop trace.txt
  kernsim schedtop --json trace.txt.gz | jq '.[] | select(.max_latency_ns > 1000000)'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, path := range args {
				top, err := readSchedtop(path)
				if err != nil {
					return &inputError{err}
				}
				if err := top.print(cmd.OutOrStdout(), jsonOut, limit); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&jsonOut, "json", false, "print the tasks as a JSON array")
	cmd.Flags().IntVarP(&limit, "limit", "n", 30, "tasks shown in the table, 0 for all")
	return cmd
}

// topTask is a task's row; the tagged fields are those of --json. Times are ns.
type topTask struct {
	PID         string  `json:"pid"`
	Comm        string  `json:"comm"`
	Prio        int32   `json:"prio"`
	Run         uint64  `json:"run_ns"`
	Share       float64 `json:"share"`
	Switches    int     `json:"switches"`
	Preempted   int     `json:"preempted"`
	Wakeups     int     `json:"wakeups"`
	Migrations  int     `json:"migrations"`
	SumLatency  uint64  `json:"-"`
	AvgLatency  uint64  `json:"avg_latency_ns"`
	MaxLatency  uint64  `json:"max_latency_ns"`
	latencies   int
	since       uint64
	woken       uint64
	running     bool
	waiting     bool // it was woken at woken, and has not run since
	lastCPU     int32
	lastCPUSeen bool
}

// topCPU is what a CPU's last switch went to; nil is the idle task.
type topCPU struct {
	task  *topTask
	since uint64
}

// schedtop collects the figures of a trace.
type schedtop struct {
	tasks       map[string]*topTask
	cpus        map[int32]topCPU
	first, last uint64
	switches    int
	// gaps counts the switches from another task than the CPU's last switch
	// went to, unknown is the time that they tell nothing about.
	gaps    int
	unknown uint64
}

func readSchedtop(path string) (*schedtop, error) {
	r, done, err := openTrace(path)
	if err != nil {
		return nil, err
	}
	defer done()
	top := &schedtop{tasks: map[string]*topTask{}, cpus: map[int32]topCPU{}}
	var ev trace.Event
	for {
		if err := r.Read(&ev); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		top.event(&ev)
	}
	if top.switches == 0 {
		return nil, fmt.Errorf("%s: no sched_switch event", path)
	}
	return top, nil
}

func (s *schedtop) task(label string, pid int32, comm string) *topTask {
	id := fmt.Sprint(label, pid)
	t := s.tasks[id]
	if t == nil {
		t = &topTask{PID: id}
		s.tasks[id] = t
	}
	t.Comm = comm
	return t
}

func (s *schedtop) event(ev *trace.Event) {
	if s.first == 0 {
		s.first = ev.Time
	}
	s.last = max(s.last, ev.Time)
	switch ev.Kind {
	case trace.KindSchedSwitch:
		s.switched(ev)
	case trace.KindSchedWakeup, trace.KindSchedWakeupNew:
		if ev.Sched.PID != 0 {
			t := s.task(ev.Sched.Label, ev.Sched.PID, ev.Sched.Comm)
			t.Wakeups++
			if !t.running {
				t.woken, t.waiting = ev.Time, true
			}
		}
	}
}

func (s *schedtop) switched(ev *trace.Event) {
	s.switches++
	w := &ev.Switch
	var prev *topTask
	if w.PrevPID != 0 || w.PrevLabel != "" {
		prev = s.task(w.PrevLabel, w.PrevPID, w.PrevComm)
	}
	cpu, seen := s.cpus[ev.CPU]
	gap := seen && cpu.task != prev
	if gap {
		s.gaps++
		s.unknown += ev.Time - min(cpu.since, ev.Time)
		if t := cpu.task; t != nil && t.lastCPU == ev.CPU {
			t.running = false
		}
	}
	if t := prev; t != nil {
		switch {
		case gap:
			t.waiting = false // it has run since, from when is not known
		case !seen && !t.lastCPUSeen:
			// It has run since before the trace.
			t.Run += ev.Time - min(s.first, ev.Time)
			t.lastCPU, t.lastCPUSeen = ev.CPU, true
		case t.running:
			t.Run += ev.Time - min(t.since, ev.Time)
		}
		t.running, t.Prio = false, w.PrevPrio
		if strings.HasPrefix(w.PrevState, "R") || w.PrevState == "0" {
			t.Preempted++
		}
	}
	if w.NextPID == 0 && w.NextLabel == "" {
		s.cpus[ev.CPU] = topCPU{since: ev.Time}
		return
	}
	t := s.task(w.NextLabel, w.NextPID, w.NextComm)
	s.cpus[ev.CPU] = topCPU{t, ev.Time}
	t.Switches++
	t.Prio, t.running, t.since = w.NextPrio, true, ev.Time
	if t.lastCPUSeen && t.lastCPU != ev.CPU {
		t.Migrations++
	}
	t.lastCPU, t.lastCPUSeen = ev.CPU, true
	if t.waiting {
		latency := ev.Time - min(t.woken, ev.Time)
		t.SumLatency += latency
		t.MaxLatency = max(t.MaxLatency, latency)
		t.latencies++
		t.waiting = false
	}
}

// rows are the tasks, those that ran longest first.
func (s *schedtop) rows() []*topTask {
	out := []*topTask{}
	for _, t := range s.tasks { // order does not matter: they are sorted
		if t.running {
			t.Run += s.last - t.since
			t.running = false
		}
		if s.last > s.first {
			t.Share = float64(t.Run) / float64(s.last-s.first)
		}
		if t.latencies > 0 {
			t.AvgLatency = t.SumLatency / uint64(t.latencies)
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *topTask) int {
		return cmp.Or(cmp.Compare(b.Run, a.Run), cmp.Compare(a.PID, b.PID))
	})
	return out
}

func (s *schedtop) print(w io.Writer, asJSON bool, limit int) error {
	rows := s.rows()
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(rows)
	}
	t := newTable(w, "pid", "task", "prio", "run ms", "share of a CPU", "switches", "preempted", "wakeups", "migr", "avg latency us", "max latency us")
	for i, r := range rows {
		if limit > 0 && i >= limit {
			break
		}
		t.AppendRow([]any{r.PID, r.Comm, r.Prio, milli(r.Run), fmt.Sprintf("%.2f%%", 100*r.Share), r.Switches, r.Preempted, r.Wakeups, r.Migrations,
			micro(r.AvgLatency), micro(r.MaxLatency)})
	}
	t.Render()
	_, err := fmt.Fprintf(w, "\n%d tasks, %d switches in %s ms\n", len(rows), s.switches, milli(s.last-s.first))
	if s.gaps > 0 && err == nil {
		_, err = fmt.Fprintf(w, "%d switches leave another task than the last one went to: %s ms of CPU time are nobody's\n", s.gaps, milli(s.unknown))
	}
	return err
}
