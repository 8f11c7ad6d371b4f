// Package pgtable builds and walks page tables as the CPU's table walker and
// the kernel do, with the entries' real bits: x86_64 with 4 and 5 levels, x86
// with 32-bit entries and with PAE, arm64 with all page sizes, ARMv7 with short
// descriptors and with LPAE.
//
//	t, err := pgtable.New(pgtable.X86_64(4), source)
//	err = t.Map(0x400000, 0x1234000, 4096, pgtable.User|pgtable.Write)
//	phys, fault := t.Access(0x400123, pgtable.AccessWrite|pgtable.AccessUser)
//	for _, step := range t.Walk(0x400123, nil) { ... } // level, index, entry's address and value
//
// A virtual address is cut into an index for each level, and the offset in the page:
//
//	x86_64, 4 levels   47..39  38..30  29..21  20..12  11..0
//	                   PGD     PUD     PMD     PTE     offset
//
// An entry is empty, a table (the physical address of the next level's), a leaf (a page,
// or at upper levels a block of 2 MiB, 1 GiB, ...), or holds what the kernel put there
// while the page is swapped out.
//
// # Rules
//
//   - Tables are pages of a source (the page allocator), taken when the first entry of their range is
//     made and given back with the last (free_pgtables). ARMv7's short descriptors keep two
//     tables and the kernel's copies of both in one page.
//   - x86: a right has to be given at every level, no-execute at none; present, accessed and dirty
//     are set by the CPU. A fault has the page fault's error code.
//     Tables have all rights, the kernel's too, but for those that a block of the kernel was split into.
//   - The direct map takes the largest block that address and memory allow; x86 maps the first MiB as a whole.
//   - arm64, LPAE: writable but clean is read-only with the kernel's own write bit, so that the
//     first write sets dirty: by the CPU (arm64 with hardware management, DBM), or by a fault. A fault has the
//     status code with the level.
//   - arm64: runs of entries with the contiguous bit are one block: changes of a part of it are refused,
//     as the kernel would have to unfold it.
//   - A TLB remembers translations by address space until they are flushed or replaced; stale ones stay in use.
//
// # Evidence
//
// testdata/tables.txt has the page tables of three running x86_64 kernels (6.1, emulated; 4 and 5 levels,
// with and without blocks of 1 GiB), read from memory. Every entry of user space and of the
// direct map is written as it was read; the direct map built from the machine's memory has every
// entry of the captured one, once the blocks that the kernel split are split and the rights that it
// changed are changed. The other formats' bits follow headers and manuals.
//
// # Left out
//
// Physical addresses of 52 bits on arm64, protection keys, encryption bits, memory
// types but normal memory, page table isolation, user and kernel of one arm64
// process as one object (they are two, as TTBR0 and TTBR1 are), accessed and dirty
// with short descriptors, where the kernel keeps them in its copy.
package pgtable
