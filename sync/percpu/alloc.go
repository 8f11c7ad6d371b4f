package percpu

import (
	"fmt"
	"math/bits"
	"slices"
)

// minAlloc is the grain of allocation, in bytes (PCPU_MIN_ALLOC_SIZE).
const minAlloc = 4

// Slots of chunks, by the size of their largest free area.
const (
	slotShift = 5
	// failSlots: a chunk of a slot below it that fails a request is put aside.
	failSlots = 3
)

// Allocator hands out per-CPU variables as the kernel does: it looks through the
// chunks whose largest free area is just large enough first, and in a chunk from where
// its hints say. The first chunk's static and reserved parts are taken; further chunks
// are added as needed.
type Allocator struct {
	layout Layout
	cpus   int
	chunks []*chunk
	// reserved is for modules' static variables, nil if there is none.
	reserved *chunk
	// slots hold the chunks' numbers: 0 those with nothing to give, the last those that
	// are wholly free.
	slots [][]int
	// freed are the numbers of chunks that were given back.
	freed []int
	stats Stats
	// empty counts the wholly free pages with memory of all chunks that are not isolated.
	empty int
	// scan is a copy of the slot that a search goes through.
	scan []int
}

// Offset is a per-CPU variable: its place in every CPU's unit, in bytes. Chunk -1 is
// the reserved part of the first chunk.
type Offset struct{ Chunk, Bytes int }

// Stats are the allocator's counters (percpu_stats), in numbers and bytes.
type Stats struct {
	Allocs, Frees                int
	Current, MaxCurrent          int
	Chunks, MaxChunks            int
	SmallestRequest, LargestSize int
}

// NewAllocator makes an allocator with a first chunk.
func NewAllocator(l Layout, cpus int) *Allocator {
	a := &Allocator{layout: l, cpus: cpus}
	a.slots = make([][]int, a.freeSlot()+1)
	begin := alignUp(l.Static, minAlloc)
	if l.Reserved > 0 {
		a.reserved = newFirstChunk(begin, begin+l.Reserved)
		begin += l.Reserved
	}
	a.add(newFirstChunk(begin, l.Static+l.Reserved+l.Dynamic))
	return a
}

// sizeSlot is the slot of an area of some bytes (__pcpu_size_to_slot).
func sizeSlot(bytes int) int { return max(bits.Len(uint(bytes))-slotShift+2, 1) }

// freeSlot is the slot of wholly free chunks, sidelined that of isolated ones, which
// are looked at just before.
func (a *Allocator) freeSlot() int  { return a.sidelined() + 1 }
func (a *Allocator) sidelined() int { return sizeSlot(a.layout.Unit) + 1 }

// Bounds of the number of wholly free pages with memory that are kept for requests that
// may not sleep: below the one a worker gives pages memory, up to the other.
const (
	emptyLow  = 2
	emptyHigh = 4
)

// populate gives pages memory until enough wholly free ones have some: the first pages
// without of the first chunk of each slot that has any. The kernel leaves that to a
// worker; here it is done at once (pcpu_balance_populated).
func (a *Allocator) populate() {
	want := emptyHigh - a.empty
	for slot := sizeSlot(pageSize); slot < len(a.slots) && want > 0; slot++ {
		for _, n := range a.slots[slot] {
			c := a.chunks[n]
			page := c.populated.next(0, len(c.blocks), false)
			if page == len(c.blocks) {
				continue
			}
			for ; page < len(c.blocks) && want > 0; page = c.populated.next(page, len(c.blocks), false) {
				c.populated.set(page)
				want--
			}
			a.recount(c)
			break
		}
	}
}

func (a *Allocator) slotOf(c *chunk) int {
	switch {
	case c.freeBytes < minAlloc || c.whole.contig == 0:
		return 0
	case c.whole.contig*minAlloc == a.layout.Unit:
		return a.freeSlot()
	}
	return sizeSlot(c.whole.contig * minAlloc)
}

// add puts a chunk in and returns its number.
func (a *Allocator) add(c *chunk) int {
	c.slot = a.slotOf(c)
	c.empty = c.emptyPages()
	a.empty += c.empty
	n := len(a.chunks)
	if len(a.freed) > 0 {
		n = a.freed[len(a.freed)-1]
		a.freed = a.freed[:len(a.freed)-1]
		a.chunks[n] = c
	} else {
		a.chunks = append(a.chunks, c)
	}
	a.slots[c.slot] = slices.Insert(a.slots[c.slot], 0, n)
	a.stats.Chunks++
	a.stats.MaxChunks = max(a.stats.MaxChunks, a.stats.Chunks)
	return n
}

// move puts a chunk into another slot: to the front if it has more to give than
// before, else to the end (pcpu_chunk_relocate).
func (a *Allocator) move(n, slot int, front bool) {
	c := a.chunks[n]
	from := a.slots[c.slot]
	a.slots[c.slot] = slices.Delete(from, slices.Index(from, n), slices.Index(from, n)+1)
	if front {
		a.slots[slot] = slices.Insert(a.slots[slot], 0, n)
	} else {
		a.slots[slot] = append(a.slots[slot], n)
	}
	c.slot = slot
}

