package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/sched/rtapp"
	"github.com/kernsim/kernsim/trace"
	"github.com/kernsim/kernsim/viz"
)

// schedProfiles are the kernels that the command can simulate.
var schedProfiles = []sched.Profile{sched.Linux5_4, sched.Linux6_1, sched.Linux6_6, sched.Linux6_12, sched.Debian6_12, sched.Linux6_18}

// preemptModels are the preemption models by name.
var preemptModels = map[string]sched.Preempt{"none": sched.PreemptNone, "voluntary": sched.PreemptVoluntary, "full": sched.PreemptFull,
	"lazy": sched.PreemptLazy, "rt": sched.PreemptRT}

type schedFlags struct {
	json, fromTrace                 bool
	cpus, hz, llc, smt              int
	kernel, preempt, trace, gantt   string
	seed                            uint64
	duration, ganttFrom, ganttUntil time.Duration
}

func newSchedCommand() *cobra.Command {
	var f schedFlags
	cmd := &cobra.Command{
		Use:   "sched [flags] WORKLOAD",
		Short: "Run a workload under a simulated Linux scheduler",
		Long: `Runs the tasks of a workload, a file in rt-app's JSON form, on a simulated
machine, and prints what each got: CPU time, waits, latencies, switches. The
same file and flags give the same result, always.

With --from-trace the file is a trace of sched_switch and sched_waking events:
what each task computed, whom it woke and how long it slept runs again under
the simulated scheduler, and is shown beside what the trace's kernel did. --kernel
then takes several, with commas.

Exit code 0: done. 2: the workload cannot be read or run.`,
		Example: `  kernsim sched examples/sched/desktop.json
  kernsim sched --kernel 6.12 --cpus 4 --gantt gantt.svg examples/sched/desktop.json
  kernsim sched --trace trace.txt --duration 100ms examples/sched/desktop.json && kernsim schedtop trace.txt
  kernsim sched --from-trace --kernel 6.1,6.12 trace.txt    # what would EEVDF have done?`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.fromTrace {
				return runWhatIf(cmd, &f, args[0])
			}
			return runSched(cmd, &f, args[0])
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.json, "json", false, "print the tasks as a JSON array")
	flags.BoolVar(&f.fromTrace, "from-trace", false, "the workload is a scheduler trace: run what its tasks did")
	flags.IntVar(&f.cpus, "cpus", 1, "number of CPUs; --from-trace: at least as many as the trace has")
	flags.IntVar(&f.hz, "hz", 250, "timer ticks a second")
	flags.IntVar(&f.llc, "llc", 0, "CPUs that share a cache; 0: all")
	flags.IntVar(&f.smt, "smt", 0, "CPUs that share a core; 0: 1")
	flags.StringVar(&f.kernel, "kernel", "6.1", "kernel whose scheduler to simulate: "+strings.Join(schedKernels(), ", "))
	flags.StringVar(&f.preempt, "preempt", "voluntary", "preemption model: none, voluntary, full, lazy, rt")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of random draws")
	flags.DurationVar(&f.duration, "duration", 0, "simulated time; default: the workload's, or 1s")
	flags.StringVar(&f.trace, "trace", "", "write the kernel's trace text to `FILE`")
	flags.StringVar(&f.gantt, "gantt", "", "draw which task ran when as SVG to `FILE`")
	flags.DurationVar(&f.ganttFrom, "gantt-from", 0, "where the drawing begins")
	flags.DurationVar(&f.ganttUntil, "gantt-until", 200*time.Millisecond, "where the drawing ends")
	_ = cmd.RegisterFlagCompletionFunc("kernel", cobra.FixedCompletions(schedKernels(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func schedKernels() []string {
	var out []string
	for _, p := range schedProfiles {
		out = append(out, p.Name)
	}
	return out
}

// schedTask is a task's row; the tagged fields are those of --json. Times are
// ns.
type schedTask struct {
	PID         int32   `json:"pid"`
	Comm        string  `json:"comm"`
	Policy      string  `json:"policy"`
	Prio        int     `json:"prio"`
	Run         uint64  `json:"run_ns"`
	Share       float64 `json:"share"`
	Wait        uint64  `json:"wait_ns"`
	Wakeups     uint64  `json:"wakeups"`
	AvgLatency  uint64  `json:"avg_latency_ns"`
	MaxLatency  uint64  `json:"max_latency_ns"`
	Voluntary   uint64  `json:"voluntary_switches"`
	Involuntary uint64  `json:"involuntary_switches"`
	Migrations  uint64  `json:"migrations"`
}

func runSched(cmd *cobra.Command, f *schedFlags, path string) error {
	w, err := readWorkload(path)
	if err != nil {
		return &inputError{err}
	}
	cfg, err := f.config(f.kernel)
	if err != nil {
		return err
	}
	cfg.Specs = w.Specs
	s, err := sched.NewSim(cfg)
	if err != nil {
		return &inputError{err}
	}
	if _, err := s.SpawnAll(); err != nil {
		return &inputError{err}
	}
	until := f.until(w)
	if err := f.simulate(s, until, nil); err != nil {
		return err
	}
	rows := schedRows(s, until*uint64(cfg.CPUs))
	if f.json {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		return enc.Encode(rows)
	}
	return printSched(cmd.OutOrStdout(), rows, s, cfg, until)
}

// inputError is an error of what the user gave: exit code 2.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }

func readWorkload(path string) (*rtapp.Workload, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return rtapp.Read(file, path)
}

// config is the machine that the flags describe, with one of their kernels.
func (f *schedFlags) config(kernel string) (sched.SimConfig, error) {
	i := slices.IndexFunc(schedProfiles, func(p sched.Profile) bool { return p.Name == kernel })
	if i < 0 {
		return sched.SimConfig{}, &usageError{fmt.Errorf("unknown kernel %q: want %s", kernel, strings.Join(schedKernels(), ", "))}
	}
	preempt, ok := preemptModels[f.preempt]
	if !ok {
		return sched.SimConfig{}, &usageError{fmt.Errorf("unknown preemption model %q: want none, voluntary, full, lazy or rt", f.preempt)}
	}
	return sched.SimConfig{Config: sched.Config{CPUs: f.cpus, Profile: schedProfiles[i], HZ: f.hz, LoadTracking: f.cpus > 1}, Preempt: preempt, Seed: f.seed,
		Topology: sched.Topology{SMT: f.smt, LLC: f.llc}}, nil
}

func (f *schedFlags) until(w *rtapp.Workload) uint64 {
	switch {
	case f.duration > 0:
		return uint64(f.duration)
	case w.Duration > 0:
		return w.Duration
	}
	return uint64(time.Second)
}

// simulate runs the simulation and writes what the flags ask for; watch, if
// not nil, sees the events.
func (f *schedFlags) simulate(s *sched.Sim, until uint64, watch func(*sched.SimEvent)) (err error) {
	var gantt *viz.Gantt
	if f.gantt != "" {
		gantt = viz.NewGantt(s, uint64(f.ganttFrom), min(uint64(f.ganttUntil), until))
		others := watch
		watch = func(e *sched.SimEvent) {
			gantt.Watch(e)
			if others != nil {
				others(e)
			}
		}
	}
	s.Watch(watch)
	if f.trace != "" {
		file, err2 := os.Create(f.trace)
		if err2 != nil {
			return err2
		}
		w := trace.NewWriter(file, trace.FormTracefs)
		s.TraceTo(w, watch)
		defer func() { err = errors.Join(err, w.Flush(), file.Close()) }()
	}
	if err := s.Run(until); err != nil {
		return &inputError{err}
	}
	if gantt == nil {
		return nil
	}
	file, err := os.Create(f.gantt)
	if err != nil {
		return err
	}
	return errors.Join(gantt.WriteSVG(file), file.Close())
}

// schedRows are the figures of all tasks but the idle ones.
func schedRows(s *sched.Sim, all uint64) []schedTask {
	m := s.Machine()
	rows := []schedTask{}
	for id := sched.TaskID(m.CPUs()); int(id) < m.Tasks(); id++ {
		t, x := m.Task(id), s.Times(id)
		row := schedTask{PID: t.PID, Comm: s.Comm(id), Policy: t.Policy.String(), Prio: t.Prio, Run: x.Run, Share: float64(x.Run) / float64(all),
			Wait: x.Wait, Wakeups: x.Wakeups, MaxLatency: x.MaxLatency, Voluntary: x.Voluntary, Involuntary: x.Involuntary, Migrations: x.Migrations}
		if x.Wakeups > 0 {
			row.AvgLatency = x.SumLatency / x.Wakeups
		}
		rows = append(rows, row)
	}
	return rows
}

func printSched(w io.Writer, rows []schedTask, s *sched.Sim, cfg sched.SimConfig, until uint64) error {
	t := newTable(w, "pid", "task", "policy", "prio", "run ms", "share", "wait ms", "wakeups", "avg latency us", "max latency us", "vol", "invol", "migr")
	for i := range rows {
		r := &rows[i]
		t.AppendRow([]any{r.PID, r.Comm, strings.TrimPrefix(r.Policy, "SCHED_"), r.Prio, milli(r.Run), fmt.Sprintf("%.2f%%", 100*r.Share), milli(r.Wait), r.Wakeups,
			micro(r.AvgLatency), micro(r.MaxLatency), r.Voluntary, r.Involuntary, r.Migrations})
	}
	t.Render()
	idle := uint64(0)
	for c := range cfg.CPUs {
		idle += s.IdleTime(sched.CPU(c))
	}
	_, err := fmt.Fprintf(w, "\n%s, %d CPU(s), HZ=%d, %s of simulated time: %s ms idle\n", cfg.Profile.Name, cfg.CPUs, cfg.HZ, time.Duration(until), milli(idle))
	return err
}

func milli(ns uint64) string { return fmt.Sprintf("%.3f", float64(ns)/1e6) }
func micro(ns uint64) string { return fmt.Sprintf("%.1f", float64(ns)/1e3) }
