package rival

import (
	"errors"
	"fmt"
	"slices"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/slab"
)

const (
	directMap  = 0xffff888000000000 // x86_64 without KASLR
	cacheLine  = 64
	wordSize   = 8
	slabRefill = 16  // BATCHREFILL_LIMIT
	slabShared = 8   // batches that CPUs share
	slabOrder  = 1   // slab_max_order of a machine with more than 32 MiB
	byteIndex  = 256 // more objects a slab than an index of one byte tells are not made
)

// slabSizes are kmalloc's caches with CONFIG_SLAB: 32 bytes at least, 96 and 192,
// powers of two up to two pages; larger requests go to the page allocator.
var slabSizes = []uint32{32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192}

// slabCache is a cache of SLAB.
type slabCache struct {
	object    uint32 // what a caller may use
	size      uint32 // from object to object: kmalloc's are aligned to cache lines
	order     int
	objects   uint32
	colours   uint32 // slabs begin at so many different multiples of a cache line
	colour    uint32
	colourOff uint32
	limit     int
	batch     int
	freeLimit int
	cpus      []slabArray
	shared    slabArray // limit 0: none
	partial   []int32   // the first is taken first
	free      []int32
	freeObjs  int
}

// slabArray is an array of free objects; the last is taken first.
type slabArray struct {
	objects []uint64
	limit   int
	touched bool
}

// arraySlab is a slab of SLAB.
type arraySlab struct {
	pfn    buddy.PFN
	cache  int32 // -1: not in use
	start  uint64
	active uint32
	index  []uint16 // those at active and behind are free
	live   []uint64 // in use by a caller
}

// slabArrays is Linux's SLAB on one node.
type slabArrays struct {
	pages  *countedPages
	caches []slabCache
	slabs  []arraySlab
	spare  []int32
	of     map[buddy.PFN]int32
	large  map[uint64]int // orders
	stats  Stats
}

func newSLAB(c Config) (Allocator, error) {
	s := &slabArrays{pages: &countedPages{PageSource: c.pages()}, of: map[buddy.PFN]int32{}, large: map[uint64]int{}}
	for _, size := range slabSizes {
		k := newSlabCache(size)
		k.limit, k.batch = slabLimits(k.size)
		k.freeLimit = (1+c.cpus())*k.batch + int(k.objects)
		k.cpus = make([]slabArray, c.cpus())
		for i := range k.cpus {
			k.cpus[i].limit = k.limit
		}
		if k.size <= pageSize && c.cpus() > 1 {
			k.shared.limit = slabShared * k.batch
		}
		s.caches = append(s.caches, k)
	}
	return s, nil
}

// slabLimits are an array's length and half of it (enable_cpucache).
func slabLimits(size uint32) (limit, batch int) {
	switch {
	case size > 131072:
		limit = 1
	case size > pageSize:
		limit = 8
	case size > 1024:
		limit = 24
	case size > 256:
		limit = 54
	default:
		limit = 120
	}
	return limit, (limit + 1) / 2
}

// newSlabCache lays out slabs: with the index of free objects in a free object,
// else outside, else behind the objects (__kmem_cache_create).
func newSlabCache(object uint32) slabCache {
	align := uint32(cacheLine)
	for object <= align/2 {
		align /= 2
	}
	size := (object + align - 1) &^ (align - 1)
	line := uint32(cacheLine)
	if size&(size-1) == 0 {
		line = max(line, size) // kmalloc's powers of two are aligned to themselves
	}
	k, rest := slabCacheOrder(size, 0, 0)
	if k.objects == 0 || k.objects*indexSize > object {
		if k, rest = slabCacheOrder(size, 0, size/2); k.objects == 0 || rest >= k.objects*indexSize {
			k, rest = slabCacheOrder(size, indexSize, 0)
		}
	}
	k.object, k.colourOff = object, line
	k.colours = rest / line
	return k
}

