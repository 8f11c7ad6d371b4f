package slab

import (
	"slices"

	"github.com/kernsim/kernsim/buddy"
)

// naiveCache is SLUB written down as slices: slow and plain, to compare with.
type naiveCache struct {
	l     Layout
	base  uint64
	pages PageSource
	// start draws where a new slab's order begins.
	start func(addr uint64, n uint32) uint32
	order []uint16
	cpus  []naiveCPU
	nodes [][]*naiveSlab
	node  func(cpu int) int
	slabs map[uint64]*naiveSlab
}

type naiveCPU struct {
	slab    *naiveSlab
	free    []uint64
	partial []*naiveSlab
}

type naiveSlab struct {
	addr uint64
	node int
	free []uint64
}

func newNaive(c *Cache, pages PageSource, start func(uint64, uint32) uint32) *naiveCache {
	conf := c.a.config
	return &naiveCache{l: c.Layout(), base: conf.PageOffset, pages: pages, start: start, order: c.Order(),
		cpus: make([]naiveCPU, conf.CPUsPossible), nodes: make([][]*naiveSlab, conf.Nodes), slabs: map[uint64]*naiveSlab{},
		node: func(cpu int) int { return int(c.a.nodeOf(buddy.CPU(cpu))) }}
}

func pop[T any](list *[]T) T {
	v := (*list)[0]
	*list = (*list)[1:]
	return v
}

// alloc gives the object that SLUB would give; node -1 is any.
func (c *naiveCache) alloc(cpu, node int) uint64 {
	k := &c.cpus[cpu]
	if k.slab != nil && node >= 0 && k.slab.node != node {
		c.deactivate(cpu)
	}
	if len(k.free) == 0 && k.slab != nil {
		k.free, k.slab.free = k.slab.free, nil
		if len(k.free) == 0 {
			k.slab = nil
		}
	}
	for k.slab == nil && len(k.partial) > 0 {
		s := pop(&k.partial)
		if node >= 0 && s.node != node {
			c.toNode([]*naiveSlab{s})
			continue
		}
		c.take(cpu, s)
	}
	if k.slab == nil {
		from := node
		if node < 0 {
			from = c.node(cpu)
		}
		list := &c.nodes[from]
		if len(*list) > 0 {
			c.take(cpu, pop(list))
			for n := 0; len(*list) > 0 && n <= int(c.l.CPUPartialSlabs)/2; n++ {
				k.partial = slices.Insert(k.partial, 0, pop(list))
			}
		} else {
			c.take(cpu, c.newSlab(from))
		}
	}
	return pop(&k.free)
}

// take makes a slab the CPU's.
func (c *naiveCache) take(cpu int, s *naiveSlab) {
	c.cpus[cpu].slab, c.cpus[cpu].free, s.free = s, s.free, nil
}

func (c *naiveCache) newSlab(node int) *naiveSlab {
	pfn, err := c.pages.AllocPages(0, buddy.Order(c.l.Order), buddy.NodeID(node), 0)
	if err != nil {
		panic(err)
	}
	s := &naiveSlab{addr: c.base + uint64(pfn)<<12, node: node}
	order := c.order
	if len(order) < 2 {
		order = make([]uint16, c.l.Objects)
		for i := range order {
			order[i] = uint16(i)
		}
	} else {
		at := c.start(s.addr, uint32(len(order)))
		order = append(slices.Clone(order[at:]), order[:at]...)
	}
	for _, i := range order {
		s.free = append(s.free, s.addr+uint64(i)*uint64(c.l.Size))
	}
	c.slabs[s.addr] = s
	return s
}

// slabOf is the slab of an object.
func (c *naiveCache) slabOf(obj uint64) *naiveSlab {
	size := uint64(1) << (12 + c.l.Order)
	return c.slabs[c.base+(obj-c.base)/size*size]
}

// inUse counts the objects of a slab that are neither on its list nor on its
// CPU's.
func (c *naiveCache) inUse(s *naiveSlab) int {
	n := int(c.l.Objects) - len(s.free)
	for i := range c.cpus {
		if c.cpus[i].slab == s {
			n -= len(c.cpus[i].free)
		}
	}
	return n
}

