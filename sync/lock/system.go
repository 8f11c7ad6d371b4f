package lock

import "fmt"

// TaskID names a task of a System, from 0. None is no task.
type TaskID int32

// None is no task.
const None TaskID = -1

// Outcome is what became of an attempt to take a lock.
type Outcome uint8

const (
	// Failed: a trylock did not get the lock.
	Failed Outcome = iota
	// Acquired: the task has the lock.
	Acquired
	// Blocked: the task waits.
	Blocked
	// Interrupted: a signal ended the wait (-EINTR).
	Interrupted
	// TimedOut: the wait was as long as it may be (-ETIME).
	TimedOut
	// Deadlock: the task has to give back what it holds and begin again (-EDEADLK of
	// ww_mutex).
	Deadlock
	// Already: the context has the lock (-EALREADY of ww_mutex).
	Already
	// Spinning: the task waits without giving its CPU away; Run goes on with it.
	Spinning
)

// DefaultPriority is the priority of nice 0.
const DefaultPriority = 120

// maxRT is the first priority that is not real-time.
const maxRT = 100

// Misuse is an operation that the rules forbid. It names what the kernel reports;
// the model is unchanged.
type Misuse struct {
	Op   string
	Task TaskID
	// Report is the kernel's own line.
	Report string
}

func (m *Misuse) Error() string {
	return fmt.Sprintf("lock: %s by task %d: %s", m.Op, m.Task, m.Report)
}

const (
	reportUnbalanced = "WARNING: bad unlock balance detected!"
	reportRecursive  = "WARNING: possible recursive locking detected"
	reportBusy       = "WARNING: a blocked task can not run"
)

// task is a task: its priorities and what it waits for.
type task struct {
	// normal is the task's own priority, prio that with what it inherits.
	normal, prio int32
	// wait is the rt_mutex wait in progress; its lock is nil if there is none.
	wait rtWaiter
	// pi are the top waiters of the rt_mutexes that the task owns, first the highest.
	pi []*rtWaiter
	// piTop is the task whose priority was inherited last.
	piTop TaskID
	// blocked is the wait that holds the task, nil if it runs; woken says that it is
	// in System.woken.
	blocked waiting
	woken   bool
	sleep
}

// waiting is a wait for a lock of any kind.
type waiting interface {
	// retry continues the wait of a task that was woken.
	retry(s *System, t TaskID) Outcome
}

// System is tasks and the locks that they share. Locks are made by NewRTMutex and
// so on and belong to one System.
type System struct {
	tasks []task
	// woken are the tasks that may continue, in the order in which they were woken.
	woken []TaskID
	// finished are the tasks whose waits have ended since the caller last asked.
	finished []TaskID
	rts      []*RTMutex
	// stamps counts the contexts of ww_mutexes.
	stamps uint64
}

// NewSystem makes n tasks of nice 0.
func NewSystem(n int) *System {
	s := &System{tasks: make([]task, n)}
	for i := range s.tasks {
		s.tasks[i] = task{normal: DefaultPriority, prio: DefaultPriority, piTop: None}
	}
	return s
}

// Tasks is how many tasks there are.
func (s *System) Tasks() int { return len(s.tasks) }

// Priority is a task's priority with what it inherits; Normal is its own.
func (s *System) Priority(t TaskID) int { return int(s.tasks[t].prio) }

// Normal is a task's own priority.
func (s *System) Normal(t TaskID) int { return int(s.tasks[t].normal) }

// IsBlocked says whether a task waits for a lock and has not got it.
func (s *System) IsBlocked(t TaskID) bool { return s.tasks[t].blocked != nil }

// Woken lists the tasks that may continue, in the order of their wake-ups.
func (s *System) Woken() []TaskID { return s.woken }

func (s *System) block(t TaskID, w waiting) Outcome {
	s.tasks[t].blocked = w
	return Blocked
}

func (s *System) wake(t TaskID) {
	if !s.tasks[t].woken {
		s.tasks[t].woken = true
		s.woken = append(s.woken, t)
	}
}

// Run continues a woken task: it takes the lock that it waits for, or blocks
// again. It is false if the task was not woken.
func (s *System) Run(t TaskID) bool {
	for i, w := range s.woken {
		if w != t {
			continue
		}
		s.woken = append(s.woken[:i], s.woken[i+1:]...)
		s.tasks[t].woken = false
		if wait := s.tasks[t].blocked; wait != nil {
			s.goOn(t, wait)
		}
		return true
	}
	return false
}

// goOn continues a wait: the lock comes first, then signals, then the time.
func (s *System) goOn(t TaskID, wait waiting) {
	k := &s.tasks[t]
	got := wait.retry(s, t)
	if c, ok := wait.(cancellable); ok && got == Blocked {
		if end := k.ended(); end != Blocked {
			c.cancel(s, t)
			got = end
		}
	}
	if got != Blocked {
		k.blocked, k.outcome = nil, got
		k.state, k.timeout, k.io = uninterruptible, false, false
		s.finished = append(s.finished, t)
	}
}

// Settle runs woken tasks, those of higher priority first, until all run or wait.
// It returns the tasks whose waits ended, in order.
func (s *System) Settle() []TaskID {
	s.finished = s.finished[:0]
	for len(s.woken) > 0 {
		next := s.woken[0]
		for _, t := range s.woken[1:] {
			if s.tasks[t].prio < s.tasks[next].prio {
				next = t
			}
		}
		s.Run(next)
	}
	return append([]TaskID(nil), s.finished...)
}

// runnable proves that a task can do something.
func (s *System) runnable(op string, t TaskID) error {
	if t < 0 || int(t) >= len(s.tasks) {
		return &Misuse{op, t, "no such task"}
	}
	if s.tasks[t].blocked != nil {
		return &Misuse{op, t, reportBusy}
	}
	return nil
}

// SetFIFO makes a task SCHED_FIFO with a priority of 1 to 99 (sched_setscheduler);
// it may be blocked.
func (s *System) SetFIFO(t TaskID, priority int) error {
	if priority < 1 || priority > 99 {
		return &Misuse{"SetFIFO", t, fmt.Sprintf("priority %d is not 1 to 99", priority)}
	}
	return s.setNormal(t, int32(maxRT-1-priority))
}

// SetNice makes a task SCHED_OTHER with a nice value, held to -20 to 19.
func (s *System) SetNice(t TaskID, nice int) error {
	return s.setNormal(t, int32(DefaultPriority+min(19, max(-20, nice))))
}

// setNormal changes a task's own priority; what it inherits stays, and what it
// hands on along the chain of owners changes.
func (s *System) setNormal(t TaskID, prio int32) error {
	if t < 0 || int(t) >= len(s.tasks) {
		return &Misuse{"set priority", t, "no such task"}
	}
	k := &s.tasks[t]
	k.normal, k.prio = prio, prio
	if k.piTop != None {
		k.prio = min(prio, s.tasks[k.piTop].prio)
	}
	s.adjustPI(t, nil)
	return nil
}

// Donor is the task whose priority a task runs with because it holds an rt_mutex that
// it waits for, None if it runs with its own.
func (s *System) Donor(t TaskID) TaskID {
	if k := &s.tasks[t]; k.piTop != None && k.prio < k.normal {
		return k.piTop
	}
	return None
}