// indexSize is that of an entry of a slab's index: with one byte a slab of the
// smallest object has no more than 256.
const indexSize = 1

// slabCacheOrder finds the order (calculate_slab_order). behind is how many
// bytes behind the objects each needs; off, if not 0, the most that an index
// outside may take.
func slabCacheOrder(size, behind, off uint32) (k slabCache, rest uint32) {
	k = slabCache{size: size}
	for order := 0; order <= 10; order++ {
		bytes := uint32(pageSize) << order
		n := bytes / (size + behind)
		if n == 0 {
			continue
		}
		if n > byteIndex-1 {
			break
		}
		if off > 0 && indexCache(n*indexSize) > off {
			continue
		}
		k.order, k.objects, rest = order, n, bytes%(size+behind)
		if order >= slabOrder || rest*8 <= bytes {
			break
		}
	}
	return k, rest
}

// indexCache is the size of the kmalloc cache that an index is in.
func indexCache(bytes uint32) uint32 {
	for _, size := range slabSizes {
		if bytes <= size {
			return size
		}
	}
	return pageSize * 2
}

func (s *slabArrays) Alloc(cpu int, size uint64) (uint64, error) {
	if size == 0 || size > 4<<20 {
		return 0, &SizeError{"slab", size}
	}
	ci := slices.IndexFunc(slabSizes, func(have uint32) bool { return size <= uint64(have) })
	if ci < 0 {
		order := 0
		for pageSize<<order < size {
			order++
		}
		addr, err := allocPages(s.pages, order, cpu)
		if err != nil {
			return 0, err
		}
		s.large[addr] = order
		return addr, nil
	}
	k := &s.caches[ci]
	a := &k.cpus[cpu]
	if len(a.objects) > 0 {
		s.stats.Local++
	} else if err := s.refill(ci, cpu); err != nil {
		return 0, err
	}
	a.touched = true
	n := len(a.objects) - 1
	addr := a.objects[n]
	a.objects = a.objects[:n]
	i, object, _ := s.find(addr)
	set(s.slabs[i].live, object)
	return addr, nil
}

// allocPages takes a block of the page allocator as an address.
func allocPages(p *countedPages, order, cpu int) (uint64, error) {
	pfn, err := p.AllocPages(buddy.GFPKernel, buddy.Order(order), buddy.NoNode, buddy.CPU(cpu))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNoMemory, err)
	}
	return directMap + uint64(pfn)<<pageShift, nil
}

func pfnOf(addr uint64) buddy.PFN { return buddy.PFN((addr - directMap) >> pageShift) }

// refill fills a CPU's empty array: from the shared one, from slabs, from a new
// slab (cache_alloc_refill).
func (s *slabArrays) refill(ci, cpu int) error {
	k := &s.caches[ci]
	a := &k.cpus[cpu]
	batch := k.batch
	if !a.touched {
		batch = min(batch, slabRefill)
	}
	if k.freeObjs > 0 || len(k.shared.objects) > 0 {
		s.stats.Locks++
		if n := min(batch, len(k.shared.objects)); n > 0 {
			from := len(k.shared.objects) - n
			a.objects = append(a.objects, k.shared.objects[from:]...)
			k.shared.objects = k.shared.objects[:from]
			return nil
		}
		for batch > 0 {
			var i int32
			switch {
			case len(k.partial) > 0:
				i = k.partial[0]
				k.partial = slices.Delete(k.partial, 0, 1)
			case len(k.free) > 0:
				i = k.free[0]
				k.free = slices.Delete(k.free, 0, 1)
			default:
				batch = 0
				continue
			}
			n := s.take(ci, a, i, batch)
			batch -= n
			k.freeObjs -= n
			s.list(ci, i)
		}
	}
	if len(a.objects) > 0 {
		return nil
	}
	i, err := s.grow(ci, cpu)
	if err != nil {
		return err
	}
	s.stats.Locks++
	n := s.take(ci, a, i, batchOr(batch, k.batch))
	k.freeObjs += int(k.objects) - n
	s.list(ci, i)
	return nil
}

