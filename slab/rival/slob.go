package rival

import (
	"slices"

	"github.com/kernsim/kernsim/buddy"
)

const (
	slobUnit   = 2
	slobUnits  = pageSize / slobUnit
	slobAlign  = 8 // ARCH_KMALLOC_MINALIGN of x86_64
	slobStep   = slobAlign / slobUnit
	slobMedium = 256
	slobLarge  = 1024
)

// slobRun is a free run of units of a page.
type slobRun struct{ at, units uint16 }

// slobPage is a page of SLOB's.
type slobPage struct {
	pfn    buddy.PFN
	free   []slobRun                    // ascending
	units  int                          // free ones
	list   int8                         // that it is in; -1: full, in none
	blocks [slobUnits / slobStep]uint16 // units of the block that begins at each step, 0: none
	unused bool
}

// slob is Linux's SLOB.
type slob struct {
	pages *countedPages
	all   []slobPage
	spare []int32
	lists [3][]int32 // pages with room: requests below 256 bytes, below 1024, others
	of    map[buddy.PFN]int32
	large map[uint64]int
	stats Stats
}

func newSLOB(c Config) (Allocator, error) {
	return &slob{pages: &countedPages{PageSource: c.pages()}, of: map[buddy.PFN]int32{}, large: map[uint64]int{}}, nil
}

// slobList is the list for a block of so many bytes, its header counted.
func slobList(bytes uint64) int8 {
	switch {
	case bytes < slobMedium:
		return 0
	case bytes < slobLarge:
		return 1
	}
	return 2
}

