package lock

import "slices"

// Locker is a lock of any kind, as a critical section uses it.
type Locker interface {
	Lock(t TaskID) (Outcome, error)
	TryLock(t TaskID) (Outcome, error)
	Unlock(t TaskID) error
}

// NewLocker makes a lock of a kind, as a kernel with or without PREEMPT_RT builds it:
//
//	            without         with PREEMPT_RT
//	raw spin    Spinlock        Spinlock
//	spin        Spinlock        RTMutex
//	rwlock      Spinlock        RWBase (write side)
//	local lock  Spinlock        RTMutex, one for each CPU
//	mutex       Mutex           RTMutex
//	rt_mutex    RTMutex         RTMutex
//	rwsem       RWSem (write)   RWBase (write side)
//	semaphore   Semaphore       Semaphore
func (s *System) NewLocker(k Kind, preemptRT bool) Locker {
	switch {
	case k == RTMutexKind, preemptRT && (k == SpinKind || k == MutexKind || k == LocalLockKind):
		return s.NewRTMutex()
	case k == SemaphoreKind:
		return semLocker{s.NewSemaphore(1)}
	case preemptRT && (k == RWLockKind || k == RWSemKind):
		return s.NewRWBase()
	case k == MutexKind:
		return s.NewMutex()
	case k == RWSemKind:
		return rwsemLocker{s.NewRWSem()}
	}
	return s.NewSpinlock()
}

// semLocker and rwsemLocker give their locks the names of Locker.
type semLocker struct{ *Semaphore }

func (l semLocker) Lock(t TaskID) (Outcome, error)    { return l.Down(t) }
func (l semLocker) TryLock(t TaskID) (Outcome, error) { return l.TryDown(t) }
func (l semLocker) Unlock(t TaskID) error             { return l.Up(t) }

type rwsemLocker struct{ *RWSem }

func (l rwsemLocker) Lock(t TaskID) (Outcome, error)    { return l.LockWrite(t) }
func (l rwsemLocker) TryLock(t TaskID) (Outcome, error) { return l.TryLockWrite(t) }
func (l rwsemLocker) Unlock(t TaskID) error             { return l.UnlockWrite(t) }

// Spinlock is a spinning lock among tasks: first come first served, and who waits
// keeps its CPU. Package spin has its words.
type Spinlock struct {
	sys     *System
	owner   TaskID
	waiters []TaskID
}

// NewSpinlock makes a free one.
func (s *System) NewSpinlock() *Spinlock { return &Spinlock{sys: s, owner: None} }

// Owner is who holds it, None if it is free.
func (l *Spinlock) Owner() TaskID { return l.owner }

// Lock takes the lock, or spins: the task is Blocked here until it is its turn
// (spin_lock).
func (l *Spinlock) Lock(t TaskID) (Outcome, error) {
	got, err := l.TryLock(t)
	if err != nil || got == Acquired {
		return got, err
	}
	if l.owner == t {
		return Failed, &Misuse{"spin_lock", t, reportRecursive}
	}
	l.waiters = append(l.waiters, t)
	return l.sys.block(t, l), nil
}

// TryLock takes the lock if it is free and nobody waits (spin_trylock).
func (l *Spinlock) TryLock(t TaskID) (Outcome, error) {
	if err := l.sys.runnable("spin_lock", t); err != nil {
		return Failed, err
	}
	if l.owner != None || len(l.waiters) > 0 {
		return Failed, nil
	}
	l.owner = t
	return Acquired, nil
}

func (l *Spinlock) retry(_ *System, t TaskID) Outcome {
	if l.owner != None || l.waiters[0] != t {
		return Blocked
	}
	l.owner, l.waiters = t, l.waiters[1:]
	return Acquired
}

// Unlock gives the lock to the first who waits (spin_unlock).
func (l *Spinlock) Unlock(t TaskID) error {
	if err := l.sys.runnable("spin_unlock", t); err != nil {
		return err
	}
	if l.owner != t {
		return &Misuse{"spin_unlock", t, reportUnbalanced}
	}
	l.owner = None
	if len(l.waiters) > 0 {
		l.sys.wake(l.waiters[0])
	}
	return nil
}

// RWBase is what rwlock_t and rwsems are on PREEMPT_RT: an rt_mutex for writers and a
// count of readers (struct rwbase_rt). A writer takes the rt_mutex, then waits for the
// readers to leave; until it is in, readers still enter. A reader that meets a writer
// inside waits for the rt_mutex and lends its priority; readers inside inherit
// nothing.
type RWBase struct {
	rt      *RTMutex
	readers []TaskID
	// inside: the owner of the rt_mutex is in as a writer.
	inside bool
}

// NewRWBase makes a free one.
func (s *System) NewRWBase() *RWBase { return &RWBase{rt: s.NewRTMutex()} }

// Writer is who is in as a writer, None if nobody is.
func (b *RWBase) Writer() TaskID {
	if b.inside {
		return b.rt.owner
	}
	return None
}

// Readers lists who is in as a reader.
func (b *RWBase) Readers() []TaskID { return b.readers }

// rwbaseWait is a wait for an RWBase: first for the rt_mutex, then, as a writer, for
// the readers.
type rwbaseWait struct {
	b      *RWBase
	reader bool
}

