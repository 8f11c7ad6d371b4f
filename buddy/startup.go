package buddy

// NewAllocator makes the machine's allocator and hands it all memory, in the
// kernel's order: what memblock did not reserve in blocks as large as alignment
// allows, to the tails of the lists; CMA areas by pageblock; memory that the
// kernel does not map, and what it frees when it has booted, page by page.
func (b *Boot) NewAllocator(p Profile) (*Allocator, error) {
	a, err := New(b.Config, p)
	if err != nil {
		return nil, err
	}
	a.groupingDisabled = !b.MobilityGrouping
	a.boostFactor = uint64(b.Params.Sysctl.WatermarkBoostFactor)
	a.setPresent(b.Config.Present)
	for _, r := range b.Free {
		if err := a.start(r); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// NewMachine makes the machine's allocator for a profile and hands it all
// memory: [Machine.Boot] and [Boot.NewAllocator] in one.
func NewMachine(m *Machine, p Profile) (*Allocator, error) {
	b, err := m.Boot(p.Boot)
	if err != nil {
		return nil, err
	}
	return b.NewAllocator(p)
}

// start hands one range to the allocator.
func (a *Allocator) start(r FreeRange) error {
	switch r.Phase {
	case FreeMemblock:
		return a.Release(r.Start, r.End)
	case FreeCMA:
		return a.MakeCMA(r.Start, r.End)
	}
	z := a.zoneOf(uint64(r.Start))
	if z == nil || r.End > z.end {
		return a.pageError(r.Start, 0, ErrOutside)
	}
	for pfn := r.Start; pfn < r.End; pfn++ {
		if err := a.unknownBlock(z, uint32(pfn), 0); err != nil {
			return err
		}
		*a.page(uint32(pfn)) = page{state: pageAllocated, zone: z.index}
		if r.Phase == FreeHighMem {
			// The per-CPU lists keep nothing yet.
			a.freeToZone(z, 0, uint32(pfn), 0, a.blockType(uint32(pfn)), 0)
		} else if err := a.Free(0, pfn, 0); err != nil {
			return err
		}
	}
	return nil
}
