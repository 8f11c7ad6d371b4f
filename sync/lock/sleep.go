package lock

import "slices"

// sleepState says what may end a wait beside the lock itself.
type sleepState uint8

const (
	uninterruptible sleepState = iota
	interruptible
	killable
)

// sleep is how a task waits: the fields of a task about signals and time.
type sleep struct {
	state sleepState
	// signal: one is pending; fatal: one that kills.
	signal, fatal bool
	// timeout says that the time of the wait is over.
	timeout bool
	// io says that the wait counts as one for input or output.
	io bool
	// asleep: the task said that it will sleep and has not been woken (its state is not
	// TASK_RUNNING).
	asleep bool
	// offCPU: the task does not run on a CPU, so that nobody spins for it.
	offCPU bool
	// outcome is what the last wait came to.
	outcome Outcome
}

// cancellable is a wait that a signal or the time can end.
type cancellable interface{ cancel(s *System, t TaskID) }

// ended says what ends the wait of a task that did not get its lock, Blocked if
// nothing does (signal_pending_state).
func (k *task) ended() Outcome {
	switch {
	case k.state == interruptible && (k.signal || k.fatal), k.state == killable && k.fatal:
		return Interrupted
	case k.timeout:
		return TimedOut
	}
	return Blocked
}

// Signal sends a task a signal; fatal is one that kills. An interruptible wait ends by
// any, a killable one by a fatal one, when the task runs next.
func (s *System) Signal(t TaskID, fatal bool) error {
	if t < 0 || int(t) >= len(s.tasks) {
		return &Misuse{"signal", t, "no such task"}
	}
	k := &s.tasks[t]
	k.signal, k.fatal = true, k.fatal || fatal
	if k.blocked != nil && k.ended() == Interrupted {
		s.wake(t)
	}
	return nil
}

// ClearSignals forgets a task's signals: it has handled them.
func (s *System) ClearSignals(t TaskID) { s.tasks[t].signal, s.tasks[t].fatal = false, false }

// Timeout says that the time of a task's wait is over: the wait ends when the task runs
// next, unless it gets what it waits for.
func (s *System) Timeout(t TaskID) error {
	if t < 0 || int(t) >= len(s.tasks) || s.tasks[t].blocked == nil {
		return &Misuse{"timeout", t, "the task does not wait"}
	}
	s.tasks[t].timeout = true
	s.wake(t)
	return nil
}

// LastOutcome is what a task's last wait came to: Acquired, Interrupted, TimedOut or
// Deadlock.
func (s *System) LastOutcome(t TaskID) Outcome { return s.tasks[t].outcome }

// InIO says whether a task waits for a lock as for input or output, so that the time
// counts as iowait (mutex_lock_io).
func (s *System) InIO(t TaskID) bool { return s.tasks[t].blocked != nil && s.tasks[t].io }

// SetOnCPU says whether a task runs on a CPU at the moment: others spin for a lock only
// while its owner does. Tasks begin on one; a task that waits is on none.
func (s *System) SetOnCPU(t TaskID, on bool) { s.tasks[t].offCPU = !on }

func (s *System) onCPU(t TaskID) bool { return s.tasks[t].blocked == nil && !s.tasks[t].offCPU }

// as makes the wait that an operation begins end by what a state allows. A task with a
// signal pending does not begin to wait.
func (s *System) as(state sleepState, t TaskID, begin func() (Outcome, error)) (Outcome, error) {
	got, err := begin()
	if got != Blocked || err != nil {
		return got, err
	}
	k := &s.tasks[t]
	k.state = state
	if c, ok := k.blocked.(cancellable); ok && !k.woken && k.ended() == Interrupted {
		c.cancel(s, t)
		k.blocked, k.state, k.outcome = nil, uninterruptible, Interrupted
		return Interrupted, nil
	}
	return Blocked, nil
}

// LockInterruptible is Lock that a signal ends (mutex_lock_interruptible).
func (m *Mutex) LockInterruptible(t TaskID) (Outcome, error) {
	return m.sys.as(interruptible, t, func() (Outcome, error) { return m.Lock(t) })
}

