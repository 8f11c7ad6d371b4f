// Package advise says which of the kernel's allocation interfaces fits a need,
// why, and what it costs: cache, order, bytes that are lost.
//
// The rules are those of Documentation/core-api/memory-allocation.rst and of the
// allocators themselves (kmalloc's caches and sizes by package slab, power-of-two
// orders by the page allocator, kvmalloc's fallback rules):
//
//	at boot                          memblock_alloc
//	one copy a CPU                   alloc_percpu
//	device and CPU share it          dma_alloc_coherent; dma_pool_alloc for many small
//	must not fail                    mempool
//	many of one size                 kmem_cache_alloc, if that loses less than kmalloc
//	up to two pages                  kmalloc
//	whole pages                      alloc_pages; alloc_pages_exact where the order loses much
//	above, needs not be contiguous   kvmalloc (tries kmalloc first); vmalloc above what kmalloc can
//	above, contiguous                kmalloc with an order; above the largest order alloc_contig_pages
//
// Who must not sleep gets GFP_ATOMIC, and no vmalloc. Sizes are bytes.
package advise

import (
	"fmt"
	"math/bits"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/slab"
)

// Lifetime says how long memory is kept.
type Lifetime uint8

// Lifetimes.
const (
	// Free: until the code gives it back.
	Free Lifetime = iota
	// Device: as long as a driver is bound.
	Device
	// Boot: from boot on, for ever, before the allocators run.
	Boot
)

// Lifetimes lists the lifetimes' names.
var Lifetimes = []string{"free", "device", "boot"}

// Need is what somebody needs memory for.
type Need struct {
	// Size of one piece, in bytes.
	Size uint64 `json:"size"`
	// Count is how many pieces of this size there will be at a time; 0 for one.
	Count uint64 `json:"count,omitempty"`
	// Atomic: the caller must not sleep (interrupt, spinlock held).
	Atomic bool `json:"atomic,omitempty"`
	// Contiguous: the physical pages have to be adjacent.
	Contiguous bool `json:"contiguous,omitempty"`
	// DMA: a device reads or writes it. Coherent: it and the CPU do so at the
	// same time. DMA32: the device cannot reach above 4 GiB.
	DMA      bool `json:"dma,omitempty"`
	Coherent bool `json:"coherent,omitempty"`
	DMA32    bool `json:"dma32,omitempty"`
	// Pages: whole pages are wanted, page-aligned.
	Pages bool `json:"pages,omitempty"`
	Zero  bool `json:"zero,omitempty"`
	// PerCPU: each CPU has its own copy.
	PerCPU bool `json:"percpu,omitempty"`
	// MustSucceed: it is needed to make progress, as in writing pages out.
	MustSucceed bool `json:"must_succeed,omitempty"`
	// Account: user space can make the kernel ask for any amount.
	Account  bool     `json:"account,omitempty"`
	Lifetime Lifetime `json:"lifetime,omitempty"`
}

// Advice is what to call, and what comes of it.
type Advice struct {
	API string `json:"api"`
	// GFP are the flags to give, "" if the interface takes none.
	GFP    string `json:"gfp,omitempty"`
	Reason string `json:"reason"`
	// Cache is the slab cache that serves it, with its object size, slab order
	// and objects in a slab; empty without one.
	Cache      string `json:"cache,omitempty"`
	ObjectSize uint32 `json:"object_size,omitempty"`
	Objects    uint32 `json:"objects_per_slab,omitempty"`
	// Order is of the block of pages asked from the page allocator: the slab's,
	// or the piece's.
	Order int `json:"order"`
	// Allocated is what one piece takes, and Waste what it does not use of
	// that, in bytes. A slab's unused end counts with its objects, rounded down.
	Allocated uint64 `json:"allocated"`
	Waste     uint64 `json:"waste"`
	// Warnings are what to mind.
	Warnings []string `json:"warnings,omitempty"`
}

// Error is a need that no interface serves. Errno is what the kernel says.
type Error struct{ Errno, What string }

func (e *Error) Error() string { return "advise: " + e.What + ": " + e.Errno }

// Advisor knows a kernel's allocators.
type Advisor struct {
	config slab.Config
	caches *slab.Allocator
}

// New makes an advisor for a kernel and machine. The error is slab's for a
// faulty configuration.
func New(c slab.Config) (*Advisor, error) {
	a, err := slab.New(c, slab.NewLinearPages(c.Nodes, 1<<14))
	if err != nil {
		return nil, err
	}
	return &Advisor{c, a}, nil
}

// Limits of interfaces, in bytes.
const (
	// maxPerCPU is the most that one alloc_percpu gives (PCPU_MIN_UNIT_SIZE).
	maxPerCPU = 32 << 10
	// maxSize is what an address space could hold.
	maxSize = 1 << 46
	// costlyOrder: above it the kernel gives up soon (PAGE_ALLOC_COSTLY_ORDER).
	costlyOrder = 3
	// manyPieces is from how many on a cache of one's own pays.
	manyPieces = 1000
)

