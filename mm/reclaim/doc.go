// Package reclaim takes back pages in use: the lists that they are on, kswapd,
// direct reclaim, swap. It mirrors mm/vmscan.c, mm/swap.c, mm/workingset.c and the
// counts of mm/swapfile.c of Linux 6.1. [Memory] plugs into the slow path of a
// [buddy.Allocator]; its parts can be used alone:
//
//	Balance    sizes of the four lists, costs, swappiness, priority  ->  pages to scan
//	Costs      what bringing back anonymous and file pages has cost lately
//	Clock      age of evictions: refault distance against the working set's size
//	SwapMap    users of each swap slot
//
// # The lists
//
// Each node has four: inactive and active, of anonymous pages and of files.
//
//		        new          touched, and referenced before          tail of active
//		page  ------->  head of inactive  ------------------->  head of active ----+
//		                     ^    |                                                |
//		     touched once ---+    +--> tail: taken, or written and taken next      |
//		                     ^                                                     |
//		                     +------------- inactive is too short -----------------+
//
//	  - A page enters the inactive list's head with its CPU's next batch of 15
//	    (folio_add_lru). A second access by a system call makes it active
//	    (mark_page_accessed); one through a page table is seen when reclaim comes to it.
//	  - At the tail a page that was touched stays; it becomes active if it was
//	    referenced before, or is program text (folio_check_references).
//	  - An anonymous page gets a slot of swap and is written; a file's dirty page is
//	    left to the flusher and becomes active meanwhile (shrink_folio_list).
//	  - Active pages become inactive, touched or not, but for program text
//	    (shrink_active_list), where there are too few inactive ones or pages came back.
//	  - A page that comes back, and would have stayed had the inactive list the active
//	    one's room too, is active at once (workingset_refault).
//
// # Who reclaims
//
//   - kswapd, woken by a request that found no zone above its low watermark or
//     boosted one, scans until a zone is above its high watermark. For a boost alone it
//     does not write or swap, and stops after as many pages; the boosts that it
//     found are lowered then (balance_pgdat).
//   - A request that finds no zone above the min watermark takes 32 pages itself, the
//     lists' 4096th part first, then twice as much, up to all (do_try_to_free_pages).
//   - Both ask the shrinkers at every step, and go on for a block of a high order
//     while they get pages (should_continue_reclaim).
//
// Units are pages. Lists are numbered as the kernel does. Writing takes no time: what
// is written for reclaim is at the tail when the batch is done.
//
// Left out: cgroups' own lists ([mm/memcg] charges), the multi-generational LRU,
// throttling, huge pages, unevictable pages. Compaction is in [mm/compaction], which
// moves the pages on these lists.
//
// [mm/compaction]: https://pkg.go.dev/github.com/kernsim/kernsim/mm/compaction
// [mm/memcg]: https://pkg.go.dev/github.com/kernsim/kernsim/mm/memcg
package reclaim
