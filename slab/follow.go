package slab

import "github.com/kernsim/kernsim/buddy"

// What follows is for replays: after a difference they take over what the
// kernel did, so that one wrong answer does not shift all later ones.

// NextObject is the object that a CPU's next request without a node would get by
// the fast path, without taking it; 0 if it would need another slab.
func (c *Cache) NextObject(cpu buddy.CPU) uint64 {
	if cpu < 0 || int(cpu) >= len(c.cpus) || c.destroyed {
		return 0
	}
	if c.sheaves != nil {
		if m := c.sheaves.cpus[cpu].main; len(m) > 0 {
			return m[len(m)-1]
		}
	}
	cs := &c.cpus[cpu]
	if cs.free == noObject {
		return 0
	}
	return c.a.slabs[cs.slab].objectAddr(c, cs.free)
}

// Peek appends up to n objects that a CPU's next requests without a node would
// get one after the other, without taking them. It stops where a new slab would
// be needed.
func (c *Cache) Peek(dst []uint64, cpu buddy.CPU, n int) []uint64 {
	if cpu < 0 || int(cpu) >= len(c.cpus) || c.destroyed || c.debug {
		return dst
	}
	slabs := c.a.slabs
	cs := &c.cpus[cpu]
	want := len(dst) + n
	take := func(s *slabMeta, head objIndex) {
		for ; head != noObject && len(dst) < want; head = s.links[head] {
			dst = append(dst, s.objectAddr(c, head))
		}
	}
	if c.sheaves != nil {
		main := c.sheaves.cpus[cpu].main
		for i := len(main) - 1; i >= 0 && len(dst) < want; i-- {
			dst = append(dst, main[i])
		}
		return dst
	}
	if cs.slab != 0 {
		take(&slabs[cs.slab], cs.free)
		take(&slabs[cs.slab], slabs[cs.slab].free)
	}
	for id := cs.partial; id != 0; id = slabs[id].next {
		take(&slabs[id], slabs[id].free)
	}
	for id := c.nodes[c.a.nodeOf(cpu)].partial.first; id != 0; id = slabs[id].next {
		take(&slabs[id], slabs[id].free)
	}
	return dst
}

// HasSlab says whether an object's slab is the CPU's own.
func (c *Cache) HasSlab(cpu buddy.CPU, addr uint64) bool {
	id := c.a.slabAt(addr)
	return id != 0 && cpu >= 0 && int(cpu) < len(c.cpus) && c.cpus[cpu].slab == id
}

// SameSlab says whether two objects are in one slab of the cache.
func (c *Cache) SameSlab(a, b uint64) bool {
	id := c.a.slabAt(a)
	return id != 0 && id == c.a.slabAt(b) && c.a.slabs[id].cache == c
}

// Full says whether an object's slab is one of the cache on no list: all of its
// objects are in use. The first one to be freed puts it onto a list.
func (c *Cache) Full(addr uint64) bool {
	id := c.a.slabAt(addr)
	return id != 0 && c.a.slabs[id].cache == c && c.a.slabs[id].place == nowhere
}

// InUse says whether an address is an object in use. Debugged caches do not
// tell.
func (a *Allocator) InUse(addr uint64) bool {
	s, obj, ok := a.linked(addr)
	return ok && s.links[obj] == inUse
}

// Undo puts an object that was just given to a CPU back to where it came from:
// the top of its sheaf or the head of its free list.
func (c *Cache) Undo(cpu buddy.CPU, addr uint64) error {
	if err := c.check(cpu, buddy.NoNode); err != nil {
		return err
	}
	s, obj, ok := c.a.linked(addr)
	if !ok || s.cache != c || s.links[obj] != inUse {
		return misuse(DoubleFree, addr, c)
	}
	if c.sheaves != nil {
		if p := &c.sheaves.cpus[cpu]; len(p.main) < c.sheaves.capacity {
			p.main = append(p.main, addr)
			s.links[obj] = inSheaf
			return nil
		}
	}
	c.giveBack(cpu, c.a.slabAt(addr), obj)
	return nil
}

// Follow gives a CPU the very object that the kernel gave it, wherever that is
// free. Its slab becomes the CPU's if it was not, as it must be in the kernel;
// the CPU's former slab goes to its node's list. The error is a *MisuseError if
// the object is not free.
func (c *Cache) Follow(cpu buddy.CPU, addr uint64) error {
	if err := c.check(cpu, buddy.NoNode); err != nil {
		return err
	}
	s, obj, ok := c.a.linked(addr)
	switch {
	case !ok || s.cache != c:
		return misuse(InvalidFree, addr, c)
	case s.links[obj] == inUse:
		return misuse(DoubleFree, addr, c)
	case s.links[obj] == inSheaf:
		c.outOfSheaf(addr)
		s.links[obj] = inUse
		return nil
	}
	id := c.a.slabAt(addr)
	if c.cpus[cpu].slab != id {
		c.takeAway(id)
		if c.cpus[cpu].slab != 0 {
			c.deactivate(cpu)
		}
		c.load(&c.cpus[cpu], id)
	}
	c.unlink(cpu, id, obj)
	return nil
}

