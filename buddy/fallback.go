package buddy

// fallbacks lists where each type may take pages from, best first.
var fallbacks = [NumPCPTypes][2]MigrateType{
	Unmovable:   {Reclaimable, Movable},
	Movable:     {Reclaimable, Unmovable},
	Reclaimable: {Unmovable, Movable},
}

// rmqueueMode is what a refill remembers between its pages (enum rmqueue_mode).
type rmqueueMode uint8

const (
	rmqueueNormal rmqueueMode = iota
	rmqueueCMA
	rmqueueClaim
	rmqueueSteal
)

// rmqueueZone takes a block of a migrate type from the zone, falling back to
// other types: __rmqueue.
func (a *Allocator) rmqueueZone(z *Zone, cpu CPU, order int, mt MigrateType, flags allocFlags, mode *rmqueueMode) (uint32, bool) {
	if a.profile.CMABalance && flags&allocCMA != 0 && z.seenCMA() > z.seenFree()/2 {
		if pfn, ok := a.rmqueueSmallest(z, cpu, order, CMA); ok {
			return pfn, true
		}
	}
	if a.profile.Fallback == FallbackClaimSteal {
		return a.rmqueueModes(z, cpu, order, mt, flags, mode)
	}
	for {
		if pfn, ok := a.rmqueueSmallest(z, cpu, order, mt); ok {
			return pfn, true
		}
		if flags&allocCMA != 0 {
			if pfn, ok := a.rmqueueSmallest(z, cpu, order, CMA); ok {
				return pfn, true
			}
		}
		if mt >= NumPCPTypes || !a.fallbackMove(z, order, mt, flags) {
			return nilPFN, false
		}
	}
}

// rmqueueModes is __rmqueue of 6.12 and later after the CMA balance.
func (a *Allocator) rmqueueModes(z *Zone, cpu CPU, order int, mt MigrateType, flags allocFlags, mode *rmqueueMode) (uint32, bool) {
	if *mode == rmqueueNormal {
		if pfn, ok := a.rmqueueSmallest(z, cpu, order, mt); ok {
			return pfn, true
		}
	}
	if *mode <= rmqueueCMA && flags&allocCMA != 0 {
		if pfn, ok := a.rmqueueSmallest(z, cpu, order, CMA); ok {
			*mode = rmqueueCMA
			return pfn, true
		}
	}
	if mt >= NumPCPTypes {
		return nilPFN, false
	}
	if *mode <= rmqueueClaim {
		if pfn, ok := a.claim(z, cpu, order, mt, flags); ok {
			*mode = rmqueueNormal
			return pfn, true
		}
	}
	if flags&allocNoFragment == 0 {
		if pfn, ok := a.steal(z, cpu, order, mt); ok {
			*mode = rmqueueSteal
			return pfn, true
		}
	}
	return nilPFN, false
}

// canStealBlock says whether a free block of this order is big enough, or the
// wanted type such, that the rest of its pageblock may be taken as well:
// can_steal_fallback.
func (a *Allocator) canStealBlock(order int, mt MigrateType) bool {
	return order >= a.pageblockOrder/2 || mt == Reclaimable || mt == Unmovable || a.groupingDisabled
}

// suitableFallback gives the best type that has free blocks of the order:
// find_suitable_fallback.
func (a *Allocator) suitableFallback(z *Zone, order int, mt MigrateType) (MigrateType, bool) {
	for _, f := range fallbacks[mt] {
		if z.first(order, f) != nilPFN {
			return f, true
		}
	}
	return 0, false
}

// fallbackMinOrder is the smallest order that a request may take from another
// type: a whole pageblock while fragmentation is to be avoided.
func (a *Allocator) fallbackMinOrder(order int, flags allocFlags) int {
	if flags&allocNoFragment != 0 {
		return max(order, a.pageblockOrder)
	}
	return order
}

