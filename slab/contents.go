package slab

import (
	"encoding/binary"
	"slices"

	"github.com/kernsim/kernsim/buddy"
)

// The bytes of a slab are kept where contents matter: in debugged caches, and
// everywhere if Config.Contents says so. Fresh pages hold zeros.

// slabBytes sizes a slab's bytes, all zero.
func (c *Cache) slabBytes(s *slabMeta) {
	n := int(c.a.config.pageSize()) << s.order
	s.mem = slices.Grow(s.mem[:0], n)[:n]
	clear(s.mem)
}

// fillNew gives a new slab its bytes, its free pointers in the objects and
// constructed objects.
func (c *Cache) fillNew(s *slabMeta) {
	c.slabBytes(s)
	if c.debug {
		c.setupDebug(s)
		return
	}
	for obj := s.free; obj != noObject; obj = s.links[obj] {
		c.construct(s, obj)
		c.writePointer(s, obj, s.links[obj])
	}
}

// construct runs the cache's constructor.
func (c *Cache) construct(s *slabMeta, obj objIndex) {
	if c.params.Ctor != nil {
		addr := s.objectAddr(c, obj)
		c.params.Ctor(addr, c.span(s, addr, uint64(c.layout.ObjectSize)))
	}
}

// span are n bytes of a slab from an address on; they must be inside.
func (c *Cache) span(s *slabMeta, addr, n uint64) []byte {
	off := addr - s.addr
	return s.mem[off : off+n : off+n]
}

// loadWord reads a pointer-sized number, storeWord writes one.
func (c *Cache) loadWord(b []byte) uint64 {
	if c.a.config.WordSize == 4 {
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

func (c *Cache) storeWord(b []byte, v uint64) {
	if c.a.config.WordSize == 4 {
		binary.LittleEndian.PutUint32(b, uint32(v))
		return
	}
	binary.LittleEndian.PutUint64(b, v)
}

// obfuscate hides or shows a free pointer that is stored at an address:
// freelist_ptr. It is its own inverse.
func (c *Cache) obfuscate(ptr, at uint64) uint64 {
	if !c.a.config.FreelistHardened {
		return ptr
	}
	return ptr ^ c.key ^ swab(at, c.a.config.WordSize)
}

// readFree is get_freepointer, writeFree set_freepointer: the free pointer of
// the object at an address.
func (c *Cache) readFree(s *slabMeta, addr uint64) uint64 {
	at := addr + uint64(c.layout.Offset)
	return c.obfuscate(c.loadWord(c.span(s, at, uint64(c.a.config.WordSize))), at)
}

func (c *Cache) writeFree(s *slabMeta, addr, next uint64) {
	at := addr + uint64(c.layout.Offset)
	c.storeWord(c.span(s, at, uint64(c.a.config.WordSize)), c.obfuscate(next, at))
}

// nextAddr is the address that an object's link means, 0 for the list's end.
func (s *slabMeta) nextAddr(c *Cache, next objIndex) uint64 {
	if next == noObject {
		return 0
	}
	return s.objectAddr(c, next)
}

// writePointer stores an object's link in its bytes, as the kernel has it.
func (c *Cache) writePointer(s *slabMeta, obj, next objIndex) {
	c.writeFree(s, s.objectAddr(c, obj), s.nextAddr(c, next))
}

// checkPointer says whether a free object's bytes still hold its link. If they
// do not, someone wrote to it, and the kernel would follow what it finds there.
func (c *Cache) checkPointer(s *slabMeta, obj, next objIndex) error {
	addr := s.objectAddr(c, obj)
	if c.readFree(s, addr) != s.nextAddr(c, next) {
		return misuse(Corrupted, addr, c)
	}
	return nil
}

// initialize zeroes an object that was just taken if its request or the
// configuration wants it: slab_want_init_on_alloc.
func (c *Cache) initialize(addr uint64, gfp buddy.GFP) {
	want := gfp&buddy.GFPZero != 0
	if c.a.config.InitOnAlloc && c.params.Ctor == nil && c.layout.Flags&(TypesafeByRCU|Poison) == 0 {
		want = true
	}
	if !want {
		return
	}
	s := &c.a.slabs[c.a.slabAt(addr)]
	clear(c.span(s, addr, uint64(c.layout.ObjectSize)))
}

// wipe zeroes an object that is freed, and what follows it in its place:
// init_on_free.
func (c *Cache) wipe(s *slabMeta, obj objIndex) {
	if c.params.Ctor != nil || c.layout.Flags&(TypesafeByRCU|Poison) != 0 {
		return
	}
	addr, l := s.objectAddr(c, obj), &c.layout
	clear(c.span(s, addr, uint64(l.ObjectSize)))
	end := l.Size
	if l.Flags&RedZone != 0 {
		end -= l.RedLeftPad
	}
	clear(c.span(s, addr+uint64(l.Inuse), uint64(end-l.Inuse)))
}

// bytesAt gives up to n bytes of memory from an address on: of a slab or a
// large block, never beyond it.
func (a *Allocator) bytesAt(addr, n uint64) []byte {
	base, mem := uint64(0), []byte(nil)
	switch id := a.pages.at(a.pfnOf(addr)); {
	case id > 0:
		base, mem = a.slabs[id].addr, a.slabs[id].mem
	case id < 0:
		base, mem = a.debug.largeAt(a, addr)
	}
	if mem == nil || addr < base || addr-base >= uint64(len(mem)) {
		return nil
	}
	off := addr - base
	return mem[off:min(off+n, uint64(len(mem)))]
}

// Read copies bytes out of the allocator's memory: what a load sees. Bytes
// beyond the object are there, too, as in a real slab. The error is a
// *MisuseError if they are in no slab or it has no contents.
func (a *Allocator) Read(addr uint64, b []byte) error {
	from := a.bytesAt(addr, uint64(len(b)))
	if len(from) < len(b) {
		return misuse(Outside, addr, nil)
	}
	copy(b, from)
	return nil
}

// Write changes bytes as a store does: nothing checks whether they belong to an
// object in use. So a test can overwrite red zones and freed objects.
func (a *Allocator) Write(addr uint64, b []byte) error {
	to := a.bytesAt(addr, uint64(len(b)))
	if len(to) < len(b) {
		return misuse(Outside, addr, nil)
	}
	copy(to, b)
	return nil
}

// put writes bytes if there is memory for them.
func (a *Allocator) put(addr uint64, b []byte) { copy(a.bytesAt(addr, uint64(len(b))), b) }

// zero clears bytes if there are any.
func (a *Allocator) zero(addr, n uint64) { clear(a.bytesAt(addr, n)) }

// copyBytes copies bytes between objects.
func (a *Allocator) copyBytes(to, from, n uint64) { copy(a.bytesAt(to, n), a.bytesAt(from, n)) }

// CheckUsercopy says whether n bytes from an address on may be copied to or from
// user space (CONFIG_HARDENED_USERCOPY): they must lie in the object's usercopy
// region. It is __check_heap_object.
func (a *Allocator) CheckUsercopy(addr, n uint64) error {
	id := a.slabAt(addr)
	if id == 0 {
		return nil
	}
	s := &a.slabs[id]
	c := s.cache
	off := (addr - s.addr) % uint64(c.layout.Size)
	if off < uint64(c.redLeft) {
		return misuse(BadCopy, addr, c)
	}
	off -= uint64(c.redLeft)
	first, size := uint64(c.params.UserOffset), uint64(c.params.UserSize)
	if off < first || off-first > size || n > first-off+size {
		return misuse(BadCopy, addr, c)
	}
	return nil
}
