// Package rival has other object allocators behind one small interface, to
// compare Linux's SLUB with: the kernel's own former ones, and three that
// programs in user space use.
//
//	name        what it is                                            source
//	slub-5.4    SLUB of package slab                                  mm/slub.c, 5.4
//	slub-6.1    the same                                              mm/slub.c, 6.1
//	slub-6.18   the same                                              mm/slub.c, 6.18
//	sheaves     6.18's SLUB with a sheaf of 32 on each CPU for        mm/slub.c, 6.18
//	            every size (there it is the caches' choice)
//	slab        Bonwick's slabs with per-CPU and shared arrays        mm/slab.c, 6.1 (removed in 6.8)
//	slob        first fit in pages of three kinds                     mm/slob.c, 6.1 (removed in 6.4)
//	go          size classes, spans, a span on each P                 runtime/mksizeclasses.go, malloc.go, Go 1.20 and on
//	jemalloc    size classes, slabs without rest, thread caches       jemalloc 5.3: sc.c, tcache.c, arena.c
//	tcmalloc    size classes, thread caches that grow, central lists  gperftools 2.10: common.cc, thread_cache.cc, central_freelist.cc
//
// All of them serve requests for a size on a CPU (a thread of user space is
// taken for a CPU) and take objects back on any CPU. Sizes are bytes. What an
// allocator holds ([Allocator.Footprint]) are whole pages, those of slabs with
// free objects too; address space that it does not use does not count.
//
// # Rules
//
// SLAB: a CPU's array of at most 120, 54, 24 or 8 objects (by size: up to 256,
// 1024, 4096 bytes, above); half as many move at a time. On several CPUs an
// array of 8 such batches is shared. Below them are slabs: partial ones first,
// then free ones. More than (1 + CPUs) batches and a slab of free objects give
// slabs back. The smallest order (at most 1) whose rest is at most an eighth;
// the index of free objects lies in a free object, outside, or behind the
// objects; slabs begin at ever other colours.
//
// SLOB: units of 2 bytes; three lists of pages with room (requests below 256,
// below 1024, others); the first page and the first place in it that fits; the
// search goes on next time where it found something. Each kmalloc object has its
// size in front of it; powers of two are aligned to themselves. An empty page
// goes back at once. From a page on, whole orders.
//
// Go: classes of up to 32 KiB in spans of 8 KiB pages whose rest is at most an
// eighth; the lowest free place behind the last one given out; a full span is
// exchanged for a partly free one of the central list, or a new one. There is
// no garbage collector here: an object is free at once when it is freed, and an
// empty span that no CPU holds goes back.
//
// jemalloc: four classes to each doubling; slabs of the smallest number of pages
// without a rest; the lowest free region of the slab with the lowest address.
// A thread caches twice a slab's regions of a class, at least 20, at most 200;
// half of that is filled and flushed at a time. Sizes from 16 KiB on have pages
// of their own, and one more, by which their start is shifted (not modelled
// here: only its room is).
//
// tcmalloc: classes whose spans of 8 KiB pages leave at most an eighth over and
// hold a quarter of a batch at least; a thread's list of a class may become
// longer the more often it is filled, and shorter when it is too long again and
// again; central lists keep up to 16 whole batches for other threads.
//
// Left out: what a timer or a garbage collector does to caches (SLAB's reaping,
// jemalloc's decay, tcmalloc's scavenging by size), NUMA nodes but for SLUB,
// Go's tiny allocator, and the memory for the allocators' own structures.
package rival

import (
	"errors"
	"fmt"
	"slices"

	"github.com/kernsim/kernsim/slab"
)

// Allocator is an object allocator of a machine with some CPUs. It need not be
// safe for concurrent use.
type Allocator interface {
	// Alloc gives an object of at least size bytes, 1 or more, on a CPU. The
	// error is [ErrNoMemory], or a SizeError.
	Alloc(cpu int, size uint64) (addr uint64, err error)
	// Free takes an object back, on any CPU. The error is a FreeError; then
	// nothing changes.
	Free(cpu int, addr uint64) error
	// Usable is how many bytes an object has, 0 for an address that is none.
	Usable(addr uint64) uint64
	// Footprint is how many bytes of pages are held now.
	Footprint() uint64
	// Stats counts since the start.
	Stats() Stats
	// Check proves the invariants.
	Check() error
}

