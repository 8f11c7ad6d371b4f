package slab

import (
	"fmt"

	"github.com/kernsim/kernsim/buddy"
)

// Allocator is the slab allocator of a simulated machine: its caches, among
// them those of kmalloc. It is a plain value without goroutines; it must not
// be used from several goroutines at once.
type Allocator struct {
	config Config
	source PageSource
	random Random
	// caches in the order of creation; the kernel's list is the reverse. A
	// destroyed cache leaves it.
	caches []*Cache
	slabs  []slabMeta // slot 0 stays empty
	pages  pageMap
	// pageOffset and pageShift are the configuration's.
	pageOffset uint64
	pageShift  uint

	kmalloc kmallocTable
	// hook sees the tracepoints, nil if nobody does.
	hook func(Event)
	// memcg is charged for accounted objects, nil without memory cgroups.
	memcg Memcg
	// charging says that there ever were memory cgroups, so that objects may be
	// charged.
	charging bool
	debug    debugState
	// graveyard are blocks of slabs that wait for a grace period, if deferRCU.
	graveyard []pageBlock
	deferRCU  bool
	// largePages counts the pages of kmalloc's large requests.
	largePages uint64
}

type pageBlock struct {
	pfn   buddy.PFN
	order int8
}

// New makes the allocator of a machine as it is after kmem_cache_init: with
// the caches of kmalloc and no slab. The error is that of [Config.Validate].
func New(c Config, source PageSource) (*Allocator, error) {
	a, err := newEmpty(c, source)
	if err != nil {
		return nil, err
	}
	if err := a.createKmallocCaches(); err != nil {
		return nil, err
	}
	return a, nil
}

// newEmpty makes an allocator without any cache.
func newEmpty(c Config, source PageSource) (*Allocator, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if source == nil {
		return nil, &ConfigError{"source", "nil", "a page source"}
	}
	if c.Random == nil {
		c.Random = NewSeededRandom(0)
	}
	a := &Allocator{config: c, source: source, random: c.Random, slabs: make([]slabMeta, 1, 64),
		pageOffset: c.PageOffset, pageShift: uint(c.PageShift)}
	a.kmalloc.init(&a.config)
	a.pages.forget()
	a.debug.init()
	return a, nil
}

// Config gives the configuration.
func (a *Allocator) Config() Config { return a.config }

// Caches lists the caches in the order of creation.
func (a *Allocator) Caches() []*Cache { return append([]*Cache(nil), a.caches...) }

// Cache finds a cache by its name or the name of one merged into it; nil if
// there is none.
func (a *Allocator) Cache(name string) *Cache {
	for _, c := range a.caches {
		if c.name == name {
			return c
		}
		for _, n := range c.aliases {
			if n == name {
				return c
			}
		}
	}
	return nil
}

// CacheOf gives the cache whose slab an address is in, nil if it is in none.
func (a *Allocator) CacheOf(addr uint64) *Cache {
	if id := a.slabAt(addr); id != 0 {
		return a.slabs[id].cache
	}
	return nil
}

// nodeOf is the NUMA node of a CPU.
func (a *Allocator) nodeOf(cpu buddy.CPU) buddy.NodeID {
	if len(a.config.CPUNode) == 0 {
		return 0
	}
	return a.config.CPUNode[cpu]
}

// checkPlace says whether CPU and node exist.
func (a *Allocator) checkPlace(cpu buddy.CPU, node buddy.NodeID) error {
	switch {
	case cpu < 0 || int(cpu) >= a.config.CPUsPossible:
		return &MisuseError{Kind: NoCPU, Addr: uint64(cpu)}
	case node != buddy.NoNode && (node < 0 || int(node) >= a.config.Nodes):
		return &MisuseError{Kind: NoNode, Addr: uint64(node)}
	}
	return nil
}

// DeferRCU says whether the pages of TypesafeByRCU caches wait for
// [Allocator.EndGracePeriod] when their slabs are discarded, as in the kernel.
// Without it they are freed at once.
func (a *Allocator) DeferRCU(on bool) { a.deferRCU = on }

// EndGracePeriod frees the pages of slabs that were discarded before, oldest
// first, on the CPU that runs the callbacks. It returns how many slabs.
func (a *Allocator) EndGracePeriod(cpu buddy.CPU) (int, error) {
	list := a.graveyard
	a.graveyard = nil
	for i, b := range list {
		if err := a.source.FreePages(b.pfn, buddy.Order(b.order), cpu); err != nil {
			return i, fmt.Errorf("slab: %w", err)
		}
	}
	return len(list), nil
}
