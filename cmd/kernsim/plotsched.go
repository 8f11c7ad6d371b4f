package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kernsim/kernsim/replay"
	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/sched/cyclictest"
	workload "github.com/kernsim/kernsim/sched/recorded"
	"github.com/kernsim/kernsim/sync/lockdep"
	"github.com/kernsim/kernsim/trace"
	"github.com/kernsim/kernsim/viz"
)

// schedPlots are the kinds of graphs of the scheduler and of locks.
func schedPlots() []plotKind {
	machine := func(name, about string) plotKind {
		return plotKind{name, about + "; SOURCE: a scheduler capture or a workload (rt-app's JSON)", func(ctx context.Context, source string, f *plotFlags) (viz.Graph, error) {
			return plotMachine(ctx, name, source, f)
		}}
	}
	return []plotKind{
		machine("vruntime", "virtual runtimes over time"),
		machine("runqueue", "runnable tasks on each CPU over time"),
		machine("pelt", "utilization of tasks over time, as load tracking has it"),
		machine("pelt-load", "load of tasks over time, as load tracking has it"),
		{"gantt", "which task ran when; SOURCE: a scheduler capture, a trace, or a workload", plotGantt},
		{"latency", "histogram of wake-up latencies; SOURCE: as gantt, or cyclictest's histogram", plotLatency},
		{"latency-cdf", "share of latencies above each value; SOURCE: as latency", plotLatencyCDF},
		{"lock-stat", "how long locks were waited for and held; SOURCE: a /proc/lock_stat text", plotLockStat},
	}
}

// schedInput is what a scheduler graph is drawn from.
type schedInput struct {
	// name is for the line under the graph.
	name string
	// A capture, a workload's file, or neither: then a trace or another text,
	// which open reads.
	capture  *replay.Capture
	workload bool
	open     func() (*trace.Reader, func() error, error)
	// path is a file's.
	path string
}

// findSchedInput finds out what a source is.
func findSchedInput(name string) (*schedInput, error) {
	if info, err := os.Stat(name); err == nil && !info.IsDir() {
		in := &schedInput{name: filepath.Base(name), path: name, open: func() (*trace.Reader, func() error, error) { return openTrace(name) }}
		text, err := readInput(name)
		if err != nil {
			return nil, &inputError{err}
		}
		in.workload = bytes.HasPrefix(bytes.TrimSpace(text), []byte("{"))
		return in, nil
	}
	c, err := plotTarget(name, "")
	if err != nil {
		return nil, err
	}
	meta, err := c.Meta()
	if err != nil {
		return nil, err
	}
	in := captureInput(c)
	in.name = source(c.Name, meta)
	return in, nil
}

// captureInput is a capture as a source.
func captureInput(c replay.Capture) *schedInput {
	return &schedInput{name: c.Name, capture: &c, open: func() (*trace.Reader, func() error, error) {
		f, full, err := c.Open("trace.txt")
		if err != nil {
			return nil, nil, err
		}
		r, err := trace.NewReader(f, full)
		if err != nil {
			f.Close()
			return nil, nil, err
		}
		return r, f.Close, nil
	}}
}

// events reads the trace to its end.
func (in *schedInput) events(each func(*trace.Event) error) error {
	r, done, err := in.open()
	if err != nil {
		return err
	}
	defer done()
	var ev trace.Event
	for {
		switch err := r.Read(&ev); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := each(&ev); err != nil {
			return err
		}
	}
}

// names are the tasks' names by pid, the last of each.
func (in *schedInput) names() (map[int32]string, error) {
	out := map[int32]string{}
	err := in.events(func(ev *trace.Event) error {
		addName(out, ev)
		return nil
	})
	return out, err
}

// addName notes the names that an event tells.
func addName(names map[int32]string, ev *trace.Event) {
	switch ev.Kind {
	case trace.KindSchedSwitch:
		names[ev.Switch.PrevPID], names[ev.Switch.NextPID] = ev.Switch.PrevComm, ev.Switch.NextComm
	case trace.KindSchedStatRuntime, trace.KindSchedWakeup, trace.KindSchedWakeupNew:
		names[ev.Sched.PID] = ev.Sched.Comm
	}
}

// simSource is the line under a simulation's graph.
func simSource(path string, cfg *sched.SimConfig) string {
	return fmt.Sprintf("%s · simulated by kernsim: Linux %s, %d CPU(s), HZ=%d, seed %d", path, cfg.Profile.Name, cfg.CPUs, cfg.HZ, cfg.Seed)
}

// schedFlags are the flags of the sched command that a simulation for a graph
// has.
func (f *plotFlags) schedFlags() *schedFlags {
	return &schedFlags{cpus: f.cpus, hz: 250, preempt: "voluntary", seed: f.seed, duration: f.until}
}

