package buddy

// allocFlags are the kernel's ALLOC_* flags: what a request may relax.
type allocFlags uint16

const (
	// The low two bits are the watermark to keep: min, low or high.
	allocWmarkMin allocFlags = iota
	allocWmarkLow
	allocWmarkHigh

	allocWmarkMask allocFlags = 3
)

const (
	allocNoWatermarks allocFlags = 1 << (iota + 2)
	// allocOOM: the requester is being killed and may use half the reserve.
	allocOOM
	// allocNonBlock: the requester cannot wait.
	allocNonBlock
	// allocMinReserve: __GFP_HIGH, half of the minimum reserve.
	allocMinReserve
	allocCPUSet
	// allocCMA: CMA pages may be used.
	allocCMA
	// allocNoFragment: don't take less than a pageblock of another type.
	allocNoFragment
	// allocHighAtomic: highatomic blocks may be used.
	allocHighAtomic
	// allocKswapd: kswapd may be woken.
	allocKswapd

	allocReserves = allocNonBlock | allocMinReserve | allocHighAtomic | allocOOM
)

// mark gives the watermark that the flags name, with the boost (wmark_pages).
func (z *Zone) mark(flags allocFlags) uint64 {
	switch flags & allocWmarkMask {
	case allocWmarkLow:
		return z.watermark.Low + z.boost
	case allocWmarkHigh:
		return z.watermark.High + z.boost
	}
	return z.watermark.Min + z.boost
}

// unusableFree is how many free pages the request may not count on:
// __zone_watermark_unusable_free.
func (a *Allocator) unusableFree(z *Zone, order int, flags allocFlags) int64 {
	n := int64(1)<<order - 1
	if flags&a.reserveFlags == 0 {
		if a.profile.HighAtomicExact {
			n += z.freeHighatomic
		} else {
			n += int64(z.reservedHighatomic)
		}
	}
	if flags&allocCMA == 0 {
		n += z.seenCMA()
	}
	return n
}

// watermarkOK says whether, with free pages in the zone, a request leaves mark
// and the lowmem reserve, and finds a block: __zone_watermark_ok. highest is
// the index of the request's highest zone type.
func (a *Allocator) watermarkOK(z *Zone, order int, mark uint64, highest int, flags allocFlags, free int64) bool {
	free -= a.unusableFree(z, order, flags)
	if free <= a.relaxedMark(int64(mark), flags)+int64(z.lowmemReserve[highest]) {
		return false
	}
	return order == 0 || a.hasBlock(z, order, flags)
}

// relaxedMark lowers a watermark for those who may use reserves.
func (a *Allocator) relaxedMark(mark int64, flags allocFlags) int64 {
	if a.profile.HarderReserve {
		if flags&allocMinReserve != 0 {
			mark -= mark / 2
		}
		if flags&allocOOM != 0 {
			mark -= mark / 2
		} else if flags&allocNonBlock != 0 {
			mark -= mark / 4
		}
		return mark
	}
	if flags&allocReserves == 0 {
		return mark
	}
	if flags&allocMinReserve != 0 {
		mark -= mark / 2
		if flags&allocNonBlock != 0 {
			mark -= mark / 4
		}
	}
	if flags&allocOOM != 0 {
		mark -= mark / 2
	}
	return mark
}

// hasBlock says whether a list that the request may use has a block of at
// least its order.
func (a *Allocator) hasBlock(z *Zone, order int, flags allocFlags) bool {
	m := z.nonEmpty[Unmovable] | z.nonEmpty[Movable] | z.nonEmpty[Reclaimable]
	if flags&allocCMA != 0 {
		m |= z.nonEmpty[CMA]
	}
	if flags&a.highAtomicUsers != 0 {
		m |= z.nonEmpty[HighAtomic]
	}
	return m>>order != 0
}

// watermarkFast is zone_watermark_fast: the check of an allocation, with a
// short cut for order 0 and leave to ignore the boost for atomic requests.
func (a *Allocator) watermarkFast(z *Zone, order int, mark uint64, highest int, flags allocFlags, gfp GFP) bool {
	free := z.seenFree()
	if order == 0 {
		usable := free - min(free, a.unusableFree(z, 0, flags))
		if usable > int64(mark)+int64(z.lowmemReserve[highest]) {
			return true
		}
	}
	if a.watermarkOK(z, order, mark, highest, flags, free) {
		return true
	}
	if order != 0 || z.boost == 0 || flags&allocWmarkMask != allocWmarkMin {
		return false
	}
	if a.profile.AtomicFlag && gfp&GFPAtomicFlag == 0 || !a.profile.AtomicFlag && flags&allocMinReserve == 0 {
		return false
	}
	return a.watermarkOK(z, 0, z.watermark.Min, highest, flags, free)
}

// SetReclaimActive notes that kswapd balances the zones of a node, during which
// per-CPU lists are kept short (ZONE_RECLAIM_ACTIVE).
func (a *Allocator) SetReclaimActive(node NodeID, on bool) {
	for i := range a.zones {
		if a.zones[i].node == node {
			a.zones[i].reclaimActive = on
		}
	}
}
