package slab

import (
	"math/bits"

	"github.com/kernsim/kernsim/buddy"
)

// slabID is the number of a slab in Allocator.slabs; 0 is no slab.
type slabID int32

// objIndex is the number of an object in its slab, or one of the marks.
type objIndex = uint16

const (
	// noObject ends a free list.
	noObject objIndex = 0xffff
	// inUse marks, in the links of a slab, an object that is in use.
	inUse objIndex = 0xfffe
)

// place says on which list a slab is.
//
//	          first allocation               used up
//	new slab -----------------> onCPU ----------------------> nowhere (full)
//	                            |  ^                               |
//	                 deactivate |  | taken                  a free |
//	                            v  |                               v
//	discarded <--- empty --- onNode <---- list too long ---- onCPUPartial
//	                            |                               |
//	                            +---- a refill takes several -->+---> onCPU
type place uint8

const (
	// nowhere: all objects are in use, or the slab was taken off its list.
	nowhere place = iota
	// onCPU: a CPU's slab; frozen.
	onCPU
	// onCPUPartial: on a CPU's partial list; frozen before 6.8.
	onCPUPartial
	// onNode: on its node's partial list.
	onNode
	// onFull: on its node's full list, which only caches with StoreUser have.
	onFull
)

var placeNames = [...]string{"nowhere", "CPU slab", "CPU partial list", "node partial list", "node full list"}

func (p place) String() string { return placeNames[p] }

// slabMeta is struct slab: a block of pages cut into objects. Its slot in
// Allocator.slabs is used again by the same cache when the slab is gone.
type slabMeta struct {
	// addr is the address of its first byte; 0 in a slot that is not used.
	addr  uint64
	cache *Cache
	// magic is the cache's, where it is found without looking the cache up.
	magic uint64
	// links[i] is the free object after object i, noObject, or inUse. Free
	// objects that are on no list (a bulk free under way) are never seen.
	// Debugged caches keep their free list in the objects instead (see raw).
	links []objIndex
	// next and prev link the node's list, next also a CPU's partial list.
	next, prev slabID
	// slabs counts the list that begins with this slab, in the first one of a
	// CPU's partial list: slabs, or before 5.16 free objects.
	slabs int32
	// free is the first object of the regular free list.
	free objIndex
	// inuse counts objects in use. A CPU's slab has all of them in use but
	// those on its regular list.
	inuse, objects uint16
	node           int16
	order          int8
	frozen         bool
	place          place
	// mem are the slab's bytes, nil if the cache has no contents.
	mem []byte
	// objcg[i] is who is charged for object i, 0 for nobody; nil if no object
	// was ever charged. objcgAddr is the kernel's vector, itself an object.
	objcg     []uint32
	objcgAddr uint64
	// raw is the free list of a debugged cache, as an address, which may have
	// become garbage.
	raw uint64
}

// objectAddr is the address of an object; pad is the cache's left red zone.
func (s *slabMeta) objectAddr(c *Cache, obj objIndex) uint64 {
	return s.addr + uint64(obj)*uint64(c.layout.Size) + uint64(c.redLeft)
}

// index gives the object that begins at an address; ok is false if none does.
func (s *slabMeta) index(c *Cache, addr uint64) (obj objIndex, ok bool) {
	off := addr - s.addr - uint64(c.redLeft)
	i, _ := bits.Mul64(off, s.magic)
	return objIndex(i), i < uint64(s.objects) && i*uint64(c.layout.Size) == off
}

// pageShards divide the map from pages to slabs, so that it costs memory only
// where slabs are.
const (
	pageShardShift = 12
	pageShardMask  = 1<<pageShardShift - 1
)

// pageMap says which slab or large block each page frame belongs to.
//
//	0   no object's page
//	> 0 the slab's number
//	< 0 large block: -1-order on its first page, pageTail on the others
type pageMap struct {
	shards []*[1 << pageShardShift]slabID
	// last is the page that was looked up last, lastID its entry: memory is
	// often freed to the page that the last was freed to.
	last   uint64
	lastID slabID
}