// relocate moves a chunk whose largest area changed; before is the slot that it had
// by its hints, whatever list it is in.
func (a *Allocator) relocate(n, before int) {
	if a.chunks[n].isolated {
		return
	}
	if after := a.slotOf(a.chunks[n]); after != before {
		a.move(n, after, before < after)
	}
}

// AllocError is a request that the kernel refuses, with its own words.
type AllocError struct{ Report string }

func (e *AllocError) Error() string { return "percpu: " + e.Report }

// request proves a request and returns its size and alignment in grains.
func request(size, align int) (int, int, error) {
	align = max(align, minAlloc)
	rounded := roundUp(size, minAlloc)
	if size <= 0 || rounded > minUnit || align > pageSize || align&(align-1) != 0 {
		return 0, 0, &AllocError{fmt.Sprintf("illegal size (%d) or align (%d) for percpu allocation", rounded, align)}
	}
	return rounded / minAlloc, align / minAlloc, nil
}

// Alloc takes size bytes in every CPU's unit, aligned to a power of two up to a page
// (__alloc_percpu). Pages that the area needs get memory.
func (a *Allocator) Alloc(size, align int) (Offset, error) {
	n, grain, err := request(size, align)
	if err != nil {
		return Offset{}, err
	}
	for {
		if o, ok := a.search(n, grain, false); ok {
			return o, nil
		}
		if len(a.slots[a.freeSlot()]) == 0 {
			a.add(newChunk(0, a.layout.Unit))
		}
	}
}

// AllocAtomic is Alloc where no memory can be had: it fails if no chunk has a fitting
// area whose pages have memory (__alloc_percpu_gfp without a reclaiming mask).
func (a *Allocator) AllocAtomic(size, align int) (Offset, error) {
	n, grain, err := request(size, align)
	if err != nil {
		return Offset{}, err
	}
	if o, ok := a.search(n, grain, true); ok {
		return o, nil
	}
	return Offset{}, a.failed(n, grain, 1, "atomic alloc failed, no space left")
}

// AllocReserved takes from the part that is kept for modules' static variables
// (__alloc_reserved_percpu).
func (a *Allocator) AllocReserved(size, align int) (Offset, error) {
	if a.reserved == nil {
		return a.Alloc(size, align)
	}
	n, grain, err := request(size, align)
	if err != nil {
		return Offset{}, err
	}
	if at := a.fit(a.reserved, n, grain, false); at >= 0 {
		return a.got(a.reserved, -1, at, n), nil
	}
	return Offset{}, a.failed(n, grain, 0, "alloc from reserved chunk failed")
}

func (a *Allocator) failed(n, grain, atomic int, why string) error {
	return &AllocError{fmt.Sprintf("allocation failed, size=%d align=%d atomic=%d, %s", n*minAlloc, grain*minAlloc, atomic, why)}
}

// fit takes a request out of a chunk, -1 if it does not fit.
func (a *Allocator) fit(c *chunk, n, align int, populatedOnly bool) int {
	start := c.find(n, align, populatedOnly)
	if start < 0 {
		return -1
	}
	return c.take(n, align, start)
}

// search goes through the slots from that of the request's size up.
func (a *Allocator) search(n, align int, atomic bool) (Offset, bool) {
	first := sizeSlot(n * minAlloc)
	if n*minAlloc == a.layout.Unit {
		first = a.freeSlot()
	}
	for slot := first; slot < len(a.slots); slot++ {
		// A chunk that is put aside leaves the list.
		a.scan = append(a.scan[:0], a.slots[slot]...)
		for _, i := range a.scan {
			c := a.chunks[i]
			start := c.find(n, align, atomic)
			if start < 0 {
				// Nearly full, and not even this fits: do not look here again.
				if slot < failSlots {
					a.move(i, 0, true)
				}
				continue
			}
			before := a.slotOf(c)
			if at := c.take(n, align, start); at >= 0 {
				a.relocate(i, before)
				a.reintegrate(i)
				return a.got(c, i, at, n), true
			}
		}
	}
	return Offset{}, false
}

// recount counts a chunk's wholly free pages again.
func (a *Allocator) recount(c *chunk) {
	before := c.empty
	c.empty = c.emptyPages()
	if c != a.reserved && !c.isolated {
		a.empty += c.empty - before
	}
}

// reintegrate makes a chunk an ordinary one again (pcpu_reintegrate_chunk).
func (a *Allocator) reintegrate(n int) {
	c := a.chunks[n]
	if !c.isolated {
		return
	}
	c.isolated = false
	a.empty += c.empty
	a.move(n, a.slotOf(c), true)
}

