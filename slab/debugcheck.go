package slab

import "github.com/kernsim/kernsim/buddy"

// checkSlab is check_slab: does the slab's own bookkeeping make sense?
func (c *Cache) checkSlab(cpu buddy.CPU, s *slabMeta) bool {
	most := c.a.config.objectsIn(int(s.order), c.layout.Size)
	switch {
	case uint32(s.objects) > most:
		c.slabErr(cpu, s, "objects %d > max %d", s.objects, most)
	case s.inuse > s.objects:
		c.slabErr(cpu, s, "inuse %d > max %d", s.inuse, s.objects)
	case s.frozen:
		c.slabErr(cpu, s, "Slab disabled since SLUB metadata consistency check failed")
	default:
		c.padCheck(cpu, s)
		return true
	}
	return false
}

// padCheck is slab_pad_check: the rest of the slab behind its last object.
func (c *Cache) padCheck(cpu buddy.CPU, s *slabMeta) {
	if c.layout.Flags&Poison == 0 {
		return
	}
	rest := uint32(len(s.mem)) % c.layout.Size
	pad := s.mem[uint32(len(s.mem))-rest:]
	from, to, ok := wrongBytes(pad, PoisonInUse)
	if ok {
		return
	}
	start := uint64(len(s.mem)) - uint64(rest)
	at := s.addr + start
	c.slabErr(cpu, s, "Padding overwritten. %s-%s @offset=%d", c.ptr(at+uint64(from)), c.ptr(at+uint64(to-1)), start+uint64(from))
	c.section("Padding ", at, pad)
	c.restore("slab padding", at, pad, from, to, PoisonInUse)
}

// wrongBytes finds the first byte that is not v and the end of the last such
// one; ok means that all are v.
func wrongBytes(b []byte, v byte) (from, to int, ok bool) {
	for from < len(b) && b[from] == v {
		from++
	}
	to = len(b)
	for to > from && b[to-1] == v {
		to--
	}
	return from, to, from == len(b)
}

// restore is restore_bytes.
func (c *Cache) restore(what string, at uint64, b []byte, from, to int, v byte) {
	c.fix("Restoring %s %s-%s=0x%x", what, c.ptr(at+uint64(from)), c.ptr(at+uint64(to-1)), v)
	fill(b[from:to], v)
}

// checkBytes is check_bytes_and_report: n bytes from an address on must be v.
// Wrong ones are reported and restored.
func (c *Cache) checkBytes(cpu buddy.CPU, s *slabMeta, object uint64, what string, at uint64, v byte, n uint32) bool {
	b := c.span(s, at, uint64(n))
	from, to, ok := wrongBytes(b, v)
	if ok {
		return true
	}
	if c.counted(what + " overwritten") {
		c.bug("%s overwritten", what)
		first := at + uint64(from)
		c.print("%s-%s @offset=%d. First byte 0x%x instead of 0x%x", c.ptr(first), c.ptr(at+uint64(to-1)), first-s.addr, b[from], v)
		c.trailer(cpu, s, object)
		c.a.debug.addTaint(taintBadPage, true)
	}
	c.restore(what, at, b, from, to, v)
	return false
}

// checkObject is check_object. val is RedInactive for a free object, RedActive
// for one in use.
func (c *Cache) checkObject(cpu buddy.CPU, s *slabMeta, addr uint64, val byte) bool {
	l := &c.layout
	if l.Flags&RedZone != 0 {
		if !c.checkRedZones(cpu, s, addr, val) {
			return false
		}
	} else if l.Flags&Poison != 0 && l.ObjectSize < l.Inuse {
		c.checkBytes(cpu, s, addr, "Alignment padding", addr+uint64(l.ObjectSize), PoisonInUse, l.Inuse-l.ObjectSize)
	}
	if l.Flags&Poison != 0 {
		if val != RedActive && l.Flags&ObjectPoison != 0 && !c.checkPoison(cpu, s, addr) {
			return false
		}
		c.checkPadding(cpu, s, addr)
	}
	if !l.outside() && val == RedActive {
		return true // the object overlays the free pointer
	}
	if !c.validPointer(s, c.readFree(s, addr)) {
		c.objectErr(cpu, s, addr, "Freepointer corrupt")
		// The objects behind it are lost.
		c.writeFree(s, addr, 0)
		return false
	}
	return true
}

func (c *Cache) checkRedZones(cpu buddy.CPU, s *slabMeta, addr uint64, val byte) bool {
	l := &c.layout
	if !c.checkBytes(cpu, s, addr, "Left Redzone", addr-uint64(l.RedLeftPad), val, l.RedLeftPad) ||
		!c.checkBytes(cpu, s, addr, "Right Redzone", addr+uint64(l.ObjectSize), val, l.Inuse-l.ObjectSize) {
		return false
	}
	if val != RedActive || !c.redZonesOrigSize() {
		return true
	}
	size := c.origSize(s, addr)
	return size >= l.ObjectSize ||
		c.checkBytes(cpu, s, addr, "kmalloc Redzone", addr+uint64(size), val, l.ObjectSize-size)
}

func (c *Cache) checkPoison(cpu buddy.CPU, s *slabMeta, addr uint64) bool {
	n := c.layout.ObjectSize - 1
	return c.checkBytes(cpu, s, addr, "Poison", addr, PoisonFree, n) &&
		c.checkBytes(cpu, s, addr, "End Poison", addr+uint64(n), PoisonEnd, 1)
}

// checkPadding is check_pad_bytes: what is left behind the metadata.
func (c *Cache) checkPadding(cpu buddy.CPU, s *slabMeta, addr uint64) {
	from, to := c.metadataEnd(), c.sizeFromObject()
	if from < to {
		c.checkBytes(cpu, s, addr, "Object padding", addr+uint64(from), PoisonInUse, to-from)
	}
}

// sizeFromObject is size_from_object: from an object to the next one's left red
// zone.
func (c *Cache) sizeFromObject() uint32 { return c.layout.Size - c.redLeft }

// onFreelist is on_freelist: is an object (0: any) on the slab's free list? On
// the way the list and the counts are checked and repaired.
func (c *Cache) onFreelist(cpu buddy.CPU, s *slabMeta, search uint64) bool {
	n := uint16(0)
	object := uint64(0)
	for fp := s.raw; fp != 0 && n <= s.objects; n++ {
		if fp == search {
			return true
		}
		if !c.validPointer(s, fp) {
			if object == 0 {
				c.slabErr(cpu, s, "Freepointer corrupt")
				s.raw, s.inuse = 0, s.objects
				c.fix("Freelist cleared")
				return false
			}
			c.objectErr(cpu, s, object, "Freechain corrupt")
			c.writeFree(s, object, 0)
			break
		}
		object = fp
		fp = c.readFree(s, object)
	}
	c.adjustCounts(cpu, s, n)
	return search == 0
}

// adjustCounts repairs the slab's counts after n free objects were found.
func (c *Cache) adjustCounts(cpu buddy.CPU, s *slabMeta, n uint16) {
	most := uint16(min(c.a.config.objectsIn(int(s.order), c.layout.Size), maxObjectsPerSlab))
	if s.objects != most {
		c.slabErr(cpu, s, "Wrong number of objects. Found %d but should be %d", s.objects, most)
		s.objects = most
		c.fix("Number of objects adjusted")
	}
	if s.inuse != s.objects-n {
		c.slabErr(cpu, s, "Wrong object count. Counter is %d but counted were %d", s.inuse, int(s.objects)-int(n))
		s.inuse = s.objects - n
		c.fix("Object count adjusted")
	}
}
