package lock

import "slices"

// Bits of an rwsem's count word.
const (
	RWSemWriter  = 1
	RWSemWaiters = 2
	RWSemHandoff = 4
	// RWSemReader is one reader; the readers' number is from here up.
	RWSemReader = 1 << 8

	rwsemLocked     = ^int64(0xff) | RWSemWriter
	rwsemReadFailed = RWSemWriter | RWSemWaiters | RWSemHandoff
)

// maxReadersWoken is how many readers one wake-up takes along.
const maxReadersWoken = 256

// RWSem is a sleeping lock for many readers or one writer (struct rw_semaphore).
type RWSem struct {
	sys   *System
	count int64
	// writer is the writer; readerOwned says that a reader held it last.
	writer      TaskID
	readerOwned bool
	readers     []TaskID
	waiters     []rwWaiter
}

type rwWaiter struct {
	task           TaskID
	write, handoff bool
}

// NewRWSem makes a free rwsem.
func (s *System) NewRWSem() *RWSem { return &RWSem{sys: s, writer: None} }

// Count is the count word.
func (r *RWSem) Count() int64 { return r.count }

// LockRead takes the rwsem shared or blocks (down_read).
func (r *RWSem) LockRead(t TaskID) (Outcome, error) {
	if err := r.sys.runnable("down_read", t); err != nil {
		return Failed, err
	}
	if r.writer == t {
		return Failed, &Misuse{"down_read", t, reportRecursive}
	}
	r.count += RWSemReader
	if r.count&rwsemReadFailed == 0 || r.steal() {
		r.addReader(t)
		return Acquired, nil
	}
	return r.queueReader(t), nil
}

func (r *RWSem) addReader(t TaskID) {
	r.readers = append(r.readers, t)
	r.readerOwned = true
}

// steal lets a reader in before the waiters, if the lock is free but for it; it
// takes the waiting readers along.
func (r *RWSem) steal() bool {
	n := r.count >> 8
	if r.readerOwned && n > 1 && r.count&RWSemWriter == 0 {
		return false
	}
	if r.count&(RWSemWriter|RWSemHandoff) != 0 {
		return false
	}
	r.readerOwned = true
	if n == 1 && r.count&RWSemWaiters != 0 {
		r.wake(false)
	}
	return true
}

// queueReader takes the reader's claim back and queues it.
func (r *RWSem) queueReader(t TaskID) Outcome {
	if len(r.waiters) == 0 {
		if r.count&RWSemWriter == 0 {
			r.addReader(t)
			return Acquired
		}
		r.count |= RWSemWaiters
	}
	r.waiters = append(r.waiters, rwWaiter{task: t})
	r.count -= RWSemReader
	r.sys.block(t, r)
	r.wakeIfFree(r.count)
	return Blocked
}

// wakeIfFree wakes waiters if nobody holds the lock (rwsem_cond_wake_waiter).
func (r *RWSem) wakeIfFree(count int64) {
	switch {
	case count&RWSemWriter != 0:
	case count&rwsemLocked != 0:
		r.wakeReaders()
	default:
		r.wake(true)
	}
}

// wakeReaders wakes readers, if the first waiter is one.
func (r *RWSem) wakeReaders() {
	if len(r.waiters) > 0 && !r.waiters[0].write {
		r.wake(false)
	}
}

// TryLockRead takes the rwsem shared if no writer holds it and nobody waits
// (down_read_trylock).
func (r *RWSem) TryLockRead(t TaskID) (Outcome, error) {
	if err := r.sys.runnable("down_read_trylock", t); err != nil {
		return Failed, err
	}
	if r.count&rwsemReadFailed != 0 {
		return Failed, nil
	}
	r.count += RWSemReader
	r.addReader(t)
	return Acquired, nil
}

// LockWrite takes the rwsem exclusively or blocks (down_write).
func (r *RWSem) LockWrite(t TaskID) (Outcome, error) {
	if err := r.sys.runnable("down_write", t); err != nil {
		return Failed, err
	}
	if r.writer == t || slices.Contains(r.readers, t) {
		return Failed, &Misuse{"down_write", t, reportRecursive}
	}
	if got, _ := r.TryLockWrite(t); got == Acquired {
		return Acquired, nil
	}
	r.waiters = append(r.waiters, rwWaiter{task: t, write: true})
	if len(r.waiters) > 1 {
		r.wakeIfFree(r.count)
	} else {
		r.count |= RWSemWaiters
	}
	if r.retry(r.sys, t) == Acquired {
		return Acquired, nil
	}
	return r.sys.block(t, r), nil
}

