// Package vmalloc says how the vmalloc family serves a request: how many pages
// it maps, when kvmalloc takes them instead of contiguous ones ([PlanOf]), and
// where they are mapped ([Space]). It mirrors mm/vmalloc.c of Linux 6.1 and reads
// and writes /proc/vmallocinfo.
//
//   - vmalloc maps as many pages as the size has, rounded up, one by one.
//   - kvmalloc asks kmalloc first, whose largest size is 4 MiB, and vmalloc where
//     that cannot serve. Then it may map large pages: a size of at least one is rounded
//     up to whole ones (2 MiB on x86_64).
//   - A size of 0 is refused by vmalloc; kvmalloc gives kmalloc's ZERO_SIZE_PTR.
//   - An area has a guard page behind it. It lies at the lowest place that fits;
//     with an alignment beyond a page, in the lowest hole that fits wherever it begins.
//   - What is freed gives its pages back at once, its place only when freed areas
//     are purged: when they come to more than 32 MiB for each bit of the number of
//     CPUs, or nothing else is left (lazy_max_pages, purge_vmap_area_lazy).
//
// Left out: the cache of two thread stacks that each CPU has, blocks of
// vm_map_ram, holes that fit only by luck of their
// alignment (the kernel takes one if its tree leads past it).
package vmalloc

import "fmt"

// Page sizes of x86_64 and of arm64 with 4 KiB pages, in bytes.
const (
	PageSize      = 4 << 10
	LargePageSize = 2 << 20
)

// Call is a function of the family.
type Call uint8

// The calls.
const (
	Vmalloc Call = iota
	Kvmalloc
)

// Plan is how a request is served.
type Plan struct {
	// Contiguous says that kmalloc serves it, from a slab cache or as pages.
	Contiguous bool
	Pages      uint64 // mapped by vmalloc; 0 if Contiguous
	Large      bool   // mapped by large pages
}

// SizeError is a size that cannot be served.
type SizeError struct {
	Size uint64
	Why  string
}

// Error names size and reason.
func (e *SizeError) Error() string { return fmt.Sprintf("vmalloc: size %d: %s", e.Size, e.Why) }

// PlanOf says how a call serves a size. maxKmalloc is KMALLOC_MAX_SIZE; total
// are the machine's pages, of which no request can have more.
func PlanOf(call Call, size, maxKmalloc, total uint64) (Plan, error) {
	pages := size/PageSize + min(size%PageSize, 1)
	switch {
	case call == Kvmalloc && size <= maxKmalloc:
		return Plan{Contiguous: true}, nil
	case size == 0:
		return Plan{}, &SizeError{size, "vmalloc of 0 bytes gives NULL"}
	case pages > total:
		return Plan{}, &SizeError{size, "more pages than there are"}
	case call == Kvmalloc && size >= LargePageSize:
		return Plan{Pages: (size + LargePageSize - 1) / LargePageSize * (LargePageSize / PageSize), Large: true}, nil
	}
	return Plan{Pages: pages}, nil
}
