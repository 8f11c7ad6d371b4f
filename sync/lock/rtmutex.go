package lock

import (
	"errors"
	"fmt"
	"slices"
)

// RTMutex is a mutex with priority inheritance (struct rt_mutex).
type RTMutex struct {
	sys   *System
	owner TaskID
	// waiters are ordered by priority, first come first served among equals.
	waiters []*rtWaiter
}

// rtWaiter is a task's wait for an rt_mutex. prio is its place in the lock's queue,
// piPrio in the owner's list; both follow the task's priority only when it is
// queued anew.
type rtWaiter struct {
	task         TaskID
	lock         *RTMutex
	prio, piPrio int32
}

// ErrDeadlock is wrapped if waiting would close a circle of owners (-EDEADLK).
var ErrDeadlock = errors.New("lock: deadlock")

// NewRTMutex makes a free rt_mutex.
func (s *System) NewRTMutex() *RTMutex {
	m := &RTMutex{sys: s, owner: None}
	s.rts = append(s.rts, m)
	return m
}

// Owner is who holds the mutex, None if it is free.
func (m *RTMutex) Owner() TaskID { return m.owner }

// Waiters lists who waits, first who is next.
func (m *RTMutex) Waiters() []TaskID {
	out := make([]TaskID, len(m.waiters))
	for i, w := range m.waiters {
		out[i] = w.task
	}
	return out
}

// waiterPriority is what counts in a queue: SCHED_OTHER tasks are all alike
// (__waiter_prio).
func (s *System) waiterPriority(t TaskID) int32 {
	if p := s.tasks[t].prio; p < maxRT {
		return p
	}
	return DefaultPriority
}

// enqueue puts a waiter behind those of its priority or higher.
func (m *RTMutex) enqueue(w *rtWaiter) {
	i := 0
	for i < len(m.waiters) && m.waiters[i].prio <= w.prio {
		i++
	}
	m.waiters = slices.Insert(m.waiters, i, w)
}

func (m *RTMutex) dequeue(w *rtWaiter) {
	if i := slices.Index(m.waiters, w); i >= 0 {
		m.waiters = slices.Delete(m.waiters, i, i+1)
	}
}

func (m *RTMutex) top() *rtWaiter {
	if len(m.waiters) == 0 {
		return nil
	}
	return m.waiters[0]
}

// enqueuePI adds a top waiter to an owner's list. Its place there is the priority
// that it had when it last became a top waiter.
func (k *task) enqueuePI(w *rtWaiter) {
	i := 0
	for i < len(k.pi) && k.pi[i].piPrio <= w.piPrio {
		i++
	}
	k.pi = slices.Insert(k.pi, i, w)
}

func (k *task) dequeuePI(w *rtWaiter) {
	if i := slices.Index(k.pi, w); i >= 0 {
		k.pi = slices.Delete(k.pi, i, i+1)
	}
}

// inherit gives a task the priority of its highest waiter, if that is higher than
// its own (rt_mutex_adjust_prio, rt_mutex_setprio).
func (s *System) inherit(t TaskID) {
	k := &s.tasks[t]
	k.prio, k.piTop = k.normal, None
	if len(k.pi) > 0 {
		k.piTop = k.pi[0].task
		k.prio = min(k.normal, s.tasks[k.piTop].prio)
	}
}

// Lock takes the mutex or blocks (rt_mutex_lock). If the task would wait for
// itself, at once or along a chain of owners, the error wraps [ErrDeadlock].
func (m *RTMutex) Lock(t TaskID) (Outcome, error) {
	if err := m.sys.runnable("rt_mutex_lock", t); err != nil {
		return Failed, err
	}
	if m.take(t, nil) {
		return Acquired, nil
	}
	if chain := m.deadlock(t); chain {
		return Failed, fmt.Errorf("%w: task %d", ErrDeadlock, t)
	}
	return m.block(t), nil
}

