// Package replay runs a model against a capture of a real kernel and reports
// where they part. [Run] recognizes by its files what a capture folder holds and
// gives a [Result] for each model.
//
// # Pages
//
// The page allocator starts with the lists of the first snapshot. From the trace
// it takes only what callers asked for: requests without their result, frees,
// bulk requests, and drains that nothing in the trace causes. Everything the
// kernel answered is compared: each page frame; each event printed under the zone
// lock (a block leaves a zone, a per-CPU list is drained, another migrate type is
// used), in order; and in the end every free list, per-CPU list and pageblock
// type, element by element. After a difference the model takes over the kernel's
// answer and goes on.
//
// The order of events. mm_page_alloc is printed after the page has left its list.
// So an operation happens at its first event under the zone lock, if it has any.
// If it has none, and an interrupt freed pages to the same list before the event
// was printed, both orders are possible: the one is taken that gives the page
// which the kernel gave ("order" hint).
//
// # Hints
//
// What a trace does not tell, and what is taken from elsewhere in it, is counted
// in [Result.HintKinds]:
//
//   - "claim": whether enough of a pageblock was movable to claim it, from the
//     change_ownership field of the event that the same request printed.
//   - "drain": a drain without a cause in the trace (drain_all_pages, a remote
//     CPU): its size.
//   - "free past the per-CPU list": a free while the list's lock was taken; seen
//     by where the page turns up next.
//   - "untraced bulk page": a page that a bulk request took without an event.
//   - "order": see above.
//   - "node": the node that a request named, where it is not the CPU's own: by
//     __GFP_THISNODE, or as the CPU's own had plenty.
//   - "kswapd balancing or not": by whether a drain comes at the short limit.
//
// # Scheduler
//
// A trace that shows the entry of the scheduler's functions is followed line by
// line: what happened to the scheduler is fed to the model, which then enters its
// own functions; each must be the trace's next line, with the same values. The
// lines that show a task, queue or group first set the model's state. Which of
// several CPUs' queues are one group's is found from the tasks that go between
// them, and from the listings of the cgroups' tasks, which also tell limits,
// weights and cpu.idle. The end of a trace may cut an operation off; lines that
// contradict each other too much end a replay with a [ContradictionError].
//
// # Notes
//
// [Result.Notes] count what explains differences: on the captured real machine
// some pages are taken or given back without any event. That is certain where a
// page is given out twice with no free between.
package replay
