// Package rcu checks traces of the Linux kernel's RCU for the guarantees that it
// gives, and models it.
//
// # Idea
//
// A grace period is a time in which every CPU has been seen outside of a reader at
// least once, and every reader that was preempted inside one has left. What was
// unlinked before it began can be freed when it is over. Grace periods are
// numbered: gp_seq grows by 4 with each, and its low two bits are the state, 1
// while one runs.
//
//	gp_seq   -696   -695 ............. -692   -691 ..
//	         idle   start cpuqs.. end         start
//	callback queued while -695 runs waits for the end of -691: gp_seq -688
//
// A CPU's callbacks lie on one list in segments: done, waiting for the running
// grace period, ready for the next, new.
//
// # Rules checked
//
// [Rules] has them. They hold on the kernel's own traces, and the model's traces
// are checked by the same code.
//
// # Mirrored
//
// kernel/rcu/tree.c, tree_plugin.h, rcu_segcblist.c of Linux 6.1 and its events
// in include/trace/events/rcu.h; Documentation/RCU/Design.
package rcu
