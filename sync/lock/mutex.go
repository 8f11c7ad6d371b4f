package lock

import "slices"

// Flags of a mutex's owner word.
const (
	// MutexWaiters: somebody waits.
	MutexWaiters = 1 << iota
	// MutexHandoff: the next unlock gives the mutex to the first waiter.
	MutexHandoff
	// MutexPickup: the mutex has been given to its owner, which has not noticed.
	MutexPickup
)

// Mutex is a sleeping lock (struct mutex).
type Mutex struct {
	sys     *System
	owner   TaskID
	flags   uint8
	waiters []TaskID
	// spinners wait without sleeping, in the order in which they came.
	spinners []TaskID
}

// NewMutex makes a free mutex.
func (s *System) NewMutex() *Mutex { return &Mutex{sys: s, owner: None} }

// Owner is who holds the mutex, None if it is free.
func (m *Mutex) Owner() TaskID { return m.owner }

// Flags are MutexWaiters, MutexHandoff, MutexPickup.
func (m *Mutex) Flags() int { return int(m.flags) }

// take takes a free mutex, or one that was handed to the task. With handoff, one
// that is held is asked for (__mutex_trylock_common).
func (m *Mutex) take(t TaskID, handoff bool) bool {
	switch {
	case m.owner == None:
		m.owner = t
		return true
	case m.flags&MutexPickup != 0:
		if m.owner != t {
			return false
		}
		m.flags &^= MutexPickup
		return true
	case handoff:
		m.flags |= MutexHandoff
	}
	return false
}

// Lock takes the mutex or blocks (mutex_lock).
func (m *Mutex) Lock(t TaskID) (Outcome, error) {
	if err := m.sys.runnable("mutex_lock", t); err != nil {
		return Failed, err
	}
	if m.owner == t {
		return Failed, &Misuse{"mutex_lock", t, reportRecursive}
	}
	if m.take(t, false) {
		return Acquired, nil
	}
	m.waiters = append(m.waiters, t)
	m.flags |= MutexWaiters
	return m.sys.block(t, m), nil
}

// TryLock takes the mutex if it is free (mutex_trylock).
func (m *Mutex) TryLock(t TaskID) (Outcome, error) {
	if err := m.sys.runnable("mutex_trylock", t); err != nil {
		return Failed, err
	}
	if m.take(t, false) {
		return Acquired, nil
	}
	return Failed, nil
}

// retry is the loop of a woken waiter: the first in the queue asks for a handoff
// if somebody was faster.
func (m *Mutex) retry(_ *System, t TaskID) Outcome {
	first := len(m.waiters) > 0 && m.waiters[0] == t
	if !m.take(t, first) {
		return Blocked
	}
	m.waiters = slices.DeleteFunc(m.waiters, func(w TaskID) bool { return w == t })
	if len(m.waiters) == 0 {
		m.flags = 0
	}
	return Acquired
}

// Unlock gives the mutex back and wakes the first waiter; if that asked for a
// handoff, it is given the mutex (mutex_unlock).
func (m *Mutex) Unlock(t TaskID) error {
	if err := m.sys.runnable("mutex_unlock", t); err != nil {
		return err
	}
	if m.owner != t {
		return &Misuse{"mutex_unlock", t, reportUnbalanced}
	}
	m.owner = None
	if len(m.waiters) == 0 {
		return nil
	}
	if m.flags&MutexHandoff != 0 {
		m.owner = m.waiters[0]
		m.flags = m.flags&^MutexHandoff | MutexPickup
	}
	m.sys.wake(m.waiters[0])
	return nil
}
