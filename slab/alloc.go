package slab

import (
	"fmt"

	"github.com/kernsim/kernsim/buddy"
)

// Alloc gives an object to a CPU: kmem_cache_alloc. The error is ErrNoMemory
// or a *MisuseError.
func (c *Cache) Alloc(cpu buddy.CPU, gfp buddy.GFP) (uint64, error) {
	if !c.slow && uint(cpu) < uint(len(c.cpus)) {
		if addr, ok := c.cpus[cpu].pop(c.size); ok {
			return addr, nil
		}
	}
	return c.AllocNode(cpu, gfp, buddy.NoNode)
}

// pop takes the first object of the CPU's free list, if there is one. (The end
// of a list is a number larger than any object's.)
func (cs *cpuSlab) pop(size uint64) (addr uint64, ok bool) {
	obj := cs.free
	if int(obj) >= len(cs.links) {
		return 0, false
	}
	cs.free, cs.links[obj] = cs.links[obj], inUse
	cs.stats[AllocFastpath]++
	return cs.base + uint64(obj)*size, true
}

// AllocNode is Alloc with the object on a NUMA node: kmem_cache_alloc_node.
// Unless gfp has __GFP_THISNODE, other nodes may serve when that one has no
// memory.
func (c *Cache) AllocNode(cpu buddy.CPU, gfp buddy.GFP, node buddy.NodeID) (uint64, error) {
	addr, err := c.alloc(cpu, gfp, node, c.layout.ObjectSize)
	if c.a.hook != nil && addr != 0 {
		c.emitAlloc(EventCacheAlloc, cpu, gfp, node, addr, uint64(c.layout.ObjectSize))
	}
	return addr, err
}

// alloc is slab_alloc_node: an object with what configuration and flags want
// done to it. size is how many bytes were asked for.
func (c *Cache) alloc(cpu buddy.CPU, gfp buddy.GFP, node buddy.NodeID, size uint32) (uint64, error) {
	if err := c.check(cpu, node); err != nil {
		return 0, err
	}
	if c.a.memcg != nil {
		return c.allocCharged(cpu, gfp, node, size)
	}
	return c.allocObject(cpu, gfp, node, size)
}

// allocObject takes an object and prepares its contents.
func (c *Cache) allocObject(cpu buddy.CPU, gfp buddy.GFP, node buddy.NodeID, size uint32) (uint64, error) {
	var addr uint64
	var err error
	switch {
	case c.debug:
		addr, err = c.allocDebug(cpu, gfp, node, size)
	case c.sheaves != nil:
		addr, err = c.allocSheaf(cpu, gfp, node)
	default:
		addr, err = c.take(cpu, gfp, node)
	}
	if err == nil && c.contents {
		c.initialize(addr, gfp)
	}
	return addr, err
}

// take gives an object from the CPU's slab, filling that first if it must.
func (c *Cache) take(cpu buddy.CPU, gfp buddy.GFP, node buddy.NodeID) (uint64, error) {
	cs := &c.cpus[cpu]
	if cs.free == noObject || !c.nodeMatch(cs.slab, node) {
		cs.stats[AllocSlowpath]++
		if err := c.refill(cpu, gfp, node); err != nil {
			return 0, err
		}
		cs.stats[AllocFastpath]-- // pop counts it
	}
	if c.contents {
		s := &c.a.slabs[cs.slab]
		if err := c.checkPointer(s, cs.free, s.links[cs.free]); err != nil {
			return 0, err
		}
	}
	addr, _ := cs.pop(c.size)
	return addr, nil
}

// nodeMatch says whether a slab is where the request wants it.
func (c *Cache) nodeMatch(id slabID, node buddy.NodeID) bool {
	return node == buddy.NoNode || buddy.NodeID(c.a.slabs[id].node) == node
}

// refill gives the CPU a slab with free objects, ___slab_alloc: the rest of its
// own slab, a slab of its partial list, of a node's list, or a new one.
func (c *Cache) refill(cpu buddy.CPU, gfp buddy.GFP, node buddy.NodeID) error {
	if c.cpus[cpu].slab != 0 && c.reload(cpu, node) {
		return nil
	}
	if c.refillFromCPUPartial(cpu, node) {
		return nil
	}
	return c.refillFromNode(cpu, gfp, node)
}

// reload takes the objects that others freed into the CPU's slab. If there are
// none or the slab is on the wrong node, the CPU has no slab afterwards.
func (c *Cache) reload(cpu buddy.CPU, node buddy.NodeID) bool {
	cs := &c.cpus[cpu]
	if !c.nodeMatch(cs.slab, node) {
		cs.stats[AllocNodeMismatch]++
		c.deactivate(cpu)
		return false
	}
	if cs.free != noObject {
		return true
	}
	s := &c.a.slabs[cs.slab]
	if c.takeFreelist(cs, s) {
		cs.stats[AllocRefill]++
		return true
	}
	s.frozen, s.place = false, nowhere
	cs.drop()
	cs.stats[DeactivateBypass]++
	return false
}

// takeFreelist makes a slab's regular free list the CPU's: get_freelist.
func (c *Cache) takeFreelist(cs *cpuSlab, s *slabMeta) bool {
	cs.free = s.free
	s.free, s.inuse = noObject, s.objects
	return cs.free != noObject
}

// load makes a slab, which is on no list, the CPU's.
func (c *Cache) load(cs *cpuSlab, id slabID) {
	s := &c.a.slabs[id]
	c.hold(cs, id)
	s.frozen, s.place, s.next = true, onCPU, 0
	c.takeFreelist(cs, s)
}