const pageTail slabID = -128

// at gives a page frame's entry.
func (m *pageMap) at(pfn uint64) slabID {
	if pfn != m.last {
		m.last, m.lastID = pfn, m.find(pfn)
	}
	return m.lastID
}

func (m *pageMap) find(pfn uint64) slabID {
	if i := pfn >> pageShardShift; i < uint64(len(m.shards)) && m.shards[i] != nil {
		return m.shards[i][pfn&pageShardMask]
	}
	return 0
}

// forget drops the memory of the last look-up.
func (m *pageMap) forget() { m.last, m.lastID = ^uint64(0), 0 }

// set enters a block.
func (m *pageMap) set(pfn buddy.PFN, order int, first, others slabID) {
	m.forget()
	for n := range uint64(1) << order {
		i := (uint64(pfn) + n) >> pageShardShift
		for i >= uint64(len(m.shards)) {
			m.shards = append(m.shards, nil)
		}
		if m.shards[i] == nil {
			m.shards[i] = new([1 << pageShardShift]slabID)
		}
		id := others
		if n == 0 {
			id = first
		}
		m.shards[i][(uint64(pfn)+n)&pageShardMask] = id
	}
}

// pfnOf is the page frame of an address; addresses below the direct map give
// frames beyond any machine's.
func (a *Allocator) pfnOf(addr uint64) uint64 {
	return (addr - a.config.PageOffset) >> a.config.PageShift
}

// slabAt is the slab that an address is in, 0 if it is in none.
func (a *Allocator) slabAt(addr uint64) slabID {
	return max(a.pages.at(a.pfnOf(addr)), 0)
}

// newSlot gives a cache a slot for a slab: one that it used before, or a new
// one.
func (c *Cache) newSlot() slabID {
	a := c.a
	if n := len(c.slots); n > 0 {
		id := c.slots[n-1]
		c.slots = c.slots[:n-1]
		return id
	}
	a.slabs = append(a.slabs, slabMeta{cache: c, magic: c.magic, links: make([]objIndex, max(c.layout.Objects, c.layout.MinObjects))})
	return slabID(len(a.slabs) - 1)
}

// dropSlot ends a slab's use of its slot; its pages belong to the caller.
func (c *Cache) dropSlot(id slabID) {
	s := &c.a.slabs[id]
	*s = slabMeta{cache: c, magic: c.magic, links: s.links, mem: s.mem[:0], objcg: s.objcg[:0]}
	c.slots = append(c.slots, id)
}

// nodeLists are a cache's lists on a NUMA node, struct kmem_cache_node.
type nodeLists struct {
	// partial has the slabs with free objects that no CPU has, full (only with
	// StoreUser) those without free ones.
	partial, full slabList
	// slabs and objects count all of the cache's on the node.
	slabs, objects uint64
	barn           barn
}

// slabList is a doubly linked list of slabs.
type slabList struct {
	first, last slabID
	n           int
}

func (l *slabList) addHead(slabs []slabMeta, id slabID, p place) {
	s := &slabs[id]
	s.place, s.prev, s.next = p, 0, l.first
	if l.first != 0 {
		slabs[l.first].prev = id
	} else {
		l.last = id
	}
	l.first = id
	l.n++
}

func (l *slabList) addTail(slabs []slabMeta, id slabID, p place) {
	s := &slabs[id]
	s.place, s.prev, s.next = p, l.last, 0
	if l.last != 0 {
		slabs[l.last].next = id
	} else {
		l.first = id
	}
	l.last = id
	l.n++
}

func (l *slabList) remove(slabs []slabMeta, id slabID) {
	s := &slabs[id]
	if s.prev != 0 {
		slabs[s.prev].next = s.next
	} else {
		l.first = s.next
	}
	if s.next != 0 {
		slabs[s.next].prev = s.prev
	} else {
		l.last = s.prev
	}
	s.place, s.prev, s.next = nowhere, 0, 0
	l.n--
}
