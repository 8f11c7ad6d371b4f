package buddy

// Migrate moves the contents of the allocated pages in a range elsewhere, so
// that they are freed (with [Allocator.Free] or the like) before it returns. It
// returns false if a page would not move.
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
// mt is the type of the range's pageblocks, Movable or CMA. On success the
// range's pages are allocated single pages, to be freed one by one or with
// [Allocator.FreeContig]. On failure ([*RangeError], ErrBusy) the pageblocks
// have their types back; pages that were moved stay moved.
func (a *Allocator) AllocContig(cpu CPU, start, end PFN, mt MigrateType, migrate Migrate) error {
	z := a.zoneOf(uint64(start))
	switch {
	case z == nil || start >= end || end > z.end:
		return a.pageError(start, 0, ErrOutside)
	case uint(cpu) >= uint(len(z.pcp)):
		return a.pageError(start, 0, ErrNoCPU)
	case mt != Movable && mt != CMA:
		return &RangeError{Start: start, End: end, PFN: start, Reason: "only movable and CMA ranges can be taken", Err: ErrBusy}
	}
	types, err := a.isolateRange(cpu, start, end, mt)
	if err != nil {
		return err
	}
	for owner := range CPU(a.config.CPUs) {
		a.drainZone(z, owner, cpu)
	}
	err = a.takeRange(z, cpu, start, end, migrate)
	a.unisolateRange(cpu, start, types)
	return err
}

// isolateRange isolates all pageblocks that the range touches, or none. It
// returns the types they had.
func (a *Allocator) isolateRange(cpu CPU, start, end PFN, mt MigrateType) ([]MigrateType, error) {
	block := PFN(1) << a.pageblockOrder
	first := start &^ (block - 1)
	var types []MigrateType
	for pfn := first; pfn < end; pfn += block {
		old := a.blockType(uint32(pfn))
		if err := a.IsolateBlock(cpu, pfn, mt); err != nil {
			a.unisolateRange(cpu, start, types)
			return nil, err
		}
		types = append(types, old)
	}
	return types, nil
}

func (a *Allocator) unisolateRange(cpu CPU, start PFN, types []MigrateType) {
	pfn := start &^ (1<<a.pageblockOrder - 1)
	for _, mt := range types {
		// The block is isolated, so this cannot fail.
		_ = a.UnisolateBlock(cpu, pfn, mt)
		pfn += 1 << a.pageblockOrder
	}
}

// takeRange empties an isolated range and takes its free blocks; what they have
// outside of the range is freed again.
func (a *Allocator) takeRange(z *Zone, cpu CPU, start, end PFN, migrate Migrate) error {
	busy := func(pfn uint32) error {
		return &RangeError{Start: start, End: end, PFN: PFN(pfn), Reason: "is in use and did not move", Err: ErrBusy}
	}
	if at, used := a.inUse(uint32(start), uint32(end)); used {
		if migrate == nil || !migrate(start, end) {
			return busy(at)
		}
		for owner := range CPU(a.config.CPUs) {
			a.drainZone(z, owner, cpu)
		}
		if at, used = a.inUse(uint32(start), uint32(end)); used {
			return busy(at)
		}
	}
	outer := uint32(start)
	if head, p := a.enclosing(outer); p != nil {
		outer = head
	}
	for n := outer; n < uint32(end); {
		p := a.head(n)
		order := p.order
		a.removeFree(z, p)
		for i := uint32(0); i < 1<<order; i++ {
			q := a.page(n + i)
			*q = page{state: pageAllocated, zone: z.index, info: infoMovable}
		}
		n += 1 << order
		if n > uint32(end) {
			a.freeSingles(cpu, end, PFN(n))
		}
	}
	a.freeSingles(cpu, PFN(outer), start)
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
	for pfn := start; pfn < end; pfn++ {
		if _, _, err := a.freeable(cpu, pfn, 0); err != nil {
			return err
		}
	}
	a.freeSingles(cpu, start, end)
	return nil
}
