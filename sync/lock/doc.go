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
//   - A wait that a signal may end gets the lock first if it can, then looks for
//     signals, then for the time.
//   - mutex with spinning: who finds the owner running spins, first come first served,
//     and takes the mutex before those that sleep; if the owner stops to run, spinners
//     go to sleep behind them.
//   - ww_mutex: waiters stand by age of their context. Wound-wait: an older one that
//     waits makes the younger holder begin again when it next waits. Wait-die: a
//     younger one that would wait for an older one begins again. The oldest never does.
//   - wait queue: who is not exclusive is woken first and always; of the exclusive as
//     many as asked for, the first come first. Who is awake already does not count.
//   - completion: each complete lets one waiter go; it may be one that never waited.
//   - percpu-rwsem: a writer waits for a grace period, then for other writers, then for
//     readers; the unlock hands the lock to the readers at the front, or to a writer.
//   - PREEMPT_RT: rwlocks and rwsems let readers in until the writer is inside; writers
//     inherit priority, readers do not.
//
// # Mirrored
//
// kernel/locking/rtmutex.c, mutex.c, rwsem.c, semaphore.c, ww_mutex.h,
// percpu-rwsem.c, rwbase_rt.c of Linux 6.1, wait.c and completion.c of kernel/sched,
// rt_mutex_setprio and sched_setscheduler of kernel/sched/core.c, kernel/hung_task.c,
// as Documentation/locking describes them.
//
// # Left out
//
// Spinning of rwsems and rt_mutexes, and of waiters at the front of a mutex's queue: a
// spinner there is a task that is run first. Bounded and lock-less wait queues. What
// spinning locks do word by word is package spin's subject.
package lock