// fallbackMove moves a free block of another type, perhaps with all free pages
// of its pageblock, to the wanted type's lists: __rmqueue_fallback until 6.9.
// It looks for the largest block, except that movable requests that may not
// take a whole pageblock look for the smallest.
func (a *Allocator) fallbackMove(z *Zone, order int, mt MigrateType, flags allocFlags) bool {
	least := a.fallbackMinOrder(order, flags)
	for o := a.maxOrder - 1; o >= least; o-- {
		from, ok := a.suitableFallback(z, o, mt)
		if !ok {
			continue
		}
		whole := a.canStealBlock(o, mt)
		if !whole && mt == Movable && o > order {
			for o = order; ; o++ {
				if from, ok = a.suitableFallback(z, o, mt); ok {
					break
				}
			}
			whole = a.canStealBlock(o, mt)
		}
		pfn := z.first(o, from)
		a.stealSuitable(z, pfn, o, mt, flags, whole)
		a.extfrag(z, pfn, order, o, mt, from)
		return true
	}
	return false
}

// stealSuitable is steal_suitable_fallback: retype whole blocks; else move the
// free pages of the pageblock and retype it if at least half of it is free or
// of a like type; else move just the one block.
func (a *Allocator) stealSuitable(z *Zone, pfn uint32, o int, mt MigrateType, flags allocFlags, whole bool) {
	old := a.blockType(pfn)
	switch {
	case old == HighAtomic:
	case o >= a.pageblockOrder:
		a.setBlockRange(pfn, o, mt)
	default:
		if a.boost(z) && flags&allocKswapd != 0 {
			z.boosted = true
			z.epoch++
		}
		if whole && a.stealBlock(z, pfn, old, mt) {
			return
		}
	}
	a.moveFree(z, pfn, a.freePage(pfn, o), mt)
}

// stealBlock moves all free pages of a pageblock to a type and retypes the
// block if enough of it is free or alike. It fails for a block that is not
// wholly in the zone.
func (a *Allocator) stealBlock(z *Zone, pfn uint32, old, mt MigrateType) bool {
	free, movable := a.moveFreeBlock(z, pfn, mt)
	if free == 0 {
		return false
	}
	if a.enoughToClaim(z, pfn, free, movable, old, mt) {
		a.setBlockType(pfn, mt)
	}
	return true
}

// enoughToClaim says whether at least half of a pageblock is free or holds
// pages like the wanted type.
func (a *Allocator) enoughToClaim(z *Zone, pfn uint32, free, movable int, old, mt MigrateType) bool {
	if a.claimHook != nil {
		if yes, known := a.claimHook(PFN(pfn), free, movable); known {
			return yes
		}
	}
	alike := 0
	switch {
	case mt == Movable:
		alike = movable
	case old == Movable:
		alike = 1<<a.pageblockOrder - (free + movable)
	}
	return free+alike >= 1<<(a.pageblockOrder-1) || a.groupingDisabled
}

// moveFreeBlock moves the free blocks of a pageblock to the tails of a type's
// lists, in address order: move_freepages_block. It returns the number of
// pages moved and of movable allocated ones; both are 0 if the block's end is
// outside the zone.
func (a *Allocator) moveFreeBlock(z *Zone, pfn uint32, mt MigrateType) (free, movable int) {
	start, end := a.blockBounds(pfn)
	if !z.spans(PFN(start)) {
		start = pfn
	}
	if !z.spans(PFN(end - 1)) {
		return 0, 0
	}
	for pfn = start; pfn < end; {
		p := a.head(pfn)
		if p.state != pageBuddy {
			n := a.allocatedPages(p)
			if p.info&infoMovable != 0 {
				movable += n
			}
			pfn += uint32(n)
			continue
		}
		n := uint32(1) << p.order
		a.moveFree(z, pfn, p, mt)
		free += int(n)
		pfn += n
	}
	return free, movable
}

// allocatedPages is how many pages to step over at a page that is not free.
func (a *Allocator) allocatedPages(p *page) int {
	if p.state == pageNone {
		return 1
	}
	return 1 << p.order
}

func (a *Allocator) blockBounds(pfn uint32) (start, end uint32) {
	start = pfn &^ (1<<a.pageblockOrder - 1)
	return start, start + 1<<a.pageblockOrder
}

// boost raises the zone's watermark boost: boost_watermark. It reports whether
// the zone takes part in boosting.
func (a *Allocator) boost(z *Zone) bool {
	block := uint64(1) << a.pageblockOrder
	if a.boostFactor == 0 || block*4 > z.managed && !a.profile.BoostSmallZones {
		return false
	}
	most := multFrac(z.watermark.High, a.boostFactor, 10000)
	if most == 0 {
		return false
	}
	z.boost = min(z.boost+block, max(block, most))
	z.epoch++
	return true
}

