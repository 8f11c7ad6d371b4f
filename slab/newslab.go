package slab

import (
	"fmt"
	"math"

	"github.com/kernsim/kernsim/buddy"
)

// Flags that a slab's page request keeps of the object's: GFP_RECLAIM_MASK and
// GFP_CONSTRAINT_MASK.
const slabGFPMask = buddy.GFPReclaim | buddy.GFPHigh | buddy.GFPIO | buddy.GFPFS | buddy.GFPNoWarn |
	buddy.GFPRetryMayFail | buddy.GFPNoFail | buddy.GFPNoRetry | buddy.GFPMemalloc | buddy.GFPNoMemalloc |
	buddy.GFPAtomicFlag | buddy.GFPNoLockdep | buddy.GFPHardwall | buddy.GFPThisNode

// pageFlags are the flags that a cache adds to its page requests (allocflags).
func (c *Cache) pageFlags() buddy.GFP {
	var g buddy.GFP
	f := c.layout.Flags
	if c.layout.Order > 0 || c.a.config.Profile.FreezeOnlyCPUSlab {
		g |= buddy.GFPComp
	}
	if f&CacheDMA != 0 {
		g |= buddy.GFPDMA
	}
	if f&CacheDMA32 != 0 {
		g |= buddy.GFPDMA32
	}
	if f&ReclaimAccount != 0 {
		g |= buddy.GFPReclaimable
	}
	return g
}

// PageGFP are the flags with which the pages of a new slab are asked for, by
// an object request with flags gfp: first for a slab of the usual order, then,
// if that fails, for the smallest one.
func (c *Cache) PageGFP(gfp buddy.GFP) (first, second buddy.GFP) {
	second = gfp&slabGFPMask | c.pageFlags()
	first = (second | buddy.GFPNoWarn | buddy.GFPNoRetry) &^ buddy.GFPNoFail
	if first&buddy.GFPDirectReclaim != 0 && c.layout.Order > c.layout.MinOrder {
		first = (first | buddy.GFPNoMemalloc) &^ buddy.GFPReclaim
	}
	return first, second
}

// newSlab is new_slab: pages cut into free objects. The slab is on no list.
func (c *Cache) newSlab(cpu buddy.CPU, gfp buddy.GFP, node buddy.NodeID) (slabID, error) {
	first, second := c.PageGFP(gfp)
	order, objects := c.layout.Order, c.layout.Objects
	pfn, err := c.a.source.AllocPages(first, buddy.Order(order), node, cpu)
	if err != nil {
		order, objects = c.layout.MinOrder, c.layout.MinObjects
		if pfn, err = c.a.source.AllocPages(second, buddy.Order(order), node, cpu); err != nil {
			return 0, c.noMemory(err)
		}
		c.cpus[cpu].stats[OrderFallback]++
	}
	if err := c.a.checkGiven(pfn, order); err != nil {
		return 0, err
	}
	id := c.newSlot()
	c.setup(id, pfn, order, objects)
	return id, c.chargeSlab(cpu, gfp, id)
}

// checkGiven checks what a page source gave: pages that are in use here are not
// taken, nor those without an address in the direct map (32 bits have not many).
func (a *Allocator) checkGiven(pfn buddy.PFN, order int) error {
	if a.pages.at(uint64(pfn)) != 0 {
		return fmt.Errorf("slab: the page source gave page frame %d, which is in use", pfn)
	}
	if end := a.config.PageOffset + (uint64(pfn)+1<<order)<<a.config.PageShift - 1; a.config.WordSize == 4 && end > math.MaxUint32 {
		return fmt.Errorf("slab: the page source gave page frame %d, which has no address of 32 bits", pfn)
	}
	return nil
}

// setup makes a slab of a block of pages.
func (c *Cache) setup(id slabID, pfn buddy.PFN, order int, objects uint32) {
	a := c.a
	s := &a.slabs[id]
	s.addr = a.config.PageOffset + uint64(pfn)<<a.config.PageShift
	s.order, s.objects, s.inuse, s.frozen, s.place = int8(order), uint16(objects), 0, false, nowhere
	s.node = int16(a.source.PageNode(pfn))
	a.pages.set(pfn, order, id, id)
	n := &c.nodes[s.node]
	n.slabs++
	n.objects += uint64(objects)
	c.linkObjects(s)
	if c.contents {
		c.fillNew(s)
	}
}

// linkObjects makes the free list of a new slab: in the cache's shuffled order
// from a random place on, or by address.
func (c *Cache) linkObjects(s *slabMeta) {
	n := uint32(s.objects)
	if len(c.order) < 2 || n < 2 {
		for i := range n - 1 {
			s.links[i] = objIndex(i + 1)
		}
		s.free, s.links[n-1] = 0, noObject
		return
	}
	start := min(c.a.random.Start(c, s.addr, uint32(len(c.order))), uint32(len(c.order)-1))
	// Slabs smaller than usual leave out the objects that they do not have.
	prev := noObject
	for i := range uint32(len(c.order)) {
		at := start + i
		if at >= uint32(len(c.order)) {
			at -= uint32(len(c.order))
		}
		obj := c.order[at]
		if uint32(obj) >= n {
			continue
		}
		if prev == noObject {
			s.free = obj
		} else {
			s.links[prev] = obj
		}
		prev = obj
	}
	s.links[prev] = noObject
}

// discard gives a slab's pages back: discard_slab. It must be on no list.
func (c *Cache) discard(cpu buddy.CPU, id slabID) {
	a := c.a
	s := &a.slabs[id]
	n := &c.nodes[s.node]
	n.slabs--
	n.objects -= uint64(s.objects)
	c.unchargeSlab(cpu, id)
	if c.debug {
		c.checkFreed(cpu, id)
	}
	s = &a.slabs[id]
	pfn, order := buddy.PFN(a.pfnOf(s.addr)), s.order
	a.pages.set(pfn, int(order), 0, 0)
	c.dropSlot(id)
	if a.deferRCU && c.layout.Flags&TypesafeByRCU != 0 {
		a.graveyard = append(a.graveyard, pageBlock{pfn, order})
		return
	}
	a.freePages(cpu, pfn, order)
}

// freePages gives pages back. The source cannot refuse what it gave out, unless
// a caller frees its pages behind the allocator's back; Check tells.
func (a *Allocator) freePages(cpu buddy.CPU, pfn buddy.PFN, order int8) {
	if err := a.source.FreePages(pfn, buddy.Order(order), cpu); err != nil && a.debug.sourceErr == nil {
		a.debug.sourceErr = err
	}
}