// hold notes a slab as the CPU's, drop that it has none.
func (c *Cache) hold(cs *cpuSlab, id slabID) {
	s := &c.a.slabs[id]
	cs.slab, cs.links, cs.base = id, s.links, s.objectAddr(c, 0)
}

func (cs *cpuSlab) drop() { cs.slab, cs.free, cs.links, cs.base = 0, noObject, nil, 0 }

// refillFromCPUPartial takes the first slab of the CPU's partial list that is
// on the right node; those that are not go to their node's list.
func (c *Cache) refillFromCPUPartial(cpu buddy.CPU, node buddy.NodeID) bool {
	cs := &c.cpus[cpu]
	for cs.partial != 0 {
		id := cs.partial
		s := &c.a.slabs[id]
		cs.partial, s.next = s.next, 0
		if c.nodeMatch(id, node) {
			cs.stats[CPUPartialAlloc]++
			c.load(cs, id)
			return true
		}
		if !c.a.config.Profile.FreezeOnlyCPUSlab {
			// It becomes the CPU's slab, which then does not match.
			cs.stats[CPUPartialAlloc]++
			cs.stats[AllocNodeMismatch]++
			c.hold(cs, id)
			c.deactivate(cpu)
			continue
		}
		c.putPartials(cpu, id)
	}
	return false
}

// refillFromNode takes slabs of the nodes' lists, or a new one.
func (c *Cache) refillFromNode(cpu buddy.CPU, gfp buddy.GFP, node buddy.NodeID) error {
	// A request that only prefers a node first tries everything there.
	if c.a.config.Profile.PreferNode && node != buddy.NoNode && gfp&buddy.GFPThisNode == 0 {
		here := buddy.GFPNowait | buddy.GFPThisNode
		if c.partialOrNew(cpu, here, node) == nil {
			return nil
		}
	}
	return c.partialOrNew(cpu, gfp, node)
}

func (c *Cache) partialOrNew(cpu buddy.CPU, gfp buddy.GFP, node buddy.NodeID) error {
	if c.getPartial(cpu, gfp, node) {
		return nil
	}
	id, err := c.newSlab(cpu, gfp, node)
	if err != nil {
		return err
	}
	cs := &c.cpus[cpu]
	cs.stats[AllocSlab]++
	if cs.slab != 0 {
		// Accounting for the new slab filled it in between.
		c.deactivate(cpu)
		cs.stats[CPUSlabFlush]++
	}
	c.load(cs, id)
	return nil
}

// getPartial is get_partial: slabs of the wanted node, else of any.
func (c *Cache) getPartial(cpu buddy.CPU, gfp buddy.GFP, node buddy.NodeID) bool {
	from := node
	if node == buddy.NoNode {
		from = c.a.nodeOf(cpu)
	}
	if c.getPartialNode(cpu, from) {
		return true
	}
	strict := node != buddy.NoNode
	if c.a.config.Profile.PreferNode {
		strict = strict && gfp&buddy.GFPThisNode != 0
	}
	if strict || c.a.config.Nodes == 1 {
		return false
	}
	return c.getAnyPartial(cpu, from)
}

// getPartialNode is get_partial_node: the first slab of the node's list for the
// CPU itself and some more for its partial list.
func (c *Cache) getPartialNode(cpu buddy.CPU, node buddy.NodeID) bool {
	n := &c.nodes[node]
	id := n.partial.first
	if id == 0 {
		return false
	}
	cs := &c.cpus[cpu]
	n.partial.remove(c.a.slabs, id)
	cs.stats[AllocFromPartial]++
	got := c.a.slabs[id].objects - c.a.slabs[id].inuse
	c.load(cs, id)
	if c.usesCPUPartial {
		c.takeMore(cpu, n, int(got))
	}
	return true
}

// takeMore moves slabs from a node's list to the CPU's. got is how many free
// objects it took before.
func (c *Cache) takeMore(cpu buddy.CPU, n *nodeLists, got int) {
	l := &c.layout
	slabs := 0
	for n.partial.first != 0 {
		if c.a.config.Profile.CPUPartial == CPUPartialObjects {
			if got > int(l.CPUPartial)/2 {
				return
			}
		} else if slabs > int(l.CPUPartialSlabs)/2 || l.CPUPartialSlabs == 0 && c.a.config.Profile.FreezeOnlyCPUSlab {
			return
		}
		id := n.partial.first
		s := &c.a.slabs[id]
		n.partial.remove(c.a.slabs, id)
		got += int(s.objects - s.inuse)
		slabs++
		c.putCPUPartial(cpu, id, false)
		c.cpus[cpu].stats[CPUPartialNode]++
	}
}

// getAnyPartial is get_any_partial: another node's slabs, nearest node first,
// if it has more than it should keep. How often that is tried is a random
// draw against the cache's defrag ratio (the kernel takes the cycle counter).
func (c *Cache) getAnyPartial(cpu buddy.CPU, near buddy.NodeID) bool {
	if c.defragRatio == 0 || int(c.a.random.Below(1024)) > c.defragRatio {
		return false
	}
	nodes := buddy.NodeID(c.a.config.Nodes)
	for i := range nodes {
		node := (near + i) % nodes
		if c.nodes[node].partial.n > int(c.layout.MinPartial) && c.getPartialNode(cpu, node) {
			return true
		}
	}
	return false
}

// noMemory is the error of a request without pages for a new slab.
func (c *Cache) noMemory(err error) error {
	return fmt.Errorf("%w: cache %s: %w", ErrNoMemory, c.name, err)
}
