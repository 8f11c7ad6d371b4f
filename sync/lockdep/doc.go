// Package lockdep is a model of the Linux kernel's lock validator: it watches
// which locks tasks take while they hold others, in which interrupt contexts,
// and reports the deadlocks that the observed rules make possible, whether or
// not they happen.
//
// # Idea
//
// Locks are not judged one by one but by class: all locks that were set up at one
// place (a [KeyID]) with one nesting level (subclass). Every acquisition while
// another lock is held is a dependency between two classes. The classes and
// dependencies form a directed graph that only grows; a deadlock is possible if
// the graph has a strong cycle, or if a class that interrupts take can be reached
// by, or reach, a class that is held with interrupts on.
//
//	task: held stack            graph: classes and dependencies
//	  #0 A (write)                A --EN--> B --ER--> C
//	  #1 B (read)                 each class: usage bits, e.g. IN-HARDIRQ-W
//
// # Rules
//
//   - A dependency is one of four kinds: its first lock was held exclusively (E)
//     or shared (S), its second is taken as a recursive reader (R) or not (N). A
//     path with R directly followed by S is not strong: a recursive reader does
//     not wait for another reader. A cycle must be strong all around.
//   - A lock taken by trylock adds no dependency towards itself, but those after it
//     depend on it. Dependencies go back to the first lock that was not a trylock.
//   - A lock has usage bits: taken in a hardirq or softirq handler, taken while
//     those were enabled; for write and read. Taken in and enabled exclude each
//     other in one class ("inconsistent lock state"), and between classes joined by
//     a strong path ("irq lock inversion", "safe -> unsafe lock order").
//   - A lock taken in an interrupt handler does not depend on what the interrupted
//     task holds.
//   - A lock has a wait type: a sleeping lock may not be taken under a spinlock, a
//     spinlock (which sleeps on PREEMPT_RT) not under a raw spinlock.
//   - A sequence of held classes (chain) is checked once; its hash is then known.
//   - After the first report the validator is off: what follows may be nonsense.
//
// # Mirrored
//
// __lock_acquire, __lock_release, __bfs, check_prev_add, check_irq_usage,
// mark_lock_irq, check_wait_context, and others of kernel/locking/lockdep.c in
// Linux 6.1, described in Documentation/locking/lockdep-design.rst; the files
// /proc/lockdep, lockdep_chains, lockdep_stats and lock_stat.
//
// # Left out
//
// Locking of the validator itself; its fixed tables are limits here ([Config]),
// not memory. Stack traces are what the caller gives ([Config.Stack]).
package lockdep
