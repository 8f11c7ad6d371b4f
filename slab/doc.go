// Package slab is SLUB, the Linux kernel's slab allocator, as a library: caches,
// kmalloc, debugging with the kernel's reports, and its files under /proc and
// /sys. Given the same machine, state and requests it gives the same object
// addresses as the kernel, in the same order, and its lists end up the same,
// element by element; package replay shows it against captures of real kernels.
// It mirrors mm/slub.c and mm/slab_common.c.
//
// # A machine
//
// [New] makes the allocator of a [Config] with the caches of kmalloc; pages come
// from a [PageSource]: the page allocator ([BuddyPages]), or plain numbers
// ([NewLinearPages]). [Restore] makes one with the caches and slabs of a snapshot.
// A [Profile] is a kernel version's policy as named values: [Linux5_4], [Linux6_1],
// [Linux6_12], [Linux6_18].
//
// # Where an object lies
//
// The rules of a cache's [Layout] (calculate_sizes, calculate_order):
//
//   - The object is rounded up to words; red zone, free pointer, tracks and left
//     red zone follow as the flags ask; all of it is rounded up to the alignment. The
//     free pointer lies in the middle of the object, or at its end if the object must
//     not be written to while it is free (constructor, poison, RCU).
//   - A slab has the smallest order that wastes at most 1/16 of it, else 1/8, 1/4,
//     1/2, with at least as many objects as the number of CPUs asks for.
//   - Like caches are one ([Allocator.Create]): same flags, alignment that fits, less
//     than a word of difference. Caches with constructor, user-copy region, debugging
//     or RCU are not merged (find_mergeable).
//
// # How objects move
//
//		              head                          head
//		CPU's list ----------> in use    in use ----------> CPU's list, if it is of the CPU's slab
//		     ^                              |
//		     | whole list                   +-------------> the slab's own list, else
//		slab's own list                                          |
//		     ^                                     was full: to the CPU's partial slabs, or the node's
//		     | first slab                          now empty: given back, if the node has min_partial
//		CPU's partial slabs  <--- first slabs, up to half of what a CPU may have ---  node's partial slabs
//		                                                       none: a new slab
//
//	  - Allocation takes the CPU's free list, then what others have freed into its slab,
//	    then the CPU's first partial slab, then the node's first one, then another node's,
//	    then pages: ___slab_alloc.
//	  - A free into a slab that is not the CPU's goes to the head of that slab's list. A
//	    slab that was full goes to the CPU's partial slabs; a full such list (counted
//	    in slabs) first goes to the node, to the tail: __slab_free, put_cpu_partial.
//	  - A new slab's objects are in a cache's random order from a start that is drawn
//	    for each slab (CONFIG_SLAB_FREELIST_RANDOM), else ascending.
//	  - Bulk requests take the CPU's list as far as it goes and refill in between;
//	    bulk frees are sorted into chains of a slab, looking back at most three objects:
//	    build_detached_freelist.
//	  - Since 6.18 a cache may have sheaves: arrays of objects of each CPU before all of
//	    this, with a barn of full and empty ones on each node.
//
// # kmalloc
//
// Sizes go up to the next of 8, 16, 32, 64, 96, 128, 192, 256, ... 8192 bytes that
// the architecture's smallest size and alignment allow, of a type by the flags (normal,
// reclaimable, DMA, accounted); larger ones are pages of a power of two, up to 4 MiB.
//
// # Debugging
//
// With slub_debug ([DebugOption], for all caches or some) objects have bytes:
// poison, red zones, tracks. A use after free, an overrun, a double free is found
// when the kernel would find it, and the [ReportError] has the kernel's text; what
// the kernel repairs is repaired.
//
// # Units, errors, cost
//
// Addresses are those of the direct map, sizes bytes. Misuse is a [*MisuseError] that
// names the kernel's report and leaves the allocator as it was; without pages the
// error is [ErrNoMemory]. [Allocator.Check] proves all invariants. An [Allocator] is
// a plain value without goroutines, clock or hidden randomness: draws come from
// [Config.Random]. Operations allocate nothing on the heap once a cache's slabs have been used.
//
// # Left out
//
// KASAN and KFENCE, CPU and memory hotplug, object accounting's own vectors, random kmalloc caches (6.6), allocation profiling.
// Getting another node's slabs depends on a draw where the kernel reads the cycle
// counter.
package slab
