package slab

import (
	"fmt"
	"math/bits"
)

// Params is what a cache is asked for, the arguments of kmem_cache_create.
type Params struct {
	// Name as in /proc/slabinfo.
	Name string
	// Size of an object in bytes, 1 to KMALLOC_MAX_SIZE.
	Size uint32
	// Align is the wanted alignment in bytes: 0 or a power of two.
	Align uint32
	// Flags asked for; see [Flags] for those that a creator may give.
	Flags Flags
	// Ctor runs on every object of a new slab; object is nil if the cache has
	// no contents.
	Ctor func(addr uint64, object []byte)
	// UserOffset and UserSize are the part of the object that may be copied to
	// and from user space, in bytes.
	UserOffset, UserSize uint32
	// FreePtrOffset, if HasFreePtrOffset, is where a TypesafeByRCU cache keeps
	// the free pointer inside the object (since 6.11).
	FreePtrOffset    uint32
	HasFreePtrOffset bool
	// SheafCapacity is how many objects a CPU keeps in an array (since 6.18); 0
	// for none.
	SheafCapacity uint32
}

// Layout is how a cache places objects in slabs: the fields of struct
// kmem_cache that follow from its parameters. Sizes are bytes.
//
//	object at a multiple of Size from the slab's start, plus RedLeftPad
//	|
//	|<---- ObjectSize ---->|<- red zone or padding ->|free ptr|tracks|size|padding|left pad of the next
//	|<------------------ Inuse ---------------------->|
//	|<------------------------------------- Size ---------------------------------------------------->|
//
// The free pointer is at Offset: inside the object, or at Inuse if the object
// must not be written to while it is free.
type Layout struct {
	ObjectSize, Size, Inuse, Align, Offset, RedLeftPad uint32
	// Order and Objects are a slab's usual size in pages (log2) and its number
	// of objects; MinOrder and MinObjects those of the smallest possible slab,
	// which is used when there is no block of Order.
	Order, MinOrder     int
	Objects, MinObjects uint32
	// MinPartial is how many slabs a node keeps even if they are empty.
	// CPUPartial and CPUPartialSlabs bound a CPU's partial list in objects and
	// slabs.
	MinPartial, CPUPartial, CPUPartialSlabs uint32
	// Flags in effect.
	Flags Flags
}

// CreateError says why a cache cannot be created. The kernel prints
// "kmem_cache_create(NAME) failed with error -22".
type CreateError struct {
	Name   string
	Reason string
}

func (e *CreateError) Error() string {
	return fmt.Sprintf("slab: kmem_cache_create_usercopy(%s) failed with error -22: %s", e.Name, e.Reason)
}

// Layout computes the layout of a cache as kmem_cache_create would make it
// without merging. The configuration's debug options are applied.
func (c *Config) Layout(p Params) (Layout, error) {
	if err := c.checkParams(&p); err != nil {
		return Layout{}, err
	}
	flags := p.Flags &^ ignoredAtCreation
	align := c.calculateAlignment(flags, p.Align, p.Size)
	return c.open(&p, align, c.Debug.apply(p.Name, flags))
}

// LayoutAligned is like Layout, but the alignment is already that which a cache
// got, as /sys/kernel/slab/CACHE/align shows it, and so are the flags.
func (c *Config) LayoutAligned(p Params, align uint32) (Layout, error) {
	if err := c.checkParams(&p); err != nil {
		return Layout{}, err
	}
	return c.open(&p, align, p.Flags)
}

func (c *Config) checkParams(p *Params) error {
	fail := func(format string, args ...any) error {
		return &CreateError{p.Name, fmt.Sprintf(format, args...)}
	}
	switch {
	case p.Size == 0 || uint64(p.Size) > c.kmallocMaxSize():
		return fail("object size %d, expected 1 to %d", p.Size, c.kmallocMaxSize())
	case p.Flags&^(permitted|Kmalloc) != 0:
		return fail("flags %v are not permitted", p.Flags&^permitted)
	case p.Align != 0 && !powerOfTwo(p.Align) || uint64(p.Align) > c.kmallocMaxSize():
		return fail("alignment %d, expected 0 or a power of two up to %d", p.Align, c.kmallocMaxSize())
	case p.UserSize == 0 && p.UserOffset != 0 || p.Size < p.UserSize || p.Size-p.UserSize < p.UserOffset:
		return fail("usercopy region of %d bytes at %d in an object of %d", p.UserSize, p.UserOffset, p.Size)
	case p.HasFreePtrOffset && (p.Flags&TypesafeByRCU == 0 || p.Ctor != nil):
		return fail("free pointer offset without SLAB_TYPESAFE_BY_RCU, or with a constructor")
	case p.HasFreePtrOffset && (p.FreePtrOffset%c.WordSize != 0 || uint64(p.FreePtrOffset)+uint64(c.WordSize) > uint64(p.Size)):
		return fail("free pointer at %d in an object of %d bytes", p.FreePtrOffset, p.Size)
	case p.SheafCapacity > maxSheaf:
		return fail("sheaf capacity %d, expected at most %d", p.SheafCapacity, maxSheaf)
	}
	return nil
}

// maxSheaf bounds a sheaf's capacity.
const maxSheaf = 1 << 12

// calculateAlignment is calculate_alignment. Small objects of a cache-aligned
// cache share a line evenly.
func (c *Config) calculateAlignment(flags Flags, align, size uint32) uint32 {
	if flags&HWCacheAlign != 0 {
		line := c.CacheLine
		for size <= line/2 {
			line /= 2
		}
		align = max(align, line)
	}
	return alignUp(max(align, c.SlabMinAlign), c.WordSize)
}

