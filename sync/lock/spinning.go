package lock

import "slices"

// LockSpinning takes the mutex, or spins for it while its owner runs, or blocks
// (mutex_lock of a kernel with CONFIG_MUTEX_SPIN_ON_OWNER). Spinners stand in a queue of
// their own (OSQ): only the first looks at the owner. Each look is a [Mutex.Spin].
func (m *Mutex) LockSpinning(t TaskID) (Outcome, error) {
	if err := m.sys.runnable("mutex_lock", t); err != nil {
		return Failed, err
	}
	switch {
	case m.owner == t || slices.Contains(m.spinners, t):
		return Failed, &Misuse{"mutex_lock", t, reportRecursive}
	case m.take(t, false):
		return Acquired, nil
	case m.owner != None && !m.sys.onCPU(m.owner):
		return m.Lock(t)
	}
	m.spinners = append(m.spinners, t)
	return Spinning, nil
}

// Spinners lists who spins for the mutex, first who looks at the owner.
func (m *Mutex) Spinners() []TaskID { return m.spinners }

// Spin is a spinner's next look: it takes a free mutex, also before those that sleep
// in the queue; goes on while the owner runs; and else, or if it has to give its CPU
// away itself, leaves the spinners and blocks.
func (m *Mutex) Spin(t TaskID, needResched bool) (Outcome, error) {
	i := slices.Index(m.spinners, t)
	if i < 0 {
		return Failed, &Misuse{"mutex_spin_on_owner", t, "the task does not spin"}
	}
	if i > 0 && !needResched {
		return Spinning, nil
	}
	if i == 0 {
		if m.take(t, false) {
			m.spinners = m.spinners[1:]
			return Acquired, nil
		}
		if !needResched && m.sys.onCPU(m.owner) {
			return Spinning, nil
		}
	}
	m.spinners = slices.Delete(m.spinners, i, i+1)
	return m.Lock(t)
}
