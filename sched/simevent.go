package sched

// SimEvent is something that happens in a simulation, for its watcher. Fields
// that a kind does not have are zero.
type SimEvent struct {
	Kind  SimEventKind
	Time  uint64 // ns
	CPU   CPU
	Task  TaskID // the task; in a switch the previous one, in a fork the parent
	Next  TaskID // switch: the next one; fork: the child
	From  CPU    // migrate
	To    CPU    // migrate; waking, wakeup: the task's CPU
	State State  // switch: what the previous task goes into, StateRunning if it stays runnable
	Prev  bool   // switch: the previous task was preempted
	Value uint64 // runs: ns since it was woken
	IRQ   bool   // waking, wakeup: a timer's interrupt did it, not the task that runs
}

// SimEventKind is the kind of a [SimEvent].
type SimEventKind uint8

// The kinds of events. All but SimRuns are tracepoints of the kernel.
const (
	SimSwitch SimEventKind = iota
	SimWaking
	SimWakeup
	SimWakeupNew
	SimMigrate
	SimFork
	SimRuns // a woken task runs at last
)

// Watch sets the function that is told what happens; nil: none. The event is
// valid only during the call.
func (s *Sim) Watch(f func(*SimEvent)) { s.sink = f }

func (s *Sim) emit(e SimEvent) {
	if s.sink == nil {
		return
	}
	e.Time, e.IRQ = s.now, s.inTimer
	s.event = e
	s.sink(&s.event)
}

func (s *Sim) emitSwitch(cpu CPU, prev, next TaskID, preempted bool) {
	state := StateRunning
	if s.tasks[prev].asleep || s.tasks[prev].exited {
		state, preempted = s.m.tasks[prev].state, false
	}
	s.emit(SimEvent{Kind: SimSwitch, CPU: cpu, Task: prev, Next: next, State: state, Prev: preempted && prev != s.k.Idle(cpu)})
}