// free gives objects of one slab back, which become a list in this order.
func (c *naiveCache) free(cpu int, objs ...uint64) {
	s := c.slabOf(objs[0])
	if c.cpus[cpu].slab == s {
		c.cpus[cpu].free = append(slices.Clone(objs), c.cpus[cpu].free...)
		return
	}
	wasFull := len(s.free) == 0
	s.free = append(slices.Clone(objs), s.free...)
	for i := range c.cpus {
		if c.cpus[i].slab == s {
			return
		}
	}
	list := c.nodes[s.node]
	switch {
	case wasFull:
		k := &c.cpus[cpu]
		if len(k.partial) > 0 && len(k.partial) >= int(c.l.CPUPartialSlabs) {
			old := k.partial
			k.partial = []*naiveSlab{s}
			c.toNode(old)
			return
		}
		k.partial = slices.Insert(k.partial, 0, s)
	case c.inUse(s) == 0 && slices.Contains(list, s) && len(list) >= int(c.l.MinPartial):
		c.nodes[s.node] = slices.DeleteFunc(list, func(x *naiveSlab) bool { return x == s })
		c.discard(s)
	}
}

// toNode moves slabs to their nodes' lists; empty ones too many go, the last
// first.
func (c *naiveCache) toNode(list []*naiveSlab) {
	var gone []*naiveSlab
	for _, s := range list {
		if c.inUse(s) == 0 && len(c.nodes[s.node]) >= int(c.l.MinPartial) {
			gone = append(gone, s)
		} else {
			c.nodes[s.node] = append(c.nodes[s.node], s)
		}
	}
	for _, s := range slices.Backward(gone) {
		c.discard(s)
	}
}

func (c *naiveCache) discard(s *naiveSlab) {
	delete(c.slabs, s.addr)
	if err := c.pages.FreePages(buddy.PFN((s.addr-c.base)>>12), buddy.Order(c.l.Order), 0); err != nil {
		panic(err)
	}
}

func (c *naiveCache) deactivate(cpu int) {
	k := &c.cpus[cpu]
	s := k.slab
	tail := len(s.free) > 0
	s.free = append(slices.Clone(k.free), s.free...)
	k.slab, k.free = nil, nil
	switch {
	case c.inUse(s) == 0 && len(c.nodes[s.node]) >= int(c.l.MinPartial):
		c.discard(s)
	case len(s.free) == 0:
	case tail:
		c.nodes[s.node] = append(c.nodes[s.node], s)
	default:
		c.nodes[s.node] = slices.Insert(c.nodes[s.node], 0, s)
	}
}

func (c *naiveCache) flush() {
	for cpu := range c.cpus {
		if c.cpus[cpu].slab != nil {
			c.deactivate(cpu)
		}
		list := c.cpus[cpu].partial
		c.cpus[cpu].partial = nil
		c.toNode(list)
	}
}

// shrink flushes, drops the empty slabs and puts those with few free objects
// first.
func (c *naiveCache) shrink() {
	c.flush()
	for n, list := range c.nodes {
		var few, many, empty []*naiveSlab
		for _, s := range list {
			switch {
			case c.inUse(s) == 0:
				empty = append(empty, s)
			case len(s.free) <= 32:
				few = slices.Insert(few, 0, s)
			default:
				many = append(many, s)
			}
		}
		slices.SortStableFunc(few, func(a, b *naiveSlab) int { return len(a.free) - len(b.free) })
		c.nodes[n] = append(few, many...)
		for _, s := range slices.Backward(empty) {
			c.discard(s)
		}
	}
}

// freeBulk frees objects as kmem_cache_free_bulk takes them apart.
func (c *naiveCache) freeBulk(cpu int, objs []uint64) {
	objs = slices.Clone(objs)
	for len(objs) > 0 {
		last := len(objs) - 1
		s, left := c.slabOf(objs[last]), 3
		group := []uint64{objs[last]}
		same := last
		for i := last - 1; i >= 0; i-- {
			if c.slabOf(objs[i]) == s {
				group = append(group, objs[i])
				same--
				objs[i], objs[same] = objs[same], objs[i]
				continue
			}
			if left--; left == 0 {
				break
			}
		}
		objs = objs[:same]
		c.free(cpu, group...)
	}
}

// state gives the lists in the form of the model's.
func (c *naiveCache) state() CacheState {
	st := CacheState{}
	addrs := func(list []*naiveSlab) []uint64 {
		var out []uint64
		for _, s := range list {
			out = append(out, s.addr)
		}
		return out
	}
	for i := range c.cpus {
		k := &c.cpus[i]
		cs := CPUState{Partial: addrs(k.partial)}
		if k.slab != nil {
			cs.Slab = k.slab.addr
			cs.Freelist = append(cs.Freelist, k.free...)
		}
		st.CPUs = append(st.CPUs, cs)
	}
	for n := range c.nodes {
		st.Nodes = append(st.Nodes, NodeState{Partial: addrs(c.nodes[n])})
	}
	return st
}
