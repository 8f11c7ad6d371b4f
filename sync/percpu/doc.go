// Package percpu models per-CPU memory: how the first chunk is laid out at boot, a
// dynamic allocator of per-CPU variables, and, by counting, what sharing a cache
// line costs.
//
// # Idea
//
// A per-CPU variable is one offset; CPU c's copy lies at base + c*unit + offset. A
// chunk is one unit for every CPU: allocating takes the same offset in all of them.
//
//	chunk:  | unit of CPU 0 | unit of CPU 1 | ...
//	unit:   | static | reserved | dynamic ......|    (first chunk)
//
// The cost of memory is counted by [Cache]: each CPU has the lines that it used, in
// one of the states modified, exclusive, shared, invalid (MESI). A miss on a line
// that was taken away by another CPU's store to other bytes of it is false sharing.
//
// # Rules
//
//   - The map of a chunk has a bit for 4 bytes. Each page of it has hints: its largest
//     free area, a smaller one before that, what is free at both ends, the first free
//     grain; the chunk as a whole has them, too.
//   - Chunks lie in slots by the size of their largest free area. A request looks through
//     the slots from its own size up; a chunk comes to the front of a slot when it gains,
//     to the end when it loses. A nearly full chunk that fails a request is put aside
//     until something in it is freed.
//   - In a chunk the first area that the hints show is taken; of two equally large ones
//     the hints keep the better aligned. Hints may promise too little: then a request goes
//     to another chunk although it would fit.
//   - A request that may not sleep takes only from pages that have memory.
//   - When a quarter of a chunk's pages is wholly free, and others have enough for such
//     requests, the memory of those pages is taken back; the chunk is then used only if
//     no other can serve.
//   - The chunk's own hint is not raised by a free of less than a page, but in its first
//     page: the kernel takes a place in a page for one in the chunk. So a chunk may be
//     passed over although it could serve; a kernel's percpu_stats show such a chunk.
//   - Of wholly free chunks one is kept.
//
// # Mirrored
//
// pcpu_build_alloc_info, pcpu_embed_first_chunk, pcpu_alloc, pcpu_free_area and the
// hints of mm/percpu.c in Linux 6.1, mm/percpu-stats.c. [Tracker] replays a kernel's
// trace of percpu:* events: of chunks that the trace creates every area is where the
// kernel took it (captures/percpu, Linux 6.18 on real hardware).
//
// # Left out
//
// The worker that takes pages' memory back, and gives pages memory for requests that may
// not sleep, does so at once here; memcg accounting.
package percpu
