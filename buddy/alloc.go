package buddy

// TaskFlags say what the kernel would read from the current task and context.
type TaskFlags uint8

const (
	// TaskMemalloc is PF_MEMALLOC: the task is reclaiming, it may use all
	// reserves and must not reclaim again.
	TaskMemalloc TaskFlags = 1 << iota
	// TaskRealTime is a real-time task (rt_task) outside interrupts.
	TaskRealTime
	// TaskOOMVictim is being killed for want of memory.
	TaskOOMVictim
	// TaskInterrupt: the request comes from an interrupt, which makes the
	// flags above void.
	TaskInterrupt
	// TaskRetrying: the request has failed its first try already, and goes on in
	// the slow path. A replay uses it for requests that reclaimed meanwhile.
	TaskRetrying
)

// NodeMask is a set of nodes 0 to 63; 0 stands for all nodes.
type NodeMask uint64

// Has says whether the mask lets node n be used.
func (m NodeMask) Has(n NodeID) bool { return m == 0 || n < 64 && m>>n&1 != 0 }

// Request is a request for a block of pages.
type Request struct {
	// CPU is the CPU that asks, whose page lists are used.
	CPU CPU
	// Node is the preferred node, or NoNode for the CPU's own. (The zero
	// value means node 0.)
	Node NodeID
	// Order is the block's size, 2^Order pages.
	Order Order
	GFP   GFP
	// Nodes limits the nodes that may be used.
	Nodes NodeMask
	Task  TaskFlags
}

// allocContext is struct alloc_context: what a request came to.
type allocContext struct {
	// zones are the zonelist's zones that the request's zone flags allow, in
	// order of preference; preferred is the place in it to start from.
	zones     []uint8
	preferred int
	// highest is the index of the highest allowed zone type, reserve that of
	// the type whose lowmem reserve must be left.
	highest, reserve int
	mt               MigrateType
	nodes            NodeMask
	cpu              CPU
	task             TaskFlags
}

// AllocPages asks for a block of 2^order pages on the CPU's own node:
// alloc_pages. The error is a [*AllocError] when there is no memory, or a
// [*RequestError] for a request that the kernel would warn about.
func (a *Allocator) AllocPages(cpu CPU, gfp GFP, order Order) (PFN, error) {
	if order == 0 && uint(cpu) < uint(len(a.fast)) {
		// What Alloc does where nothing needs a decision: the watermark holds
		// and the list has a page.
		f := &a.fast[cpu]
		z := f.zone
		if f.gfp == gfp && f.epoch == z.epoch && z.freePages > f.limit && f.list.n != 0 {
			return a.allocFast(f, z), nil
		}
	}
	return a.allocSlow(Request{CPU: cpu, Node: NoNode, GFP: gfp, Order: order})
}

// Alloc asks for a block of pages: __alloc_pages. See [Allocator.AllocPages]
// for the errors.
func (a *Allocator) Alloc(r Request) (PFN, error) {
	if r.Order == 0 && uint(r.CPU) < uint(len(a.fast)) && r.Nodes == 0 && r.Task&TaskRetrying == 0 && a.ownNode(&r) {
		f := &a.fast[r.CPU]
		z := f.zone
		if f.gfp == r.GFP && f.epoch == z.epoch && z.freePages > f.limit && f.list.n != 0 {
			return a.allocFast(f, z), nil
		}
	}
	return a.allocSlow(r)
}

// ownNode says whether a request wants its CPU's own node.
func (a *Allocator) ownNode(r *Request) bool { return r.Node == NoNode || r.Node == a.cpuNode[r.CPU] }

// allocSlow is Alloc without the short cut.
func (a *Allocator) allocSlow(r Request) (PFN, error) {
	var ac allocContext
	if err := a.prepare(&r, &ac); err != nil {
		return 0, err
	}
	pfn, ok := uint32(nilPFN), false
	if r.Task&TaskRetrying == 0 {
		a.rememberFast(&r, &ac)
		pfn, ok = a.fromFreelist(r.GFP, int(r.Order), a.fastFlags(&r, &ac), &ac)
	}
	if !ok {
		if pfn, ok = a.slowPath(r.GFP, int(r.Order), &ac); !ok {
			return 0, a.allocFailed(&r, &ac)
		}
	}
	if a.hook != nil {
		a.hook(Event{Kind: EventAlloc, PFN: PFN(pfn), Order: r.Order, MigrateType: ac.mt, GFP: r.GFP})
	}
	return PFN(pfn), nil
}

// fastPath is what a CPU's last request for a single page came to, when it was
// an ordinary one: a request with the same flags comes to the same list as long
// as the zone's epoch is the same, more than limit pages are free, and the list
// has a page.
type fastPath struct {
	gfp   GFP
	zone  *Zone
	pcp   *pcp
	list  *ring
	limit int64
	epoch uint32
	info  uint32
	mt    MigrateType
}

