package buddy

// freeArea holds a zone's free blocks of one order, a list for each migrate
// type: struct free_area.
type freeArea struct {
	lists [NumMigrateTypes]list
	// nrFree is the number of blocks on all lists together.
	nrFree uint64
}

// Zone is a zone of a node: struct zone. Its methods read; changes go through
// the [Allocator].
type Zone struct {
	index      uint8
	node       NodeID
	typ        ZoneType
	start, end PFN
	spanned    uint64
	present    uint64
	managed    uint64
	cmaPages   uint64

	watermark Watermarks
	boost     uint64
	// lowmemReserve is indexed by the position of the request's highest zone
	// type among the machine's zone types.
	lowmemReserve []uint64
	// boosted is ZONE_BOOSTED_WATERMARK: kswapd is to be woken after the
	// request that boosted.
	boosted bool
	// belowHigh is ZONE_BELOW_HIGH, reclaimActive ZONE_RECLAIM_ACTIVE.
	belowHigh     bool
	reclaimActive bool

	free [MaxOrders]freeArea
	// nonEmpty[mt] has bit o set if the list of order o and type mt has a
	// block: finds the smallest order in one step.
	nonEmpty [NumMigrateTypes]uint32

	// freePages and freeCMA are NR_FREE_PAGES and NR_FREE_CMA_PAGES without
	// the CPUs' unfolded differences, which is what watermark checks read.
	freePages, freeCMA int64
	statThreshold      int64
	normalThreshold    int64 // statThreshold while kswapd sleeps
	// reservedHighatomic counts pages of blocks reserved for high-order
	// atomic requests; freeHighatomic the free ones among them.
	reservedHighatomic uint64
	freeHighatomic     int64
	// isolatedBlocks is zone->nr_isolate_pageblock.
	isolatedBlocks int

	pcp []pcp

	// epoch changes with everything that a request's watermark check adds up,
	// but for freePages: the limits of short cuts are void then.
	epoch uint32

	stats ZoneStats
	// fastHits counts single pages that CPUs of the zone's own node took from
	// their lists by the short cut: a request, a page, a per-CPU hit, a NUMA
	// hit and a local one each.
	fastHits uint64
}

const noZone = ^uint8(0)

// ZoneStats are the event counters of a zone, as /proc/vmstat and zoneinfo
// name them, plus a few that tell an experimenter what the zone lock is taken
// for.
type ZoneStats struct {
	// Alloc is pgalloc_<zone> in pages; Free the zone's share of pgfree.
	Alloc, Free uint64
	// NUMA counters in requests.
	NUMAHit, NUMAMiss, NUMAForeign, NUMALocal, NUMAOther uint64
	// LockAcquisitions counts how often zone->lock would have been taken;
	// Refills and Drains how often for a per-CPU list; PCPHits the requests
	// that a per-CPU list served without it.
	LockAcquisitions, Refills, Drains, PCPHits uint64
	// Splits and Merges count blocks halved and buddies joined.
	Splits, Merges uint64
	// ListOps counts blocks put on or taken off the free lists: the work that is
	// done while the lock is held. Setting up the lists counts too.
	ListOps uint64
	// Fallbacks counts mm_page_alloc_extfrag events; Claims those that
	// changed a pageblock's type.
	Fallbacks, Claims uint64
}

// Node is the node the zone belongs to.
func (z *Zone) Node() NodeID { return z.node }

// Type is the zone's type.
func (z *Zone) Type() ZoneType { return z.typ }

// StartPFN is the zone's first page frame.
func (z *Zone) StartPFN() PFN { return z.start }

// EndPFN is the page frame after the zone's last.
func (z *Zone) EndPFN() PFN { return z.end }

// Spanned, Present and Managed are the zone's size in pages with holes, without
// holes, and what the page allocator manages of it.
func (z *Zone) Spanned() uint64 { return z.spanned }

// Present is the number of page frames with memory.
func (z *Zone) Present() uint64 { return z.present }

// Managed is the number of pages the allocator was given.
func (z *Zone) Managed() uint64 { return z.managed }

// CMAPages is the number of pages in CMA areas.
func (z *Zone) CMAPages() uint64 { return z.cmaPages }

// Watermarks gives the limits in pages, without the boost.
func (z *Zone) Watermarks() Watermarks { return z.watermark }

// WatermarkBoost is the current boost in pages.
func (z *Zone) WatermarkBoost() uint64 { return z.boost }

// LowmemReserve gives the pages that requests for each zone type of the
// machine must leave free here. The caller must not change the slice.
func (z *Zone) LowmemReserve() []uint64 { return z.lowmemReserve }

// FreePages is the number of pages on the free lists, the kernel's
// NR_FREE_PAGES with all CPUs' differences added. Isolated pages don't count.
func (z *Zone) FreePages() uint64 {
	n := z.freePages
	for i := range z.pcp {
		n += z.pcp[i].freeDiff
	}
	return uint64(max(n, 0))
}