// reclaim isolates a chunk of which a quarter or more of the pages are free, if others
// have enough for requests that may not sleep, and takes those pages' memory back from
// the end on. The kernel leaves that to a worker; here it is done at once
// (pcpu_should_reclaim_chunk, pcpu_reclaim_populated).
func (a *Allocator) reclaim(n int) {
	c := a.chunks[n]
	spare := a.empty > emptyHigh+c.empty && c.empty >= len(c.blocks)/4
	if c.immutable || !c.isolated && (!spare || c.freeBytes == a.layout.Unit) || c.isolated && c.empty == 0 {
		return
	}
	if !c.isolated {
		c.isolated = true
		a.empty -= c.empty
	}
	for i := len(c.blocks) - 1; i >= 0 && c.empty > 0; i-- {
		if a.empty < emptyHigh {
			a.reintegrate(n)
			return
		}
		c.depopulate(i)
	}
	if c.freeBytes == a.layout.Unit {
		a.reintegrate(n)
		return
	}
	a.move(n, a.sidelined(), false)
	a.populate()
}

// depopulate takes the memory of a page back if it is wholly free.
func (c *chunk) depopulate(page int) {
	if c.blocks[page].contig == blockGrains && c.populated.has(page) {
		c.populated.clear(page)
		c.empty--
	}
}

// got counts an area and gives its pages memory.
func (a *Allocator) got(c *chunk, number, at, n int) Offset {
	c.populated.setAll(at/blockGrains, (at+n+blockGrains-1)/blockGrains)
	a.recount(c)
	bytes := n * minAlloc
	s := &a.stats
	s.Allocs++
	s.Current++
	s.MaxCurrent = max(s.MaxCurrent, s.Current)
	if s.SmallestRequest == 0 || bytes < s.SmallestRequest {
		s.SmallestRequest = bytes
	}
	s.LargestSize = max(s.LargestSize, bytes)
	c.areas++
	c.maxAreas = max(c.maxAreas, c.areas)
	c.maxSize = max(c.maxSize, bytes)
	if a.empty < emptyLow {
		a.populate()
	}
	return Offset{number, c.base + at*minAlloc}
}

// Stats are the counters so far.
func (a *Allocator) Stats() Stats { return a.stats }

// chunkOf is the chunk of a variable, nil if there is none.
func (a *Allocator) chunkOf(o Offset) *chunk {
	switch {
	case o.Chunk == -1:
		return a.reserved
	case o.Chunk < 0 || o.Chunk >= len(a.chunks):
		return nil
	}
	return a.chunks[o.Chunk]
}

// Free gives a variable back (free_percpu). One that is not allocated is refused.
// Wholly free chunks but for one can be given back by [Allocator.Balance].
func (a *Allocator) Free(o Offset) error {
	c := a.chunkOf(o)
	at := 0
	if c != nil {
		at = (o.Bytes - c.base) / minAlloc
	}
	if c == nil || o.Bytes < c.base || o.Bytes%minAlloc != 0 || at < c.from || at >= c.to || !c.used.has(at) || !c.bound.has(at) {
		return &AllocError{"free_percpu: the address was not allocated"}
	}
	before := a.slotOf(c)
	c.give(at)
	c.areas--
	a.stats.Frees++
	a.stats.Current--
	a.recount(c)
	if o.Chunk >= 0 {
		a.relocate(o.Chunk, before)
		a.reclaim(o.Chunk)
	}
	return nil
}

// Balance gives wholly free chunks back but for the first (pcpu_balance_free), and
// returns how many.
func (a *Allocator) Balance() int {
	free := a.slots[a.freeSlot()]
	if len(free) < 2 {
		return 0
	}
	gone := slices.Clone(free[1:])
	a.slots[a.freeSlot()] = free[:1]
	for _, n := range gone {
		a.empty -= a.chunks[n].empty
		a.chunks[n] = nil
		a.freed = append(a.freed, n)
	}
	a.stats.Chunks -= len(gone)
	return len(gone)
}

// Address is where a CPU's copy lies, from the base of the first chunk; chunks
// follow one another (per_cpu_ptr). It is -1 for a CPU that there is not.
func (a *Allocator) Address(o Offset, cpu int) int {
	if cpu < 0 || cpu >= a.cpus {
		return -1
	}
	return (max(o.Chunk, 0)*a.cpus+cpu)*a.layout.Unit + o.Bytes
}

// Check proves that every hint is what the maps say, and that every chunk is in the
// slot of its largest area, or was put aside.
func (a *Allocator) Check() error {
	seen := make([]int, len(a.chunks))
	for slot, list := range a.slots {
		for _, n := range list {
			seen[n]++
			c := a.chunks[n]
			if c == nil || c.slot != slot || slot != 0 && !c.isolated && a.slotOf(c) != slot || c.isolated && slot != a.sidelined() || c.empty != c.emptyPages() {
				return fmt.Errorf("percpu: chunk %d is in slot %d", n, slot)
			}
		}
	}
	for n, c := range a.chunks {
		if c == nil {
			continue
		}
		if seen[n] != 1 {
			return fmt.Errorf("percpu: chunk %d is in %d slots", n, seen[n])
		}
		if err := c.check(); err != nil {
			return fmt.Errorf("percpu: chunk %d: %w", n, err)
		}
	}
	if a.reserved != nil {
		if err := a.reserved.check(); err != nil {
			return fmt.Errorf("percpu: reserved chunk: %w", err)
		}
	}
	return nil
}
