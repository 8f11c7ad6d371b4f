// Package lock models the Linux kernel's blocking locks: who holds a lock, who
// waits in which order, who is woken by an unlock, and how waiting raises
// priorities.
//
// # Idea
//
// A [System] holds tasks and locks. Taking a lock either succeeds or leaves the
// task blocked in the lock's queue. Giving one back only wakes: a woken task takes
// the lock itself when it runs ([System.Run]), and may find it taken again by
// somebody faster. [System.Settle] runs all woken tasks, so that a caller who is
// not interested in the moments between sees what a quiet machine shows.
//
//	task:  normal priority, priority (boosted), lock that it waits for
//	rt_mutex: owner, waiters by priority     owner's pi waiters: top waiter of each
//	                                         lock that it owns
//	mutex: owner word = task | waiters, handoff, pickup;  waiters first in first out
//	rwsem: count word = writer, waiters, handoff, readers << 8;  one queue
//
// Priorities are the kernel's numbers: 0 to 98 for SCHED_FIFO 99 to 1, 100 to 139
// for nice -20 to 19; lower runs first.
//
// # Rules
//
//   - rt_mutex: the waiter of highest priority is next, first come first served
//     among equals; all SCHED_OTHER tasks are equal. The owner runs at the priority
//     of the highest of the top waiters of its locks, nice levels included, and so on
//     along the chain of owners that wait themselves.
//   - mutex: woken in order of arrival whatever the priority. Who is not first in
//     the queue may take a free lock before the woken task does; a woken task that
//     finds the lock taken asks for a handoff, and is then given the lock.
//   - rwsem: readers share. A reader that comes while somebody waits, waits. A release
//     wakes the first waiter if it is a writer; if it is a reader, all readers in the
//     queue, also those behind writers. A real-time writer asks for a handoff at once.
//   - semaphore: the released unit is given to the first waiter.
//
// # Mirrored
//
// kernel/locking/rtmutex.c, mutex.c, rwsem.c, semaphore.c of Linux 6.1 (without
// PREEMPT_RT), rt_mutex_setprio and sched_setscheduler of kernel/sched/core.c,
// as Documentation/locking/rt-mutex-design.rst describes them.
//
// # Left out
//
// Optimistic spinning (the owner runs on another CPU) has no outcome of its own
// here: a spinner is a task that is run first. Timeouts and signals.
package lock
