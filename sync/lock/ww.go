package lock

import "slices"

// WWClass says how contexts settle who has to give way.
type WWClass uint8

const (
	// WoundWait: an older context takes locks from younger ones, which begin again the
	// next time that they would wait (DEFINE_WW_CLASS).
	WoundWait WWClass = iota
	// WaitDie: a younger context that would wait for an older one begins again
	// (DEFINE_WD_CLASS).
	WaitDie
)

// WWContext is a task's attempt to take several locks (struct ww_acquire_ctx). Its
// stamp is its age: it keeps it until it has them all.
type WWContext struct {
	class    WWClass
	stamp    uint64
	acquired int
	wounded  bool
}

// NewWWContext begins an attempt (ww_acquire_init).
func (s *System) NewWWContext(c WWClass) *WWContext {
	s.stamps++
	return &WWContext{class: c, stamp: s.stamps}
}

// Acquired is how many locks the context has; Wounded says that an older one wants one
// of them.
func (c *WWContext) Acquired() int { return c.acquired }
func (c *WWContext) Wounded() bool { return c.wounded }

func (c *WWContext) younger(than *WWContext) bool { return c.stamp > than.stamp }

// WWMutex is a mutex that is taken together with others in any order (struct
// ww_mutex).
type WWMutex struct {
	m   Mutex
	ctx *WWContext
	// contexts are those of the waiters, in the order of m.waiters; nil for one without.
	contexts []*WWContext
}

// NewWWMutex makes a free ww_mutex.
func (s *System) NewWWMutex() *WWMutex { return &WWMutex{m: Mutex{sys: s, owner: None}} }

// Owner is who holds it, Context what for; None and nil if it is free.
func (w *WWMutex) Owner() TaskID       { return w.m.owner }
func (w *WWMutex) Context() *WWContext { return w.ctx }

// Lock takes the mutex as part of an attempt, blocks, or answers Deadlock: then the
// task has to unlock all it has of this attempt, and lock this one first
// (ww_mutex_lock). A context may be nil: an ordinary mutex_lock. Already: the attempt
// has this lock.
func (w *WWMutex) Lock(t TaskID, c *WWContext) (Outcome, error) {
	s := w.m.sys
	if err := s.runnable("ww_mutex_lock", t); err != nil {
		return Failed, err
	}
	if c != nil && w.ctx == c {
		return Already, nil
	}
	if w.m.owner == t {
		return Failed, &Misuse{"ww_mutex_lock", t, reportRecursive}
	}
	if c != nil && c.acquired == 0 {
		c.wounded = false
	}
	if w.m.take(t, false) {
		w.got(c)
		w.checkWaiters(c)
		return Acquired, nil
	}
	if !w.add(t, c) {
		return Deadlock, nil
	}
	w.m.flags |= MutexWaiters
	if w.mustDie(t, c) {
		w.remove(t)
		return Deadlock, nil
	}
	return s.block(t, w), nil
}

// TryLock takes the mutex if it is free (ww_mutex_trylock).
func (w *WWMutex) TryLock(t TaskID, c *WWContext) (Outcome, error) {
	got, err := w.m.TryLock(t)
	if got == Acquired {
		if c != nil && c.acquired == 0 {
			c.wounded = false
		}
		w.got(c)
		w.checkWaiters(c)
	}
	return got, err
}

// got notes whose the lock is.
func (w *WWMutex) got(c *WWContext) {
	w.ctx = c
	if c != nil {
		c.acquired++
	}
}

// add queues a waiter by age, the oldest first, those without a context where they
// come. With wait-die a younger one that has locks does not queue behind an older, and
// younger ones behind are woken to die; with wound-wait the holder is wounded. It is
// false if the waiter dies (__ww_mutex_add_waiter).
func (w *WWMutex) add(t TaskID, c *WWContext) bool {
	at := len(w.contexts)
	if c != nil {
		for i := len(w.contexts) - 1; i >= 0; i-- {
			o := w.contexts[i]
			if o == nil {
				continue
			}
			if c.younger(o) {
				if c.class == WaitDie && c.acquired > 0 {
					return false
				}
				break
			}
			at = i
			w.die(i, c)
		}
	}
	w.m.waiters = slices.Insert(w.m.waiters, at, t)
	w.contexts = slices.Insert(w.contexts, at, c)
	if c != nil && c.class == WoundWait {
		w.wound(c, w.ctx)
	}
	return true
}

// die wakes a waiter that is younger than a context and has locks, so that it dies.
func (w *WWMutex) die(i int, c *WWContext) bool {
	if c.class != WaitDie {
		return false
	}
	if o := w.contexts[i]; o.acquired > 0 && o.younger(c) {
		w.m.sys.wake(w.m.waiters[i])
	}
	return true
}

// wound makes a younger holder begin again: an older context waits for it
// (__ww_mutex_wound). It is woken if it waits for another lock.
func (w *WWMutex) wound(by, holder *WWContext) bool {
	if holder == nil || w.m.owner == None || by.acquired == 0 || !holder.younger(by) {
		return false
	}
	holder.wounded = true
	if s := w.m.sys; s.tasks[w.m.owner].blocked != nil {
		s.wake(w.m.owner)
	}
	return true
}

// checkWaiters lets a new holder meet those that wait already
// (__ww_mutex_check_waiters).
func (w *WWMutex) checkWaiters(c *WWContext) {
	if c == nil {
		return
	}
	for i, o := range w.contexts {
		if o != nil && (w.die(i, c) || w.wound(o, c)) {
			return
		}
	}
}

// mustDie says whether a waiter has to give up (__ww_mutex_check_kill).
func (w *WWMutex) mustDie(t TaskID, c *WWContext) bool {
	switch {
	case c == nil || c.acquired == 0:
		return false
	case c.class == WoundWait:
		return c.wounded
	case w.ctx != nil && c.younger(w.ctx):
		return true
	}
	for i, o := range w.m.waiters {
		if o == t {
			return false
		}
		if w.contexts[i] != nil {
			return true
		}
	}
	return false
}

// retry is the loop of a woken waiter.
func (w *WWMutex) retry(_ *System, t TaskID) Outcome {
	i := slices.Index(w.m.waiters, t)
	c := w.contexts[i]
	if !w.m.take(t, i == 0) {
		if w.mustDie(t, c) {
			w.remove(t)
			return Deadlock
		}
		return Blocked
	}
	if c != nil && c.class == WoundWait && i != 0 {
		w.checkWaiters(c)
	}
	w.remove(t)
	w.got(c)
	return Acquired
}

func (w *WWMutex) remove(t TaskID) {
	i := slices.Index(w.m.waiters, t)
	w.m.waiters = slices.Delete(w.m.waiters, i, i+1)
	w.contexts = slices.Delete(w.contexts, i, i+1)
	if len(w.m.waiters) == 0 {
		w.m.flags = 0
	}
}

func (w *WWMutex) cancel(_ *System, t TaskID) { w.remove(t) }

// LockInterruptible is Lock that a signal ends (ww_mutex_lock_interruptible).
func (w *WWMutex) LockInterruptible(t TaskID, c *WWContext) (Outcome, error) {
	return w.m.sys.as(interruptible, t, func() (Outcome, error) { return w.Lock(t, c) })
}

// Unlock gives the mutex back and wakes the first waiter (ww_mutex_unlock).
func (w *WWMutex) Unlock(t TaskID) error {
	c := w.ctx
	if err := w.m.Unlock(t); err != nil {
		return err
	}
	w.ctx = nil
	if c != nil {
		c.acquired--
	}
	return nil
}
