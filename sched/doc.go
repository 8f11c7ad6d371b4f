// Package sched is the Linux kernel's CPU scheduler, in userspace and in
// simulated time: the classes stop, deadline, real-time, fair and idle; CFS as
// it was up to 6.5 and EEVDF as it is since; groups with weights and bandwidth;
// per-entity load tracking; and what stands around them to let tasks run.
//
// # Two ways in
//
// A [Sim] runs by itself. Tasks have programs; timers, interrupts, wake-up
// placement and load balancing are simulated; each configuration gives the same
// events, always.
//
//	s, _ := sched.NewSim(sched.SimConfig{Config: sched.Config{CPUs: 1, Profile: sched.Linux6_1}})
//	hog, _ := s.Spawn(sched.TaskSpec{Comm: "hog", Program: sched.Loop(sched.Compute(10_000_000))})
//	_ = s.Run(1_000_000_000)
//	fmt.Println(s.Times(hog).Run)
//
// A [Machine] with its [Kernel] is the scheduler's own functions, for those who
// say what happens and when: a replay of a kernel's trace drives it like that,
// and [Hooks] report every function that the model enters, so that each can be
// compared with what the kernel did.
//
// # Time
//
// All times are nanoseconds. A CPU has the kernel's clocks: rq_clock, rq_clock_task
// (without interrupts) and the clock of load tracking, which stands still while
// a group is throttled and catches up when the CPU is idle. Virtual times are
// compared by their signed difference, since they wrap.
//
// # CFS, as the captures show it
//
//   - Nice 0 runs in real time; another weight w stretches it by 1024/w in fixed
//     point, with the inverse 2^32/w: tabulated for tasks, computed for groups and
//     queues, which differ in the last digit for some weights.
//   - The pick is the leftmost entity, unless a buddy is less than a wake-up
//     granularity behind: next (a wake-up that preempted, a group whose task
//     sleeps), last (who was preempted, with 8 or more entities), and never skip
//     (who yielded) if another is near enough.
//   - A slice is the entity's part of the period, level by level; the period
//     grows with the tasks of the whole CPU.
//   - A new task starts a slice behind, a sleeper at most half a latency before
//     the queue's minimum, and never earlier than it was.
//   - Between queues a virtual runtime is relative to the queue's minimum, which
//     only grows, but not while a task is taken out to be put back.
//   - need_resched is part of the state: a wake-up decides nothing while it is
//     set.
//
// # EEVDF
//
// See eevdf.go for the rules: lag, eligibility without division, virtual
// deadlines, slice protection, delayed dequeueing, and the fair server that
// keeps fair tasks from starving.
//
// # Real time and deadline
//
//   - A real-time queue is a list for each priority; a running task keeps its
//     place at the head. What the class used is charged when time is, throttled
//     only there, and given back by a period timer.
//   - A deadline task is a constant bandwidth server: it keeps deadline and
//     runtime over a sleep unless that would be more than its bandwidth. Used up,
//     it waits for its next period; sched_yield gives the rest away. A task whose
//     deadline is before its period's end gets, when it wakes late, what its
//     density allows, and waits if it wakes after its deadline.
//
// # What is not the kernel's
//
// Where a task is placed and when load is balanced depends on loads, caches and
// races of a real machine. A [Sim] with load tracking follows Linux 6.1
// (wakeplace.go, idlest.go, loadbalance.go), one without goes by numbers of tasks
// (place.go, balance.go); replays take the CPU from the trace. Linux5_4 and the
// vanilla profiles of EEVDF are made from their source and proven only by what they
// share with the captured kernels; each profile says so.
package sched
