// Package refs models the Linux kernel's atomic integers, reference counts and
// bit operations by their values: what each operation returns, what it leaves, and
// what a reference count warns of.
//
// # Idea
//
// An [Int] is atomic_t or atomic64_t: two's complement that wraps. Every operation
// is one indivisible step, so that a caller who interleaves steps of several
// threads sees what the kernel's threads would. Each has an ordering
// ([OrderOf]): operations that return a value are fully ordered, those that
// return none, or whose comparison fails, are not.
//
// A [Count] is refcount_t: a counter that, once it would overflow, underflow or
// rise from zero, sticks at a value ([Saturated]) from which it never reaches zero
// again, and warns once of each kind of mistake. An object then leaks instead of
// being freed while used.
//
//	         0         1 .. INT_MAX      INT_MIN .. -1
//	free ----+---- in use -------------+---- saturated: sticks at 0xc0000000
//
// # Mirrored
//
// include/linux/atomic/atomic-arch-fallback.h, include/linux/refcount.h,
// lib/refcount.c, Documentation/atomic_t.txt and atomic_bitops.txt of Linux 6.1.
//
// # Left out
//
// What other CPUs may see between operations: that is package lkmm's subject.
package refs
