package lock

import "slices"

// Semaphore is a counting semaphore (struct semaphore). It has no owner: any task
// may give units back.
type Semaphore struct {
	sys     *System
	count   int
	waiters []TaskID
}

// NewSemaphore makes a semaphore with count free units.
func (s *System) NewSemaphore(count int) *Semaphore { return &Semaphore{sys: s, count: count} }

// Count is the number of free units.
func (m *Semaphore) Count() int { return m.count }

// Down takes a unit or blocks (down).
func (m *Semaphore) Down(t TaskID) (Outcome, error) {
	got, err := m.TryDown(t)
	if err != nil || got == Acquired {
		return got, err
	}
	m.waiters = append(m.waiters, t)
	return m.sys.block(t, m), nil
}

// TryDown takes a unit if there is one (down_trylock).
func (m *Semaphore) TryDown(t TaskID) (Outcome, error) {
	if err := m.sys.runnable("down", t); err != nil {
		return Failed, err
	}
	if m.count == 0 {
		return Failed, nil
	}
	m.count--
	return Acquired, nil
}

// retry is the loop of a waiter: it has its unit if it is no longer queued.
func (m *Semaphore) retry(_ *System, t TaskID) Outcome {
	if slices.Contains(m.waiters, t) {
		return Blocked
	}
	return Acquired
}

// Up gives a unit back: to the first waiter, if there is one (up).
func (m *Semaphore) Up(t TaskID) error {
	if err := m.sys.runnable("up", t); err != nil {
		return err
	}
	if len(m.waiters) == 0 {
		m.count++
		return nil
	}
	next := m.waiters[0]
	m.waiters = m.waiters[1:]
	m.sys.wake(next)
	return nil
}
