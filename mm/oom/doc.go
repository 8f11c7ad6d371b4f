// Package oom is the kernel's out-of-memory killer: whom it kills when no page
// can be had, and what it writes to the log.
//
// It mirrors mm/oom_kill.c of Linux 6.1 (out_of_memory, oom_badness,
// oom_evaluate_task, oom_kill_process, dump_header) and the parts of memory
// cgroups that it asks (mem_cgroup_get_max, mem_cgroup_get_oom_group).
//
//	Control                          Verdict
//	  machine: RAM, swap, nodes        Action: kill, panic, wait, nothing
//	  request: GFP, order, cpuset  ->  Constraint, TotalPages
//	  memory cgroup, sysctls           Points of every task
//	  Tasks, in the kernel's order     Victim, Killed, Shared
//
// # Rules
//
// The constraint says which memory was out, and with it how much memory a
// task's size is measured against:
//
//	memcg    memory.max, plus swap: the smaller of memory.swap.max and the machine's (none if swappiness is 0); at least 1
//	policy   the request has a nodemask that leaves out a node with memory: swap + present pages of its nodes
//	cpuset   the current task's cpuset leaves out a node: swap + present pages of its nodes
//	none     RAM + swap; also for __GFP_THISNODE
//
// Points of a task are rss + swap entries + page tables (in whole pages) +
// oom_score_adj * (total pages / 1000), each division rounded down. They can
// be negative. No candidates are: init, kernel threads, tasks with
// oom_score_adj -1000, tasks without memory, those whose address space was
// reaped already, those in vfork, and in a machine-wide shortage those that
// have no memory on the nodes in question. A task that is being killed ends the
// search without a victim (it will free memory soon), unless it was reaped. A
// task that is marked as the origin of the shortage (swapoff, KSM) is taken
// before all others. The most points win; of equals the one that comes last.
//
// Before all that: a current task that is exiting gets memory reserves and
// nobody is killed; a request without __GFP_FS outside of a cgroup is let fail;
// panic_on_oom 1 panics if there is no constraint, 2 always, both not on SysRq;
// oom_kill_allocating_task takes the current task if it may be taken.
//
// Without a victim, a machine-wide shortage panics; a cgroup's does not, nor
// does SysRq.
//
// Killing a task kills all processes that share its address space (silently)
// except init, and with memory.oom.group the whole of the topmost such group
// between the victim's and the one that is out of memory, other than tasks with
// oom_score_adj -1000.
//
// Units: pages unless a name says bytes. The order of Control.Tasks is the
// kernel's (process list, or the cgroups' in pre-order): ties hang on it.
//
// Before Linux 5.9 points were never below 1 ([Profile]).
//
// Left out: the OOM reaper's own timing; the rate limit of the report's first
// part (it is the log's, see [Report]); the memory counters and the stack in a
// report are carried, not computed.
package oom
