package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/trace"
)

// A trace that shows only tracepoints, as most people's do, does not tell what
// a scheduler decided from. But three rules hold on every kernel, and are
// checked event by event:
//
//   - on each CPU the task that is switched out is the one that was switched in
//     before (the chain);
//   - no task is switched in while a real-time task of higher priority, that was
//     preempted there, waits;
//   - a task's virtual runtime grows by what it ran, for its weight, while it
//     keeps the CPU.

// switchFiles are the files of a folder that hold scheduler events.
func switchFiles(c Capture) []string {
	if c.Has("tunables/debug_sched.txt") || c.Has("before.ksnap") {
		return nil
	}
	return c.filesLike("", ".txt", 1<<16, containing("sched_switch:"))
}

func hasSwitches(c Capture) bool { return len(switchFiles(c)) > 0 }

// Switches checks the rules of all schedulers on the traces of a folder.
func Switches(ctx context.Context, c Capture, o Options) (*Result, error) {
	res, err := newResult(c, "switches")
	if err != nil {
		return nil, err
	}
	return res, eachFile(ctx, c, o, switchFiles(c), func(f source) error { return switchFile(ctx, f, res) })
}

func switchFile(ctx context.Context, f source, res *Result) error {
	r, err := trace.NewReader(f, f.full)
	if err != nil {
		return err
	}
	s := switches{res: res, file: f.name, cpus: map[int32]*switchCPU{}, tasks: map[string]*switchTask{}}
	var ev trace.Event
	for n := 0; ; n++ {
		if n%progressEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.Read(&ev); errors.Is(err, io.EOF) {
			s.conclude()
			return nil
		} else if err != nil {
			return err
		}
		s.event(&ev)
	}
}

// switches is the check of one file.
type switches struct {
	res   *Result
	file  string
	cpus  map[int32]*switchCPU
	tasks map[string]*switchTask
	// server: the trace shows the fair server, which lets fair tasks run
	// while real-time tasks wait.
	server bool
	fair   []string // where that was so
}

// switchCPU is what is known of a CPU.
type switchCPU struct {
	known   bool
	running string           // the task that was switched in
	prio    int32            // its priority
	waiting map[string]int32 // real-time tasks that were preempted here, and their priority
}

// switchTask is what is known of a task since it was last switched in.
type switchTask struct {
	cpu      int32
	vruntime uint64
	known    bool // vruntime is that of the last update, and it kept the CPU since
	nice     int
	fair     bool
}

// other is any task that a trace was not taken of.
const other = "other"

// id is a task's name in the check: its pid, with the label that stands for
// one, and for the idle tasks their CPU.
func (s *switches) id(label string, pid, cpu int32) string {
	switch {
	case strings.HasPrefix(label, "other"):
		return other
	case pid == 0 && label == "":
		return fmt.Sprintf("idle/%d", cpu)
	}
	return fmt.Sprintf("%s%d", label, pid)
}

func (s *switches) cpu(n int32) *switchCPU {
	c := s.cpus[n]
	if c == nil {
		c = &switchCPU{waiting: map[string]int32{}}
		s.cpus[n] = c
	}
	return c
}

func (s *switches) task(id string) *switchTask {
	t := s.tasks[id]
	if t == nil {
		t = &switchTask{}
		s.tasks[id] = t
	}
	return t
}

func (s *switches) event(ev *trace.Event) {
	s.server = s.server || bytes.Contains(ev.Args, []byte("dl_server")) || strings.HasPrefix(ev.Name, "dl_server")
	switch ev.Kind {
	case trace.KindLost:
		for _, c := range s.cpus { // order does not matter
			c.known = false
			clear(c.waiting)
		}
		s.res.count("places where events are lost")
	case trace.KindSchedSwitch:
		s.switched(ev)
	case trace.KindSchedStatRuntime:
		s.runtime(ev)
	case trace.KindSchedMigrateTask, trace.KindSchedWakeup, trace.KindSchedWaking:
		id := s.id(ev.Sched.Label, ev.Sched.PID, -1)
		s.task(id).known = false
		for _, c := range s.cpus { // order does not matter
			delete(c.waiting, id)
		}
	}
}

