package slab

import (
	"math/bits"

	"github.com/kernsim/kernsim/buddy"
)

// Free gives an object of the cache back: kmem_cache_free. The error is a
// *MisuseError, and then nothing changed; in debugged caches, what the kernel
// itself finds is reported and repaired its way, and the error is a
// *ReportError.
func (c *Cache) Free(cpu buddy.CPU, addr uint64) error {
	a := c.a
	id := a.slabAt(addr)
	if id != 0 && a.slabs[id].cache == c && c.push(cpu, id, &a.slabs[id], addr) {
		return nil
	}
	if err := c.check(cpu, buddy.NoNode); err != nil {
		return err
	}
	if id == 0 {
		return misuse(NotSlab, addr, c)
	}
	if owner := a.slabs[id].cache; owner != c {
		if !owner.debug {
			return &MisuseError{WrongCache, addr, c.name, owner.name}
		}
		c.reportWrongCache(cpu, owner, addr)
		return owner.freeAt(cpu, id, addr)
	}
	if a.hook != nil {
		c.emitFree(EventCacheFree, cpu, addr)
	}
	return c.freeAt(cpu, id, addr)
}

// push frees an object by the short cut: if its slab is the CPU's and nothing
// else is to be done.
func (c *Cache) push(cpu buddy.CPU, id slabID, s *slabMeta, addr uint64) bool {
	if c.slow || uint(cpu) >= uint(len(c.cpus)) {
		return false
	}
	off := addr - s.addr
	obj, _ := bits.Mul64(off, s.magic)
	cs := &c.cpus[cpu]
	if cs.slab != id || obj >= uint64(len(s.links)) || obj*c.size != off || s.links[obj] != inUse {
		return false
	}
	s.links[obj], cs.free = cs.free, objIndex(obj)
	cs.stats[FreeFastpath]++
	return true
}

// freeAt frees the object at an address in a slab of the cache: slab_free.
func (c *Cache) freeAt(cpu buddy.CPU, id slabID, addr uint64) error {
	if c.debug {
		return c.freeDebug(cpu, id, addr)
	}
	s := &c.a.slabs[id]
	obj, ok := s.index(c, addr)
	if !ok {
		return misuse(InvalidFree, addr, c)
	}
	if s.links[obj] != inUse {
		return misuse(DoubleFree, addr, c)
	}
	c.unchargeObject(id, obj)
	if c.a.config.InitOnFree && c.contents {
		c.wipe(&c.a.slabs[id], obj)
	}
	if c.sheaves == nil || !c.freeToSheaf(cpu, id, obj) {
		c.giveBack(cpu, id, obj)
	}
	return nil
}

// giveBack puts a single object back into its slab.
func (c *Cache) giveBack(cpu buddy.CPU, id slabID, obj objIndex) {
	s := &c.a.slabs[id]
	cs := &c.cpus[cpu]
	if cs.slab == id {
		s.links[obj], cs.free = cs.free, obj
		cs.stats[FreeFastpath]++
	} else {
		s.links[obj] = s.free
	}
	if c.contents {
		c.writePointer(s, obj, s.links[obj])
	}
	if cs.slab != id {
		c.freeChain(cpu, id, obj, 1)
	}
}

// freeChain is __slab_free: a chain of n objects, whose last one is linked to
// the slab's first free one already, becomes the head of the slab's regular
// list. The slab is not this CPU's.
func (c *Cache) freeChain(cpu buddy.CPU, id slabID, head objIndex, n uint16) {
	s := &c.a.slabs[id]
	cs := &c.cpus[cpu]
	cs.stats[FreeSlowpath]++
	wasFull := s.free == noObject
	s.free = head
	s.inuse -= n
	switch {
	case s.frozen:
		cs.stats[FreeFrozen]++
	case wasFull && c.usesCPUPartial:
		c.putCPUPartial(cpu, id, true)
		cs.stats[CPUPartialFree]++
	case wasFull || s.inuse == 0:
		c.relist(cpu, id, wasFull)
	}
}

// relist puts a slab that was full onto its node's list, or takes one that
// became empty away if the node has enough.
func (c *Cache) relist(cpu buddy.CPU, id slabID, wasFull bool) {
	s := &c.a.slabs[id]
	if !wasFull && s.place != onNode {
		return // on a CPU's partial list, which is not frozen since 6.8
	}
	cs, n := &c.cpus[cpu], &c.nodes[s.node]
	if s.inuse == 0 && n.partial.n >= int(c.layout.MinPartial) {
		if !wasFull {
			n.partial.remove(c.a.slabs, id)
			cs.stats[FreeRemovePartial]++
		}
		cs.stats[FreeSlab]++
		c.discard(cpu, id)
		return
	}
	if wasFull {
		n.partial.addTail(c.a.slabs, id, onNode)
		cs.stats[FreeAddPartial]++
	}
}
