package lockdep

// Task is a task as the validator sees it: the locks that it holds, innermost
// last, and the interrupt state of the CPU that it runs on. Interrupt handlers run
// on the task that they interrupt.
type Task struct {
	Comm string
	PID  int
	// CPU is printed in reports.
	CPU  int
	held []held
	// chainKey is the key of the held locks of the innermost context.
	chainKey                      uint64
	hardirqsOn, softirqsOn        bool
	hardirqContext                int
	softirqContext                int
	hardirqThreaded               bool
	bhDisabled                    int
	site                          string
	events                        uint32
	hardirqOnEvent, hardirqOff    irqEvent
	softirqOnEvent, softirqOffEvt irqEvent
	v                             *Validator
}

// irqEvent is when and where an interrupt state last changed.
type irqEvent struct {
	n    uint32
	site string
}

// held is a lock that a task holds (struct held_lock).
type held struct {
	// prevKey is the chain key before this lock.
	prevKey            uint64
	lock, nest         LockID
	class              ClassID
	refs, pins         uint32
	waitSince, heldSet int64
	irqContext         uint8
	// read: 0 write, 1 reader, 2 recursive reader.
	read                      uint8
	try, check, irqsOff, sync bool
	site                      string
}

const (
	softirqChain = 1
	hardirqChain = 2
)

// NewTask makes a task with interrupts on and no locks.
func (v *Validator) NewTask(comm string, pid int) *Task {
	return &Task{
		Comm: comm, PID: pid, v: v, chainKey: chainStart, hardirqsOn: true, softirqsOn: true,
		held: make([]held, 0, v.cfg.MaxDepth), site: "0x0",
		hardirqOnEvent: irqEvent{0, "0x0"}, hardirqOff: irqEvent{0, "0x0"},
		softirqOnEvent: irqEvent{0, "0x0"}, softirqOffEvt: irqEvent{0, "0x0"},
	}
}

// Depth is how many locks a task holds.
func (t *Task) Depth() int { return len(t.held) }

func (t *Task) irqContext() uint8 {
	n := uint8(0)
	if t.hardirqContext > 0 {
		n |= hardirqChain
	}
	if t.softirqContext > 0 {
		n |= softirqChain
	}
	return n
}

// InInterrupt says whether a task runs an interrupt handler or has softirqs off
// (in_interrupt).
func (t *Task) InInterrupt() bool {
	return t.hardirqContext > 0 || t.softirqContext > 0 || t.bhDisabled > 0
}

// HardirqsOff is local_irq_disable.
func (v *Validator) HardirqsOff(t *Task, site string) {
	if v.report != nil {
		return
	}
	if !t.hardirqsOn {
		v.stats.RedundantHardirqsOff++
		return
	}
	t.hardirqsOn = false
	t.events++
	t.hardirqOff = irqEvent{t.events, site}
	v.stats.HardirqsOff++
}

// HardirqsOn is local_irq_enable: every held lock's class is from now on one that
// is held with interrupts on.
func (v *Validator) HardirqsOn(t *Task, site string) *Report {
	if v.report != nil {
		return nil
	}
	t.site = site
	if t.hardirqsOn {
		v.stats.RedundantHardirqsOn++
		return nil
	}
	if t.hardirqContext > 0 {
		return v.warnOn(t, "lockdep_hardirq_context()")
	}
	if r := v.markHeld(t, EnabledHardirq); r != nil {
		return r
	}
	if t.softirqsOn {
		if r := v.markHeld(t, EnabledSoftirq); r != nil {
			return r
		}
	}
	t.hardirqsOn = true
	t.events++
	t.hardirqOnEvent = irqEvent{t.events, site}
	v.stats.HardirqsOn++
	return nil
}

// BHDisable is local_bh_disable: softirqs are off; it nests.
func (v *Validator) BHDisable(t *Task, site string) {
	t.bhDisabled++
	if v.report != nil {
		return
	}
	if !t.softirqsOn {
		v.stats.RedundantSoftirqsOff++
		return
	}
	t.softirqsOn = false
	t.events++
	t.softirqOffEvt = irqEvent{t.events, site}
	v.stats.SoftirqsOff++
}

// BHEnable is local_bh_enable. The outermost turns softirqs on, with hardirqs off
// for the moment, and then hardirqs.
func (v *Validator) BHEnable(t *Task, site string) *Report {
	if t.bhDisabled > 0 {
		t.bhDisabled--
	}
	if v.report != nil {
		return nil
	}
	t.site = site
	v.HardirqsOff(t, site)
	if t.bhDisabled == 0 {
		v.softirqsOn(t, site)
	}
	return v.HardirqsOn(t, site)
}

func (v *Validator) softirqsOn(t *Task, site string) {
	if t.softirqsOn {
		v.stats.RedundantSoftirqsOn++
		return
	}
	t.softirqsOn = true
	t.events++
	t.softirqOnEvent = irqEvent{t.events, site}
	v.stats.SoftirqsOn++
}

// markHeld sets a use on all held locks (mark_held_locks).
func (v *Validator) markHeld(t *Task, base UsageBit) *Report {
	for i := range t.held {
		h := &t.held[i]
		bit := base
		if h.read != 0 {
			bit |= readBit
		}
		if !h.check {
			continue
		}
		if r := v.mark(t, h, bit); r != nil {
			return r
		}
	}
	return nil
}

// HardirqEnter begins a hardirq handler; it is not threaded until
// [Validator.HardirqThreaded] says so. Handlers run with interrupts off.
func (v *Validator) HardirqEnter(t *Task) {
	t.hardirqContext++
	t.hardirqThreaded = false
}

// HardirqThreaded says that the handler would be a thread on PREEMPT_RT, and so
// may take spinlocks.
func (v *Validator) HardirqThreaded(t *Task) { t.hardirqThreaded = true }

// HardirqExit ends a hardirq handler.
func (v *Validator) HardirqExit(t *Task) {
	t.hardirqContext = max(0, t.hardirqContext-1)
	t.hardirqThreaded = false
}

// SoftirqEnter begins a softirq handler.
func (v *Validator) SoftirqEnter(t *Task) { t.softirqContext++ }

// SoftirqExit ends a softirq handler.
func (v *Validator) SoftirqExit(t *Task) { t.softirqContext = max(0, t.softirqContext-1) }

// waitContext is the wait type that a task's context allows at most
// (task_wait_context).
func (t *Task) waitContext() WaitType {
	switch {
	case t.hardirqContext > 0 && !t.hardirqThreaded:
		return WaitSpin
	case t.hardirqContext > 0 || t.softirqContext > 0:
		return WaitConfig
	}
	return waitMax
}
