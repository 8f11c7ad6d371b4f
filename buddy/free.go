package buddy

// Free gives a block back: __free_pages. cpu is the CPU that frees it. The error
// is a [*PageError], and then nothing changed.
func (a *Allocator) Free(cpu CPU, pfn PFN, order Order) error {
	if order == 0 && uint(cpu) < uint(len(a.fast)) && a.freeFast(&a.fast[cpu], pfn) {
		return nil
	}
	p, z, err := a.freeable(cpu, pfn, order)
	if err != nil {
		return err
	}
	n := uint32(pfn)
	if a.hook != nil {
		a.hook(Event{Kind: EventFree, PFN: pfn, Order: order})
	}
	mt := a.blockType(n)
	p.info = 0
	if !a.pcpOrder(int(order)) || mt == Isolate {
		z.stats.Free += 1 << order
		a.freeToZone(z, cpu, n, int(order), mt, 0)
		return nil
	}
	p.state, p.mt, p.zone = pagePCP, mt, z.index
	a.commitPCP(z, cpu, n, int(order), pcpType(mt))
	return nil
}

// freeFast does what Free does for a single page of the zone that the CPU
// allocated from last, where nothing needs a decision: no drain, no hook, no
// type without a list of its own. It gives up, with nothing changed, where
// something does.
func (a *Allocator) freeFast(f *fastPath, pfn PFN) bool {
	i := pfn >> sectionShift
	if i >= PFN(len(a.sections)) || a.sections[i] == nil || a.hook != nil {
		return false
	}
	p := &a.sections[i][pfn&sectionMask]
	z, c := f.zone, f.pcp
	if p.state != pageAllocated || p.order != 0 || p.zone != z.index || c.count+1 >= c.high || z.reclaimActive {
		return false
	}
	// The page frame is one of the machine's, as it was given out.
	mt := MigrateType(a.blockTypes[pfn>>a.pageblockOrder])
	if mt >= NumPCPTypes {
		return false
	}
	r := &c.lists[mt]
	if int(r.n) == len(r.buf) {
		return false
	}
	if a.profile.FreeBatch == FreeBatchCount {
		if c.high > c.highMax || z.belowHigh {
			return false
		}
		c.allocFactor >>= 1
		c.flags &^= pcpPrevFreeHighOrder
		if c.freeCount < c.batch<<batchScaleMax {
			c.freeCount++
		}
		c.high = max(c.high, c.highMin)
	}
	r.head = (r.head - 1) & uint32(len(r.buf)-1)
	r.buf[r.head] = uint32(pfn)
	r.n++
	c.count++
	z.stats.Free++
	p.state, p.mt, p.info = pagePCP, mt, 0
	return true
}

// pcpType is the per-CPU list for a pageblock type: highatomic and CMA blocks
// are kept with the movable ones.
func pcpType(mt MigrateType) MigrateType {
	if mt >= NumPCPTypes {
		return Movable
	}
	return mt
}

// freeable checks that a block may be freed.
func (a *Allocator) freeable(cpu CPU, pfn PFN, order Order) (*page, *Zone, error) {
	if uint(order) >= uint(a.maxOrder) {
		return nil, nil, a.pageError(pfn, order, ErrOrder)
	}
	z := a.zoneClaiming(uint64(pfn))
	if z == nil {
		if z = a.zoneSharingBlock(uint64(pfn)); z == nil {
			return nil, nil, a.pageError(pfn, order, ErrOutside)
		}
	}
	if uint(cpu) >= uint(len(z.pcp)) {
		return nil, nil, a.pageError(pfn, order, ErrNoCPU)
	}
	if uint32(pfn)&(1<<order-1) != 0 {
		return nil, nil, a.pageError(pfn, order, ErrMisaligned)
	}
	p := a.page(uint32(pfn))
	if p.state == pageAllocated && p.order == uint8(order) {
		return p, z, nil
	}
	if err := a.misuse(pfn, order, p); err != nil {
		if !a.adopt || !a.adoptBlock(z, uint32(pfn), int(order)) {
			return nil, nil, err
		}
	}
	return p, z, nil
}

// misuse names what is wrong with freeing a page that is not the first of an
// allocated block of the order.
func (a *Allocator) misuse(pfn PFN, order Order, p *page) error {
	switch p.state {
	case pageBuddy, pagePCP, pagePrepared, pageIsolated:
		return a.pageError(pfn, order, ErrDoubleFree)
	case pageAllocated:
		return a.pageError(pfn, order, ErrWrongOrder)
	}
	_, head := a.enclosing(uint32(pfn))
	switch {
	case head == nil:
		return a.pageError(pfn, order, ErrNotAllocated)
	case head.state == pageAllocated:
		return a.pageError(pfn, order, ErrInsideBlock)
	}
	return a.pageError(pfn, order, ErrDoubleFree)
}

