// Package lockcost runs locks under the simulated scheduler's time: what waiting for a
// lock costs, and whom.
//
// # Idea
//
// A [Lab] holds locks of package lock and is the Locker of a simulation of package
// sched: programs take and give them back by OpLock and OpUnlock. Who does not get a
// lock sleeps, and the lock's own rules say who is next; waiting real-time tasks lend
// their priority through the scheduler if the lock has inheritance. Each lock counts
// what the kernel's lock_stat counts: contentions, acquisitions, times waited and held.
//
//	cfg.Locks = lab           sched.Sim ---- OpLock ----> Lab ----> lock.Mutex ...
//	                              <---- Wake, SetDonor ----
//
// [Sweep] runs the same critical section with more and more tasks: the data of a graph
// of contention.
//
// # Rules
//
//   - Sleeping locks only: a lock that spins (without PREEMPT_RT, spinlocks and rwlocks)
//     never puts its waiter to sleep.
//   - An unlock hands the lock to who is next at once, so that the wake-up is of a task
//     that has it. In the kernel a running task may take a mutex before the woken one
//     comes; package lock models that, with nobody's time.
//
// # Mirrored
//
// kernel/locking/lockdep.c's lock_stat of Linux 6.1; the locks as package lock says.
//
// # Left out
//
// The cost of the lock operations themselves and of cache lines that move (package
// percpu has that), optimistic spinning, readers.
package lockcost
