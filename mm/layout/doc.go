// Package layout says where everything is in a kernel's virtual address space:
// the split between user and kernel, the kernel's segments, what is drawn at
// random (KASLR, ASLR), and how kernel addresses, physical addresses and
// struct page addresses are converted.
//
//	c := layout.Config{Arch: layout.X86_64, Memory: []layout.PhysRange{{0, 4 << 30}}}
//	l, err := layout.New(c)
//	fmt.Print(l)                         // the segments, top down
//	phys, err := l.VirtToPhys(0xffff888000001000)
//
// A Layout is what the kernel fixes at build time and at boot; a Process is
// what one execve draws within it.
//
//	ffffffff ffffffff  +-----------+
//	                   | kernel    |  fixmap, modules, vmalloc, vmemmap, direct map, ...
//	                   +-----------+  PAGE_OFFSET, or the end of a non-canonical hole
//	                   | (hole)    |
//	                   +-----------+  TASK_SIZE
//	                   | user      |  stack, mmap area (top down), heap, program
//	                 0 +-----------+
//
// # Rules
//
//   - x86_64: fixed bases for 4 and 5 levels. With KASLR three of them (direct
//     map, vmalloc, vmemmap) move: kernel_randomize_memory takes what the regions leave
//     free up to the CPU entry area, and gives each in turn a share of it drawn by
//     the generator of prandom_seed_state, in steps of 1 GiB. All three follow from
//     32 bits of seed. The kernel image moves within 1 GiB in steps of the physical alignment,
//     and the first module by 1 to 1,024 pages.
//   - arm64: all follows from VA bits, page size and the size of struct page; the
//     direct map is the lower half, everything else the upper. 5.4, 6.1 and 6.12 arrange the upper
//     end differently (package tests list them). KASLR moves the image and, where the
//     direct map is larger than the CPU's physical addresses, the physical start.
//   - 32 bits: PAGE_OFFSET is a choice of the build. Low memory is mapped from there up to
//     high_memory; vmalloc gets the rest, and at least its reserve.
//   - Processes: mmap_base lies below the stack's limit, a guard gap and the most that the stack
//     may be moved, at least 128 MiB and at most 5/6 of the address space below the top.
//     randomize_va_space 0 draws nothing, 1 stack, mmap, vdso and PIE programs, 2 the heap too.
//
// # Evidence
//
// testdata/boots.txt has 12 boots of Debian's 6.1 in an emulator (x86_64 with 4 and 5 levels, x86 with
// and without PAE), with the ranges of /proc/kcore; testdata/maps.txt what processes of those and of a
// real machine (6.18) saw. All are equal. For every boot with KASLR there is a seed of 32 bits from which
// the model gives all three bases, which for 5 levels can be no chance: more than 60 bits are drawn.
// arm64 and arm are compared with the book's machines, and struct page addresses with those of traces (x86_64
// with 5 levels and arm64). arm64's KASLR and processes, arm's processes, and 5.4 and 6.12 of arm64 follow the kernel's
// headers without a capture to compare with.
//
// # Left out
//
// KMSAN, EFI mappings of 32-bit kernels, Xen, the module area of arm64 around the
// image (6.12 has two windows), KASLR of x86 with 32 bits, arm without MMU or with XIP. The size of the fixmap and
// of the CPU entry area depends on the build's options, and is a parameter.
package layout