// adoptBlock makes a block of pages that the model has no part in, or that lie
// in allocated blocks of another order (split without an event, as
// alloc_pages_exact does), an allocated block of the given order. It fails if
// any of the pages is free.
func (a *Allocator) adoptBlock(z *Zone, pfn uint32, order int) bool {
	end := uint64(pfn) + 1<<order
	if end > uint64(z.end) {
		return false
	}
	for n := pfn; uint64(n) < end; {
		head, p := a.enclosing(n)
		if p == nil {
			n++
			continue
		}
		if p.state != pageAllocated {
			return false
		}
		n = head + 1<<p.order
	}
	if head, p := a.enclosing(pfn); p != nil && int(p.order) > order {
		a.splitAllocated(head, int(p.order), pfn, order)
	}
	for n := pfn + 1; uint64(n) < end; n++ {
		if q := a.peek(n); q.state == pageAllocated {
			a.page(n).state = pageNone
		}
	}
	p := a.page(pfn)
	p.state, p.order, p.zone = pageAllocated, uint8(order), z.index
	return true
}

// splitAllocated cuts an allocated block until target of the given order is a
// block of its own.
func (a *Allocator) splitAllocated(head uint32, from int, target uint32, order int) {
	h := *a.page(head)
	for o := from - 1; o >= order; o-- {
		upper := head + 1<<o
		a.page(head).order = uint8(o)
		*a.page(upper) = page{state: pageAllocated, order: uint8(o), zone: h.zone, info: h.info, mt: h.mt}
		if target >= upper {
			head = upper
		}
	}
}

// FreeList frees single pages the way release_pages and the page-cache paths
// do: free_unref_page_list prepares all of them, then commits them one after
// the other. On an error, nothing changed.
func (a *Allocator) FreeList(cpu CPU, pfns []PFN) error {
	if err := a.checkList(cpu, pfns); err != nil {
		return err
	}
	for _, pfn := range pfns {
		mt := a.blockType(uint32(pfn))
		a.page(uint32(pfn)).mt = mt
		if a.hook != nil {
			a.hook(Event{Kind: EventFree, PFN: pfn})
		}
		if mt == Isolate && a.profile.IsolatedFirst {
			if err := a.CommitFree(cpu, pfn); err != nil {
				return err
			}
		}
	}
	for _, pfn := range pfns {
		if a.page(uint32(pfn)).state != pagePrepared {
			continue // was isolated
		}
		if err := a.CommitFree(cpu, pfn); err != nil {
			return err
		}
	}
	return nil
}

// checkList marks the pages of a list as being freed. If one cannot be, all stay
// as they were.
func (a *Allocator) checkList(cpu CPU, pfns []PFN) error {
	for i, pfn := range pfns {
		p, _, err := a.freeable(cpu, pfn, 0)
		if err != nil {
			for _, back := range pfns[:i] {
				a.page(uint32(back)).state = pageAllocated
			}
			return err
		}
		p.state = pagePrepared
	}
	return nil
}

// PrepareFree is the first half of a free that is part of a list
// (free_unref_page_prepare): the page's type is noted. [Allocator.CommitFree]
// is the second half. It emits no event.
func (a *Allocator) PrepareFree(cpu CPU, pfn PFN, order Order) error {
	p, _, err := a.freeable(cpu, pfn, order)
	if err != nil {
		return err
	}
	// The page has left the LRU list: it can't be migrated any more.
	p.state, p.mt, p.info = pagePrepared, a.blockType(uint32(pfn)), 0
	return nil
}

// CommitFree puts a prepared page onto the CPU's list
// (free_unref_page_list after mm_page_free_batched).
func (a *Allocator) CommitFree(cpu CPU, pfn PFN) error {
	p, z, err := a.inState(cpu, pfn, pagePrepared)
	if err != nil {
		return err
	}
	mt, order := p.mt, int(p.order)
	if a.profile.ExactTypes {
		mt = a.blockType(uint32(pfn))
	}
	p.info = 0
	if mt == Isolate || !a.pcpOrder(order) {
		z.stats.Free += 1 << order
		a.freeToZone(z, cpu, uint32(pfn), order, mt, 0)
		return nil
	}
	if a.hook != nil {
		a.hook(Event{Kind: EventFreeBatched, PFN: pfn})
	}
	p.state = pagePCP
	a.commitPCP(z, cpu, uint32(pfn), order, pcpType(mt))
	return nil
}

