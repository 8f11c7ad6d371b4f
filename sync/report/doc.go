// Package report reads what a kernel prints on its console about misused
// synchronization, and proves that the models would print the same.
//
// # Idea
//
// A console's text holds reports between other lines. [Read] finds those of the kinds
// below and takes the facts out of each: who, where, which counters. [Report.Again]
// asks the model whether it reports in that state, and what it prints. The lines must
// then be equal, but for what no model knows: stacks and registers, which are left
// out.
//
//	BUG: sleeping function called from invalid context     lock.Context.MightSleep
//	BUG: scheduling while atomic                           lock.Context.Schedule
//	BUG: using smp_processor_id() in preemptible           lock.Context.ThisCPU
//	Voluntary context switch within RCU ... section!       lock.Context.Schedule
//	refcount_t: ...                                        refs.Count
//	lkdtm: Performing direct entry REFCOUNT_...            refs.Crash, with its answers
//	INFO: task ... blocked for more than N seconds.        lock.Watchdog
//	Showing all locks held in the system:                  lockdep.HeldText
//	rcu: INFO: ... stall                                   rcu.Stall
//
// The lock validator's reports are package lockdep's subject.
//
// # Rules
//
//   - in_atomic() is that preempt_count is not 0; the interrupt events are printed only
//     if interrupts are off, where preemption was disabled only if it is.
//   - The count of "scheduling while atomic" includes the scheduler's own 1; afterwards
//     it is reset, so that what was to be enabled again finds too little to subtract.
//   - A warning taints the kernel (W): what is printed later says so.
//   - Reference counts warn at one line of lib/refcount.c for each kind of misuse.
//   - A task is hung if it has not been switched to for the whole timeout.
//
// # Mirrored
//
// __might_resched, __schedule_bug, check_preemption_disabled, __warn,
// refcount_warn_saturate, check_hung_task, print_cpu_stall of Linux 6.1.
//
// # Left out
//
// Stacks, registers, code; object debugging (ODEBUG); memory errors, which are
// package slab's.
package report