// claim takes a block of another type together with its pageblock:
// __rmqueue_claim. Largest blocks first; it stops at the first order that is
// too small to claim by.
func (a *Allocator) claim(z *Zone, cpu CPU, order int, mt MigrateType, flags allocFlags) (uint32, bool) {
	least := a.fallbackMinOrder(order, flags)
	for o := a.maxOrder - 1; o >= least; o-- {
		from, ok := a.suitableFallback(z, o, mt)
		if !ok {
			continue
		}
		if !a.canStealBlock(o, mt) {
			break
		}
		pfn := z.first(o, from)
		if got, ok := a.claimBlock(z, cpu, pfn, o, order, mt, flags); ok {
			a.extfrag(z, got, order, o, mt, from)
			return got, true
		}
	}
	return nilPFN, false
}

// claimBlock is try_to_claim_block (try_to_steal_block in 6.12).
func (a *Allocator) claimBlock(z *Zone, cpu CPU, pfn uint32, o, order int, mt MigrateType, flags allocFlags) (uint32, bool) {
	old := a.blockType(pfn)
	if old == HighAtomic {
		return nilPFN, false
	}
	if o >= a.pageblockOrder {
		a.removeFree(z, a.freePage(pfn, o))
		a.account(z, cpu, -1<<o, old)
		a.setBlockRange(pfn, o, mt)
		a.expand(z, pfn, order, o, mt)
		a.account(z, cpu, 1<<o-1<<order, mt)
		p := a.page(pfn)
		p.mt, p.order = mt, uint8(order)
		return pfn, true
	}
	if a.boost(z) && flags&allocKswapd != 0 {
		z.boosted = true
		z.epoch++
	}
	start, end := a.blockBounds(pfn)
	if !z.spans(PFN(start)) || !z.spans(PFN(end-1)) {
		return nilPFN, false
	}
	free, movable := a.countBlock(start, end)
	if !a.enoughToClaim(z, pfn, free, movable, old, mt) {
		return nilPFN, false
	}
	a.account(z, cpu, -int64(free), old)
	a.moveFreeBlock(z, pfn, mt)
	a.account(z, cpu, int64(free), mt)
	a.setBlockType(pfn, mt)
	return a.rmqueueSmallest(z, cpu, order, mt)
}

// countBlock counts the free and the movable pages of a pageblock:
// prep_move_freepages_block.
func (a *Allocator) countBlock(start, end uint32) (free, movable int) {
	for pfn := start; pfn < end; {
		p := a.head(pfn)
		n := a.allocatedPages(p)
		switch {
		case p.state == pageBuddy:
			free += n
		case p.info&infoMovable != 0:
			movable += n
		}
		pfn += uint32(n)
	}
	return free, movable
}

// steal takes a single block of another type and leaves the rest of it there:
// __rmqueue_steal.
func (a *Allocator) steal(z *Zone, cpu CPU, order int, mt MigrateType) (uint32, bool) {
	for o := order; o < a.maxOrder; o++ {
		from, ok := a.suitableFallback(z, o, mt)
		if !ok {
			continue
		}
		pfn := z.first(o, from)
		a.removeFree(z, a.freePage(pfn, o))
		a.expand(z, pfn, order, o, from)
		a.account(z, cpu, -1<<order, from)
		p := a.page(pfn)
		p.mt, p.order = from, uint8(order)
		a.extfrag(z, pfn, order, o, mt, from)
		return pfn, true
	}
	return nilPFN, false
}

func (a *Allocator) extfrag(z *Zone, pfn uint32, order, from int, mt, old MigrateType) {
	claimed := a.blockType(pfn) == mt
	z.stats.Fallbacks++
	if claimed {
		z.stats.Claims++
	}
	if a.hook != nil {
		a.hook(Event{Kind: EventExtfrag, PFN: PFN(pfn), Order: Order(order), MigrateType: mt,
			FallbackOrder: Order(from), FallbackType: old,
			Fragmenting: from < a.pageblockOrder, ChangeOwnership: claimed})
	}
}