// TryLockWrite takes the rwsem exclusively if it is free and nobody waits
// (down_write_trylock).
func (r *RWSem) TryLockWrite(t TaskID) (Outcome, error) {
	if err := r.sys.runnable("down_write_trylock", t); err != nil {
		return Failed, err
	}
	if r.count != 0 {
		return Failed, nil
	}
	r.count = RWSemWriter
	r.writer = t
	return Acquired, nil
}

// retry is the loop of a waiter: a reader that is no longer queued has been let
// in; a writer takes the lock if it is free (rwsem_try_write_lock).
func (r *RWSem) retry(s *System, t TaskID) Outcome {
	i := slices.IndexFunc(r.waiters, func(w rwWaiter) bool { return w.task == t })
	if i < 0 {
		return Acquired
	}
	w := &r.waiters[i]
	handoff := r.count&RWSemHandoff != 0
	switch {
	case !w.write, handoff && r.waiters[0].handoff && i != 0:
		return Blocked
	case r.count&rwsemLocked != 0:
		if !handoff && s.tasks[t].prio < maxRT {
			r.count |= RWSemHandoff
			r.waiters[0].handoff = true
		}
		return Blocked
	}
	r.count = r.count&^RWSemHandoff | RWSemWriter
	if len(r.waiters) == 1 {
		r.count &^= RWSemWaiters
	}
	r.waiters = slices.Delete(r.waiters, i, i+1)
	r.writer, r.readerOwned = t, false
	return Acquired
}

// UnlockRead gives a shared hold back; the last reader wakes waiters (up_read).
func (r *RWSem) UnlockRead(t TaskID) error {
	if err := r.sys.runnable("up_read", t); err != nil {
		return err
	}
	i := slices.Index(r.readers, t)
	if i < 0 {
		return &Misuse{"up_read", t, reportUnbalanced}
	}
	r.readers = slices.Delete(r.readers, i, i+1)
	r.count -= RWSemReader
	if r.count&(rwsemLocked|RWSemWaiters) == RWSemWaiters {
		r.wake(true)
	}
	return nil
}

// UnlockWrite gives the exclusive hold back and wakes waiters (up_write).
func (r *RWSem) UnlockWrite(t TaskID) error {
	if err := r.ownWriter("up_write", t); err != nil {
		return err
	}
	r.writer = None
	r.count -= RWSemWriter
	if r.count&RWSemWaiters != 0 {
		r.wake(true)
	}
	return nil
}

// Downgrade turns the exclusive hold into a shared one and lets waiting readers in
// (downgrade_write).
func (r *RWSem) Downgrade(t TaskID) error {
	if err := r.ownWriter("downgrade_write", t); err != nil {
		return err
	}
	r.writer = None
	r.count += RWSemReader - RWSemWriter
	r.addReader(t)
	if r.count&RWSemWaiters != 0 {
		r.wakeReaders()
	}
	return nil
}

func (r *RWSem) ownWriter(op string, t TaskID) error {
	if err := r.sys.runnable(op, t); err != nil {
		return err
	}
	if r.writer != t {
		return &Misuse{op, t, reportUnbalanced}
	}
	return nil
}

// wake wakes the first waiter if it is a writer and writers may be woken; if it is
// a reader, it lets all waiting readers in (rwsem_mark_wake).
func (r *RWSem) wake(writers bool) {
	if len(r.waiters) == 0 {
		return
	}
	if r.waiters[0].write {
		if writers {
			r.sys.wake(r.waiters[0].task)
		}
		return
	}
	if r.count&RWSemWriter != 0 {
		return
	}
	kept := r.waiters[:0:0]
	woken := 0
	for _, w := range r.waiters {
		if w.write || woken >= maxReadersWoken {
			kept = append(kept, w)
			continue
		}
		woken++
		r.count += RWSemReader
		r.addReader(w.task)
		r.sys.wake(w.task)
	}
	r.waiters = kept
	r.count &^= RWSemHandoff
	if len(kept) == 0 {
		r.count &^= RWSemWaiters
	}
}