// noFast is a CPU's short cut before it has one. Its epoch is not its zone's.
func noFast() fastPath {
	return fastPath{zone: &Zone{index: noZone}, list: &ring{}, epoch: 1}
}

// rememberFast notes the way of a single-page request for the short cut:
// only from the CPU's own node, from its first zone.
func (a *Allocator) rememberFast(r *Request, ac *allocContext) {
	if int(r.CPU) >= len(a.fast) || r.Order != 0 || !a.ownNode(r) || r.Nodes != 0 || ac.mt >= NumPCPTypes || len(ac.zones) == 0 {
		return
	}
	z := &a.zones[ac.zones[0]]
	if a.nodes > 1 && z.node != a.cpuNode[r.CPU] || z.boosted {
		return
	}
	c := &z.pcp[r.CPU]
	f := fastPath{gfp: r.GFP, zone: z, pcp: c, list: &c.lists[ac.mt], mt: ac.mt, epoch: z.epoch}
	if r.GFP&GFPMovable != 0 {
		f.info = infoMovable
	}
	mark := z.watermark.Low
	if a.profile.FreeBatch == FreeBatchCount && !z.belowHigh {
		mark = z.watermark.High
	}
	f.limit = int64(mark + z.boost + z.lowmemReserve[ac.reserve])
	if a.profile.HighAtomicExact {
		f.limit += z.freeHighatomic
	} else {
		f.limit += int64(z.reservedHighatomic)
	}
	if f.mt != Movable {
		f.limit += z.seenCMA()
	}
	a.fast[r.CPU] = f
}

// allocFast takes the head of a CPU's list.
func (a *Allocator) allocFast(f *fastPath, z *Zone) PFN {
	c := f.pcp
	if a.profile.FreeBatch == FreeBatchFactor {
		c.freeFactor >>= 1
	} else {
		c.freeCount >>= 1
	}
	pfn := f.list.popFront()
	c.count--
	z.fastHits++
	// A page on a list has metadata.
	p := &a.sections[pfn>>sectionShift][pfn&sectionMask]
	p.state, p.info = pageAllocated, f.info
	if a.hook != nil {
		a.hook(Event{Kind: EventAlloc, PFN: PFN(pfn), MigrateType: f.mt, GFP: f.gfp})
	}
	return PFN(pfn)
}

// prepare checks a request and finds its zones: prepare_alloc_pages.
func (a *Allocator) prepare(r *Request, ac *allocContext) error {
	if uint(r.Order) >= uint(a.maxOrder) {
		return &RequestError{Request: *r, Reason: "order is not below MAX_ORDER"}
	}
	if uint(r.CPU) >= uint(len(a.cpuNode)) {
		return &RequestError{Request: *r, Reason: "no such CPU"}
	}
	node := r.Node
	if node == NoNode {
		node = a.cpuNode[r.CPU]
	}
	if uint(node) >= uint(len(a.zonelists)) {
		return &RequestError{Request: *r, Reason: "no such node"}
	}
	highest := a.gfpZone[r.GFP&GFPZoneMask]
	if highest < 0 {
		return &RequestError{Request: *r, Reason: "zone modifiers that exclude each other (GFP_ZONE_BAD)"}
	}
	if r.GFP&(GFPMovable|GFPReclaimable) == GFPMovable|GFPReclaimable {
		return &RequestError{Request: *r, Reason: "__GFP_MOVABLE and __GFP_RECLAIMABLE exclude each other"}
	}
	ac.highest = int(highest)
	zl := &a.zonelists[node].fallback
	if r.GFP&GFPThisNode != 0 {
		zl = &a.zonelists[node].thisNode
	}
	ac.zones = zl[highest]
	ac.mt = a.gfpMigrateType(r.GFP)
	ac.nodes = r.Nodes
	ac.cpu = r.CPU
	ac.task = r.Task
	a.startOver(ac)
	return nil
}

// startOver begins at the first allowed zone: first_zones_zonelist.
func (a *Allocator) startOver(ac *allocContext) {
	ac.preferred = a.firstAllowed(ac, 0)
	ac.reserve = ac.highest
	if a.profile.ClassZone && ac.preferred < len(ac.zones) {
		ac.reserve = a.typeIndex(a.zones[ac.zones[ac.preferred]].typ)
	}
}

// firstAllowed gives the first place in the zonelist, from i on, whose node is
// allowed: next_zones_zonelist.
func (a *Allocator) firstAllowed(ac *allocContext, i int) int {
	if ac.nodes != 0 {
		for i < len(ac.zones) && !ac.nodes.Has(a.zones[ac.zones[i]].node) {
			i++
		}
	}
	return i
}

