// Package spin models the Linux kernel's spinning locks word by word: what each CPU
// reads and writes, one access at a time.
//
// # Idea
//
// An [Agent] is code on a CPU: a task or an interrupt handler above it. [Lock.Start]
// begins an operation of an agent, [Lock.Step] takes its next access to shared memory.
// A step that finds that it has to wait changes nothing. So every order of accesses
// can be played, by hand or by [Explore], which plays all of them.
//
//	agent:  op, place in it, what it read      shared: the lock's words, MCS nodes
//
//	queued spinlock, one word:  tail CPU+1 | tail node | pending | locked
//	                            31 ... 18    17 16      15 .. 8   7 .. 0
//	 CPU 2 -> CPU 3             next waiters spin on their own node, not on the word
//	queued rwlock:  readers << 9 | writer waits 0x100 | writer 0xff
//
// # Rules
//
//   - Ticket lock: the order of fetch_add on next is the order of entering.
//   - Queued spinlock: the first waiter sets the pending bit and spins on the word;
//     further ones queue by exchanging the tail, each with one of its CPU's four nodes,
//     one for each level of interrupts. Order of entering: pending before queue, queue
//     in the order of the exchange; nobody overtakes who has set a bit.
//   - Queued rwlock: a reader enters if no writer is inside or waits, a reader in an
//     interrupt also if one only waits, because it may have interrupted a reader that
//     the writer waits for. All others queue first come first served.
//   - OSQ lock (under mutex and rwsem): like the queue, but a waiter may give up, and
//     takes itself out of the middle.
//   - Seqcount: a reader that met a writer reads again; readers never hold writers up.
//     A seqlock's writers enter first come first served. Latch: writers keep two copies, so that a reader never waits either, also one
//     that interrupts the writer.
//
// # Mirrored
//
// kernel/locking/qspinlock.c, qrwlock.c, osq_lock.c, include/linux/seqlock.h of Linux
// 6.1, asm-generic's ticket lock.
//
// # Left out
//
// Paravirtual spinning. Memory is sequentially consistent here: which barriers a lock
// needs is what packages explore and lkmm show.
package spin
