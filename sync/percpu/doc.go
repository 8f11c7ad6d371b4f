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
// # Mirrored
//
// pcpu_build_alloc_info, pcpu_embed_first_chunk, pcpu_alloc and pcpu_free_area of
// mm/percpu.c in Linux 6.1. Areas are found first fit, as there; the hints that make
// it fast, and with them the choice among areas that a hint hides, are left out, as
// are atomic allocation, the depopulation of chunks, and memcg accounting.
package percpu