// batchOr is what is left of a batch: a new slab serves a whole one if nothing
// else did.
func batchOr(left, whole int) int {
	if left > 0 {
		return left
	}
	return whole
}

// take moves up to n free objects of a slab into an array.
func (s *slabArrays) take(ci int, a *slabArray, i int32, n int) int {
	k, sl := &s.caches[ci], &s.slabs[i]
	n = min(n, int(k.objects-sl.active))
	for range n {
		a.objects = append(a.objects, sl.start+uint64(sl.index[sl.active])*uint64(k.size))
		sl.active++
	}
	return n
}

// list puts a slab into the list that it belongs to, in front.
func (s *slabArrays) list(ci int, i int32) {
	k := &s.caches[ci]
	switch active := s.slabs[i].active; {
	case active == 0:
		k.free = append(k.free, i)
	case active < k.objects:
		k.partial = slices.Insert(k.partial, 0, i)
	}
}

// grow makes a slab of the next colour.
func (s *slabArrays) grow(ci, cpu int) (int32, error) {
	k := &s.caches[ci]
	addr, err := allocPages(s.pages, k.order, cpu)
	if err != nil {
		return 0, err
	}
	if k.colour++; k.colour >= k.colours {
		k.colour = 0
	}
	var i int32
	if n := len(s.spare); n > 0 {
		i, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		i = int32(len(s.slabs))
		s.slabs = append(s.slabs, arraySlab{})
	}
	sl := &s.slabs[i]
	sl.pfn, sl.cache, sl.active = pfnOf(addr), int32(ci), 0
	sl.start = addr + uint64(k.colour)*uint64(k.colourOff)
	sl.index = sl.index[:0]
	for o := range k.objects {
		sl.index = append(sl.index, uint16(o))
	}
	sl.live = words64(sl.live, int(k.objects+63)/64)
	for p := range buddy.PFN(1) << k.order {
		s.of[sl.pfn+p] = i
	}
	return i, nil
}

// find gives the slab and the index of an object's address.
func (s *slabArrays) find(addr uint64) (i int32, object uint32, ok bool) {
	if addr < directMap {
		return 0, 0, false
	}
	i, ok = s.of[pfnOf(addr)]
	if !ok {
		return 0, 0, false
	}
	sl := &s.slabs[i]
	k := &s.caches[sl.cache]
	off := addr - sl.start
	if addr < sl.start || off%uint64(k.size) != 0 || off/uint64(k.size) >= uint64(k.objects) {
		return 0, 0, false
	}
	return i, uint32(off / uint64(k.size)), true
}

func (s *slabArrays) Free(cpu int, addr uint64) error {
	if order, ok := s.large[addr]; ok {
		if err := s.pages.FreePages(pfnOf(addr), buddy.Order(order), buddy.CPU(cpu)); err != nil {
			return &FreeError{Allocator: "slab", Addr: addr}
		}
		delete(s.large, addr)
		return nil
	}
	i, object, ok := s.find(addr)
	if !ok {
		return &FreeError{Allocator: "slab", Addr: addr}
	}
	sl := &s.slabs[i]
	if !has(sl.live, object) {
		return &FreeError{Allocator: "slab", Addr: addr, Twice: true}
	}
	unset(sl.live, object)
	k := &s.caches[sl.cache]
	a := &k.cpus[cpu]
	if len(a.objects) < a.limit {
		s.stats.Local++
	} else if err := s.flush(int(sl.cache), cpu); err != nil {
		return err
	}
	a.objects = append(a.objects, addr)
	return nil
}

