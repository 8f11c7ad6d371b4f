// Package trace reads and writes the texts in which Linux kernels tell what
// their allocators and schedulers did: the trace text of tracefs and of the
// tools on top of it, and the "ksnap" snapshots of the allocators' lists that
// frame a capture. Its [Event] is also what kernsim's models emit, so that a
// simulated run can be written as a trace of a real kernel, opened by the tools
// people have, and compared with a real trace by the same code.
//
// # Trace text
//
// One line is one event. What stands before the event's name depends on who
// wrote the text; a [Reader] takes each line for itself, so a file may mix
// them:
//
//	              sh-149     [002] d..1.    43.996563: NAME: FIELDS      trace, trace_pipe
//	              sh-149     (    148) [002] d..1.    43.996563: ...     with record-tgid
//	       trace-cmd-7215  [003] 17300.726318: NAME:         FIELDS      trace-cmd report
//	rcu_tort-70        1dNh3. 10607789211us : NAME: FIELDS               latency tracers, ftrace dumps
//	            perf  6429 [000]    22.498450:      kmem:NAME: FIELDS    perf script
//	979.417057183 [003] NAME: FIELDS                                     converted LTTng and CTF traces
//
// The latency columns ([Flags]) are four, five or, with PREEMPT_RT's patches,
// seven. Times are seconds with six or nine decimals, whole microseconds, or a
// bare count of a trace clock like "counter" ([Stamp]). A task's name may
// contain anything, dashes, blanks and brackets too. Lines of the function
// tracer, system calls, stacks and reports of lost events are events of their
// own [Kind]; comments and blank lines are passed over. Any other line is a
// [ParseError]: nothing is skipped unseen. So is a last line without its end,
// because the file may have been cut in the middle of a number.
//
// Known events have a payload with the kernel's field names: one struct for
// similar events, in whose field comments stands which of them fill it. Where
// kernels and tools print the same event differently (a decimal pfn, a missing
// field, trace-cmd's own form of sched_switch, LTTng's quotes), the payload is
// the same. The text is always kept whole in Event.Args, for unknown events,
// for fields that a newer kernel adds, and for writing it again; [Fields] takes
// any text apart. [Reader.Counts] tells how often each event occurred, known or
// not.
//
// Reading allocates nothing after the first events: texts are interned in
// bounded tables, lines are bounded ([MaxLine]), and the usual layouts of the
// frequent events are read in one pass. [Reader.Select] passes over events
// that are not wanted, at more than twice the speed.
//
// A [Writer] writes tracefs text as a 6.1 kernel prints it, header included.
// Traces of 6.1 and 6.12 kernels that go through Reader and Writer come out
// the same to the byte, even when every text is formatted anew from its
// payload.
//
// # Snapshots
//
// A ksnap text has, line by line, the zones with their free lists, per-CPU
// lists and pageblock types, then the slab caches with their per-CPU slabs,
// partial lists, sheaves and barns, then every slab:
//
//	ksnap 1 seq= kernel= page_shift= pageblock_order= max_order= nr_pcp_lists= page_offset=
//	zone node= name= start_pfn= spanned= present= managed= min= low= high= promo= boost= lowmem_reserve= highatomic=
//	free order=O mt=M: PFN PFN ...
//	nr_free order= n=
//	pcp cpu= count= high= batch= free_factor=
//	pcplist cpu= pindex=I: PFN ...
//	pageblocks first_pfn= n= mt=
//	cache name= ptr= size= object_size= ...
//	random_seq: I I ...
//	cpuslab cpu= slab=ADDR freelist: ADDR ...
//	cpupartial cpu= slabs=N: ADDR ...
//	sheaf cpu= kind= size=N: ADDR ...
//	nodepartial node= nr=N: ADDR ...
//	barn nr_full=N, barnsheaf full size=N: ADDR ..., barn nr_empty=N
//	slab pfn= order= cache= inuse= objects= frozen= freelist: ADDR ...
//	slabtime st0= st1=
//	end seq=
//
// Snapshots of the real 6.18 machine have further fields: when and inside
// which allocation each part was read, and the limits of auto-tuned per-CPU
// lists. [ReadSnapshot] reads both forms and checks that what is said twice
// agrees and that no page is in two lists. [ReadSnapshotExtra] reads the zone
// counters that some captures have beside a snapshot. Snapshot.WriteTo and
// SnapshotExtra.WriteTo write the texts again, to the byte.
//
// # Errors
//
// Every reader reports broken input as a [ParseError] with file, line, what
// was found and what was expected. Damaged or cut gzip data is one too.
// Memory is bounded for traces and grows with the text's length, never with a
// number in it, for snapshots.
package trace
