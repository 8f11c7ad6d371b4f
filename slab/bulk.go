package slab

import "github.com/kernsim/kernsim/buddy"

// pendingFree marks, in a slab's links, an object that a bulk call is about to
// free.
const pendingFree objIndex = 0xfffd

// AllocBulk fills dst with objects: kmem_cache_alloc_bulk. It gives all or, with
// an error, none.
func (c *Cache) AllocBulk(cpu buddy.CPU, gfp buddy.GFP, dst []uint64) error {
	if err := c.check(cpu, buddy.NoNode); err != nil {
		return err
	}
	done := 0
	if c.sheaves != nil {
		done = c.allocFromSheaves(cpu, dst)
	}
	for i := done; i < len(dst); i++ {
		addr, err := c.bulkOne(cpu, gfp)
		if err != nil {
			_ = c.FreeBulk(cpu, dst[:i])
			return err
		}
		dst[i] = addr
	}
	return nil
}

// bulkOne gives one object of a bulk request, past the sheaves.
func (c *Cache) bulkOne(cpu buddy.CPU, gfp buddy.GFP) (uint64, error) {
	switch {
	case c.a.memcg != nil:
		return c.allocCharged(cpu, gfp, buddy.NoNode, c.layout.ObjectSize)
	case c.debug:
		return c.allocObject(cpu, gfp, buddy.NoNode, c.layout.ObjectSize)
	}
	addr, err := c.take(cpu, gfp, buddy.NoNode)
	if err == nil && c.contents {
		c.initialize(addr, gfp)
	}
	return addr, err
}

// FreeBulk frees objects of the cache: kmem_cache_free_bulk. Objects of the same
// slab that are near each other in objs are freed together; objs is reordered
// as the kernel reorders it. On an error (*MisuseError) nothing changed.
func (c *Cache) FreeBulk(cpu buddy.CPU, objs []uint64) error {
	if err := c.check(cpu, buddy.NoNode); err != nil {
		return err
	}
	return c.a.freeBulk(cpu, c, objs)
}

// KfreeBulk frees objects of any cache: kfree_bulk.
func (a *Allocator) KfreeBulk(cpu buddy.CPU, objs []uint64) error {
	if err := a.checkPlace(cpu, buddy.NoNode); err != nil {
		return err
	}
	return a.freeBulk(cpu, nil, objs)
}

func (a *Allocator) freeBulk(cpu buddy.CPU, c *Cache, objs []uint64) error {
	if err := a.markPending(c, objs); err != nil {
		return err
	}
	if c != nil && c.sheaves != nil {
		objs = c.freeBulkToSheaves(cpu, objs)
	}
	for len(objs) > 0 {
		objs = a.freeDetached(cpu, objs)
	}
	return nil
}

// markPending checks all objects before the first is freed. Those of debugged
// caches are checked by the cache.
func (a *Allocator) markPending(c *Cache, objs []uint64) error {
	for i, addr := range objs {
		if err := a.markOne(c, addr); err != nil {
			for _, undo := range objs[:i] {
				if s, obj, ok := a.linked(undo); ok {
					s.links[obj] = inUse
				}
			}
			return err
		}
	}
	return nil
}

// linked gives the slab and number of an object whose cache keeps links.
func (a *Allocator) linked(addr uint64) (s *slabMeta, obj objIndex, ok bool) {
	id := a.slabAt(addr)
	if id == 0 || a.slabs[id].cache.debug {
		return nil, 0, false
	}
	s = &a.slabs[id]
	obj, ok = s.index(s.cache, addr)
	return s, obj, ok
}

func (a *Allocator) markOne(c *Cache, addr uint64) error {
	id := a.slabAt(addr)
	if id == 0 {
		if _, large := a.largeOrder(addr); c == nil && large {
			return nil
		}
		return misuse(NotSlab, addr, c)
	}
	owner := a.slabs[id].cache
	if c != nil && owner != c {
		return &MisuseError{WrongCache, addr, c.name, owner.name}
	}
	if owner.debug {
		return nil
	}
	s, obj, ok := a.linked(addr)
	switch {
	case !ok:
		return misuse(InvalidFree, addr, owner)
	case s.links[obj] != inUse:
		return misuse(DoubleFree, addr, owner)
	}
	s.links[obj] = pendingFree
	return nil
}

// lookahead is how many objects of other slabs build_detached_freelist passes.
const lookahead = 3

// freeDetached frees the last object and those of its slab that a short look
// backwards finds, and returns the rest: build_detached_freelist and slab_free.
func (a *Allocator) freeDetached(cpu buddy.CPU, objs []uint64) []uint64 {
	last := len(objs) - 1
	id := a.slabAt(objs[last])
	if id == 0 {
		a.dropLarge(cpu, objs[last])
		return objs[:last]
	}
	same := a.Detach(objs)
	a.slabs[id].cache.freeTogether(cpu, id, objs[same:])
	return objs[:same]
}

// Detach reorders objects that a bulk call is to free so that those which it
// frees first, together, are at the end, and says where they begin:
// build_detached_freelist.
func (a *Allocator) Detach(objs []uint64) (same int) {
	if len(objs) == 0 {
		return 0
	}
	same = len(objs) - 1
	id, left := a.slabAt(objs[same]), lookahead
	for i := same - 1; i >= 0 && left > 0; i-- {
		if a.slabAt(objs[i]) == id {
			same--
			objs[i], objs[same] = objs[same], objs[i]
			continue
		}
		left--
	}
	return same
}

// freeTogether frees objects of one slab as one list, which begins with the
// last one of objs.
func (c *Cache) freeTogether(cpu buddy.CPU, id slabID, objs []uint64) {
	if c.debug {
		for _, addr := range objs {
			_ = c.freeDebug(cpu, id, addr)
		}
		return
	}
	s := &c.a.slabs[id]
	cs := &c.cpus[cpu]
	next := s.free
	if cs.slab == id {
		next = cs.free
	}
	for _, addr := range objs {
		obj, _ := s.index(c, addr)
		c.unchargeObject(id, obj)
		if c.contents {
			if c.a.config.InitOnFree {
				c.wipe(s, obj)
			}
			c.writePointer(s, obj, next)
		}
		s.links[obj] = next
		next = obj
	}
	if cs.slab == id {
		cs.free = next
		cs.stats[FreeFastpath]++
		return
	}
	c.freeChain(cpu, id, next, uint16(len(objs)))
}