// flush moves the oldest batch of a CPU's array to the shared one, or back into
// slabs (cache_flusharray).
func (s *slabArrays) flush(ci, cpu int) error {
	k := &s.caches[ci]
	a := &k.cpus[cpu]
	s.stats.Locks++
	n := k.batch
	if room := k.shared.limit - len(k.shared.objects); room > 0 {
		n = min(n, room)
		k.shared.objects = append(k.shared.objects, a.objects[:n]...)
	} else if err := s.put(ci, cpu, a.objects[:n]); err != nil {
		return err
	}
	a.objects = append(a.objects[:0], a.objects[n:]...)
	return nil
}

// put gives objects back to their slabs, and slabs that are too many to the page
// allocator (free_block).
func (s *slabArrays) put(ci, cpu int, objects []uint64) error {
	k := &s.caches[ci]
	k.freeObjs += len(objects)
	for _, addr := range objects {
		i, object, _ := s.find(addr)
		sl := &s.slabs[i]
		if sl.active < k.objects {
			k.partial = remove(k.partial, i)
		}
		sl.active--
		sl.index[sl.active] = uint16(object)
		if sl.active == 0 {
			k.free = slices.Insert(k.free, 0, i)
		} else {
			k.partial = append(k.partial, i)
		}
	}
	var failed error
	for k.freeObjs > k.freeLimit && len(k.free) > 0 {
		k.freeObjs -= int(k.objects)
		i := k.free[len(k.free)-1]
		k.free = k.free[:len(k.free)-1]
		sl := &s.slabs[i]
		for p := range buddy.PFN(1) << k.order {
			delete(s.of, sl.pfn+p)
		}
		failed = errors.Join(failed, s.pages.FreePages(sl.pfn, buddy.Order(k.order), buddy.CPU(cpu)))
		sl.cache = -1
		s.spare = append(s.spare, i)
	}
	return failed
}

func (s *slabArrays) Usable(addr uint64) uint64 {
	if order, ok := s.large[addr]; ok {
		return pageSize << order
	}
	i, object, ok := s.find(addr)
	if !ok || !has(s.slabs[i].live, object) {
		return 0
	}
	return uint64(s.caches[s.slabs[i].cache].object)
}

func (s *slabArrays) Footprint() uint64 { return s.pages.held }

func (s *slabArrays) Stats() Stats {
	st := s.stats
	st.PageAllocs, st.PageFrees = s.pages.allocs, s.pages.frees
	return st
}

func (s *slabArrays) Check() error {
	broken := func(what string) error { return &CheckError{"slab", what} }
	for ci := range s.caches {
		k := &s.caches[ci]
		seen := map[uint64]bool{}
		arrays := append([]slabArray{k.shared}, k.cpus...)
		for _, a := range arrays {
			if len(a.objects) > a.limit {
				return broken("an array is too long")
			}
			for _, addr := range a.objects {
				i, object, ok := s.find(addr)
				if !ok || seen[addr] || has(s.slabs[i].live, object) {
					return broken("an array has what is not free")
				}
				seen[addr] = true
			}
		}
		active, live, free := 0, 0, 0
		for i := range s.slabs {
			sl := &s.slabs[i]
			if int(sl.cache) != ci {
				continue
			}
			active, live, free = active+int(sl.active), live+int(ones(sl.live)), free+int(k.objects-sl.active)
			partial, empty := slices.Contains(k.partial, int32(i)), slices.Contains(k.free, int32(i))
			if partial != (sl.active > 0 && sl.active < k.objects) || empty != (sl.active == 0) {
				return broken("a slab is in the wrong list")
			}
			for _, object := range sl.index[sl.active:] {
				if has(sl.live, uint32(object)) || seen[sl.start+uint64(object)*uint64(k.size)] {
					return broken("a slab's free object is in use")
				}
			}
		}
		if active != live+len(seen) || free != k.freeObjs {
			return broken("objects are counted wrongly")
		}
	}
	return nil
}

var _ slab.PageSource = (*countedPages)(nil)