func (s *switches) differ(ev *trace.Event, format string, args ...any) {
	s.res.differ(0, fmt.Sprintf("%s:%d: ", s.file, ev.Line)+fmt.Sprintf(format, args...))
}

// offset is how far a trace's priorities lie below the kernel's: LTTng prints
// them less 100.
func offset(ev *trace.Event) int32 {
	if ev.Form == trace.FormPlain && bytes.Contains(ev.Args, []byte("prev_tid")) {
		return 100
	}
	return 0
}

func (s *switches) switched(ev *trace.Event) {
	w, c := &ev.Switch, s.cpu(ev.CPU)
	prev, next := s.id(w.PrevLabel, w.PrevPID, ev.CPU), s.id(w.NextLabel, w.NextPID, ev.CPU)
	switch {
	case !c.known:
	case c.running == other && prev != other:
		// The trace was taken of some tasks only, and misses one's start.
		s.res.count("switches that the trace does not show")
	default:
		s.res.Requests++
		if c.running == prev {
			s.res.Exact++
		} else {
			s.differ(ev, "%s is switched out, but %s was switched in before", prev, c.running)
		}
	}
	prevPrio, nextPrio := w.PrevPrio+offset(ev), w.NextPrio+offset(ev)
	s.order(ev, c, next, nextPrio)
	c.known, c.running, c.prio = true, next, nextPrio
	if w.PrevPID != 0 && prevPrio >= 0 && prevPrio < 100 && runnable(w.PrevState) {
		c.waiting[prev] = prevPrio
	}
	s.task(prev).known = false
	t := s.task(next)
	*t = switchTask{cpu: ev.CPU, nice: int(nextPrio) - 120, fair: nextPrio >= 100 && w.NextPID != 0}
}

// runnable says that a task was switched out while it could run on: "R", and
// the number 0 that older tools print.
func runnable(state string) bool { return strings.HasPrefix(state, "R") || state == "0" }

// order checks that nobody of higher real-time priority waits.
func (s *switches) order(ev *trace.Event, c *switchCPU, next string, prio int32) {
	for _, o := range s.cpus { // order does not matter
		delete(o.waiting, next)
	}
	if len(c.waiting) == 0 {
		return
	}
	s.res.Events++
	best, who := int32(100), ""
	for id, p := range c.waiting { // order does not matter: the smallest is taken, by name among equals
		if p < best || p == best && id < who {
			best, who = p, id
		}
	}
	text := fmt.Sprintf("%s:%d: %s of priority %d is switched in while %s of priority %d waits", s.file, ev.Line, next, prio, who, best)
	switch {
	case prio <= best:
		s.res.EventsExact++
	case prio >= 100:
		s.fair = append(s.fair, text)
	default:
		s.res.differ(0, text)
	}
}

// conclude judges the fair tasks that ran while real-time tasks waited.
func (s *switches) conclude() {
	for _, text := range s.fair {
		if s.server {
			s.res.EventsExact++
			s.res.hint("a fair task that runs by the fair server while a real-time task waits")
			continue
		}
		s.res.differ(0, text)
	}
}

// runtime checks an update of a task's virtual runtime.
func (s *switches) runtime(ev *trace.Event) {
	if !ev.Sched.HasVRuntime {
		return
	}
	t := s.task(s.id(ev.Sched.Label, ev.Sched.PID, -1))
	if t.known && t.fair && t.cpu == ev.CPU {
		s.res.Requests++
		want := t.vruntime + sched.VirtualTime(ev.Sched.Runtime, t.nice)
		if want == ev.Sched.VRuntime {
			s.res.Exact++
		} else {
			s.differ(ev, "vruntime %d after %d and %d ns at nice %d, the model has %d", ev.Sched.VRuntime, t.vruntime, ev.Sched.Runtime, t.nice, want)
		}
	}
	t.vruntime, t.cpu = ev.Sched.VRuntime, ev.CPU
	t.known = t.fair
}
