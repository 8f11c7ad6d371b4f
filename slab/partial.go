package slab

import "github.com/kernsim/kernsim/buddy"

// deactivate takes the CPU's slab away from it: deactivate_slab. Its free
// objects go back to the regular list; the slab goes to its node's list, or
// away if it is empty and the node has enough.
func (c *Cache) deactivate(cpu buddy.CPU) {
	a, cs := c.a, &c.cpus[cpu]
	id := cs.slab
	s := &a.slabs[id]
	toTail := s.free != noObject
	if toTail {
		cs.stats[DeactivateRemoteFrees]++
	}
	c.spliceFree(s, cs.free)
	cs.drop()
	s.frozen, s.place = false, nowhere
	n := &c.nodes[s.node]
	switch {
	case s.inuse == 0 && n.partial.n >= int(c.layout.MinPartial):
		cs.stats[DeactivateEmpty]++
		cs.stats[FreeSlab]++
		c.discard(cpu, id)
	case s.free == noObject:
		cs.stats[DeactivateFull]++
	case toTail:
		cs.stats[DeactivateToTail]++
		n.partial.addTail(a.slabs, id, onNode)
	default:
		cs.stats[DeactivateToHead]++
		n.partial.addHead(a.slabs, id, onNode)
	}
}

// spliceFree puts a CPU's free list before a slab's regular one.
func (c *Cache) spliceFree(s *slabMeta, head objIndex) {
	if head == noObject {
		return
	}
	tail := head
	s.inuse--
	for s.links[tail] != noObject {
		tail = s.links[tail]
		s.inuse--
	}
	s.links[tail] = s.free
	if c.contents {
		c.writePointer(s, tail, s.free)
	}
	s.free = head
}

// putCPUPartial puts a slab at the head of the CPU's partial list:
// put_cpu_partial. If drain is set and the list is full already, that goes to
// the nodes' lists first.
func (c *Cache) putCPUPartial(cpu buddy.CPU, id slabID, drain bool) {
	a, cs := c.a, &c.cpus[cpu]
	old, count, out := cs.partial, int32(0), slabID(0)
	if old != 0 {
		if drain && c.partialFull(a.slabs[old].slabs) {
			out, old = old, 0
		} else {
			count = a.slabs[old].slabs
		}
	}
	s := &a.slabs[id]
	if a.config.Profile.CPUPartial == CPUPartialObjects {
		count += int32(s.objects - s.inuse)
	} else {
		count++
	}
	s.slabs, s.next, s.prev, s.place = count, old, 0, onCPUPartial
	s.frozen = !a.config.Profile.FreezeOnlyCPUSlab
	cs.partial = id
	if out != 0 {
		c.putPartials(cpu, out)
		cs.stats[CPUPartialDrain]++
	}
}

// partialFull says whether a CPU's partial list takes no more.
func (c *Cache) partialFull(count int32) bool {
	if c.a.config.Profile.CPUPartial == CPUPartialObjects {
		return count > int32(c.layout.CPUPartial)
	}
	return count >= int32(c.layout.CPUPartialSlabs)
}

// putPartials moves a chain of slabs, which was a CPU's partial list, to the
// tails of their nodes' lists: __unfreeze_partials, since 6.8 __put_partials.
// Empty ones that the nodes do not need go away, the last one first.
func (c *Cache) putPartials(cpu buddy.CPU, id slabID) {
	a, cs := c.a, &c.cpus[cpu]
	discard := slabID(0)
	for id != 0 {
		s := &a.slabs[id]
		next := s.next
		s.frozen = false
		n := &c.nodes[s.node]
		if s.inuse == 0 && n.partial.n >= int(c.layout.MinPartial) {
			s.place, s.next = nowhere, discard
			discard = id
		} else {
			n.partial.addTail(a.slabs, id, onNode)
			cs.stats[FreeAddPartial]++
		}
		id = next
	}
	for discard != 0 {
		next := a.slabs[discard].next
		cs.stats[DeactivateEmpty]++
		cs.stats[FreeSlab]++
		c.discard(cpu, discard)
		discard = next
	}
}

// FlushCPU takes the CPU's slab and partial list away: flush_cpu_slab. Since
// 6.18 its sheaves are emptied first.
func (c *Cache) FlushCPU(cpu buddy.CPU) error {
	if err := c.check(cpu, buddy.NoNode); err != nil {
		return err
	}
	c.flushSheaves(cpu)
	cs := &c.cpus[cpu]
	if cs.slab != 0 {
		c.deactivate(cpu)
		cs.stats[CPUSlabFlush]++
	}
	if id := cs.partial; id != 0 {
		cs.partial = 0
		c.putPartials(cpu, id)
	}
	return nil
}

