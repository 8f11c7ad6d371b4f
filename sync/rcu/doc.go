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
// # Flavours
//
//   - [Model]: normal grace periods with call_rcu; expedited ones, which ask every CPU at
//     once: one outside of readers answers, a reader when it leaves, one that is preempted
//     is waited for by name. Their sequence is their own.
//   - [Kfree]: kfree_rcu collects pointers by CPU, a page of 510 at most; sends them off
//     after 5 s, or at the next jiffy once a page is full; two batches of a CPU may wait
//     for a grace period.
//   - [SRCU]: readers count in one of two columns. A period waits for the column that is
//     not in use, turns the index, and waits for the other one.
//   - [Tasks]: waits for every task that can run to give its CPU away itself once.
//   - [List], [HList]: the operations that readers may meet at any moment.
//   - [StallClock], [Stall]: when a warning is printed, and how.
//
// # Rules checked
//
// [Rules] has them. They hold on the kernel's own traces, and the model's traces
// are checked by the same code.
//
// # Mirrored
//
// kernel/rcu/tree.c, tree_plugin.h, tree_exp.h, tree_stall.h, srcutree.c, tasks.h,
// rcu_segcblist.c, include/linux/rculist.h of Linux 6.1 and the events in
// include/trace/events/rcu.h; Documentation/RCU/Design.
//
// # Left out
//
// Callback offloading, CPU hotplug, priority boosting of readers, the funnel of those who
// wait for an expedited period, RCU tasks rude and trace.
package rcu