func (s *slob) Alloc(cpu int, size uint64) (uint64, error) {
	if size == 0 || size > 4<<20 {
		return 0, &SizeError{"slob", size}
	}
	if size >= pageSize-slobAlign {
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
	align := uint64(slobAlign)
	if size&(size-1) == 0 {
		align = max(align, size)
	}
	// In front of the object stands its size, in as many bytes as it is
	// aligned to at least.
	bytes := size + slobAlign
	units := uint16((bytes + slobUnit - 1) / slobUnit)
	list := slobList(bytes)
	s.stats.Locks++
	for n, i := range s.lists[list] {
		p := &s.all[i]
		if p.units < int(units) {
			continue
		}
		at, ok := p.take(units, align)
		if !ok {
			continue
		}
		if p.units == 0 {
			p.list = -1
			s.lists[list] = slices.Delete(s.lists[list], n, n+1)
		} else if n > 0 {
			// The next search starts at this page.
			rotate(s.lists[list], n)
		}
		return s.object(i, at, units), nil
	}
	i, err := s.newPage(cpu)
	if err != nil {
		return 0, err
	}
	s.stats.Locks++
	p := &s.all[i]
	p.list = list
	s.lists[list] = slices.Insert(s.lists[list], 0, i)
	at, _ := p.take(units, align)
	if p.units == 0 {
		p.list = -1
		s.lists[list] = slices.Delete(s.lists[list], 0, 1)
	}
	return s.object(i, at, units), nil
}

// rotate makes the element n the first and keeps the circle's order.
func rotate(list []int32, n int) {
	front := slices.Clone(list[:n])
	copy(list, list[n:])
	copy(list[len(list)-n:], front)
}

func (s *slob) newPage(cpu int) (int32, error) {
	addr, err := allocPages(s.pages, 0, cpu)
	if err != nil {
		return 0, err
	}
	var i int32
	if n := len(s.spare); n > 0 {
		i, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		i = int32(len(s.all))
		s.all = append(s.all, slobPage{})
	}
	p := &s.all[i]
	*p = slobPage{pfn: pfnOf(addr), free: append(p.free[:0], slobRun{0, slobUnits}), units: slobUnits}
	s.of[p.pfn] = i
	return i, nil
}

// object notes a block and gives the address behind its header.
func (s *slob) object(i int32, at, units uint16) uint64 {
	p := &s.all[i]
	p.blocks[at/slobStep] = units
	return directMap + uint64(p.pfn)<<pageShift + uint64(at)*slobUnit + slobAlign
}

// take finds the first place in a page whose object is aligned
// (slob_page_alloc).
func (p *slobPage) take(units uint16, align uint64) (at uint16, ok bool) {
	for n := range p.free {
		r := p.free[n]
		object := (uint64(r.at)*slobUnit + slobAlign + align - 1) &^ (align - 1)
		at := uint16((object - slobAlign) / slobUnit)
		if at+units > r.at+r.units {
			continue
		}
		var buf [2]slobRun
		left := buf[:0]
		if at > r.at {
			left = append(left, slobRun{r.at, at - r.at})
		}
		if end := r.at + r.units; at+units < end {
			left = append(left, slobRun{at + units, end - at - units})
		}
		p.free = slices.Replace(p.free, n, n+1, left...)
		p.units -= int(units)
		return at, true
	}
	return 0, false
}

func (s *slob) Free(cpu int, addr uint64) error {
	if order, ok := s.large[addr]; ok {
		if err := s.pages.FreePages(pfnOf(addr), buddy.Order(order), buddy.CPU(cpu)); err != nil {
			return &FreeError{Allocator: "slob", Addr: addr}
		}
		delete(s.large, addr)
		return nil
	}
	i, at, units, ok := s.find(addr)
	if !ok {
		return &FreeError{Allocator: "slob", Addr: addr}
	}
	p := &s.all[i]
	if units == 0 {
		return &FreeError{Allocator: "slob", Addr: addr, Twice: true}
	}
	s.stats.Locks++
	p.blocks[at/slobStep] = 0
	if p.units+int(units) == slobUnits {
		if p.list >= 0 {
			s.lists[p.list] = remove(s.lists[p.list], i)
		}
		delete(s.of, p.pfn)
		p.unused = true
		s.spare = append(s.spare, i)
		return s.pages.FreePages(p.pfn, 0, buddy.CPU(cpu))
	}
	p.give(at, units)
	if p.list < 0 {
		// A full page goes to the list of the block that was freed, whatever
		// list it was in before.
		p.list = slobList(uint64(units) * slobUnit)
		s.lists[p.list] = slices.Insert(s.lists[p.list], 0, i)
	}
	return nil
}

// find gives the page and the block of an object's address; units is 0 if the
// page has no block there.
func (s *slob) find(addr uint64) (i int32, at, units uint16, ok bool) {
	if addr < directMap {
		return 0, 0, 0, false
	}
	i, ok = s.of[pfnOf(addr)]
	off := addr & (pageSize - 1)
	if !ok || off < slobAlign || off%slobAlign != 0 {
		return 0, 0, 0, false
	}
	at = uint16((off - slobAlign) / slobUnit)
	return i, at, s.all[i].blocks[at/slobStep], true
}

// give joins a block with its free neighbours.
func (p *slobPage) give(at, units uint16) {
	p.units += int(units)
	n, _ := slices.BinarySearchFunc(p.free, at, func(r slobRun, at uint16) int { return int(r.at) - int(at) })
	if n > 0 && p.free[n-1].at+p.free[n-1].units == at {
		n--
		p.free[n].units += units
	} else {
		p.free = slices.Insert(p.free, n, slobRun{at, units})
	}
	if n+1 < len(p.free) && p.free[n].at+p.free[n].units == p.free[n+1].at {
		p.free[n].units += p.free[n+1].units
		p.free = slices.Delete(p.free, n+1, n+2)
	}
}

func (s *slob) Usable(addr uint64) uint64 {
	if order, ok := s.large[addr]; ok {
		return pageSize << order
	}
	_, _, units, ok := s.find(addr)
	if !ok || units == 0 {
		return 0
	}
	return uint64(units)*slobUnit - slobAlign
}

func (s *slob) Footprint() uint64 { return s.pages.held }

func (s *slob) Stats() Stats {
	st := s.stats
	st.PageAllocs, st.PageFrees = s.pages.allocs, s.pages.frees
	return st
}

func (s *slob) Check() error {
	broken := func(what string) error { return &CheckError{"slob", what} }
	for i := range s.all {
		p := &s.all[i]
		if p.unused {
			continue
		}
		var taken [slobUnits]bool
		mark := func(at, units uint16) bool {
			for u := at; u < at+units; u++ {
				if u >= slobUnits || taken[u] {
					return false
				}
				taken[u] = true
			}
			return true
		}
		free, used := 0, 0
		for n, r := range p.free {
			if !mark(r.at, r.units) || n > 0 && p.free[n-1].at+p.free[n-1].units >= r.at {
				return broken("free runs overlap or touch")
			}
			free += int(r.units)
		}
		for n, units := range p.blocks {
			if !mark(uint16(n)*slobStep, units) {
				return broken("a block overlaps another")
			}
			used += int(units)
		}
		if free != p.units || free+used != slobUnits {
			return broken("units are lost")
		}
		if listed := p.list >= 0 && slices.Contains(s.lists[p.list], int32(i)); listed != (p.units > 0) {
			return broken("a page is in the wrong list")
		}
	}
	return nil
}