// Stats counts what an allocator did.
type Stats struct {
	// Locks is how often a lock that CPUs share was taken, Local how many
	// requests and frees needed none.
	Locks, Local uint64
	// PageAllocs and PageFrees are the blocks of pages taken and given back.
	PageAllocs, PageFrees uint64
}

// Config describes a machine.
type Config struct {
	// CPUs, or threads; 0 means 1.
	CPUs int
	// Pages is where the kernel's allocators get their pages; nil means 4 GiB
	// without a page allocator behind them.
	Pages slab.PageSource
}

func (c Config) cpus() int { return max(c.CPUs, 1) }

func (c Config) pages() slab.PageSource {
	if c.Pages != nil {
		return c.Pages
	}
	return slab.NewLinearPages(1, 1<<20)
}

// Named is an allocator with what to know about it.
type Named struct {
	// Name is short: "slub-6.1".
	Name string
	// About says in a line what it is; Source where it is described.
	About, Source string
	New           func(Config) (Allocator, error)
}

// All lists the allocators.
func All() []Named {
	return slices.Clone(all)
}

var all = []Named{
	{"slub-5.4", "Linux's SLUB", "Linux 5.4, mm/slub.c", func(c Config) (Allocator, error) { return newSLUB(c, slab.Linux5_4, 0) }},
	{"slub-6.1", "Linux's SLUB", "Linux 6.1, mm/slub.c", func(c Config) (Allocator, error) { return newSLUB(c, slab.Linux6_1, 0) }},
	{"slub-6.18", "Linux's SLUB", "Linux 6.18, mm/slub.c", func(c Config) (Allocator, error) { return newSLUB(c, slab.Linux6_18, 0) }},
	{"sheaves", "SLUB with a sheaf of 32 objects on each CPU", "Linux 6.18, mm/slub.c", func(c Config) (Allocator, error) { return newSLUB(c, slab.Linux6_18, 32) }},
	{"slab", "Linux's SLAB: arrays of objects on each CPU", "Linux 6.1, mm/slab.c", newSLAB},
	{"slob", "Linux's SLOB: first fit", "Linux 6.1, mm/slob.c", newSLOB},
	{"go", "the Go runtime's spans", "Go 1.20, runtime/mksizeclasses.go and malloc.go", newGo},
	{"jemalloc", "slabs without a rest, thread caches", "jemalloc 5.3, sc.c, tcache.c, arena.c", newJemalloc},
	{"tcmalloc", "thread caches that grow, central lists", "gperftools 2.10, common.cc, thread_cache.cc", newTCMalloc},
}

// ErrNoMemory says that there are no more pages.
var ErrNoMemory = errors.New("rival: out of memory")

// SizeError says that no object can have a size.
type SizeError struct {
	Allocator string
	Size      uint64
}

// Error names allocator and size.
func (e *SizeError) Error() string {
	return fmt.Sprintf("rival: %s: no object of %d bytes", e.Allocator, e.Size)
}

// FreeError is a free of something that is no object in use.
type FreeError struct {
	Allocator string
	Addr      uint64
	// Twice: it was an object, and is free.
	Twice bool
}

// Error says what was freed.
func (e *FreeError) Error() string {
	if e.Twice {
		return fmt.Sprintf("rival: %s: object %#x is free already", e.Allocator, e.Addr)
	}
	return fmt.Sprintf("rival: %s: %#x is no object", e.Allocator, e.Addr)
}

// CheckError says that an allocator's state is broken.
type CheckError struct{ Allocator, What string }

// Error says what is wrong.
func (e *CheckError) Error() string { return "rival: " + e.Allocator + ": " + e.What }

// maxSize is the largest request that anybody is asked for: 1 GiB.
const maxSize = 1 << 30