// deadlock walks the owners that a wait would depend on.
func (m *RTMutex) deadlock(t TaskID) bool {
	for l, n := m, 0; l != nil && n <= len(m.sys.tasks); n++ {
		if l.owner == t {
			return true
		}
		if l.owner == None {
			return false
		}
		l = m.sys.tasks[l.owner].wait.lock
	}
	return false
}

// TryLock takes the mutex if it is free.
func (m *RTMutex) TryLock(t TaskID) (Outcome, error) {
	if err := m.sys.runnable("rt_mutex_trylock", t); err != nil {
		return Failed, err
	}
	if m.take(t, nil) {
		return Acquired, nil
	}
	return Failed, nil
}

// take takes a free mutex, if no waiter of the same or a higher priority has the
// first claim (try_to_take_rt_mutex).
func (m *RTMutex) take(t TaskID, w *rtWaiter) bool {
	if m.owner != None {
		return false
	}
	top := m.top()
	if top != nil && top != w {
		prio := m.sys.waiterPriority(t)
		if w != nil {
			prio = w.prio
		}
		if prio >= top.prio {
			return false
		}
	}
	k := &m.sys.tasks[t]
	if w != nil {
		m.dequeue(w)
		k.wait.lock = nil
	}
	m.owner = t
	if top = m.top(); top != nil {
		k.enqueuePI(top)
	}
	return true
}

// block queues a task and lends its priority to the owner and along the chain
// (task_blocks_on_rt_mutex).
func (m *RTMutex) block(t TaskID) Outcome {
	s := m.sys
	w := &s.tasks[t].wait
	prio := s.waiterPriority(t)
	*w = rtWaiter{task: t, lock: m, prio: prio, piPrio: prio}
	old := m.top()
	m.enqueue(w)
	if m.owner != None && m.top() == w {
		owner := &s.tasks[m.owner]
		if old != nil {
			owner.dequeuePI(old)
		}
		owner.enqueuePI(w)
		s.inherit(m.owner)
		s.adjustPI(m.owner, w)
	}
	return s.block(t, m)
}

// retry is the loop of a woken waiter.
func (m *RTMutex) retry(s *System, t TaskID) Outcome {
	if !m.take(t, &s.tasks[t].wait) {
		return Blocked
	}
	return Acquired
}

// Unlock gives the mutex back and wakes the top waiter, whose priority the owner
// no longer has (rt_mutex_unlock).
func (m *RTMutex) Unlock(t TaskID) error {
	if err := m.sys.runnable("rt_mutex_unlock", t); err != nil {
		return err
	}
	if m.owner != t {
		return &Misuse{"rt_mutex_unlock", t, reportUnbalanced}
	}
	m.release(t)
	return nil
}

// release is the unlock by the owner.
func (m *RTMutex) release(t TaskID) {
	m.owner = None
	if top := m.top(); top != nil {
		m.sys.tasks[t].dequeuePI(top)
		m.sys.inherit(t)
		m.sys.wake(top.task)
	}
}

// adjustPI hands a task's changed priority on along the chain: the lock that it
// waits for, that lock's owner, the lock that the owner waits for
// (rt_mutex_adjust_pi, rt_mutex_adjust_prio_chain). top is the waiter that caused
// the change, nil if the task itself did; the walk ends where it is not the
// highest.
func (s *System) adjustPI(t TaskID, top *rtWaiter) {
	for n := 0; n <= len(s.tasks); n++ {
		k := &s.tasks[t]
		w := &k.wait
		m := w.lock
		switch {
		case m == nil, top != nil && (len(k.pi) == 0 || k.pi[0] != top), w.prio == s.waiterPriority(t):
			return
		}
		old := m.top()
		m.dequeue(w)
		w.prio = s.waiterPriority(t)
		m.enqueue(w)
		top = m.top()
		if m.owner == None {
			if top != old {
				s.wake(top.task)
			}
			return
		}
		if top == w || old == w {
			s.tasks[m.owner].dequeuePI(old)
			top.piPrio = top.prio
			s.tasks[m.owner].enqueuePI(top)
			s.inherit(m.owner)
		}
		if top != w {
			return
		}
		t = m.owner
	}
}