// simulation makes a workload's simulation, which has not run yet.
func (in *schedInput) simulation(f *plotFlags, kernel string) (*sched.Sim, sched.SimConfig, uint64, error) {
	w, err := readWorkload(in.path)
	if err != nil {
		return nil, sched.SimConfig{}, 0, &inputError{err}
	}
	sf := f.schedFlags()
	cfg, err := sf.config(kernel)
	if err != nil {
		return nil, cfg, 0, err
	}
	cfg.LoadTracking = true
	cfg.Specs = w.Specs
	s, err := sched.NewSim(cfg)
	if err != nil {
		return nil, cfg, 0, &inputError{err}
	}
	if _, err := s.SpawnAll(); err != nil {
		return nil, cfg, 0, &inputError{err}
	}
	return s, cfg, sf.until(w), nil
}

// oneKernel is the kernel of a simulation that draws only one.
func (f *plotFlags) oneKernel() (string, error) {
	if strings.Contains(f.kernel, ",") {
		return "", &usageError{fmt.Errorf("--kernel: one at a time for this graph")}
	}
	return f.kernel, nil
}

// plotMachine draws what is seen inside of the scheduler.
func plotMachine(ctx context.Context, id, name string, f *plotFlags) (viz.Graph, error) {
	in, err := findSchedInput(name)
	if err != nil {
		return nil, err
	}
	rec := viz.SchedRecorder{From: uint64(f.from), Until: uint64(f.until), Samples: f.samples}
	switch {
	case in.capture != nil:
		if err := in.recordReplay(ctx, &rec); err != nil {
			return nil, err
		}
	case in.workload:
		kernel, err := f.oneKernel()
		if err != nil {
			return nil, err
		}
		s, cfg, until, err := in.simulation(f, kernel)
		if err != nil {
			return nil, err
		}
		if err := recordSim(ctx, s, until, &rec, f); err != nil {
			return nil, err
		}
		in.name = simSource(in.name, &cfg)
	default:
		return nil, &usageError{fmt.Errorf("%s: %s is drawn from a scheduler capture or a workload, which a trace alone is not", name, id)}
	}
	for _, g := range rec.Graphs(in.name) {
		if g.ID == id {
			return g.Graph, nil
		}
	}
	return nil, &inputError{fmt.Errorf("%s: no data for %s (a capture without load tracking, or nothing in the time asked for)", name, id)}
}

// recordReplay replays a scheduler capture for a recorder.
func (in *schedInput) recordReplay(ctx context.Context, rec *viz.SchedRecorder) error {
	names, err := in.names()
	if err != nil {
		return err
	}
	rec.Name = func(pid int32) string { return names[pid] }
	_, err = replay.Run(ctx, *in.capture, replay.Options{Model: "sched", ObserveSched: rec.Observe})
	return err
}

// recordSim runs a simulation in steps and looks at it after each.
func recordSim(ctx context.Context, s *sched.Sim, until uint64, rec *viz.SchedRecorder, f *plotFlags) error {
	comms := map[int32]string{}
	rec.Name = func(pid int32) string { return comms[pid] }
	from := min(uint64(f.from), until)
	if err := s.Run(from); err != nil {
		return &inputError{err}
	}
	rec.From, rec.Until = 0, 0
	m := s.Machine()
	for i := range uint64(f.samples) + 1 {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.Run(from + (until-from)*i/uint64(f.samples)); err != nil {
			return &inputError{err}
		}
		for id := sched.TaskID(m.CPUs()); int(id) < m.Tasks(); id++ {
			comms[m.Task(id).PID] = s.Comm(id)
		}
		rec.Observe(m)
	}
	return nil
}

// ganttDefault is how much of a source a Gantt chart shows if not told.
const ganttDefault = uint64(200e6)

func plotGantt(_ context.Context, name string, f *plotFlags) (viz.Graph, error) {
	in, err := findSchedInput(name)
	if err != nil {
		return nil, err
	}
	from, until := uint64(f.from), uint64(f.until)
	if until == 0 {
		until = from + ganttDefault
	}
	if until <= from {
		return nil, &usageError{errors.New("--until must be after --from")}
	}
	if in.workload {
		kernel, err := f.oneKernel()
		if err != nil {
			return nil, err
		}
		s, cfg, all, err := in.simulation(f, kernel)
		if err != nil {
			return nil, err
		}
		g := viz.NewGantt(s, from, min(until, all))
		g.Source = simSource(in.name, &cfg)
		s.Watch(g.Watch)
		if err := s.Run(min(until, all)); err != nil {
			return nil, &inputError{err}
		}
		return g, nil
	}
	g := viz.NewTraceGantt(from, until)
	g.Source = in.name
	switches := 0
	err = in.events(func(ev *trace.Event) error {
		if ev.Kind == trace.KindSchedSwitch {
			switches++
		}
		g.WatchTrace(ev)
		return nil
	})
	if err == nil && switches == 0 {
		err = fmt.Errorf("%s: %w", name, workload.ErrNoSwitch)
	}
	if err != nil {
		return nil, &inputError{err}
	}
	return g, nil
}

