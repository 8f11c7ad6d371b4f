// Package buddy is the Linux kernel's page allocator as a library: zones with
// free areas, per-CPU page lists, fallback between migrate types, watermarks and
// reserves, the slow path, contiguous allocation. Given the same machine, state
// and requests it gives the same page frames as the kernel, in the same order,
// and its lists end up the same, element by element; package replay shows it
// against captures of real kernels.
//
// # A machine
//
// [NewMachine] boots a [Machine] (memory map, CPUs, NUMA nodes, settings) the way
// a kernel does: zones, min_free_kbytes, watermarks, lowmem reserves and per-CPU
// limits are computed, then the free memory is handed over. [New] makes an
// allocator from a [Config] whose limits are known, for example from a snapshot,
// and [Allocator.Restore] fills its lists. A [Profile] is a kernel version's
// policy as named values: [Linux5_4], [Linux6_1], [Linux6_12], [Linux6_18].
//
// # How pages move
//
//	             refill: batch, appended              allocate: head
//	free areas ----------------------------> per-CPU -----------------> in use
//	of a zone  <----------------------------  lists  <-----------------
//	             drain: from the tails, round robin      free: head
//	     ^                                                                |
//	     +------- orders without a per-CPU list, merged with buddies -----+
//
// The rules, with the kernel functions they are found in:
//
//   - A request finds its highest zone by its flags, its zonelist by its node,
//     and takes the first zone whose low watermark holds: get_page_from_freelist.
//     In a Normal zone with a DMA32 zone below, the first round takes nothing
//     smaller than a pageblock from other migrate types: ALLOC_NOFRAGMENT.
//   - Orders 0 to 3 and the pageblock order go through the CPU's lists
//     (rmqueue_pcplist): the head is given out; an empty list is refilled with
//     batch >> order blocks, appended in the order in which the zone gives them.
//   - The zone gives the head of the smallest order that has a block of the type;
//     what is split off goes to the heads of the lower orders, largest first:
//     __rmqueue_smallest, expand.
//   - Without a block of the type, the largest block of another type is taken,
//     with as much of its pageblock as the rules allow; movable requests that may
//     not take the pageblock take the smallest: __rmqueue_fallback until 6.9,
//     __rmqueue_claim and __rmqueue_steal later.
//   - A freed block goes to the head of the CPU's list of its pageblock's type;
//     when the list reaches high, a number that grows with the frees in a row is
//     drained, from the tails, list after list, beginning with the one freed to:
//     free_unref_page_commit, free_pcppages_bulk. The type given back to is the
//     one noted at the free (6.1) or the pageblock's now (6.10 and later).
//   - Merging goes up as long as the buddy is free and of the same order; the
//     block goes to the head of its list, or to the tail if the next-higher buddy
//     is free, because then it will likely merge again soon: __free_one_page.
//   - Movable requests take CMA blocks first while over half of the free pages are
//     CMA, and as their first fallback otherwise: __rmqueue.
//   - Counters that watermarks read lag behind by what each CPU has not folded:
//     __mod_zone_page_state.
//
// # What the kernel prints
//
// The allocator prints its state as the kernel's files and reports show it, byte
// for byte: [Allocator.Buddyinfo], [Allocator.Pagetypeinfo], [Allocator.Zoneinfo],
// [Allocator.VMStat] (the rows about pages), [Allocator.ExtfragIndex],
// [Allocator.UnusableFreeIndex], [Allocator.MemInfo] and
// [Allocator.FailureReport]. Rows and fields follow the profile's version
// ([ProcFormat]); counters that belong to others come in a [MemStats].
//
// # Units, errors, cost
//
// Sizes are pages, addresses are page frame numbers ([PFN]), unless said
// otherwise. Misuse (double free, wrong order, a page from outside) is a
// [*PageError] that names the kernel's report and leaves the allocator as it was;
// a request without memory is an [*AllocError]. [Allocator.Check] proves all
// invariants. An [Allocator] is a plain value: no goroutines, no clock, no
// randomness; the same calls give the same result on every machine.
//
// A page costs 16 bytes once it was used, by sections of 32,768 pages; free blocks
// of the highest order cost 16 bytes together, so that a machine of 1 TiB that has
// just booted takes a few megabytes. Operations allocate nothing on the heap, but
// for per-CPU lists that grow to a new length.
//
// # Left out
//
// Memory hotplug, cpusets, node reclaim, shuffled free lists, guard pages
// (debug_pagealloc) and page reporting are not modelled. What the slow path calls
// outside of the allocator (kswapd, reclaim, compaction, the OOM killer) is for
// the caller to give as [Pressure].
package buddy
