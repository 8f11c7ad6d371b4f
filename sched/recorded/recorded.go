// Package recorded turns a scheduler trace into a workload: what each task
// computed, whom it woke and how long it slept by its own choice, so that the
// same behaviour can run under another scheduler of package sched. It answers
// "what would EEVDF have done with this?".
//
//	trace                                        program of a task
//	  CPU time between two sleeps, however         Compute
//	  often it was preempted
//	  sleep that an interrupt ended (a timer,      Sleep, for as long as it took
//	  a device)
//	  sleep that another task ended                Receive, and Send in that task's
//	                                               program, after the CPU time that
//	                                               it had used by then
//	  sched_wakeup_new by a running task           Fork
//	  exit (states X and Z)                        end
//
// So a task that waits for another one waits for it under the other scheduler
// too, however late that one is; a task that waits for the world waits as long
// as it did.
//
// Text without the latency columns (perf script, babeltrace2) does not tell an
// interrupt from the task that it interrupted: there all sleeps are Sleep.
//
// What a trace does not tell: a task's nice value is taken from its priority,
// and SCHED_FIFO from a real-time one, as policies are not in these events;
// deadline tasks become SCHED_FIFO with priority 99 ([Workload.Deadline] counts
// them). Affinity is known only of kernel threads that are named for their CPU
// ("ksoftirqd/1"). The CPU time of interrupts is in the task that they
// interrupted. Cgroups are not in the trace: all tasks are in the root group.
// What went on before a task is first seen is left out. Where a switch leaves
// another task than the last one went to (the trace was filtered, or lost events),
// nobody gets the time in between ([Workload.Unknown]): the one task counts as
// asleep from then on until it is seen again, the other one's turn as without time.
package recorded

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/kernsim/kernsim/sched"
	"github.com/kernsim/kernsim/trace"
)

// Task is a task of the trace and what it got there. Times are ns.
type Task struct {
	Label     string // the text before the pid where pids were replaced, else empty
	PID       int32
	Comm      string
	Prio      int32
	Forked    bool   // by a task of the trace: its parent's program starts it
	Run       uint64 // on a CPU
	Switches  int    // to it
	Preempted int    // it lost the CPU while it could have run on
	Latencies []uint64
}

// Workload is what a trace's tasks did.
type Workload struct {
	CPUs     int
	Duration uint64 // ns from the first event to the last
	// Specs are the tasks' programs, Tasks what they got in the trace: the
	// same index is the same task.
	Specs []sched.TaskSpec
	Tasks []Task
	// Deadline counts the tasks of SCHED_DEADLINE, Lost the places where the
	// trace lost events.
	Deadline, Lost int
	// Gaps counts the switches from another task than the CPU's last switch
	// went to; Unknown is the CPU time, in ns, of which they do not tell whose it was.
	Gaps    int
	Unknown uint64
}

// ErrNoSwitch says that a trace has no sched_switch event.
var ErrNoSwitch = errors.New("no sched_switch event")

// TooManyError says that a trace has more tasks than a simulation takes.
type TooManyError struct {
	Line  int
	Tasks int
}

// Error names line and limit.
func (e *TooManyError) Error() string {
	return fmt.Sprintf("recorded: line %d: more than %d tasks", e.Line, e.Tasks)
}

// maxTasks bounds the tasks: each has a channel of the simulation.
const maxTasks = 1 << 16

// maxCPUs is what a simulation takes.
const maxCPUs = 8192

// key names a task in the trace.
type key struct {
	label string
	pid   int32
}

// task is a task while the trace is read.
type task struct {
	running, asleep, ended bool
	cpu                    int32  // running: where
	carry                  uint64 // CPU time that no step has yet
	slept                  uint64 // when it went to sleep
	ready                  bool   // woken at woken, and has not run since
	woken                  uint64
}

// running is what a CPU's last switch went to. The task may have been seen on
// another CPU since, if the trace has gaps.
type running struct {
	task  int    // -1: the idle task
	since uint64 // up to where the CPU's time is counted
}

// Builder collects the workload of a trace, event by event.
type Builder struct {
	w           Workload
	index       map[key]int
	tasks       []task
	cpus        map[int32]running
	first, last uint64
	any         bool
	switches    int
}

// NewBuilder starts an empty workload.
func NewBuilder() *Builder {
	return &Builder{index: map[key]int{}, cpus: map[int32]running{}}
}

// Read makes the workload of a whole trace. Errors are the reader's,
// [ErrNoSwitch] and TooManyError.
func Read(r *trace.Reader) (*Workload, error) {
	b := NewBuilder()
	var ev trace.Event
	for {
		switch err := r.Read(&ev); {
		case errors.Is(err, io.EOF):
			return b.Workload()
		case err != nil:
			return nil, err
		}
		if err := b.Add(&ev); err != nil {
			return nil, err
		}
	}
}

