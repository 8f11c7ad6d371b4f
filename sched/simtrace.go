package sched

import (
	"strconv"

	"github.com/kernsim/kernsim/trace"
)

// TraceTo writes what happens from now on as the kernel's trace text: the
// tracepoints sched_switch, sched_waking, sched_wakeup, sched_wakeup_new,
// sched_migrate_task and sched_process_fork. It takes the place of the
// simulation's watcher; then, if not nil, is told all the same. The first error
// of the writer stops the simulation.
func (s *Sim) TraceTo(w *trace.Writer, then func(*SimEvent)) { s.TraceEvents(w.Write, then) }

// TraceEvents is TraceTo for those who want the events themselves, with times to
// the nanosecond. An event is valid only during the call of f; f's first error
// stops the simulation.
func (s *Sim) TraceEvents(f func(*trace.Event) error, then func(*SimEvent)) {
	var ev trace.Event
	s.Watch(func(e *SimEvent) {
		if s.traceEvent(&ev, e) {
			s.fail(f(&ev))
		}
		if then != nil {
			then(e)
		}
	})
}

// The latency columns: interrupts are off, a run queue is locked; inIRQ: in a
// timer's interrupt.
var (
	inTask = trace.FlagsOf("d..2.")
	inIRQ  = trace.FlagsOf("d.h2.")
)

// traceEvent fills in a trace event; it says false for what is no tracepoint.
func (s *Sim) traceEvent(ev *trace.Event, e *SimEvent) bool {
	curr := s.k.Running(e.CPU)
	if e.Kind == SimSwitch {
		curr = e.Task
	}
	*ev = trace.Event{Time: e.Time, CPU: int32(e.CPU), PID: s.pid(curr), TGID: -1, Comm: s.commOf(curr), Flags: inTask, Form: trace.FormTracefs}
	if e.IRQ {
		ev.Flags = inIRQ
	}
	t := &s.m.tasks[e.Task]
	ev.Sched = trace.Sched{Comm: s.commOf(e.Task), PID: s.pid(e.Task), Prio: int32(t.prio), TargetCPU: int32(e.To), OrigCPU: int32(e.From), DestCPU: int32(e.To)}
	switch e.Kind {
	case SimSwitch:
		ev.Kind = trace.KindSchedSwitch
		n := &s.m.tasks[e.Next]
		ev.Switch = trace.Switch{PrevComm: s.commOf(e.Task), PrevPID: s.pid(e.Task), PrevPrio: int32(t.shownPrio()), PrevState: stateText(e.State, e.Prev),
			NextComm: s.commOf(e.Next), NextPID: s.pid(e.Next), NextPrio: int32(n.shownPrio())}
	case SimWaking:
		ev.Kind = trace.KindSchedWaking
	case SimWakeup:
		ev.Kind = trace.KindSchedWakeup
	case SimWakeupNew:
		ev.Kind = trace.KindSchedWakeupNew
	case SimMigrate:
		ev.Kind = trace.KindSchedMigrateTask
	case SimFork:
		ev.Kind = trace.KindSchedProcessFork
		ev.Sched.ChildComm, ev.Sched.ChildPID = s.commOf(e.Next), s.pid(e.Next)
	default:
		return false
	}
	ev.Name = ev.Kind.String()
	return true
}

// shownPrio is the priority that traces show: an idle task's is nice 0's.
func (t *task) shownPrio() int16 {
	if t.class == ClassIdle {
		return defaultPrio
	}
	return t.prio
}

func (s *Sim) pid(t TaskID) int32 { return s.m.tasks[t].pid }

// maxComm is how many bytes of a name the kernel keeps.
const maxComm = 15

func (s *Sim) commOf(t TaskID) string {
	c := s.comms[t]
	if s.m.tasks[t].class == ClassIdle {
		return "swapper/" + strconv.Itoa(int(s.m.tasks[t].cpu))
	}
	return c[:min(len(c), maxComm)]
}

func stateText(s State, preempted bool) string {
	switch {
	case preempted:
		return "R+"
	case s&StateDead != 0:
		return "X"
	case s&StateInterruptible != 0:
		return "S"
	case s&StateUninterruptible != 0:
		return "D"
	}
	return "R"
}
