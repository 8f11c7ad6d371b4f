package slab

import (
	"fmt"
)

// Check proves the allocator's invariants: every page of a slab leads to it,
// lists are well linked and hold what they should, each object is in use, in a
// sheaf or on exactly one free list, and the counts equal the lists. It changes
// nothing. The free lists of debugged caches are left to [Cache.Validate].
func (a *Allocator) Check() error {
	if a.debug.sourceErr != nil {
		return fmt.Errorf("slab: the page source refused pages of a slab: %w", a.debug.sourceErr)
	}
	k := checker{a: a, seen: make([]uint8, len(a.slabs)), cpuFree: make([]objIndex, len(a.slabs))}
	for i := range k.cpuFree {
		k.cpuFree[i] = noObject
	}
	for _, c := range a.caches {
		if err := k.cache(c); err != nil {
			return fmt.Errorf("slab: cache %s: %w", c.name, err)
		}
	}
	for i := range a.slabs {
		if s := &a.slabs[i]; s.addr != 0 && !s.cache.destroyed {
			if err := k.slab(slabID(i), s); err != nil {
				return fmt.Errorf("slab: cache %s: slab at %#x: %w", s.cache.name, s.addr, err)
			}
		}
	}
	return k.totals()
}

// checker collects what one list says for comparison with others.
type checker struct {
	a *Allocator
	// seen counts on how many lists each slab is.
	seen []uint8
	// cpuFree is the lockless free list of each CPU's slab.
	cpuFree []objIndex
	marks   [1 << 15]bool
}

// cache walks a cache's lists.
func (k *checker) cache(c *Cache) error {
	for cpu := range c.cpus {
		if err := k.cpu(c, cpu); err != nil {
			return fmt.Errorf("CPU %d: %w", cpu, err)
		}
	}
	for i := range c.nodes {
		for _, l := range []struct {
			list *slabList
			p    place
		}{{&c.nodes[i].partial, onNode}, {&c.nodes[i].full, onFull}} {
			if err := k.list(c, l.list, l.p, i); err != nil {
				return fmt.Errorf("node %d: %w", i, err)
			}
		}
	}
	return nil
}

// visit notes a slab on a list.
func (k *checker) visit(c *Cache, id slabID, p place) error {
	s := &k.a.slabs[id]
	switch {
	case s.cache != c || s.addr == 0:
		return fmt.Errorf("%v has slot %d, which is no slab of the cache", p, id)
	case s.place != p:
		return fmt.Errorf("%v has the slab at %#x, which says it is on %v", p, s.addr, s.place)
	case k.seen[id] != 0:
		return fmt.Errorf("slab at %#x is on two lists", s.addr)
	}
	k.seen[id]++
	return nil
}

func (k *checker) cpu(c *Cache, cpu int) error {
	cs := &c.cpus[cpu]
	if cs.slab != 0 {
		if err := k.visit(c, cs.slab, onCPU); err != nil {
			return err
		}
		k.cpuFree[cs.slab] = cs.free
		if !k.a.slabs[cs.slab].frozen {
			return fmt.Errorf("its slab at %#x is not frozen", k.a.slabs[cs.slab].addr)
		}
	} else if cs.free != noObject {
		return fmt.Errorf("free list without a slab")
	}
	frozen := !k.a.config.Profile.FreezeOnlyCPUSlab
	for id := cs.partial; id != 0; id = k.a.slabs[id].next {
		if err := k.visit(c, id, onCPUPartial); err != nil {
			return err
		}
		if s := &k.a.slabs[id]; s.free == noObject || s.frozen != frozen {
			return fmt.Errorf("partial slab at %#x has no free object, or frozen is %v", s.addr, s.frozen)
		}
	}
	return k.partialCount(cs)
}

// partialCount compares the counts in a CPU's partial list.
func (k *checker) partialCount(cs *cpuSlab) error {
	if k.a.config.Profile.CPUPartial != CPUPartialSlabs {
		return nil
	}
	n := int32(0)
	for id := cs.partial; id != 0; id = k.a.slabs[id].next {
		n++
	}
	for id := cs.partial; id != 0; id, n = k.a.slabs[id].next, n-1 {
		if k.a.slabs[id].slabs != n {
			return fmt.Errorf("partial slab at %#x counts %d from it on, there are %d", k.a.slabs[id].addr, k.a.slabs[id].slabs, n)
		}
	}
	return nil
}

