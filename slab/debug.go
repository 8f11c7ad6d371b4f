package slab

import (
	"github.com/kernsim/kernsim/buddy"
)

// Bytes that debugging fills memory with (include/linux/poison.h).
const (
	// RedInactive and RedActive are red zones of free objects and of objects in
	// use.
	RedInactive = 0xbb
	RedActive   = 0xcc
	// PoisonInUse fills new slabs and stays in their padding; PoisonFree fills
	// free objects, the last byte of which is PoisonEnd.
	PoisonInUse = 0x5a
	PoisonFree  = 0x6b
	PoisonEnd   = 0xa5
)

// Caches with debugging flags hand out objects one by one, straight from their
// nodes' lists. Their free lists are followed through the objects' bytes, where
// a stray write can damage them, as in the kernel.

// setupDebug prepares a new slab: setup_slab_debug and setup_object_debug.
func (c *Cache) setupDebug(s *slabMeta) {
	if c.layout.Flags&Poison != 0 {
		fill(s.mem, PoisonInUse)
	}
	s.raw = s.nextAddr(c, s.free)
	for obj := s.free; obj != noObject; obj = s.links[obj] {
		addr := s.objectAddr(c, obj)
		if c.layout.Flags&(StoreUser|RedZone|ObjectPoison) != 0 {
			c.initObject(s, addr, RedInactive)
			c.clearTracks(s, addr)
		}
		c.construct(s, obj)
		c.writePointer(s, obj, s.links[obj])
	}
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

// initObject is init_object: red zones and poison of an object that becomes
// free or in use.
func (c *Cache) initObject(s *slabMeta, addr uint64, val byte) {
	l := &c.layout
	size := l.ObjectSize
	if l.Flags&RedZone != 0 {
		fill(c.span(s, addr-uint64(l.RedLeftPad), uint64(l.RedLeftPad)), val)
		if val == RedActive && c.redZonesOrigSize() {
			size = min(c.origSize(s, addr), size)
		}
	}
	if l.Flags&ObjectPoison != 0 {
		fill(c.span(s, addr, uint64(max(size, 1)-1)), PoisonFree)
		fill(c.span(s, addr+uint64(max(size, 1)-1), 1), PoisonEnd)
	}
	if l.Flags&RedZone != 0 {
		fill(c.span(s, addr+uint64(size), uint64(l.Inuse-size)), val)
	}
}

// redZonesOrigSize says whether the right red zone of an object in use begins
// behind the bytes that were asked for (since 6.2).
func (c *Cache) redZonesOrigSize() bool {
	return c.a.config.Profile.OrigSizeMovesPointer && c.keepsOrigSize()
}

// validPointer is check_valid_pointer: the start of an object of the slab, or
// null.
func (c *Cache) validPointer(s *slabMeta, addr uint64) bool {
	if addr == 0 {
		return true
	}
	_, ok := s.index(c, addr)
	return ok
}

// allocDebug gives an object of a debugged cache.
func (c *Cache) allocDebug(cpu buddy.CPU, gfp buddy.GFP, node buddy.NodeID, size uint32) (uint64, error) {
	c.cpus[cpu].stats[AllocSlowpath]++
	// A new slab whose objects fail their checks at once is tried again, but
	// not forever.
	for range maxFreshSlabs {
		addr, id, err := c.singleFromNodes(cpu, gfp, node, size)
		if err != nil {
			return 0, err
		}
		if addr == 0 {
			if id, err = c.newSlab(cpu, gfp, node); err != nil {
				return 0, err
			}
			c.cpus[cpu].stats[AllocSlab]++
			addr = c.singleFromNew(cpu, id, size)
		}
		if addr != 0 {
			c.setTrack(&c.a.slabs[id], addr, trackAlloc, cpu)
			return addr, nil
		}
	}
	return 0, ErrNoMemory
}

const maxFreshSlabs = 4

// singleFromNodes takes an object of a partial slab; address 0 if there is none.
func (c *Cache) singleFromNodes(cpu buddy.CPU, gfp buddy.GFP, node buddy.NodeID, size uint32) (uint64, slabID, error) {
	from := node
	if node == buddy.NoNode {
		from = c.a.nodeOf(cpu)
	}
	addr, id, err := c.singleFromNode(cpu, from, size)
	if addr != 0 || err != nil || node != buddy.NoNode && gfp&buddy.GFPThisNode != 0 || c.a.config.Nodes == 1 {
		return addr, id, err
	}
	if node != buddy.NoNode || c.defragRatio == 0 || int(c.a.random.Below(1024)) > c.defragRatio {
		return 0, 0, nil
	}
	for i := range c.nodes {
		if c.nodes[i].partial.n > int(c.layout.MinPartial) {
			if addr, id, err = c.singleFromNode(cpu, buddy.NodeID(i), size); addr != 0 || err != nil {
				return addr, id, err
			}
		}
	}
	return 0, 0, nil
}

func (c *Cache) singleFromNode(cpu buddy.CPU, node buddy.NodeID, size uint32) (uint64, slabID, error) {
	n := &c.nodes[node]
	for id := n.partial.first; id != 0; {
		next := c.a.slabs[id].next
		addr, err := c.singleFromPartial(cpu, n, id, size)
		if addr != 0 || err != nil {
			return addr, id, err
		}
		id = next
	}
	return 0, 0, nil
}

// singleFromPartial is alloc_single_from_partial. A slab that fails its checks
// is taken off the list and its objects are lost.
func (c *Cache) singleFromPartial(cpu buddy.CPU, n *nodeLists, id slabID, size uint32) (uint64, error) {
	s := &c.a.slabs[id]
	addr := s.raw
	if !c.validPointer(s, addr) || addr == 0 {
		if c.layout.Flags&ConsistencyChecks == 0 {
			return 0, misuse(Corrupted, addr, c)
		}
		s.raw = 0
	} else {
		s.raw = c.readFree(s, addr)
	}
	s.inuse++
	if !c.allocProcessing(cpu, s, addr, size) {
		n.partial.remove(c.a.slabs, id)
		return 0, nil
	}
	c.cpus[cpu].stats[AllocFromPartial]++
	if s.inuse == s.objects {
		n.partial.remove(c.a.slabs, id)
		c.addFull(n, id)
	}
	return addr, nil
}

// singleFromNew is alloc_single_from_new_slab; 0 if the checks fail.
func (c *Cache) singleFromNew(cpu buddy.CPU, id slabID, size uint32) uint64 {
	s := &c.a.slabs[id]
	addr := s.raw
	s.raw, s.inuse = c.readFree(s, addr), 1
	if !c.allocProcessing(cpu, s, addr, size) {
		return 0
	}
	n := &c.nodes[s.node]
	if s.inuse == s.objects {
		c.addFull(n, id)
	} else {
		n.partial.addHead(c.a.slabs, id, onNode)
	}
	return addr
}

// addFull keeps full slabs on a list if tracks are stored.
func (c *Cache) addFull(n *nodeLists, id slabID) {
	if c.layout.Flags&StoreUser != 0 {
		n.full.addHead(c.a.slabs, id, onFull)
	}
}

// allocProcessing is alloc_debug_processing: check the object and make it one
// in use. If the checks fail, all objects of the slab count as used.
func (c *Cache) allocProcessing(cpu buddy.CPU, s *slabMeta, addr uint64, size uint32) bool {
	if c.layout.Flags&ConsistencyChecks != 0 && !c.allocChecks(cpu, s, addr) {
		c.fix("Marking all objects used")
		s.inuse, s.raw, s.frozen = s.objects, 0, true
		return false
	}
	c.trace(cpu, s, addr, "alloc")
	c.setOrigSize(s, addr, size)
	c.initObject(s, addr, RedActive)
	return true
}

// allocChecks is alloc_consistency_checks.
func (c *Cache) allocChecks(cpu buddy.CPU, s *slabMeta, addr uint64) bool {
	if !c.checkSlab(cpu, s) {
		return false
	}
	if addr == 0 || !c.validPointer(s, addr) {
		c.objectErr(cpu, s, addr, "Freelist Pointer check fails")
		return false
	}
	return c.checkObject(cpu, s, addr, RedInactive)
}

// freeDebug frees an object of a debugged cache: free_to_partial_list with
// free_debug_processing. What the checks find is reported and comes back as a
// *ReportError; then the object is not freed.
func (c *Cache) freeDebug(cpu buddy.CPU, id slabID, addr uint64) error {
	c.cpus[cpu].stats[FreeSlowpath]++
	s := &c.a.slabs[id]
	if c.layout.Flags&ConsistencyChecks == 0 {
		if err := c.plainChecks(s, addr); err != nil {
			return err
		}
	}
	c.linkAlone(s, addr)
	if err := c.freeProcessing(cpu, s, addr); err != nil {
		c.fix("Object at %s not freed", c.ptr(addr))
		return err
	}
	if obj, ok := s.index(c, addr); ok {
		c.unchargeObject(id, obj)
	}
	wasFull := s.raw == 0
	s.inuse--
	c.writeFree(s, addr, s.raw)
	s.raw = addr
	n := &c.nodes[s.node]
	switch empty := s.inuse == 0 && n.partial.n >= int(c.layout.MinPartial); {
	case wasFull:
		if s.place == onFull {
			n.full.remove(c.a.slabs, id)
		}
		if !empty {
			n.partial.addTail(c.a.slabs, id, onNode)
			c.cpus[cpu].stats[FreeAddPartial]++
			return nil
		}
	case empty:
		n.partial.remove(c.a.slabs, id)
		c.cpus[cpu].stats[FreeRemovePartial]++
	}
	if s.place == nowhere {
		c.cpus[cpu].stats[FreeSlab]++
		c.discard(cpu, id)
	}
	return nil
}

// linkAlone makes the object a list of its own, as slab_free_freelist_hook does
// before anything is checked: the free pointer of an object that is free already,
// or what lies where an invalid one would have its free pointer, is lost.
func (c *Cache) linkAlone(s *slabMeta, addr uint64) {
	if at := addr + uint64(c.layout.Offset); at-s.addr+uint64(c.a.config.WordSize) <= uint64(len(s.mem)) {
		c.writeFree(s, addr, 0)
	}
}

// plainChecks finds what a kernel without consistency checks would not survive.
func (c *Cache) plainChecks(s *slabMeta, addr uint64) error {
	if _, ok := s.index(c, addr); !ok {
		return misuse(InvalidFree, addr, c)
	}
	if c.onList(s, addr) {
		return misuse(DoubleFree, addr, c)
	}
	return nil
}

// onList says whether an object is on its slab's free list, as far as that can
// be followed.
func (c *Cache) onList(s *slabMeta, addr uint64) bool {
	fp := s.raw
	for range s.objects {
		if fp == addr {
			return true
		}
		if fp == 0 || !c.validPointer(s, fp) {
			return false
		}
		fp = c.readFree(s, fp)
	}
	return false
}

// freeProcessing is free_debug_processing of one object.
func (c *Cache) freeProcessing(cpu buddy.CPU, s *slabMeta, addr uint64) error {
	checks := c.layout.Flags&ConsistencyChecks != 0
	if checks && !c.checkSlab(cpu, s) {
		return c.lastReport()
	}
	if s.inuse < 1 {
		c.slabErr(cpu, s, "Slab has %d allocated objects but %d are to be freed\n", s.inuse, 1)
		return c.lastReport()
	}
	if checks && !c.freeChecks(cpu, s, addr) {
		return c.lastReport()
	}
	c.setTrack(s, addr, trackFree, cpu)
	c.trace(cpu, s, addr, "free")
	c.initObject(s, addr, RedInactive)
	return nil
}

// freeChecks is free_consistency_checks.
func (c *Cache) freeChecks(cpu buddy.CPU, s *slabMeta, addr uint64) bool {
	if !c.validPointer(s, addr) {
		c.slabErr(cpu, s, "Invalid object pointer %s", c.ptr(addr))
		return false
	}
	if c.onFreelist(cpu, s, addr) {
		c.objectErr(cpu, s, addr, "Object already free")
		return false
	}
	return c.checkObject(cpu, s, addr, RedActive)
}

// checkFreed checks all objects of a slab that is given back: __free_slab.
func (c *Cache) checkFreed(cpu buddy.CPU, id slabID) {
	if c.layout.Flags&ConsistencyChecks == 0 {
		return
	}
	s := &c.a.slabs[id]
	c.padCheck(cpu, s)
	for obj := range s.objects {
		c.checkObject(cpu, s, s.objectAddr(c, obj), RedInactive)
	}
}

// Validate checks all slabs of a debugged cache that are on its nodes' lists,
// reports and repairs what is wrong, and returns how many it looked at:
// validate_slab_cache, which writing 1 to /sys/kernel/slab/CACHE/validate does.
// Only slabs with free objects are on a list, unless tracks are stored.
func (c *Cache) Validate(cpu buddy.CPU) (int, error) {
	if err := c.check(cpu, buddy.NoNode); err != nil {
		return 0, err
	}
	if err := c.Flush(); err != nil || !c.debug {
		return 0, err
	}
	count := 0
	for i := range c.nodes {
		count += c.validateNode(cpu, &c.nodes[i])
	}
	return count, nil
}

func (c *Cache) validateNode(cpu buddy.CPU, n *nodeLists) int {
	count := c.validateList(cpu, &n.partial)
	if c.layout.Flags&StoreUser != 0 {
		count += c.validateList(cpu, &n.full)
		if uint64(count) != n.slabs {
			c.report("SLUB: %s %d slabs counted but counter=%d", c.name, count, n.slabs)
		}
	}
	return count
}

func (c *Cache) validateList(cpu buddy.CPU, l *slabList) int {
	count := 0
	for id := l.first; id != 0; id = c.a.slabs[id].next {
		c.validateSlab(cpu, &c.a.slabs[id])
		count++
	}
	return count
}

// validateSlab is validate_slab.
func (c *Cache) validateSlab(cpu buddy.CPU, s *slabMeta) {
	if !c.checkSlab(cpu, s) || !c.onFreelist(cpu, s, 0) {
		return
	}
	for obj := range s.objects {
		addr := s.objectAddr(c, obj)
		val := byte(RedActive)
		if c.onList(s, addr) {
			val = RedInactive
		}
		if !c.checkObject(cpu, s, addr, val) {
			break
		}
	}
}
