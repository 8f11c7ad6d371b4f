// Package bench answers what-if questions: what would another allocation
// strategy have done with the same requests?
//
// # The parts
//
// A [Strategy] is a page allocator with three methods: Start, Alloc, Free. A
// [Workload] is a machine and a stream of operations ([Op]): a capture's own
// request stream ([FromCapture]), a seeded generator ([Mix]), or recorded requests
// ([FromPageTrace], [FromLLFreeTrace], [FromMallocTrace]). [Run] drives one
// strategy with one stream; [Compare] runs strategies x seeds side by side on
// several cores and gives medians with confidence intervals, paired on the
// same streams, and goes on where it was interrupted ([DirCache]).
//
//	workload --Op--> runner --Alloc, Free--> strategy
//	                   |  ^------ PFN ----------'
//	                   v
//	            map of pages in use ---> checker, fragmentation over time
//
// # What is measured, and by whom
//
// The runner keeps its own map of the pages in use and measures fragmentation
// there, by the same rule for all strategies: a free block is an aligned block
// of 2^order pages of which none is in use, wherever the strategy keeps it (on
// a free list, in a per-CPU cache, in a bitmap). The two indexes are the
// kernel's (fragmentation_index and unusable_free_index in mm/vmstat.c),
// computed from these blocks. What only a strategy knows (splits, merges, lock
// acquisitions and the work under them, hits in per-CPU caches and the pages
// there, words scanned) it tells as [Counters].
//
// # The checker
//
// A strategy that gives out a page that is in use or not the machine's, or a
// block that is cut off by the end of memory, is stopped and named: a
// [*StrategyError]. At the end of a run everything is freed and taken again
// until nothing is left: pages that don't come back were lost. The result of a
// wrong strategy is an error, never a row in a table.
//
// # The exact baseline
//
// A capture's stream goes to the kernel's own strategy (linux-6.1 for a capture
// of 6.1) with everything that the trace tells besides the requests: drains
// that other CPUs asked for, kswapd's state, claims. Its lists at the end are
// compared with the kernel's, element by element; [Result.ListsIdentical] says
// how many are equal. A capture whose replay has a known limit has no exact baseline.
// Other strategies get the requests alone.
//
// # Left out
//
// Strategies other than Linux's see one range of memory: requests that must
// come from the DMA zone or a certain node are served from anywhere. That
// flatters them on machines with small zones. Reclaim and compaction are not
// simulated: a request that fails, fails. Workloads other than captures are
// shapes chosen for contrast, not measurements of a real machine; each says so.
package bench
