package slab

import (
	"fmt"
	"slices"

	"github.com/kernsim/kernsim/buddy"
)

// Cache is a slab cache, struct kmem_cache: objects of one size.
type Cache struct {
	a *Allocator
	// slow says that the short cuts of Alloc and Free do not suffice, see
	// setSlow.
	slow bool
	// cpus are the CPUs' slabs and lists.
	cpus []cpuSlab
	// size is layout.Size.
	size   uint64
	layout Layout
	// magic is 2^64/layout.Size rounded up, to divide by the size.
	magic uint64
	// redLeft is layout.RedLeftPad.
	redLeft uint32
	// debug says that any debugging flag is set: no CPU slabs, every object is
	// handed out one by one.
	debug bool
	// contents says that slabs have bytes.
	contents bool
	// usesCPUPartial says that CPUs have partial lists.
	usesCPUPartial bool
	nodes          []nodeLists
	// order is the shuffled order of a new slab's objects, nil if not shuffled.
	order []uint16
	// key obfuscates free pointers.
	key uint64
	// slots are unused places in Allocator.slabs.
	slots   []slabID
	sheaves *sheafState

	name     string
	aliases  []string
	params   Params
	refcount int
	// defragRatio is remote_node_defrag_ratio, in thousandths.
	defragRatio int
	destroyed   bool
}

// cpuSlab is struct kmem_cache_cpu.
type cpuSlab struct {
	// links are the CPU slab's links and base the address of its first object:
	// copies that save looking the slab up. Without a slab links is nil.
	links []objIndex
	base  uint64
	// slab is the CPU's slab and free its lockless free list.
	slab slabID
	free objIndex
	// partial is the first slab of the CPU's partial list.
	partial slabID
	stats   [NumStats]uint32
}

// Create makes a cache: kmem_cache_create. If a like cache exists and merging
// is allowed, that one is returned with one user more. The error is a
// *CreateError.
func (a *Allocator) Create(p Params) (*Cache, error) {
	if err := a.config.checkParams(&p); err != nil {
		return nil, err
	}
	if p.Flags&Kmalloc != 0 {
		return nil, &CreateError{p.Name, "SLAB_KMALLOC is not permitted"}
	}
	p.Flags &^= ignoredAtCreation
	if p.UserSize == 0 {
		if c := a.findMergeable(&p); c != nil {
			c.merge(&p)
			return c, nil
		}
	}
	align := a.config.calculateAlignment(p.Flags, p.Align, p.Size)
	return a.create(p, align)
}

// create makes a cache of its own: create_cache.
func (a *Allocator) create(p Params, align uint32) (*Cache, error) {
	l, err := a.config.open(&p, align, a.config.Debug.apply(p.Name, p.Flags))
	if err != nil {
		return nil, err
	}
	c := a.newCache(p, l)
	if a.config.FreelistHardened {
		c.key = a.random.Long() >> (64 - 8*a.config.WordSize) // get_random_long
	}
	if a.config.FreelistRandom {
		c.order = shuffledOrder(a.random, a.config.Profile.RandomBelow, l.Objects)
	}
	a.caches = append(a.caches, c)
	return c, nil
}

// newCache fills a cache's fields.
func (a *Allocator) newCache(p Params, l Layout) *Cache {
	c := &Cache{
		a: a, layout: l, size: uint64(l.Size), magic: ^uint64(0)/uint64(l.Size) + 1, redLeft: l.RedLeftPad,
		debug: l.Flags&DebugFlags != 0, name: p.Name, params: p, refcount: 1, defragRatio: 1000,
		cpus:  make([]cpuSlab, a.config.CPUsPossible),
		nodes: make([]nodeLists, a.config.Nodes),
	}
	c.contents = a.config.Contents || c.debug
	c.usesCPUPartial = a.config.CPUPartial && !c.debug
	for i := range c.cpus {
		c.cpus[i].free = noObject
	}
	if p.SheafCapacity > 0 && !c.debug {
		c.sheaves = newSheafState(p.SheafCapacity, a.config.CPUsPossible)
	}
	c.setSlow()
	return c
}

// setSlow sets Cache.slow: something has to be done to each object, or someone
// wants to know of it.
func (c *Cache) setSlow() {
	c.slow = c.contents || c.sheaves != nil || c.destroyed || c.a.hook != nil || c.a.charging
}

// unmergeable is slab_unmergeable.
func (c *Cache) unmergeable() bool {
	return c.a.config.NoMerge || c.layout.Flags&neverMerge != 0 || c.params.Ctor != nil || c.params.UserSize != 0 ||
		c.refcount < 0 || c.sheaves != nil
}

// findMergeable is find_mergeable: the oldest cache that can hold the objects
// and wastes less than a word of each.
func (a *Allocator) findMergeable(p *Params) *Cache {
	if a.config.NoMerge || p.Ctor != nil || p.HasFreePtrOffset || p.SheafCapacity > 0 {
		return nil
	}
	size := alignUp(p.Size, a.config.WordSize)
	align := a.config.calculateAlignment(p.Flags, p.Align, size)
	size = alignUp(size, align)
	flags := a.config.Debug.apply(p.Name, p.Flags)
	if flags&neverMerge != 0 {
		return nil
	}
	for _, c := range a.caches {
		l := &c.layout
		if c.unmergeable() || size > l.Size || l.Size-size >= a.config.WordSize ||
			flags&mergeSame != l.Flags&mergeSame || l.Size&(align-1) != 0 {
			continue
		}
		return c
	}
	return nil
}

// merge adds a user: __kmem_cache_alias.
func (c *Cache) merge(p *Params) {
	c.refcount++
	c.aliases = append(c.aliases, p.Name)
	c.layout.ObjectSize = max(c.layout.ObjectSize, p.Size)
	c.layout.Inuse = max(c.layout.Inuse, alignUp(p.Size, c.a.config.WordSize))
}

// Name is the cache's name in /proc/slabinfo: that of its first user.
func (c *Cache) Name() string { return c.name }

// Aliases are the names of caches that were merged into this one.
func (c *Cache) Aliases() []string { return slices.Clone(c.aliases) }

// Layout is how the cache places objects.
func (c *Cache) Layout() Layout { return c.layout }

// Params is what the cache was asked for by its first user.
func (c *Cache) Params() Params { return c.params }

// RefCount is the number of users; -1 for a cache that never merges.
func (c *Cache) RefCount() int { return c.refcount }

// Order is the shuffled order in which a new slab's objects are linked, nil if
// it is not shuffled.
func (c *Cache) Order() []uint16 { return slices.Clone(c.order) }

// InUse counts the objects in use. It walks all slabs of the allocator. Debugged
// caches count by their slabs' counters, which damage can make wrong.
func (c *Cache) InUse() uint64 {
	var n uint64
	for i := range c.a.slabs {
		s := &c.a.slabs[i]
		switch {
		case s.cache != c || s.addr == 0:
		case c.debug:
			n += uint64(s.inuse)
		default:
			for _, l := range s.links[:s.objects] {
				if l == inUse {
					n++
				}
			}
		}
	}
	return n
}

// check says whether a call makes sense.
func (c *Cache) check(cpu buddy.CPU, node buddy.NodeID) error {
	if c.destroyed {
		return misuse(Destroyed, 0, c)
	}
	return c.a.checkPlace(cpu, node)
}

// String names the cache with its layout.
func (c *Cache) String() string {
	return fmt.Sprintf("%s: %d of %d bytes, %d in 2^%d pages", c.name, c.layout.ObjectSize, c.layout.Size, c.layout.Objects, c.layout.Order)
}