// gfpMigrateType is gfp_migratetype.
func (a *Allocator) gfpMigrateType(gfp GFP) MigrateType {
	if a.groupingDisabled {
		return Unmovable
	}
	return gfp.MigrateType()
}

// fastFlags are the flags of the first try: the low watermark, no fragmenting
// fallback in a Normal zone that has a DMA32 zone below it
// (alloc_flags_nofragment).
func (a *Allocator) fastFlags(r *Request, ac *allocContext) allocFlags {
	flags := allocWmarkLow
	if ac.mt == Movable {
		flags |= allocCMA
	}
	if r.GFP&GFPKswapdReclaim != 0 {
		flags |= allocKswapd
	}
	if ac.preferred < len(ac.zones) && a.noFragment[ac.zones[ac.preferred]] {
		flags |= allocNoFragment
	}
	return flags
}

// fromFreelist tries the zones in order: get_page_from_freelist.
func (a *Allocator) fromFreelist(gfp GFP, order int, flags allocFlags, ac *allocContext) (uint32, bool) {
	for {
		noFallback := flags&allocNoFragment != 0
		retry := false
		for i := ac.preferred; i < len(ac.zones); i = a.firstAllowed(ac, i+1) {
			z := &a.zones[ac.zones[i]]
			if noFallback && a.nodes > 1 && i != ac.preferred &&
				z.node != a.zones[ac.zones[ac.preferred]].node {
				// A remote node is worse than fragmentation.
				retry = true
				break
			}
			if !a.zoneAllowed(z, order, flags, gfp, ac) {
				continue
			}
			if pfn, ok := a.rmqueue(z, order, flags, gfp, ac); ok {
				return pfn, true
			}
		}
		if !retry && !noFallback {
			return nilPFN, false
		}
		flags &^= allocNoFragment
	}
}

// zoneAllowed says whether the zone's watermark lets the request through.
func (a *Allocator) zoneAllowed(z *Zone, order int, flags allocFlags, gfp GFP, ac *allocContext) bool {
	if a.profile.FreeBatch == FreeBatchCount && !z.belowHigh {
		if a.watermarkFast(z, order, z.watermark.High+z.boost, ac.reserve, flags, gfp) {
			return true
		}
		z.belowHigh = true
		z.epoch++
	}
	return flags&allocNoWatermarks != 0 ||
		a.watermarkFast(z, order, z.mark(flags), ac.reserve, flags, gfp)
}

// rmqueue takes a block from a zone, through the CPU's lists if it may.
func (a *Allocator) rmqueue(z *Zone, order int, flags allocFlags, gfp GFP, ac *allocContext) (uint32, bool) {
	var pfn uint32
	ok := false
	if a.pcpOrder(order) && (!a.cma || !a.profile.CMAPassesPCP || flags&allocCMA != 0 || ac.mt != Movable) {
		pfn, ok = a.rmqueuePCP(z, ac.cpu, order, ac.mt, flags)
	}
	if !ok && (a.profile.PCPHighOrders || !a.pcpOrder(order)) {
		pfn, ok = a.rmqueueBuddy(z, order, flags, ac)
	}
	if z.boosted && (a.profile.BoostWakes || flags&allocKswapd != 0) {
		z.boosted = false
		z.epoch++
		if a.pressure.WakeKswapd != nil {
			a.pressure.WakeKswapd(z.node, 0, z.typ, 0)
		}
	}
	if !ok {
		return nilPFN, false
	}
	p := a.page(pfn)
	p.state, p.order, p.zone, p.info = pageAllocated, uint8(order), z.index, 0
	if gfp&GFPMovable != 0 {
		p.info = infoMovable
	}
	a.countAlloc(z, ac, 1<<order, 1)
	if order > 0 && flags&a.highAtomicFirst != 0 {
		a.reserveHighatomic(z, ac.cpu, pfn, order)
	}
	return pfn, true
}

// countAlloc counts pages given out and NUMA hits (zone_statistics).
func (a *Allocator) countAlloc(z *Zone, ac *allocContext, pages, requests uint64) {
	z.stats.Alloc += pages
	if a.nodes == 1 {
		z.stats.NUMAHit += requests
		z.stats.NUMALocal += requests
		return
	}
	preferred := &a.zones[ac.zones[ac.preferred]]
	if z.node == preferred.node {
		z.stats.NUMAHit += requests
	} else {
		z.stats.NUMAMiss += requests
		preferred.stats.NUMAForeign += requests
	}
	if z.node == a.cpuNode[ac.cpu] {
		z.stats.NUMALocal += requests
	} else {
		z.stats.NUMAOther += requests
	}
}