// Seize takes a free object out of the list or sheaf that it is on, as if a CPU
// had taken it unseen. The error is a *MisuseError if it is not free.
func (c *Cache) Seize(addr uint64) error {
	s, obj, ok := c.a.linked(addr)
	switch {
	case !ok || s.cache != c:
		return misuse(InvalidFree, addr, c)
	case s.links[obj] == inUse:
		return misuse(DoubleFree, addr, c)
	case s.links[obj] == inSheaf:
		c.outOfSheaf(addr)
		s.links[obj] = inUse
		return nil
	}
	id := c.a.slabAt(addr)
	if s.place == onCPU {
		for i := range c.cpus {
			if c.cpus[i].slab == id {
				c.unlink(buddy.CPU(i), id, obj)
			}
		}
		return nil
	}
	s.cut(&s.free, obj)
	s.inuse++
	s.links[obj] = inUse
	if s.free == noObject {
		c.takeAway(id)
	}
	return nil
}

// ForgetSlab drops the slab at an address from the model, whatever its objects
// are, because the kernel gave its pages back. It says whether there was one.
func (a *Allocator) ForgetSlab(addr uint64) bool {
	id := a.slabAt(addr)
	if id == 0 || a.slabs[id].cache.debug {
		return false
	}
	s := &a.slabs[id]
	c := s.cache
	for obj := range s.objects {
		if s.links[obj] == inSheaf {
			c.outOfSheaf(s.objectAddr(c, obj))
		}
	}
	c.takeAway(id)
	n := &c.nodes[s.node]
	n.slabs--
	n.objects -= uint64(s.objects)
	a.pages.set(buddy.PFN(a.pfnOf(s.addr)), int(s.order), 0, 0)
	c.dropSlot(id)
	return true
}

// outOfSheaf takes an object out of the sheaf that it is in.
func (c *Cache) outOfSheaf(addr uint64) {
	drop := func(sh *sheaf) {
		for i, a := range *sh {
			if a == addr {
				*sh = append((*sh)[:i], (*sh)[i+1:]...)
				return
			}
		}
	}
	for i := range c.sheaves.cpus {
		drop(&c.sheaves.cpus[i].main)
		drop(&c.sheaves.cpus[i].spare)
	}
	for i := range c.nodes {
		for k := range c.nodes[i].barn.full {
			drop(&c.nodes[i].barn.full[k])
		}
	}
}

// takeAway takes a slab off the list or CPU that has it.
func (c *Cache) takeAway(id slabID) {
	s := &c.a.slabs[id]
	switch s.place {
	case onNode:
		c.nodes[s.node].partial.remove(c.a.slabs, id)
	case onCPU:
		for i := range c.cpus {
			if cs := &c.cpus[i]; cs.slab == id {
				c.spliceFree(s, cs.free)
				cs.drop()
			}
		}
	case onCPUPartial:
		for i := range c.cpus {
			c.dropFromCPUPartial(&c.cpus[i], id)
		}
	}
	s.place, s.frozen, s.next, s.prev = nowhere, false, 0, 0
}

// dropFromCPUPartial takes a slab out of a CPU's partial list.
func (c *Cache) dropFromCPUPartial(cs *cpuSlab, id slabID) {
	slabs := c.a.slabs
	last := &cs.partial
	found := false
	for at := cs.partial; at != 0; at = slabs[at].next {
		found = found || at == id
	}
	if !found {
		return
	}
	for *last != id {
		slabs[*last].slabs--
		last = &slabs[*last].next
	}
	*last = slabs[id].next
}

// unlink takes a free object of the CPU's slab out of the list that it is on.
func (c *Cache) unlink(cpu buddy.CPU, id slabID, obj objIndex) {
	s := &c.a.slabs[id]
	if cs := &c.cpus[cpu]; !s.cut(&cs.free, obj) && s.cut(&s.free, obj) {
		s.inuse++
	}
	s.links[obj] = inUse
}

// cut takes an object out of the list that begins at head; false if it is not on
// it.
func (s *slabMeta) cut(head *objIndex, obj objIndex) bool {
	for at := head; *at != noObject; at = &s.links[*at] {
		if *at == obj {
			*at = s.links[obj]
			return true
		}
	}
	return false
}
