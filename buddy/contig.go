package buddy

// Migrate moves the contents of the allocated pages in a range elsewhere, so
// that they are freed (with [Allocator.Free] or the like) before it returns. It
// returns false if a page would not move; what counts is whether the range is
// free then.
type Migrate func(start, end PFN) bool

// MakeCMA gives a range of reserved pages to CMA: the pageblocks get the type
// and their pages become free (init_cma_reserved_pageblock). The range must
// consist of whole pageblocks that the allocator does not have yet.
func (a *Allocator) MakeCMA(start, end PFN) error {
	block := PFN(1) << a.pageblockOrder
	z := a.zoneOf(uint64(start))
	switch {
	case !a.cma:
		return &RangeError{Start: start, End: end, PFN: start, Reason: "the machine has no CMA", Err: ErrBusy}
	case z == nil || end > z.end || start >= end:
		return a.pageError(start, 0, ErrOutside)
	case (start|end)&(block-1) != 0:
		return a.pageError(start, Order(a.pageblockOrder), ErrMisaligned)
	}
	for pfn := start; pfn < end; pfn += block {
		if err := a.unknownBlock(z, uint32(pfn), a.pageblockOrder); err != nil {
			return err
		}
	}
	for pfn := start; pfn < end; pfn += block {
		a.setBlockType(uint32(pfn), CMA)
		p := a.page(uint32(pfn))
		p.state, p.order, p.zone = pageAllocated, uint8(a.pageblockOrder), z.index
		if err := a.Free(0, pfn, Order(a.pageblockOrder)); err != nil {
			return err
		}
	}
	return nil
}

// AllocContig takes a range of page frames out of the allocator, moving what is
// in use there away with migrate (nil: nothing can move): alloc_contig_range.
// mt is the type that the range's pageblocks have, or get: Movable or CMA. On
// success the range's pages are allocated single pages, to be freed one by one
// or with [Allocator.FreeContig]. On failure ([*RangeError], ErrBusy) nothing is
// taken, but pages that were moved stay moved, the per-CPU lists are drained and
// pageblocks that were isolated have the type mt.
func (a *Allocator) AllocContig(cpu CPU, start, end PFN, mt MigrateType, migrate Migrate) error {
	z, err := a.rangeZone(cpu, start, end)
	if err != nil {
		return err
	}
	if mt != Movable && (mt != CMA || !a.cma) {
		return &RangeError{Start: start, End: end, PFN: start, Reason: "only movable and CMA ranges can be taken", Err: ErrBusy}
	}
	first, last := a.isolationBounds(z, start, end)
	if err := a.isolateRange(z, cpu, first, last, mt); err != nil {
		return err
	}
	for owner := range CPU(a.config.CPUs) {
		a.drainZone(z, owner, cpu)
	}
	err = a.takeRange(z, cpu, start, end, migrate)
	a.unisolateRange(z, cpu, first, last, mt)
	return err
}

// isolationBounds gives the first and the last pageblock to isolate for a
// range.
func (a *Allocator) isolationBounds(z *Zone, start, end PFN) (first, last uint32) {
	first, _ = a.blockBounds(uint32(start))
	last, _ = a.blockBounds(uint32(end - 1))
	if !a.profile.WideIsolation {
		return first, last
	}
	block, mask := uint32(1)<<a.pageblockOrder, uint32(1)<<(a.maxOrder-1)-1
	zoneFirst, _ := a.blockBounds(uint32(z.start))
	zoneLast, _ := a.blockBounds(uint32(z.end - 1))
	return max(first&^mask, zoneFirst), min(last|mask+1-block, zoneLast)
}

// takeRange empties an isolated range and takes its free blocks; what they have
// outside of the range is freed again.
func (a *Allocator) takeRange(z *Zone, cpu CPU, start, end PFN, migrate Migrate) error {
	if _, used := a.inUse(uint32(start), uint32(end)); used && migrate != nil {
		migrate(start, end)
	}
	// Even if not all moved, the range may have become free.
	if at, used := a.inUse(uint32(start), uint32(end)); used {
		return &RangeError{Start: start, End: end, PFN: PFN(at), Reason: "is in use and did not move", Err: ErrBusy}
	}
	outer, _ := a.enclosing(uint32(start))
	n := outer
	for n < uint32(end) {
		p := a.head(n)
		order := p.order
		a.removeFree(z, p)
		for i := uint32(0); i < 1<<order; i++ {
			*a.page(n + i) = page{state: pageAllocated, zone: z.index}
		}
		n += 1 << order
	}
	a.freeSingles(cpu, PFN(outer), start)
	a.freeSingles(cpu, end, PFN(n))
	return nil
}

func (a *Allocator) freeSingles(cpu CPU, start, end PFN) {
	for pfn := start; pfn < end; pfn++ {
		// The pages were just made allocated singles, so this cannot fail.
		_ = a.Free(cpu, pfn, 0)
	}
}

// inUse finds a page of a range that is not free.
func (a *Allocator) inUse(start, end uint32) (uint32, bool) {
	for n := start; n < end; {
		head, p := a.enclosing(n)
		if p == nil || p.state != pageBuddy {
			return n, true
		}
		n = head + 1<<p.order
	}
	return 0, false
}

// FreeContig frees the single pages of a range: free_contig_range. On an error
// nothing changed.
func (a *Allocator) FreeContig(cpu CPU, start, end PFN) error {
	if start > end {
		return a.pageError(start, 0, ErrOutside)
	}
	for pfn := start; pfn < end; pfn++ {
		if _, _, err := a.freeable(cpu, pfn, 0); err != nil {
			return err
		}
	}
	a.freeSingles(cpu, start, end)
	return nil
}