// rmqueueBuddy takes a block straight from the zone: rmqueue_buddy.
func (a *Allocator) rmqueueBuddy(z *Zone, order int, flags allocFlags, ac *allocContext) (uint32, bool) {
	z.stats.LockAcquisitions++
	var pfn uint32
	ok := false
	if flags&a.highAtomicFirst != 0 {
		pfn, ok = a.rmqueueSmallest(z, ac.cpu, order, HighAtomic)
	}
	if !ok {
		mode := rmqueueNormal
		pfn, ok = a.rmqueueZone(z, ac.cpu, order, ac.mt, flags, &mode)
		if !ok && flags&a.highAtomicLast != 0 {
			pfn, ok = a.rmqueueSmallest(z, ac.cpu, order, HighAtomic)
		}
	}
	if ok && !a.profile.ExactTypes {
		a.account(z, ac.cpu, -1<<order, a.page(pfn).mt)
	}
	return pfn, ok
}

// reserveHighatomic keeps the pageblock of a high-order atomic allocation for
// such: reserve_highatomic_pageblock.
func (a *Allocator) reserveHighatomic(z *Zone, cpu CPU, pfn uint32, order int) {
	block := uint64(1) << a.pageblockOrder
	most := z.managed/100 + block
	if a.profile.HighAtomicExact {
		if z.managed/100 < block {
			return
		}
		most = (z.managed/100 + block - 1) &^ (block - 1)
	}
	mt := a.blockType(pfn)
	if z.reservedHighatomic >= most || mt >= NumPCPTypes {
		return
	}
	switch {
	case !a.profile.ExactTypes:
		z.reservedHighatomic += block
		z.epoch++
		a.setBlockType(pfn, HighAtomic)
		a.moveFreeBlock(z, pfn, HighAtomic)
	case order < a.pageblockOrder:
		if a.retypeBlock(z, cpu, pfn, mt, HighAtomic) >= 0 {
			z.reservedHighatomic += block
			z.epoch++
		}
	default:
		a.setBlockRange(pfn, order, HighAtomic)
		z.reservedHighatomic += 1 << order
		z.epoch++
	}
}

// retypeBlock is move_freepages_block since 6.10: it moves and accounts for
// the free pages and retypes the block, or returns -1 if the block is not
// wholly in the zone.
func (a *Allocator) retypeBlock(z *Zone, cpu CPU, pfn uint32, old, mt MigrateType) int {
	start, end := a.blockBounds(pfn)
	if !z.spans(PFN(start)) || !z.spans(PFN(end-1)) {
		return -1
	}
	free, _ := a.moveFreeBlock(z, pfn, mt)
	a.account(z, cpu, -int64(free), old)
	a.account(z, cpu, int64(free), mt)
	a.setBlockType(pfn, mt)
	return free
}

// unreserveHighatomic gives a reserved block back to ordinary use when memory
// runs out: unreserve_highatomic_pageblock. It reports whether it freed pages.
func (a *Allocator) unreserveHighatomic(ac *allocContext, force bool) bool {
	block := uint64(1) << a.pageblockOrder
	for i := a.firstAllowed(ac, 0); i < len(ac.zones); i = a.firstAllowed(ac, i+1) {
		z := &a.zones[ac.zones[i]]
		if !force && z.reservedHighatomic <= block {
			continue
		}
		for o := range a.maxOrder {
			pfn := z.first(o, HighAtomic)
			if pfn == nilPFN {
				continue
			}
			if a.unreserveBlock(z, ac, pfn, o) {
				return true
			}
		}
	}
	return false
}

func (a *Allocator) unreserveBlock(z *Zone, ac *allocContext, pfn uint32, o int) bool {
	block := uint64(1) << a.pageblockOrder
	mt := a.blockType(pfn)
	if mt == HighAtomic {
		size := block
		if a.profile.ExactTypes {
			size = max(block, 1<<o)
		}
		z.reservedHighatomic -= min(size, z.reservedHighatomic)
		z.epoch++
	}
	if !a.profile.ExactTypes {
		a.setBlockType(pfn, ac.mt)
		free, _ := a.moveFreeBlock(z, pfn, ac.mt)
		return free > 0
	}
	if o < a.pageblockOrder {
		return a.retypeBlock(z, ac.cpu, pfn, mt, ac.mt) > 0
	}
	a.moveFree(z, pfn, a.freePage(pfn, o), ac.mt)
	a.account(z, ac.cpu, -1<<o, mt)
	a.account(z, ac.cpu, 1<<o, ac.mt)
	a.setBlockRange(pfn, o, ac.mt)
	return true
}