// inState gives the metadata of a block's first page that must be in a state.
func (a *Allocator) inState(cpu CPU, pfn PFN, state pageState) (*page, *Zone, error) {
	z, err := a.zoneFor(cpu, pfn)
	if err != nil {
		return nil, nil, err
	}
	p := a.page(uint32(pfn))
	if p.state != state {
		return nil, nil, a.pageError(pfn, 0, ErrNotAllocated)
	}
	return p, z, nil
}

// zoneFor gives the zone of a page frame that a CPU works on.
func (a *Allocator) zoneFor(cpu CPU, pfn PFN) (*Zone, error) {
	z := a.zoneOf(uint64(pfn))
	if z == nil {
		return nil, a.pageError(pfn, 0, ErrOutside)
	}
	if uint(cpu) >= uint(len(z.pcp)) {
		return nil, a.pageError(pfn, 0, ErrNoCPU)
	}
	return z, nil
}

// FreeToZone frees a block past the per-CPU lists, as happens when the CPU's
// list is locked by what an interrupt came into: free_one_page. tail puts it at
// the tail of its list, as __free_pages_ok with FPI_TO_TAIL.
func (a *Allocator) FreeToZone(cpu CPU, pfn PFN, order Order, tail bool) error {
	p, z, err := a.freeable(cpu, pfn, order)
	if err != nil {
		return err
	}
	if a.hook != nil {
		a.hook(Event{Kind: EventFree, PFN: pfn, Order: order})
	}
	var flags freeFlags
	if tail {
		flags = a.tailFlag()
	}
	p.info = 0
	z.stats.Free += 1 << order
	a.freeToZone(z, cpu, uint32(pfn), int(order), a.blockType(uint32(pfn)), flags)
	return nil
}

// Split makes single pages of an allocated block, which are then freed each on
// its own: split_page.
func (a *Allocator) Split(pfn PFN, order Order) error {
	if _, _, err := a.freeable(0, pfn, order); err != nil {
		return err
	}
	h := *a.page(uint32(pfn))
	h.order = 0
	for n := uint32(pfn); n < uint32(pfn)+1<<order; n++ {
		*a.page(n) = h
	}
	return nil
}

// Release hands a range of reserved pages to the allocator at boot, in blocks
// as large as alignment allows: __free_pages_core for each, at the tails of the
// lists (see [Profile.FreeToTail]). The pages must be inside one zone and
// unknown to the allocator.
func (a *Allocator) Release(start, end PFN) error {
	if start >= end {
		return a.pageError(start, 0, ErrOrder)
	}
	z := a.zoneOf(uint64(start))
	if z == nil || end > z.end {
		return a.pageError(start, 0, ErrOutside)
	}
	for pfn := start; pfn < end; {
		o := a.largestBlock(pfn, end)
		if err := a.unknownBlock(z, uint32(pfn), o); err != nil {
			return err
		}
		pfn += 1 << o
	}
	for pfn := start; pfn < end; {
		o := a.largestBlock(pfn, end)
		z.stats.Free += 1 << o
		a.freeToZone(z, 0, uint32(pfn), o, a.blockType(uint32(pfn)), a.tailFlag())
		pfn += 1 << o
	}
	return nil
}

// tailFlag is FPI_TO_TAIL in the kernels that know it.
func (a *Allocator) tailFlag() freeFlags {
	if a.profile.FreeToTail {
		return freeToTail
	}
	return 0
}

// largestBlock is the largest order that starts at pfn and ends by end.
func (a *Allocator) largestBlock(pfn, end PFN) int {
	o := a.maxOrder - 1
	for o > 0 && (pfn&(1<<o-1) != 0 || pfn+1<<o > end) {
		o--
	}
	return o
}

// unknownBlock checks that no page of a block belongs to the allocator yet. A
// block's first page tells for all, as nothing larger or smaller can be there
// unless a first page is.
func (a *Allocator) unknownBlock(z *Zone, pfn uint32, order int) error {
	if _, p := a.enclosing(pfn); p != nil {
		return a.pageError(PFN(pfn), Order(order), ErrDoubleFree)
	}
	if a.sections[pfn>>sectionShift] == nil {
		return nil
	}
	for n := pfn; n < pfn+1<<order; n++ {
		if a.peek(n).state != pageNone {
			return a.pageError(PFN(n), Order(order), ErrDoubleFree)
		}
	}
	return nil
}