// Add takes the next event; those that do not tell about tasks are passed over.
func (b *Builder) Add(ev *trace.Event) error {
	switch ev.Kind {
	case trace.KindLost:
		b.w.Lost++
		return nil
	case trace.KindSchedSwitch, trace.KindSchedWaking, trace.KindSchedWakeup, trace.KindSchedWakeupNew:
	default:
		return nil
	}
	if ev.CPU < 0 || ev.CPU >= maxCPUs {
		return nil
	}
	if !b.any {
		b.any, b.first = true, ev.Time
	}
	// Buffers of several CPUs can be a little out of order.
	b.last = max(b.last, ev.Time)
	b.w.CPUs = max(b.w.CPUs, int(ev.CPU)+1)
	switch ev.Kind {
	case trace.KindSchedSwitch:
		return b.switched(ev)
	case trace.KindSchedWakeupNew:
		return b.woken(ev, true)
	}
	return b.woken(ev, false)
}

// find gives a task's index; a new one begins now. -1: the idle task.
func (b *Builder) find(ev *trace.Event, label string, pid int32, comm string, prio int32) (i int, fresh bool, err error) {
	if pid == 0 && label == "" {
		return -1, false, nil
	}
	k := key{label, pid}
	i, ok := b.index[k]
	if ok && b.tasks[i].ended && ev.Kind == trace.KindSchedWakeupNew {
		ok = false // the pid is used again
	}
	if !ok {
		if len(b.tasks) == maxTasks {
			return 0, false, &TooManyError{ev.Line, maxTasks}
		}
		i = len(b.tasks)
		b.index[k] = i
		b.tasks = append(b.tasks, task{cpu: -1})
		b.w.Tasks = append(b.w.Tasks, Task{Label: label, PID: pid})
		b.w.Specs = append(b.w.Specs, sched.TaskSpec{Start: ev.Time - min(b.first, ev.Time)})
	}
	t := &b.w.Tasks[i]
	t.Comm, t.Prio = comm, prio
	return i, !ok, nil
}

// account counts a running task's CPU time up to now.
func (b *Builder) account(i int, now uint64) {
	t := &b.tasks[i]
	if !t.running {
		return
	}
	if r := b.cpus[t.cpu]; now > r.since {
		t.carry += now - r.since
		b.w.Tasks[i].Run += now - r.since
		r.since = now
		b.cpus[t.cpu] = r
	}
}

// there says whether what a CPU's last switch went to is still there.
func (b *Builder) there(cpu int32, r running) bool {
	return r.task >= 0 && b.tasks[r.task].running && b.tasks[r.task].cpu == cpu
}

func (b *Builder) step(i int, s sched.Step) {
	b.w.Specs[i].Program = append(b.w.Specs[i].Program, s)
}

// compute turns the CPU time so far into a step.
func (b *Builder) compute(i int) {
	if t := &b.tasks[i]; t.carry > 0 {
		b.step(i, sched.Compute(int64(t.carry)))
		t.carry = 0
	}
}

func (b *Builder) switched(ev *trace.Event) error {
	b.switches++
	w := &ev.Switch
	prev, fresh, err := b.find(ev, w.PrevLabel, w.PrevPID, w.PrevComm, w.PrevPrio)
	if err != nil {
		return err
	}
	last, seen := b.cpus[ev.CPU]
	gap := seen && (last.task != prev || prev >= 0 && !b.there(ev.CPU, last))
	switch {
	case gap:
		b.gap(ev, last)
	case !seen && prev >= 0 && fresh:
		// It has run since before the trace.
		b.tasks[prev].running, b.tasks[prev].cpu = true, ev.CPU
		b.cpus[ev.CPU] = running{prev, b.first}
		b.w.Specs[prev].Start = 0
	case !seen && prev >= 0:
		gap = true
		b.gap(ev, running{-1, b.first})
	}
	if prev >= 0 {
		t := &b.tasks[prev]
		if gap {
			if t.asleep {
				b.sleep(prev, ev.Time)
			}
			t.ready, t.running = false, false // what it did on another CPU is not known either
		}
		b.account(prev, ev.Time)
		t.running = false
		switch state := w.PrevState; {
		case strings.HasPrefix(state, "R") || state == "0" || state == "":
			b.w.Tasks[prev].Preempted++
		case strings.ContainsAny(state, "XZx"):
			b.compute(prev)
			t.ended = true
		default:
			b.compute(prev)
			t.asleep, t.slept = true, ev.Time
		}
	}
	next, _, err := b.find(ev, w.NextLabel, w.NextPID, w.NextComm, w.NextPrio)
	if err != nil {
		return err
	}
	b.cpus[ev.CPU] = running{next, ev.Time}
	if next < 0 {
		return nil
	}
	t := &b.tasks[next]
	if t.asleep { // what woke it was not recorded
		b.sleep(next, ev.Time)
	}
	b.w.Tasks[next].Switches++
	if t.ready {
		b.w.Tasks[next].Latencies = append(b.w.Tasks[next].Latencies, ev.Time-min(t.woken, ev.Time))
	}
	t.running, t.ready, t.cpu = true, false, ev.CPU
	return nil
}

