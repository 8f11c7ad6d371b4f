package lock

import "slices"

// PerCPURWSem is a lock whose readers count on their own CPU, and whose writers pay for
// it with a grace period (struct percpu_rw_semaphore).
type PerCPURWSem struct {
	sys *System
	// counts are the readers that came minus those that left, by CPU: only the sum tells
	// something.
	counts []int
	// block keeps readers out; writer is who set it.
	block  bool
	writer TaskID
	// slow says that readers look at block: a grace period has passed since the first
	// writer came. users are the writers for whom that has to stay so.
	slow    bool
	users   int
	waiters []percpuWaiter
	readers []TaskID
}

// percpuWaiter is a task in the queue. granted: the waker took the lock for it.
type percpuWaiter struct {
	task   TaskID
	reader bool
}

// percpuStage is where a writer waits.
type percpuStage struct {
	sem *PerCPURWSem
	// grace: for the grace period; queued: for the block; else for the readers.
	grace, queued bool
}

// NewPerCPURWSem makes a free one for a machine of so many CPUs.
func (s *System) NewPerCPURWSem(cpus int) *PerCPURWSem {
	return &PerCPURWSem{sys: s, counts: make([]int, cpus), writer: None}
}

// Counts are the readers' counts, by CPU: one alone may be negative.
func (p *PerCPURWSem) Counts() []int { return p.counts }

func (p *PerCPURWSem) sum() int {
	n := 0
	for _, c := range p.counts {
		n += c
	}
	return n
}

// has proves that a CPU is there.
func (p *PerCPURWSem) has(op string, t TaskID, cpu int) error {
	if cpu < 0 || cpu >= len(p.counts) {
		return &Misuse{op, t, "no such CPU"}
	}
	return p.sys.runnable(op, t)
}

// tryRead counts a reader if no writer keeps it out.
func (p *PerCPURWSem) tryRead(t TaskID, cpu int) bool {
	if p.slow && p.block {
		return false
	}
	p.counts[cpu]++
	p.readers = append(p.readers, t)
	return true
}

func (p *PerCPURWSem) tryWrite(t TaskID) bool {
	if p.block {
		return false
	}
	p.block, p.writer = true, t
	return true
}

// LockRead takes the lock shared, on a CPU, or blocks (percpu_down_read).
func (p *PerCPURWSem) LockRead(t TaskID, cpu int) (Outcome, error) {
	if err := p.has("percpu_down_read", t, cpu); err != nil {
		return Failed, err
	}
	if p.tryRead(t, cpu) {
		return Acquired, nil
	}
	p.waiters = append(p.waiters, percpuWaiter{t, true})
	return p.sys.block(t, &percpuStage{sem: p, queued: true}), nil
}

// UnlockRead gives a shared hold back, on whatever CPU the task is by now
// (percpu_up_read). The last reader wakes the writer.
func (p *PerCPURWSem) UnlockRead(t TaskID, cpu int) error {
	if err := p.has("percpu_up_read", t, cpu); err != nil {
		return err
	}
	i := slices.Index(p.readers, t)
	if i < 0 {
		return &Misuse{"percpu_up_read", t, reportUnbalanced}
	}
	p.readers = slices.Delete(p.readers, i, i+1)
	p.counts[cpu]--
	if p.block && p.sum() == 0 && p.writer != None {
		p.sys.wakeIfBlocked(p.writer)
	}
	return nil
}

func (s *System) wakeIfBlocked(t TaskID) {
	if s.tasks[t].blocked != nil {
		s.wake(t)
	}
}

// LockWrite takes the lock exclusively (percpu_down_write). The first writer waits for
// a grace period, after which readers look whether they are kept out
// ([PerCPURWSem.GracePeriod]); then for other writers; then for the readers inside.
func (p *PerCPURWSem) LockWrite(t TaskID) (Outcome, error) {
	if err := p.sys.runnable("percpu_down_write", t); err != nil {
		return Failed, err
	}
	if p.writer == t {
		return Failed, &Misuse{"percpu_down_write", t, reportRecursive}
	}
	p.users++
	st := &percpuStage{sem: p, grace: true}
	if got := st.retry(p.sys, t); got == Acquired {
		return Acquired, nil
	}
	return p.sys.block(t, st), nil
}

// GracePeriod says that a grace period has passed since the first writer came: every
// reader looks at the block from now on.
func (p *PerCPURWSem) GracePeriod() {
	if p.users == 0 || p.slow {
		return
	}
	p.slow = true
	for t := range p.sys.tasks {
		if st, ok := p.sys.tasks[t].blocked.(*percpuStage); ok && st.sem == p && st.grace {
			p.sys.wake(TaskID(t))
		}
	}
}

// retry goes on with a wait.
func (st *percpuStage) retry(_ *System, t TaskID) Outcome {
	p := st.sem
	if st.grace {
		if !p.slow {
			return Blocked
		}
		st.grace = false
		if !p.tryWrite(t) {
			st.queued = true
			p.waiters = append(p.waiters, percpuWaiter{t, false})
		}
	}
	if st.queued {
		if slices.ContainsFunc(p.waiters, func(w percpuWaiter) bool { return w.task == t }) {
			return Blocked
		}
		st.queued = false // the waker took it
		if p.writer != t {
			return Acquired // as a reader
		}
	}
	if p.sum() != 0 {
		return Blocked
	}
	return Acquired
}

// UnlockWrite gives the exclusive hold back. The lock is handed to those at the front
// of the queue: readers up to the first writer, or a writer (percpu_up_write). When no
// writer is left, readers stop to look.
func (p *PerCPURWSem) UnlockWrite(t TaskID) error {
	if err := p.sys.runnable("percpu_up_write", t); err != nil {
		return err
	}
	if p.writer != t || !p.block {
		return &Misuse{"percpu_up_write", t, reportUnbalanced}
	}
	p.block, p.writer = false, None
	for len(p.waiters) > 0 {
		w := p.waiters[0]
		ok := w.reader && p.tryRead(w.task, 0) || !w.reader && p.tryWrite(w.task)
		if !ok {
			break
		}
		p.waiters = p.waiters[1:]
		p.sys.wake(w.task)
		if !w.reader {
			break
		}
	}
	if p.users--; p.users == 0 {
		p.slow = false
	}
	return nil
}