func (a *Advisor) page() uint64     { return 1 << a.config.PageShift }
func (a *Advisor) maxBlock() uint64 { return 1 << (a.config.PageShift + a.config.MaxPageOrder) }

// Advise says what to call. The error is an [Error]: EINVAL for what makes no
// sense, ENOMEM for what cannot be had.
func (a *Advisor) Advise(n Need) (Advice, error) {
	if err := a.validate(&n); err != nil {
		return Advice{}, err
	}
	adv := a.choose(&n)
	adv.Waste = adv.Allocated - n.Size
	if adv.GFP == "" && adv.API != "alloc_percpu" && adv.API != "memblock_alloc" && adv.API != "vmalloc" && adv.API != "vzalloc" {
		adv.GFP = gfp(&n)
	}
	a.warn(&n, &adv)
	return adv, nil
}

func (a *Advisor) validate(n *Need) error {
	switch {
	case n.Size == 0:
		return &Error{"EINVAL", "a size of 0 bytes"}
	case n.Lifetime > Boot:
		return &Error{"EINVAL", fmt.Sprintf("lifetime %d", n.Lifetime)}
	case n.Size > maxSize:
		return &Error{"ENOMEM", fmt.Sprintf("%d bytes are more than the kernel can map", n.Size)}
	case n.PerCPU && n.Size > maxPerCPU:
		return &Error{"EINVAL", fmt.Sprintf("%d bytes a CPU: alloc_percpu gives at most %d", n.Size, maxPerCPU)}
	case n.PerCPU && (n.DMA || n.Contiguous):
		return &Error{"EINVAL", "per-CPU memory for a device"}
	case n.Atomic && n.Lifetime == Boot:
		return &Error{"EINVAL", "nothing is atomic before the allocators run"}
	case n.Atomic && n.Size > a.maxBlock():
		return &Error{"ENOMEM", fmt.Sprintf("%d bytes without sleeping: the largest block has %d; allocate it before", n.Size, a.maxBlock())}
	}
	return nil
}

func (a *Advisor) choose(n *Need) Advice {
	switch {
	case n.Lifetime == Boot:
		return Advice{API: "memblock_alloc", Reason: "before the page allocator runs only memblock has memory; it is never lost to rounding", Allocated: n.Size}
	case n.PerCPU:
		return Advice{API: "alloc_percpu", Reason: "a copy for each CPU, without locks or shared cache lines", Allocated: align(n.Size, 8)}
	case n.Coherent:
		return a.coherent(n)
	case n.MustSucceed:
		adv := a.kmallocOrPages(n)
		adv.API, adv.Reason = "mempool_alloc", "a reserve set aside before guarantees progress; filled from "+adv.API
		return adv
	case n.Count >= manyPieces && n.Size <= a.page() && !n.Pages:
		return a.cache(n)
	}
	return a.kmallocOrPages(n)
}

// coherent advises about memory that a device and the CPU use together.
func (a *Advisor) coherent(n *Need) Advice {
	if n.Size <= a.page()/2 && n.Count > 1 {
		return Advice{API: "dma_pool_alloc", Reason: "small pieces of coherent memory: dma_alloc_coherent gives whole pages", Allocated: align(n.Size, 8)}
	}
	order := a.order(n.Size)
	return Advice{API: "dma_alloc_coherent", Reason: "mapped so that device and CPU see the same at any time; takes the device's mask and CMA into account",
		Order: order, Allocated: align(n.Size, a.page())}
}

// cache advises about many pieces of one size: a cache of their own, or
// kmalloc's if that loses no more.
func (a *Advisor) cache(n *Need) Advice {
	common := a.kmalloc(n)
	layout, err := a.config.Layout(slab.Params{Name: "own", Size: uint32(n.Size), Flags: slab.HWCacheAlign})
	if err != nil {
		return common
	}
	own := fromLayout(&layout, a.page())
	if common.API != "kmalloc" || own.Allocated >= common.Allocated {
		common.Reason = "kmalloc's cache fits: one of your own would lose as much"
		return common
	}
	own.API, own.Cache = "kmem_cache_alloc", "(your own: kmem_cache_create)"
	own.Reason = fmt.Sprintf("many of one size: %d bytes each; kmalloc would take %d", own.Allocated, common.Allocated)
	return own
}

// fromLayout is the cost of an object of a cache. The unused end of a slab is
// shared by its objects.
func fromLayout(l *slab.Layout, page uint64) Advice {
	return Advice{ObjectSize: l.ObjectSize, Objects: l.Objects, Order: l.Order, Allocated: page << l.Order / uint64(l.Objects)}
}