// FreeCMAPages is NR_FREE_CMA_PAGES with all CPUs' differences added.
func (z *Zone) FreeCMAPages() uint64 {
	n := z.freeCMA
	for i := range z.pcp {
		n += z.pcp[i].cmaDiff
	}
	return uint64(max(n, 0))
}

// PCPPages is the number of pages on all CPUs' lists of the zone.
func (z *Zone) PCPPages() uint64 {
	n := 0
	for i := range z.pcp {
		n += z.pcp[i].count
	}
	return uint64(n)
}

// PCPCount is the number of pages on one CPU's lists of the zone: the count of
// the CPU's pagesets in /proc/zoneinfo. It is 0 for a CPU that the machine does
// not have.
func (z *Zone) PCPCount(cpu CPU) int {
	if cpu < 0 || int(cpu) >= len(z.pcp) {
		return 0
	}
	return z.pcp[cpu].count
}

// FreeBlocks is the number of free blocks of an order, all migrate types
// together: a column of /proc/buddyinfo.
func (z *Zone) FreeBlocks(o Order) uint64 {
	if o < 0 || int(o) >= MaxOrders {
		return 0
	}
	return z.free[o].nrFree
}

// FreeBlocksOf is the number of free blocks of an order and migrate type: a
// cell of /proc/pagetypeinfo.
func (z *Zone) FreeBlocksOf(o Order, mt MigrateType) uint64 {
	if o < 0 || int(o) >= MaxOrders || mt >= NumMigrateTypes {
		return 0
	}
	return uint64(z.free[o].lists[mt].n)
}

// ReservedHighatomic is the number of pages in blocks reserved for high-order
// atomic requests.
func (z *Zone) ReservedHighatomic() uint64 { return z.reservedHighatomic }

// Stats gives the zone's event counters.
func (z *Zone) Stats() ZoneStats {
	s := z.stats
	s.Alloc += z.fastHits
	s.PCPHits += z.fastHits
	s.NUMAHit += z.fastHits
	s.NUMALocal += z.fastHits
	return s
}

func (z *Zone) spans(pfn PFN) bool { return pfn >= z.start && pfn < z.end }

// seenFree and seenCMA are what zone_page_state reads of NR_FREE_PAGES and
// NR_FREE_CMA_PAGES: without the CPUs' unfolded differences, but never less
// than nothing.
func (z *Zone) seenFree() int64 { return max(z.freePages, 0) }

func (z *Zone) seenCMA() int64 { return max(z.freeCMA, 0) }

// modFree changes NR_FREE_PAGES the way __mod_zone_page_state does: by the
// CPU's difference, folded when it grows beyond the threshold.
func (z *Zone) modFree(c *pcp, delta int64) {
	x := c.freeDiff + delta
	if x > z.statThreshold || -x > z.statThreshold {
		z.freePages += x
		x = 0
	}
	c.freeDiff = x
}

func (z *Zone) modFreeCMA(c *pcp, delta int64) {
	x := c.cmaDiff + delta
	if x > z.statThreshold || -x > z.statThreshold {
		z.freeCMA += x
		z.epoch++
		x = 0
	}
	c.cmaDiff = x
}

// account is __mod_zone_freepage_state (account_freepages since 6.10): pages
// of a migrate type become free (delta > 0) or stop being it.
func (a *Allocator) account(z *Zone, cpu CPU, delta int64, mt MigrateType) {
	if mt == Isolate {
		return
	}
	c := &z.pcp[cpu]
	z.modFree(c, delta)
	switch mt {
	case CMA:
		z.modFreeCMA(c, delta)
	case HighAtomic:
		z.freeHighatomic += delta
		z.epoch++
	}
}

// pushFree puts a block on a free list; mark as first page of a free block.
func (a *Allocator) pushFree(z *Zone, pfn uint32, o int, mt MigrateType, tail bool) {
	p := a.freePage(pfn, o)
	p.state, p.order, p.mt, p.zone = pageBuddy, uint8(o), mt, z.index
	fa := &z.free[o]
	if tail {
		a.pushBack(&fa.lists[mt], pfn, p, o)
	} else {
		a.pushFront(&fa.lists[mt], pfn, p, o)
	}
	fa.nrFree++
	z.stats.ListOps++
	z.nonEmpty[mt] |= 1 << o
}

// removeFree takes a free block off its list: del_page_from_free_list.
func (a *Allocator) removeFree(z *Zone, p *page) {
	fa := &z.free[p.order]
	l := &fa.lists[p.mt]
	a.remove(l, p, int(p.order))
	fa.nrFree--
	z.stats.ListOps++
	if l.n == 0 {
		z.nonEmpty[p.mt] &^= 1 << p.order
	}
	p.state = pageNone
}

// moveFree moves a free block to the tail of another type's list:
// move_to_free_list.
func (a *Allocator) moveFree(z *Zone, pfn uint32, p *page, mt MigrateType) {
	o := int(p.order)
	a.removeFree(z, p)
	a.pushFree(z, pfn, o, mt, true)
}

// first gives the first block of a free list.
func (z *Zone) first(o int, mt MigrateType) uint32 { return z.free[o].lists[mt].head }
