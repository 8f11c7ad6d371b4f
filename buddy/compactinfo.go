package buddy

// FreeBlock says whether a free block of a zone's lists begins at a page frame, and
// its order (PageBuddy, buddy_order).
func (a *Allocator) FreeBlock(pfn PFN) (Order, bool) {
	if z := a.zoneOf(uint64(pfn)); z == nil {
		return 0, false
	}
	p := a.head(uint32(pfn))
	if p.state != pageBuddy {
		return 0, false
	}
	return Order(p.order), true
}

// BlockFor says whether a zone has a block that a request of an order and type would
// take: of its type, of CMA if it is movable, or of another type that it may
// claim. It is what compaction works for (__compact_finished).
func (a *Allocator) BlockFor(zone int, order Order, mt MigrateType) bool {
	z := &a.zones[zone]
	for o := int(order); o < a.maxOrder; o++ {
		if z.nonEmpty[mt]>>o&1 != 0 || mt == Movable && z.nonEmpty[CMA]>>o&1 != 0 {
			return true
		}
		if _, ok := a.suitableFallback(z, o, mt); ok && a.canStealBlock(o, mt) {
			return true
		}
	}
	return false
}

// extfragThreshold is vm.extfrag_threshold: at most so fragmented, in thousandths, a
// zone is short of memory rather than of large blocks.
const extfragThreshold = 500

// CompactionSuitable says whether compacting a zone can help a request that is in
// the slow path: CompactSuccess if it has a block already, CompactSkipped if it has
// too few free pages to move others to, or is not fragmented, else CompactContinue
// (compaction_suitable).
func (a *Allocator) CompactionSuitable(zone int, r Request) CompactResult {
	var ac allocContext
	if a.prepare(&r, &ac) != nil {
		return CompactSkipped
	}
	z, order := &a.zones[zone], int(r.Order)
	flags := a.slowFlags(r.GFP, order, &ac)
	free := z.seenFree()
	if a.watermarkOK(z, order, z.mark(flags), ac.highest, flags, free) {
		return CompactSuccess
	}
	mark := z.mark(allocWmarkMin)
	if order > costlyOrder {
		mark = z.mark(allocWmarkLow)
	}
	if !a.watermarkOK(z, 0, mark+2<<order, ac.highest, allocCMA, free) {
		return CompactSkipped
	}
	if index := z.FragmentationIndex(r.Order); order > costlyOrder && index >= 0 && index <= extfragThreshold {
		return CompactSkipped
	}
	return CompactContinue
}
