package lock

import "fmt"

// Context is where code runs: what decides whether it may sleep.
type Context struct {
	Comm string
	PID  int
	// Preempt counts preempt_disable and spinlocks held (preempt_count without the
	// interrupt parts).
	Preempt int
	// SoftirqsOff counts local_bh_disable.
	SoftirqsOff      int
	Softirq, Hardirq bool
	IRQsOff          bool
	// RCU is the depth of rcu_read_lock.
	RCU int
}

// Counts of the parts of preempt_count.
const (
	softirqOffset = 1 << 8
	hardirqOffset = 1 << 16
)

// PreemptCount is the task's preempt_count: preemption, softirqs (2 for each
// local_bh_disable), hardirq.
func (c *Context) PreemptCount() int {
	n := c.Preempt + 2*softirqOffset*c.SoftirqsOff
	if c.Softirq {
		n += softirqOffset
	}
	if c.Hardirq {
		n += hardirqOffset
	}
	return n
}

// ContextError is a use that the context forbids, with the kernel's report.
type ContextError struct {
	// Title is the report's first line, Text its lines up to the held locks.
	Title, Text string
}

func (e *ContextError) Error() string { return "lock: " + e.Title }

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// MightSleep proves that code at a place (file:line) may sleep (might_sleep).
func (c *Context) MightSleep(place string) error {
	if c.PreemptCount() == 0 && !c.IRQsOff && c.RCU == 0 {
		return nil
	}
	title := "BUG: sleeping function called from invalid context at " + place
	return &ContextError{title, fmt.Sprintf("%s\nin_atomic(): %d, irqs_disabled(): %d, non_block: 0, pid: %d, name: %s\npreempt_count: %x, expected: 0\nRCU nest depth: %d, expected: 0\n",
		title, bit(c.PreemptCount() != 0), bit(c.IRQsOff), c.PID, c.Comm, c.PreemptCount(), c.RCU)}
}

// Schedule proves that a task may give the CPU away (schedule). The count that is
// printed includes the scheduler's own.
func (c *Context) Schedule() error {
	if n := c.PreemptCount(); n != 0 {
		title := fmt.Sprintf("BUG: scheduling while atomic: %s/%d/0x%08x", c.Comm, c.PID, n+1)
		return &ContextError{title, title + "\n"}
	}
	if c.RCU > 0 {
		const title = "Voluntary context switch within RCU read-side critical section!"
		return &ContextError{title, title + "\n"}
	}
	return nil
}

// PreemptDisable is preempt_disable.
func (c *Context) PreemptDisable() { c.Preempt++ }

// PreemptEnable is preempt_enable. Where nothing was disabled, debug kernels report
// what they find and leave the count as it is.
func (c *Context) PreemptEnable() error {
	if c.Preempt == 0 {
		const title = "DEBUG_LOCKS_WARN_ON(val > preempt_count())"
		return &ContextError{title, title + "\n"}
	}
	c.Preempt--
	return nil
}

// ThisCPU proves that code may use a per-CPU variable or the CPU's number, by the
// name of the function: it must not be moved to another CPU meanwhile
// (smp_processor_id, this_cpu_read of debug kernels).
func (c *Context) ThisCPU(function string) error {
	if c.PreemptCount() != 0 || c.IRQsOff {
		return nil
	}
	title := fmt.Sprintf("BUG: using %s in preemptible [%08x] code: %s/%d", function, 0, c.Comm, c.PID)
	return &ContextError{title, title + "\n"}
}

// Kind is a kind of lock.
type Kind uint8

// The kinds of locks.
const (
	RawSpinKind Kind = iota
	SpinKind
	RWLockKind
	LocalLockKind
	MutexKind
	RTMutexKind
	RWSemKind
	SemaphoreKind
)

// Sleeps says whether taking a lock may sleep: on PREEMPT_RT spinlocks, rwlocks and
// local locks are rt_mutexes underneath; raw spinlocks spin on every kernel.
func (k Kind) Sleeps(preemptRT bool) bool {
	return k >= MutexKind || preemptRT && k != RawSpinKind
}

// Take enters the critical section of a lock that was taken: spinning locks disable
// preemption, so nothing may sleep inside; a local lock does without PREEMPT_RT. A
// lock that may sleep is refused where sleeping is.
func (c *Context) Take(k Kind, preemptRT bool, place string) error {
	if k.Sleeps(preemptRT) {
		rcu := c.RCU
		if k < MutexKind {
			c.RCU = 0 // the lock that replaces a spinlock may be taken by a reader
		}
		err := c.MightSleep(place)
		c.RCU = rcu
		return err
	}
	c.Preempt++
	return nil
}

// Release leaves it.
func (c *Context) Release(k Kind, preemptRT bool) {
	if !k.Sleeps(preemptRT) {
		c.Preempt = max(0, c.Preempt-1)
	}
}