// LockKillable is Lock that a fatal signal ends (mutex_lock_killable).
func (m *Mutex) LockKillable(t TaskID) (Outcome, error) {
	return m.sys.as(killable, t, func() (Outcome, error) { return m.Lock(t) })
}

// LockIO is Lock whose wait counts as one for input or output (mutex_lock_io).
func (m *Mutex) LockIO(t TaskID) (Outcome, error) {
	got, err := m.Lock(t)
	if err == nil {
		m.sys.tasks[t].io = got == Blocked
	}
	return got, err
}

// cancel takes a waiter out of the queue (__mutex_remove_waiter).
func (m *Mutex) cancel(_ *System, t TaskID) {
	m.waiters = slices.DeleteFunc(m.waiters, func(w TaskID) bool { return w == t })
	if len(m.waiters) == 0 {
		m.flags = 0
	}
}

// DownInterruptible is Down that a signal ends (down_interruptible).
func (m *Semaphore) DownInterruptible(t TaskID) (Outcome, error) {
	return m.sys.as(interruptible, t, func() (Outcome, error) { return m.Down(t) })
}

// DownKillable is Down that a fatal signal ends (down_killable). Any Down is
// down_timeout if [System.Timeout] ends it.
func (m *Semaphore) DownKillable(t TaskID) (Outcome, error) {
	return m.sys.as(killable, t, func() (Outcome, error) { return m.Down(t) })
}

func (m *Semaphore) cancel(_ *System, t TaskID) {
	m.waiters = slices.DeleteFunc(m.waiters, func(w TaskID) bool { return w == t })
}

// LockInterruptible is Lock that a signal ends (rt_mutex_lock_interruptible).
func (m *RTMutex) LockInterruptible(t TaskID) (Outcome, error) {
	return m.sys.as(interruptible, t, func() (Outcome, error) { return m.Lock(t) })
}

// LockKillable is Lock that a fatal signal ends (rt_mutex_lock_killable).
func (m *RTMutex) LockKillable(t TaskID) (Outcome, error) {
	return m.sys.as(killable, t, func() (Outcome, error) { return m.Lock(t) })
}

// cancel takes a waiter out of the queue; the owner loses what it lent, and so does
// who the owner waits for (remove_waiter).
func (m *RTMutex) cancel(s *System, t TaskID) {
	w := &s.tasks[t].wait
	wasTop := m.top() == w
	m.dequeue(w)
	w.lock = nil
	if m.owner == None || !wasTop {
		return
	}
	owner := &s.tasks[m.owner]
	owner.dequeuePI(w)
	if top := m.top(); top != nil {
		top.piPrio = top.prio
		owner.enqueuePI(top)
	}
	s.inherit(m.owner)
	s.adjustPI(m.owner, nil)
}

// LockReadInterruptible is LockRead that a signal ends (down_read_interruptible).
func (r *RWSem) LockReadInterruptible(t TaskID) (Outcome, error) {
	return r.sys.as(interruptible, t, func() (Outcome, error) { return r.LockRead(t) })
}

// LockReadKillable is LockRead that a fatal signal ends (down_read_killable).
func (r *RWSem) LockReadKillable(t TaskID) (Outcome, error) {
	return r.sys.as(killable, t, func() (Outcome, error) { return r.LockRead(t) })
}

// LockWriteKillable is LockWrite that a fatal signal ends (down_write_killable).
func (r *RWSem) LockWriteKillable(t TaskID) (Outcome, error) {
	return r.sys.as(killable, t, func() (Outcome, error) { return r.LockWrite(t) })
}

// cancel takes a waiter out of the queue and, if it was the first, wakes the next
// (rwsem_del_wake_waiter).
func (r *RWSem) cancel(_ *System, t TaskID) {
	i := slices.IndexFunc(r.waiters, func(w rwWaiter) bool { return w.task == t })
	r.waiters = slices.Delete(r.waiters, i, i+1)
	switch {
	case len(r.waiters) == 0:
		r.count &^= RWSemHandoff | RWSemWaiters
	case i == 0:
		r.wake(true)
	}
}