// kmallocOrPages advises about one piece.
func (a *Advisor) kmallocOrPages(n *Need) Advice {
	contiguous := n.Contiguous || n.DMA || n.Atomic
	switch {
	case n.Size > a.maxBlock() && contiguous:
		return Advice{API: "alloc_contig_pages", Order: a.order(n.Size), Allocated: align(n.Size, a.page()),
			Reason: "adjacent pages above the largest block: made by migrating what is in the way; or reserve CMA"}
	case n.Size > a.maxBlock():
		return a.vmalloc(n)
	case n.Pages && (contiguous || n.Size <= a.page()):
		return a.pages(n)
	case n.Size > a.page() && !contiguous:
		adv := a.kmalloc(n)
		adv.API = "kvmalloc"
		adv.Reason = "need not be contiguous: kmalloc if a block is at hand, else vmalloc, which takes single pages"
		return adv
	}
	return a.kmalloc(n)
}

// vmalloc advises about what no block can hold.
func (a *Advisor) vmalloc(n *Need) Advice {
	adv := Advice{API: "vmalloc", Reason: "larger than the largest block: single pages, mapped side by side", Allocated: align(n.Size, a.page())}
	if n.Zero {
		adv.API = "vzalloc"
	}
	return adv
}

// pages advises about whole pages.
func (a *Advisor) pages(n *Need) Advice {
	order := a.order(n.Size)
	adv := Advice{API: "alloc_pages", Order: order, Allocated: a.page() << order, Reason: "whole pages, adjacent, aligned to the block"}
	if exact := align(n.Size, a.page()); exact < adv.Allocated {
		adv.API, adv.Allocated = "alloc_pages_exact", exact
		adv.Reason = fmt.Sprintf("an order-%d block of %d bytes, its end given back at once", order, a.page()<<order)
	}
	return adv
}

// kmalloc advises about kmalloc, from a cache or, above, from pages.
func (a *Advisor) kmalloc(n *Need) Advice {
	c := a.caches.KmallocCache(n.Size, flags(n))
	if c == nil {
		order := a.order(n.Size)
		return Advice{API: "kmalloc", Order: order, Allocated: a.page() << order,
			Reason: "contiguous; above two pages kmalloc takes a block from the page allocator"}
	}
	l := c.Layout()
	adv := fromLayout(&l, a.page())
	adv.API, adv.Cache, adv.Reason = "kmalloc", c.Name(), "small: an object of the nearest cache"
	return adv
}

func (a *Advisor) order(size uint64) int {
	return bits.Len64((size - 1) >> a.config.PageShift)
}

func align(n, to uint64) uint64 { return (n + to - 1) / to * to }

// flags are the GFP flags that choose the cache.
func flags(n *Need) buddy.GFP {
	g := buddy.GFPKernel
	if n.Account {
		g = buddy.GFPKernelAccount
	}
	return g
}

// gfp names the flags to give.
func gfp(n *Need) string {
	out := "GFP_KERNEL"
	switch {
	case n.Atomic && n.Account:
		out = "GFP_ATOMIC|__GFP_ACCOUNT"
	case n.Atomic:
		out = "GFP_ATOMIC"
	case n.Account:
		out = "GFP_KERNEL_ACCOUNT"
	}
	if n.Zero {
		out += "|__GFP_ZERO"
	}
	return out
}

// warn says what to mind.
func (a *Advisor) warn(n *Need, adv *Advice) {
	add := func(when bool, text string) {
		if when {
			adv.Warnings = append(adv.Warnings, text)
		}
	}
	blocks := adv.API != "kvmalloc" && adv.API != "vmalloc" && adv.API != "vzalloc"
	add(adv.Order > costlyOrder && blocks, fmt.Sprintf("order %d is above %d: it often fails once memory is fragmented; have a fallback", adv.Order, costlyOrder))
	add(n.Atomic && adv.Order > 0, "without sleeping nothing can be reclaimed or compacted: a block of several pages may not be there")
	add(n.Atomic && adv.API == "alloc_percpu", "alloc_percpu sleeps: allocate before")
	add(n.DMA && !n.Coherent, "map it with dma_map_single, and check dma_mapping_error")
	add(n.DMA32 && !n.Coherent, "set the device's mask with dma_set_mask; GFP_DMA32 does nothing for kmalloc")
	add(n.Lifetime == Device && adv.API == "kmalloc", "devm_kmalloc gives it back when the driver is unbound, for some bytes more")
	add(adv.Waste > n.Size/3 && adv.Waste > 64, fmt.Sprintf("%d of %d bytes are lost", adv.Waste, adv.Allocated))
	add(adv.API == "kvmalloc", "free it with kvfree")
}

// Table advises about each need; a need that nothing serves has its error in
// place of the interface.
func (a *Advisor) Table(needs []Need) []Advice {
	out := make([]Advice, len(needs))
	for i := range needs {
		adv, err := a.Advise(needs[i])
		if err != nil {
			adv = Advice{API: "none", Reason: err.Error()}
		}
		out[i] = adv
	}
	return out
}