// gap says that a CPU's switch leaves another task than the last one went to.
func (b *Builder) gap(ev *trace.Event, last running) {
	b.w.Gaps++
	b.w.Unknown += ev.Time - min(last.since, ev.Time)
	if b.there(ev.CPU, last) {
		b.compute(last.task)
		t := &b.tasks[last.task]
		t.running, t.asleep, t.slept = false, true, ev.Time
	}
}

// sleep ends a sleep that nobody of the trace ended.
func (b *Builder) sleep(i int, now uint64) {
	t := &b.tasks[i]
	b.step(i, sched.Sleep(int64(now-min(t.slept, now))))
	t.asleep = false
}

// waker gives the task that runs an event's code, -1 if an interrupt or the idle
// task does, or if nothing tells.
func (b *Builder) waker(ev *trace.Event) int {
	r, ok := b.cpus[ev.CPU]
	i := r.task
	if !ok || i < 0 || ev.PID == 0 || ev.Flags.Len() == 0 || ev.Flags.InInterrupt() || ev.PID > 0 && b.w.Tasks[i].Label == "" && b.w.Tasks[i].PID != ev.PID {
		return -1
	}
	return i
}

func (b *Builder) woken(ev *trace.Event, isNew bool) error {
	i, fresh, err := b.find(ev, ev.Sched.Label, ev.Sched.PID, ev.Sched.Comm, ev.Sched.Prio)
	if err != nil || i < 0 {
		return err
	}
	t := &b.tasks[i]
	by := b.waker(ev)
	switch {
	case isNew && fresh && by >= 0:
		b.account(by, ev.Time)
		b.compute(by)
		b.step(by, sched.Step{Op: sched.OpFork, N: int64(i)})
		b.w.Tasks[i].Forked = true
		b.w.Specs[i].Start = 0
	case !t.asleep:
	case by >= 0 && by != i:
		b.account(by, ev.Time)
		b.compute(by)
		b.step(by, sched.Send(int64(i)))
		b.step(i, sched.Receive(int64(i)))
		t.asleep = false
	default:
		b.sleep(i, ev.Time)
	}
	if !t.running && ev.Kind != trace.KindSchedWaking {
		t.woken, t.ready = ev.Time, true
	}
	return nil
}

// Workload ends the workload. The error is [ErrNoSwitch].
func (b *Builder) Workload() (*Workload, error) {
	if b.switches == 0 {
		return nil, fmt.Errorf("recorded: %w", ErrNoSwitch)
	}
	b.w.Duration = b.last - b.first
	for cpu := range int32(b.w.CPUs) {
		if r, ok := b.cpus[cpu]; ok && r.task >= 0 && !b.there(cpu, r) {
			b.w.Unknown += b.last - min(r.since, b.last)
		}
	}
	for i := range b.tasks {
		// Whoever runs, waits or sleeps at the end does so a little longer.
		b.account(i, b.last)
		if e := &b.tasks[i]; e.asleep {
			b.sleep(i, b.last+1)
		} else if !e.ended {
			e.carry++
		}
		b.compute(i)
		s, t := &b.w.Specs[i], &b.w.Tasks[i]
		s.Comm = t.Comm
		s.Attr = attrOf(t.Prio)
		if t.Prio < 0 {
			b.w.Deadline++
		}
		if cpu := ownCPU(t.Comm); cpu >= 0 && cpu < b.w.CPUs {
			s.CPUs = sched.MaskOf(sched.CPU(cpu))
		}
	}
	return &b.w, nil
}

// attrOf gives the attributes that go with a priority of the trace.
func attrOf(prio int32) sched.Attr {
	switch {
	case prio >= 100:
		return sched.Attr{Nice: min(max(int(prio)-120, sched.MinNice), sched.MaxNice)}
	case prio < 0:
		return sched.Attr{Policy: sched.PolicyFIFO, RTPriority: 99}
	}
	return sched.Attr{Policy: sched.PolicyFIFO, RTPriority: min(max(99-int(prio), 1), 99)}
}

// ownCPU gives the CPU that a kernel thread is named for ("kworker/2:1H"), -1
// if it is not.
func ownCPU(comm string) int {
	name, rest, ok := strings.Cut(comm, "/")
	if !ok || name == "irq" {
		return -1
	}
	digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	if digits == "" || len(digits) < len(rest) && rest[len(digits)] != ':' {
		return -1
	}
	cpu, err := strconv.Atoi(digits)
	if err != nil {
		return -1
	}
	return cpu
}

// Config fills in a simulation's workload and CPUs.
func (w *Workload) Config(cfg *sched.SimConfig) {
	cfg.CPUs, cfg.Specs = max(cfg.CPUs, w.CPUs), w.Specs
}

// Spawn starts the tasks that no other task starts. The simulation must have
// been made with the workload's Specs.
func (w *Workload) Spawn(s *sched.Sim) error {
	for i := range w.Specs {
		if w.Tasks[i].Forked {
			continue
		}
		if _, err := s.Spawn(w.Specs[i]); err != nil {
			return err
		}
	}
	return nil
}
