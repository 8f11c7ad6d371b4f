package rival

import "math/bits"

// A span is a run of pages with objects of one class, or with one large object.
type span struct {
	first, pages uint32
	class        int32 // -1: one large object
	size         uint64
	objects      uint32
	used         uint32   // handed to a CPU's cache or in use
	next         uint32   // Go: where the search goes on
	where        spanList // which list has it
	held         []uint64 // bit set: handed out by the span
	live         []uint64 // bit set: in use by a caller
	stack        []uint32 // tcmalloc: free objects, the next one last
}

// spanList is where a span is.
type spanList uint8

const (
	spanNone spanList = iota // full, or a large object
	spanCPU                  // a CPU allocates from it
	spanPartial
)

// spans are the spans of a heap.
type spans struct {
	heap
	name  string
	all   []span
	spare []int32 // unused places in all
	of    []int32 // by page, the span's index plus one
}

func newSpans(name string, shift uint, smallest bool) spans {
	return spans{heap: newHeap(shift, smallest), name: name}
}

// newSpan takes pages for objects of a size; class -1 is a large one.
func (s *spans) newSpan(pages uint32, class int32, size uint64, objects uint32) (int32, error) {
	first, err := s.alloc(pages)
	if err != nil {
		return 0, err
	}
	var i int32
	if n := len(s.spare); n > 0 {
		i, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		i = int32(len(s.all))
		s.all = append(s.all, span{})
	}
	words := int(objects+63) / 64
	old := &s.all[i]
	*old = span{first: first, pages: pages, class: class, size: size, objects: objects, held: words64(old.held, words), live: words64(old.live, words), stack: old.stack[:0]}
	for uint32(len(s.of)) < s.end {
		s.of = append(s.of, 0)
	}
	for p := first; p < first+pages; p++ {
		s.of[p] = i + 1
	}
	return i, nil
}

func words64(b []uint64, n int) []uint64 {
	if cap(b) < n {
		return make([]uint64, n)
	}
	b = b[:n]
	clear(b)
	return b
}

func (s *spans) freeSpan(i int32) {
	sp := &s.all[i]
	for p := sp.first; p < sp.first+sp.pages; p++ {
		s.of[p] = 0
	}
	s.release(sp.first, sp.pages)
	sp.pages, sp.where = 0, spanNone
	s.spare = append(s.spare, i)
}

func (s *spans) addrOf(i int32, object uint32) uint64 {
	sp := &s.all[i]
	return s.addr(sp.first) + uint64(object)*sp.size
}

// find gives the span and the index of an object that starts at an address.
func (s *spans) find(addr uint64) (i int32, object uint32, ok bool) {
	p, ok := s.page(addr)
	if !ok || s.of[p] == 0 {
		return 0, 0, false
	}
	i = s.of[p] - 1
	sp := &s.all[i]
	off := addr - s.addr(sp.first)
	if off%sp.size != 0 || off/sp.size >= uint64(sp.objects) {
		return 0, 0, false
	}
	return i, uint32(off / sp.size), true
}

// lookup is find for an object in use.
func (s *spans) lookup(addr uint64) (i int32, object uint32, err error) {
	i, object, ok := s.find(addr)
	if !ok {
		return 0, 0, &FreeError{Allocator: s.name, Addr: addr}
	}
	if !has(s.all[i].live, object) {
		return 0, 0, &FreeError{Allocator: s.name, Addr: addr, Twice: true}
	}
	return i, object, nil
}

// Usable implements [Allocator].
func (s *spans) Usable(addr uint64) uint64 {
	i, _, err := s.lookup(addr)
	if err != nil {
		return 0
	}
	return s.all[i].size
}

// Footprint implements [Allocator].
func (s *spans) Footprint() uint64 { return s.footprint() }

// takeLowest hands out the first object at or behind from; false if there is
// none.
func (sp *span) takeLowest(from uint32) (uint32, bool) {
	for w := int(from / 64); w < len(sp.held); w++ {
		free := ^sp.held[w]
		if w == int(from/64) {
			free &^= 1<<(from%64) - 1
		}
		if free == 0 {
			continue
		}
		object := uint32(w*64 + bits.TrailingZeros64(free))
		if object >= sp.objects {
			return 0, false
		}
		set(sp.held, object)
		sp.used++
		return object, true
	}
	return 0, false
}

func (sp *span) giveBack(object uint32) {
	unset(sp.held, object)
	sp.used--
}

func has(b []uint64, i uint32) bool { return b[i/64]>>(i%64)&1 != 0 }
func set(b []uint64, i uint32)      { b[i/64] |= 1 << (i % 64) }
func unset(b []uint64, i uint32)    { b[i/64] &^= 1 << (i % 64) }

func ones(b []uint64) (n uint32) {
	for _, w := range b {
		n += uint32(bits.OnesCount64(w))
	}
	return n
}

// checkSpans proves the heap and that each span counts what it handed out; live
// objects are among these.
func (s *spans) checkSpans() error {
	if err := s.check(s.name); err != nil {
		return err
	}
	var pages uint32
	for i := range s.all {
		sp := &s.all[i]
		if sp.pages == 0 {
			continue
		}
		pages += sp.pages
		if ones(sp.held) != sp.used || sp.used > sp.objects {
			return &CheckError{s.name, "a span's objects are counted wrongly"}
		}
		for w := range sp.live {
			if sp.live[w]&^sp.held[w] != 0 {
				return &CheckError{s.name, "an object is in use and free"}
			}
		}
		for p := sp.first; p < sp.first+sp.pages; p++ {
			if s.of[p] != int32(i)+1 {
				return &CheckError{s.name, "a span's pages are another's"}
			}
		}
	}
	if pages != s.held {
		return &CheckError{s.name, "pages are held by no span"}
	}
	return nil
}

// large takes pages for one object.
func (s *spans) large(size uint64, extra uint32) (uint64, error) {
	pages := uint32((size + 1<<s.shift - 1) >> s.shift)
	i, err := s.newSpan(pages+extra, -1, uint64(pages)<<s.shift, 1)
	if err != nil {
		return 0, err
	}
	sp := &s.all[i]
	sp.used, sp.held[0], sp.live[0] = 1, 1, 1
	return s.addrOf(i, 0), nil
}