// latencies gives the latencies that a source has, in µs: of a trace those of
// the tasks that were woken most, of a simulation a series for each kernel.
func latencies(name string, f *plotFlags) (samples []viz.Samples, from string, cyclictest bool, err error) {
	in, err := findSchedInput(name)
	if err != nil {
		return nil, "", false, err
	}
	if in.workload {
		for _, kernel := range strings.Split(f.kernel, ",") {
			s, cfg, until, err := in.simulation(f, kernel)
			if err != nil {
				return nil, "", false, err
			}
			var values []uint64
			s.Watch(func(e *sched.SimEvent) {
				if e.Kind == sched.SimRuns && int(e.Task) >= cfg.CPUs {
					values = append(values, e.Value)
				}
			})
			if err := s.Run(until); err != nil {
				return nil, "", false, &inputError{err}
			}
			samples = append(samples, viz.SamplesOf("Linux "+kernel, values, 1000))
			from = simSource(in.name, &cfg)
		}
		if len(samples) > 1 {
			from = in.name + " · simulated by kernsim"
		}
		return samples, from, false, nil
	}
	if in.path != "" {
		if samples, err := readCyclictest(in.path); err == nil {
			return samples, in.name + " · cyclictest", true, nil
		}
	}
	samples, err = in.traceLatencies()
	if err != nil {
		return nil, "", false, &inputError{err}
	}
	return samples, in.name, false, nil
}

func readCyclictest(path string) ([]viz.Samples, error) {
	text, err := readInput(path)
	if err != nil {
		return nil, err
	}
	h, err := cyclictest.Read(bytes.NewReader(text), path)
	if err != nil {
		return nil, err
	}
	return viz.SamplesOfCyclictest(h), nil
}

// traceLatencies are a trace's latencies from being woken to running.
func (in *schedInput) traceLatencies() ([]viz.Samples, error) {
	b := workload.NewBuilder()
	if err := in.events(b.Add); err != nil {
		return nil, err
	}
	w, err := b.Workload()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.name, err)
	}
	samples := latencySamples(w)
	if len(samples) == 0 {
		return nil, fmt.Errorf("%s: no task is woken and runs", in.name)
	}
	return samples, nil
}

// latencySamples puts the latencies of a trace together: all, and those of the
// names with most; none if there are none.
func latencySamples(w *workload.Workload) []viz.Samples {
	var all []uint64
	byName := map[string][]uint64{}
	var names []string
	for i := range w.Tasks {
		t := &w.Tasks[i]
		if len(t.Latencies) == 0 {
			continue
		}
		if byName[t.Comm] == nil {
			names = append(names, t.Comm)
		}
		byName[t.Comm] = append(byName[t.Comm], t.Latencies...)
		all = append(all, t.Latencies...)
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortStableFunc(names, func(a, b string) int { return len(byName[b]) - len(byName[a]) })
	out := []viz.Samples{viz.SamplesOf("all tasks", all, 1000)}
	for _, n := range names[:min(len(names), 3)] {
		out = append(out, viz.SamplesOf(n, byName[n], 1000))
	}
	return out
}

func plotLatency(_ context.Context, name string, f *plotFlags) (viz.Graph, error) {
	samples, from, cyclictest, err := latencies(name, f)
	if err != nil {
		return nil, err
	}
	return latencyHistogram(samples, from, !cyclictest), nil
}

func latencyHistogram(samples []viz.Samples, from string, log bool) viz.Histogram {
	return viz.Histogram{Frame: viz.Frame{Title: "Latencies from being woken to running", Source: from}, XLabel: "latency (µs)", Unit: "µs", LogX: log, Samples: samples}
}

func plotLatencyCDF(_ context.Context, name string, f *plotFlags) (viz.Graph, error) {
	samples, from, _, err := latencies(name, f)
	if err != nil {
		return nil, err
	}
	return viz.CDF{Frame: viz.Frame{Title: "Tail of the latencies from being woken to running", Source: from}, XLabel: "latency (µs)", Unit: "µs", Samples: samples}, nil
}

func plotLockStat(_ context.Context, name string, _ *plotFlags) (viz.Graph, error) {
	text, err := readInput(name)
	if err != nil {
		return nil, &inputError{err}
	}
	rows, err := lockdep.ReadLockStat(bytes.NewReader(text), name)
	if err != nil {
		return nil, &inputError{err}
	}
	times := func(t *lockdep.LockTime) viz.Times {
		us := func(ns int64) float64 { return float64(ns) / 1000 }
		return viz.Times{N: t.N, Min: us(t.Min), Max: us(t.Max), Sum: us(t.Total), Mean: us(t.Total) / float64(max(t.N, 1))}
	}
	g := viz.Contention{Frame: viz.Frame{Title: "How long locks were waited for and held", Source: filepath.Base(name) + " · /proc/lock_stat"}}
	for i := range rows {
		g.Locks = append(g.Locks, viz.LockTimes{Name: rows[i].Name, Wait: times(&rows[i].Wait), Hold: times(&rows[i].Hold)})
	}
	return g, nil
}