// Flush does FlushCPU for all CPUs, in their order: flush_all.
func (c *Cache) Flush() error {
	for cpu := range c.cpus {
		if err := c.FlushCPU(buddy.CPU(cpu)); err != nil {
			return err
		}
	}
	return nil
}

// shrinkPromoteMax is SHRINK_PROMOTE_MAX.
const shrinkPromoteMax = 32

// Shrink flushes all CPUs, discards empty slabs and sorts the nodes' lists so
// that the fullest slabs come first: kmem_cache_shrink. It returns how many
// slabs remain. cpu is the one that does it.
func (c *Cache) Shrink(cpu buddy.CPU) (uint64, error) {
	if err := c.check(cpu, buddy.NoNode); err != nil {
		return 0, err
	}
	if err := c.Flush(); err != nil {
		return 0, err
	}
	var left uint64
	for i := range c.nodes {
		c.flushBarn(cpu, buddy.NodeID(i))
		c.shrinkNode(cpu, &c.nodes[i])
		left += c.nodes[i].slabs
	}
	return left, nil
}

// shrinkNode takes the slabs with few free objects out and puts them back in
// front, those with the fewest first; slabs of the same number end up in
// reverse order, as moving each to the head of its list makes it. Empty ones
// are discarded, the last one of the list first.
func (c *Cache) shrinkNode(cpu buddy.CPU, n *nodeLists) {
	slabs := c.a.slabs
	var promote [shrinkPromoteMax]slabList
	var discard slabList
	for id := n.partial.first; id != 0; {
		s := &slabs[id]
		next := s.next
		switch free := int(s.objects - s.inuse); {
		case s.inuse == 0:
			n.partial.remove(slabs, id)
			discard.addHead(slabs, id, nowhere)
		case free <= shrinkPromoteMax:
			n.partial.remove(slabs, id)
			promote[free-1].addHead(slabs, id, nowhere)
		}
		id = next
	}
	for i := shrinkPromoteMax - 1; i >= 0; i-- {
		for promote[i].last != 0 {
			id := promote[i].last
			promote[i].remove(slabs, id)
			n.partial.addHead(slabs, id, onNode)
		}
	}
	for discard.first != 0 {
		id := discard.first
		discard.remove(slabs, id)
		c.discard(cpu, id)
	}
}

// Destroy ends a use of the cache, and with the last one the cache:
// kmem_cache_destroy. If objects are in use the error is ErrBusy and the cache
// stays, flushed, for good: as in the kernel nobody destroys it later. With
// debugging the objects are reported. Caches that never merge, those of kmalloc,
// are never destroyed: ErrBusy, too.
func (c *Cache) Destroy(cpu buddy.CPU) error {
	if err := c.check(cpu, buddy.NoNode); err != nil {
		return err
	}
	if c.refcount <= 0 {
		return ErrBusy
	}
	if c.refcount--; c.refcount != 0 {
		return nil
	}
	if err := c.Flush(); err != nil {
		return err
	}
	left := uint64(0)
	for i := range c.nodes {
		c.flushBarn(cpu, buddy.NodeID(i))
		c.freePartial(cpu, &c.nodes[i])
		left += c.nodes[i].slabs
	}
	if left > 0 {
		c.reportBusy(cpu)
		return ErrBusy
	}
	c.destroyed = true
	c.setSlow()
	a := c.a
	for i := range a.caches {
		if a.caches[i] == c {
			a.caches = append(a.caches[:i], a.caches[i+1:]...)
			break
		}
	}
	return nil
}

// freePartial discards a node's empty slabs and reports the others:
// free_partial.
func (c *Cache) freePartial(cpu buddy.CPU, n *nodeLists) {
	slabs := c.a.slabs
	var discard slabList
	for id := n.partial.first; id != 0; {
		next := slabs[id].next
		if slabs[id].inuse == 0 {
			n.partial.remove(slabs, id)
			discard.addHead(slabs, id, nowhere)
		} else {
			c.reportRemaining(cpu, id)
		}
		id = next
	}
	for discard.first != 0 {
		id := discard.first
		discard.remove(slabs, id)
		c.discard(cpu, id)
	}
}