// LockRead enters as a reader or blocks (rwbase_read_lock).
func (b *RWBase) LockRead(t TaskID) (Outcome, error) {
	s := b.rt.sys
	if err := s.runnable("rwbase_read_lock", t); err != nil {
		return Failed, err
	}
	if !b.inside {
		b.readers = append(b.readers, t)
		return Acquired, nil
	}
	got, err := b.rt.Lock(t)
	if got == Blocked && err == nil {
		s.tasks[t].blocked = &rwbaseWait{b, true}
	}
	return got, err
}

// Lock enters as a writer or blocks (rwbase_write_lock).
func (b *RWBase) Lock(t TaskID) (Outcome, error) {
	s := b.rt.sys
	if slices.Contains(b.readers, t) {
		return Failed, &Misuse{"rwbase_write_lock", t, reportRecursive}
	}
	got, err := b.rt.Lock(t)
	if err != nil {
		return got, err
	}
	w := &rwbaseWait{b, false}
	if got == Acquired {
		if w.enter() {
			return Acquired, nil
		}
		return s.block(t, w), nil
	}
	s.tasks[t].blocked = w
	return Blocked, nil
}

// TryLock enters as a writer if nobody is inside.
func (b *RWBase) TryLock(t TaskID) (Outcome, error) {
	got, err := b.rt.TryLock(t)
	if got != Acquired || err != nil {
		return got, err
	}
	if len(b.readers) > 0 {
		return Failed, b.rt.Unlock(t)
	}
	b.inside = true
	return Acquired, nil
}

// enter lets the owner of the rt_mutex in if no reader is inside.
func (w *rwbaseWait) enter() bool {
	w.b.inside = len(w.b.readers) == 0
	return w.b.inside
}

func (w *rwbaseWait) retry(s *System, t TaskID) Outcome {
	b := w.b
	if b.rt.owner != t && b.rt.retry(s, t) != Acquired {
		return Blocked
	}
	if w.reader {
		b.readers = append(b.readers, t)
		b.rt.release(t)
		return Acquired
	}
	if !w.enter() {
		return Blocked
	}
	return Acquired
}

// cancel gives the rt_mutex back, or leaves its queue.
func (w *rwbaseWait) cancel(s *System, t TaskID) {
	if w.b.rt.owner == t {
		w.b.rt.release(t)
		return
	}
	w.b.rt.cancel(s, t)
}

// UnlockRead leaves as a reader; the last one wakes the writer that waits for it.
func (b *RWBase) UnlockRead(t TaskID) error {
	s := b.rt.sys
	if err := s.runnable("rwbase_read_unlock", t); err != nil {
		return err
	}
	i := slices.Index(b.readers, t)
	if i < 0 {
		return &Misuse{"rwbase_read_unlock", t, reportUnbalanced}
	}
	b.readers = slices.Delete(b.readers, i, i+1)
	if len(b.readers) == 0 && b.rt.owner != None && !b.inside {
		s.wakeIfBlocked(b.rt.owner)
	}
	return nil
}

// Unlock leaves as a writer (rwbase_write_unlock).
func (b *RWBase) Unlock(t TaskID) error {
	if b.Writer() != t {
		return &Misuse{"rwbase_write_unlock", t, reportUnbalanced}
	}
	if err := b.rt.Unlock(t); err != nil {
		return err
	}
	b.inside = false
	return nil
}

// Downgrade turns a writer into a reader (rwbase_write_downgrade).
func (b *RWBase) Downgrade(t TaskID) error {
	if err := b.Unlock(t); err != nil {
		return err
	}
	b.readers = append(b.readers, t)
	return nil
}

// LocalLock protects per-CPU data of the CPU that the task is on (local_lock_t).
// Without PREEMPT_RT it only disables preemption; with it, it is a sleeping lock for
// each CPU, and the task may not move.
type LocalLock struct {
	sys *System
	// cpus are the locks of PREEMPT_RT, nil without; holder is who is inside on each CPU.
	cpus   []*RTMutex
	holder []TaskID
}

// NewLocalLock makes one for a machine of so many CPUs.
func (s *System) NewLocalLock(cpus int, preemptRT bool) *LocalLock {
	l := &LocalLock{sys: s}
	for range cpus {
		l.holder = append(l.holder, None)
		if preemptRT {
			l.cpus = append(l.cpus, s.NewRTMutex())
		}
	}
	return l
}

// Lock enters on a CPU (local_lock). Without PREEMPT_RT nobody else can run there
// meanwhile, so that a second task is refused: it was switched to while preemption was
// off.
func (l *LocalLock) Lock(t TaskID, cpu int) (Outcome, error) {
	if cpu < 0 || cpu >= len(l.holder) {
		return Failed, &Misuse{"local_lock", t, "no such CPU"}
	}
	if l.cpus != nil {
		return l.cpus[cpu].Lock(t)
	}
	if err := l.sys.runnable("local_lock", t); err != nil {
		return Failed, err
	}
	switch l.holder[cpu] {
	case None:
		l.holder[cpu] = t
		return Acquired, nil
	case t:
		return Failed, &Misuse{"local_lock", t, reportRecursive}
	}
	return Failed, &Misuse{"local_lock", t, "BUG: scheduling while atomic"}
}

// Unlock leaves on a CPU (local_unlock).
func (l *LocalLock) Unlock(t TaskID, cpu int) error {
	if cpu < 0 || cpu >= len(l.holder) {
		return &Misuse{"local_unlock", t, "no such CPU"}
	}
	if l.cpus != nil {
		return l.cpus[cpu].Unlock(t)
	}
	if l.holder[cpu] != t {
		return &Misuse{"local_unlock", t, reportUnbalanced}
	}
	l.holder[cpu] = None
	return nil
}