// open is kmem_cache_open as far as the layout is concerned.
func (c *Config) open(p *Params, align uint32, flags Flags) (Layout, error) {
	l := Layout{ObjectSize: p.Size, Align: align, Flags: flags}
	ok := c.calculateSizes(&l, p)
	if ok && c.Debug.NoHigherOrder && c.order(uint64(l.Size)) > c.order(uint64(l.ObjectSize)) {
		l = Layout{ObjectSize: p.Size, Align: align, Flags: flags &^ metadataFlags}
		ok = c.calculateSizes(&l, p)
	}
	if !ok {
		return Layout{}, &CreateError{p.Name, fmt.Sprintf("no block of pages holds an object of %d bytes", l.Size)}
	}
	if c.CmpxchgDouble && l.Flags&noCmpxchg == 0 {
		l.Flags |= CmpxchgDouble
	}
	c.setPartial(&l)
	return l, nil
}

// calculateSizes is calculate_sizes: what stands where in an object.
func (c *Config) calculateSizes(l *Layout, p *Params) bool {
	word, debug := c.WordSize, l.Flags
	size := alignUp(l.ObjectSize, word)
	if debug&Poison != 0 && debug&TypesafeByRCU == 0 && p.Ctor == nil {
		l.Flags |= ObjectPoison
	}
	if debug&RedZone != 0 && size == l.ObjectSize {
		size += word // room for the right red zone
	}
	l.Inuse = size
	if c.pointerOutside(l, p) {
		l.Offset = size
		size += word
	} else {
		l.Offset = c.pointerInside(l, p)
	}
	if debug&StoreUser != 0 {
		size += 2 * c.trackBytes()
		if debug&Kmalloc != 0 {
			size += c.origSizeBytes()
		}
	}
	if debug&RedZone != 0 {
		// A word of padding at the end, and the left red zone.
		l.RedLeftPad = alignUp(word, l.Align)
		size += word + l.RedLeftPad
	}
	l.Size = alignUp(size, l.Align)
	return c.setOrders(l)
}

// pointerOutside says whether the free pointer must lie behind the object.
func (c *Config) pointerOutside(l *Layout, p *Params) bool {
	f := l.Flags
	if f&TypesafeByRCU != 0 && !p.HasFreePtrOffset || f&Poison != 0 || p.Ctor != nil {
		return true
	}
	if f&RedZone == 0 || c.Profile.FreePointer == FreePointerFirst {
		return false
	}
	origSize := f&StoreUser != 0 && f&Kmalloc != 0
	return l.ObjectSize < c.WordSize || c.Profile.OrigSizeMovesPointer && origSize
}

// pointerInside is where the free pointer lies in an object.
func (c *Config) pointerInside(l *Layout, p *Params) uint32 {
	switch {
	case p.HasFreePtrOffset:
		return p.FreePtrOffset
	case c.Profile.FreePointer == FreePointerFirst:
		return 0
	}
	return alignDown(l.ObjectSize/2, c.WordSize)
}

// setOrders sets the slab's sizes; false if there is no block so large.
func (c *Config) setOrders(l *Layout) bool {
	order, ok := c.CalculateOrder(l.Size)
	if !ok {
		return false
	}
	l.Order, l.Objects = order, c.objectsIn(order, l.Size)
	l.MinOrder = c.order(uint64(l.Size))
	l.MinObjects = c.objectsIn(l.MinOrder, l.Size)
	return l.Objects > 0
}

// Bounds of a node's number of slabs kept, MIN_PARTIAL and MAX_PARTIAL.
const (
	minPartial = 5
	maxPartial = 10
)

// setPartial sets the bounds of the partial lists: set_min_partial and
// set_cpu_partial.
func (c *Config) setPartial(l *Layout) {
	l.MinPartial = max(minPartial, min(maxPartial, uint32(bits.Len32(l.Size)-1)/2))
	if !c.CPUPartial || l.Flags&DebugFlags != 0 {
		return
	}
	class := 3
	switch {
	case l.Size >= c.pageSize():
		class = 0
	case l.Size >= 1024:
		class = 1
	case l.Size >= 256:
		class = 2
	}
	if c.Profile.CPUPartial == CPUPartialObjects {
		l.CPUPartial = [...]uint32{2, 6, 13, 30}[class]
		return
	}
	l.setCPUPartial([...]uint32{6, 24, 52, 120}[class])
}

// setCPUPartial is slub_set_cpu_partial: as many slabs as hold n free objects
// if they are half full.
func (l *Layout) setCPUPartial(n uint32) {
	l.CPUPartial = n
	l.CPUPartialSlabs = (2*n + l.Objects - 1) / l.Objects
}

// Ksize is how many bytes of an object its user may use, the kernel's
// slab_ksize: all there is, unless metadata follows.
func (l *Layout) Ksize() uint32 {
	switch {
	case l.Flags&(RedZone|Poison|KASAN) != 0:
		return l.ObjectSize
	case l.Flags&(TypesafeByRCU|StoreUser) != 0:
		return l.Inuse
	}
	return l.Size
}

// outside says whether the free pointer lies behind the object
// (freeptr_outside_object).
func (l *Layout) outside() bool { return l.Offset >= l.Inuse }

// infoEnd is where tracks begin (get_info_end).
func (l *Layout) infoEnd(word uint32) uint32 {
	if l.outside() {
		return l.Inuse + word
	}
	return l.Inuse
}
