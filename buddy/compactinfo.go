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

// ZoneOf is the index of a page frame's zone, or -1.
func (a *Allocator) ZoneOf(pfn PFN) int {
	if z := a.zoneOf(uint64(pfn)); z != nil {
		return int(z.index)
	}
	return -1
}

// EachFree calls f for the blocks of a free list, from the head or backward from the
// tail, until f returns false. f must not change the list.
func (a *Allocator) EachFree(zone int, order Order, mt MigrateType, backward bool, f func(PFN) bool) {
	if uint(zone) >= uint(len(a.zones)) || uint(order) >= uint(a.maxOrder) || mt >= NumMigrateTypes {
		return
	}
	l := &a.zones[zone].free[order].lists[mt]
	pfn := l.head
	if backward {
		pfn = l.tail
	}
	for pfn != nilPFN && f(PFN(pfn)) {
		if p := a.freePage(pfn, int(order)); backward {
			pfn = p.prev
		} else {
			pfn = p.next
		}
	}
}

// TurnFree turns the list that a free block is on until the block is its head, or its
// tail: what compaction does so that its next search begins elsewhere
// (move_freelist_head, move_freelist_tail). Without such a block it does nothing.
func (a *Allocator) TurnFree(pfn PFN, tail bool) {
	order, ok := a.FreeBlock(pfn)
	if !ok {
		return
	}
	p := a.freePage(uint32(pfn), int(order))
	l := &a.zones[p.zone].free[order].lists[p.mt]
	head := uint32(pfn)
	if tail {
		if head = p.next; head == nilPFN {
			return // it is the tail
		}
		p = a.freePage(head, int(order))
	}
	if l.head == head {
		return
	}
	last := p.prev
	a.freePage(l.tail, int(order)).next = l.head
	a.freePage(l.head, int(order)).prev = l.tail
	a.freePage(last, int(order)).next, p.prev = nilPFN, nilPFN
	l.head, l.tail = head, last
}

// RequestZones appends the zones that a request may use to buf, in the order in which
// it tries them.
func (a *Allocator) RequestZones(r Request, buf []int) []int {
	var ac allocContext
	if a.prepare(&r, &ac) != nil {
		return buf
	}
	for i := a.firstAllowed(&ac, 0); i < len(ac.zones); i = a.firstAllowed(&ac, i+1) {
		buf = append(buf, int(ac.zones[i]))
	}
	return buf
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
	return a.suitable(&a.zones[zone], int(r.Order), a.slowFlags(r.GFP, int(r.Order), &ac), ac.highest)
}

// DaemonSuitable is CompactionSuitable as kcompactd asks, which has no request but an
// order and the highest type of zone that whoever woke it can use.
func (a *Allocator) DaemonSuitable(zone int, order Order, highest ZoneType) CompactResult {
	return a.suitable(&a.zones[zone], int(order), allocWmarkMin, a.reserveOf(highest))
}

// CompactionPossible says whether a zone needs compaction for a request and would have
// enough pages for it if reclaim freed some more (compaction_zonelist_suitable).
func (a *Allocator) CompactionPossible(zone int, r Request, more uint64) bool {
	var ac allocContext
	if a.prepare(&r, &ac) != nil {
		return false
	}
	z := &a.zones[zone]
	return a.enoughToMove(z, int(r.Order), a.slowFlags(r.GFP, int(r.Order), &ac), ac.highest, int64(z.FreePages()+more)) == CompactContinue
}

// suitable is compaction_suitable.
func (a *Allocator) suitable(z *Zone, order int, flags allocFlags, highest int) CompactResult {
	result := a.enoughToMove(z, order, flags, highest, z.seenFree())
	if result != CompactContinue || order <= costlyOrder {
		return result
	}
	if index := z.FragmentationIndex(Order(order)); index >= 0 && index <= extfragThreshold {
		return CompactSkipped
	}
	return CompactContinue
}

// enoughToMove is __compaction_suitable, with so many free pages to move others to.
func (a *Allocator) enoughToMove(z *Zone, order int, flags allocFlags, highest int, free int64) CompactResult {
	if a.watermarkOK(z, order, z.mark(flags), highest, flags, z.seenFree()) {
		return CompactSuccess
	}
	mark := z.mark(allocWmarkMin)
	if order > costlyOrder {
		mark = z.mark(allocWmarkLow)
	}
	if !a.watermarkOK(z, 0, mark+2<<order, highest, allocCMA, free) {
		return CompactSkipped
	}
	return CompactContinue
}
