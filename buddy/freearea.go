package buddy

import "math/bits"

// expand gives the upper halves of a block back until it has the wanted order:
// each half goes to the head of its list.
func (a *Allocator) expand(z *Zone, pfn uint32, low, high int, mt MigrateType) {
	for high > low {
		high--
		a.pushFree(z, pfn+1<<high, high, mt, false)
		z.stats.Splits++
	}
}

// rmqueueSmallest takes a block from the smallest order of a migrate type that
// has one: __rmqueue_smallest. The page's state is left pageNone with its type
// noted. With exact types it accounts for the pages, else the caller does.
func (a *Allocator) rmqueueSmallest(z *Zone, cpu CPU, order int, mt MigrateType) (uint32, bool) {
	m := z.nonEmpty[mt] >> order
	if m == 0 {
		return nilPFN, false
	}
	o := order + bits.TrailingZeros32(m)
	pfn := z.first(o, mt)
	a.removeFree(z, a.freePage(pfn, o))
	a.expand(z, pfn, order, o, mt)
	p := a.page(pfn)
	p.mt, p.order = mt, uint8(order)
	if a.profile.ExactTypes {
		a.account(z, cpu, -1<<order, mt)
	}
	if a.hook != nil {
		a.hook(Event{Kind: EventZoneLocked, PFN: PFN(pfn), Order: Order(order), MigrateType: mt,
			PCPRefill: a.pcpOrder(order) && mt < NumPCPTypes})
	}
	return pfn, true
}

type freeFlags uint8

const (
	// freeToTail puts the block at the tail of its list: FPI_TO_TAIL.
	freeToTail freeFlags = 1 << iota
)

// freeOnePage gives a block to the zone and merges it with its free buddies:
// __free_one_page.
func (a *Allocator) freeOnePage(z *Zone, cpu CPU, pfn uint32, order int, mt MigrateType, flags freeFlags) {
	a.account(z, cpu, 1<<order, mt)
	if p := a.peek(pfn); p != &noPage {
		p.state = pageNone
	}
	maxOrder := a.maxOrder - 1
	var buddy uint32
	for order < maxOrder {
		if a.capture.armed && a.captured(z, cpu, pfn, order, mt) {
			return
		}
		buddy = pfn ^ 1<<order
		b := a.peek(buddy)
		if b.state != pageBuddy || int(b.order) != order || b.zone != z.index {
			break
		}
		if order >= a.pageblockOrder && !a.mayMerge(pfn, buddy, order, mt) {
			break
		}
		a.removeFree(z, b)
		z.stats.Merges++
		pfn &= buddy
		order++
	}
	tail := flags&freeToTail != 0
	if !tail && order < maxOrder-1 {
		// If the next-higher buddy is free, too, the two will likely merge
		// soon: keep this block from being used first (buddy_merge_likely).
		higher := pfn & buddy
		hb := a.peek(higher ^ 1<<(order+1))
		tail = hb.state == pageBuddy && int(hb.order) == order+1 && hb.zone == z.index
	}
	a.pushFree(z, pfn, order, mt, tail)
}

// mayMerge decides about buddies of a pageblock or more, whose types can
// differ: blocks without fallback (highatomic, CMA, isolate) don't merge with
// others. With exact accounting the absorbed buddy takes over the type.
func (a *Allocator) mayMerge(pfn, buddy uint32, order int, mt MigrateType) bool {
	bmt := a.blockType(buddy)
	if mt == bmt {
		return true
	}
	if a.profile.MergeReserved {
		return mt != Isolate && bmt != Isolate
	}
	if mt >= NumPCPTypes || bmt >= NumPCPTypes {
		return false
	}
	if a.profile.ExactTypes {
		a.setBlockRange(buddy, order, mt)
	}
	return true
}

// blockType is get_pfnblock_migratetype.
func (a *Allocator) blockType(pfn uint32) MigrateType {
	return MigrateType(a.blockTypes[pfn>>a.pageblockOrder])
}

// setBlockType is set_pageblock_migratetype. Where pages are not grouped by
// mobility, all pageblocks become unmovable.
func (a *Allocator) setBlockType(pfn uint32, mt MigrateType) {
	if a.groupingDisabled && mt < NumPCPTypes {
		mt = Unmovable
	}
	a.blockTypes[pfn>>a.pageblockOrder] = uint8(mt)
}

// setBlockRange retypes all pageblocks of a block: change_pageblock_range.
func (a *Allocator) setBlockRange(pfn uint32, order int, mt MigrateType) {
	for i := range uint32(1) << max(order-a.pageblockOrder, 0) {
		a.setBlockType(pfn+i<<a.pageblockOrder, mt)
	}
}

// freeToZone frees a block past the per-CPU lists: free_one_page.
func (a *Allocator) freeToZone(z *Zone, cpu CPU, pfn uint32, order int, mt MigrateType, flags freeFlags) {
	z.stats.LockAcquisitions++
	if !a.profile.ExactTypes {
		if z.isolatedBlocks > 0 || mt == Isolate {
			mt = a.blockType(pfn)
		}
		a.freeOnePage(z, cpu, pfn, order, mt, flags)
		return
	}
	a.splitLarge(z, cpu, pfn, order, flags)
}

// splitLarge frees a block larger than a pageblock by pageblock, each with its
// own type: split_large_buddy since 6.10.
func (a *Allocator) splitLarge(z *Zone, cpu CPU, pfn uint32, order int, flags freeFlags) {
	step := min(order, a.pageblockOrder)
	for n := uint32(0); n < 1<<order; n += 1 << step {
		a.freeOnePage(z, cpu, pfn+n, step, a.blockType(pfn+n), flags)
	}
}