func (k *checker) list(c *Cache, l *slabList, p place, node int) error {
	n, prev := 0, slabID(0)
	for id := l.first; id != 0; id = k.a.slabs[id].next {
		if err := k.visit(c, id, p); err != nil {
			return err
		}
		s := &k.a.slabs[id]
		full := s.free == noObject
		if c.debug {
			full = s.raw == 0
		}
		switch {
		case s.prev != prev:
			return fmt.Errorf("%v: the slab at %#x is linked back to slot %d, comes after %d", p, s.addr, s.prev, prev)
		case int(s.node) != node:
			return fmt.Errorf("%v: the slab at %#x is of node %d", p, s.addr, s.node)
		case full != (p == onFull) && !c.debug, s.frozen:
			return fmt.Errorf("%v: the slab at %#x is frozen, or has %d of %d objects in use", p, s.addr, s.inuse, s.objects)
		}
		prev = id
		n++
	}
	if l.last != prev || l.n != n {
		return fmt.Errorf("%v: counts %d slabs, has %d; or its end is wrong", p, l.n, n)
	}
	return nil
}

// slab proves a slab's pages, free lists and counts.
func (k *checker) slab(id slabID, s *slabMeta) error {
	pfn := k.a.pfnOf(s.addr)
	for n := range uint64(1) << s.order {
		if k.a.pages.at(pfn+n) != id {
			return fmt.Errorf("page frame %d leads to slot %d", pfn+n, k.a.pages.at(pfn+n))
		}
	}
	if (s.place == nowhere) != (k.seen[id] == 0) {
		return fmt.Errorf("says it is on %v, is on %d lists", s.place, k.seen[id])
	}
	if s.cache.debug {
		return nil
	}
	clear(k.marks[:s.objects])
	free, err := k.chain(s, s.free)
	if err != nil {
		return fmt.Errorf("free list: %w", err)
	}
	if free != int(s.objects)-int(s.inuse) {
		return fmt.Errorf("%d of %d objects in use, %d on the free list", s.inuse, s.objects, free)
	}
	if s.place == nowhere && free > 0 {
		return fmt.Errorf("has free objects and is on no list")
	}
	if _, err := k.chain(s, k.cpuFree[id]); err != nil {
		return fmt.Errorf("lockless free list: %w", err)
	}
	for i := range s.objects {
		if k.marks[i] == (s.links[i] == inUse || s.links[i] == inSheaf) {
			return fmt.Errorf("object %d: on a free list %v, link %#x", i, k.marks[i], s.links[i])
		}
	}
	return nil
}

// chain marks the objects of a free list and counts them.
func (k *checker) chain(s *slabMeta, head objIndex) (int, error) {
	n := 0
	for obj := head; obj != noObject; obj = s.links[obj] {
		if obj >= s.objects || k.marks[obj] {
			return n, fmt.Errorf("object %d is none, or there twice", obj)
		}
		k.marks[obj] = true
		n++
	}
	return n, nil
}

// totals compares the nodes' counters and the sheaves.
func (k *checker) totals() error {
	type count struct{ slabs, objects, sheaf uint64 }
	counts := map[*Cache][]count{}
	for i := range k.a.slabs {
		s := &k.a.slabs[i]
		if s.addr == 0 {
			continue
		}
		if counts[s.cache] == nil {
			counts[s.cache] = make([]count, len(s.cache.nodes))
		}
		n := &counts[s.cache][s.node]
		n.slabs++
		n.objects += uint64(s.objects)
		for _, l := range s.links[:s.objects] {
			if l == inSheaf {
				n.sheaf++
			}
		}
	}
	for _, c := range k.a.caches {
		var inSheaves uint64
		for i := range c.nodes {
			var n count
			if counts[c] != nil {
				n = counts[c][i]
			}
			inSheaves += n.sheaf
			if n.slabs != c.nodes[i].slabs || n.objects != c.nodes[i].objects {
				return fmt.Errorf("slab: cache %s: node %d counts %d slabs and %d objects, has %d and %d",
					c.name, i, c.nodes[i].slabs, c.nodes[i].objects, n.slabs, n.objects)
			}
		}
		if have := c.sheafObjects(); have != inSheaves {
			return fmt.Errorf("slab: cache %s: %d objects in sheaves, %d marked so", c.name, have, inSheaves)
		}
	}
	return nil
}

// sheafObjects counts the objects in the cache's sheaves.
func (c *Cache) sheafObjects() uint64 {
	if c.sheaves == nil {
		return 0
	}
	n := 0
	for i := range c.sheaves.cpus {
		n += len(c.sheaves.cpus[i].main) + len(c.sheaves.cpus[i].spare)
	}
	for i := range c.nodes {
		for _, sh := range c.nodes[i].barn.full {
			n += len(sh)
		}
	}
	return uint64(n)
}
