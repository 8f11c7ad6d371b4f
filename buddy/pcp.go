package buddy

import "fmt"

const (
	// costlyOrder is PAGE_ALLOC_COSTLY_ORDER: the highest small order that
	// per-CPU lists keep, and above which the slow path gives up early.
	costlyOrder = 3
	// batchScaleMax is CONFIG_PCP_BATCH_SCALE_MAX.
	batchScaleMax = 5
	// Lists of a CPU: migrate types 0 to 2 of orders 0 to 3, then the
	// pageblock order's blocks, not movable and movable.
	numLowLists = NumPCPTypes * (costlyOrder + 1)
	numPCPLists = numLowLists + 2
)

const (
	// pcpPrevFreeHighOrder: the last free was of order 1 to 3.
	pcpPrevFreeHighOrder = 1 << iota
	// pcpFreeHighBatch: keep up to a batch when flushing high orders.
	pcpFreeHighBatch
)

// pcp is a CPU's page lists for one zone: struct per_cpu_pages, and the CPU's
// unfolded share of the zone's counters (struct per_cpu_zonestat).
type pcp struct {
	lists [numPCPLists]ring
	// count is the number of pages on all lists; high where draining starts,
	// batch what is moved at a time, all in pages.
	count, high, batch int
	highMin, highMax   int
	// freeFactor scales what a drain frees (5.14 to 6.6); allocFactor what a
	// refill takes; freeCount counts pages freed in a row (6.7 and later).
	freeFactor, allocFactor int
	freeCount               int
	flags                   uint8
	expire                  int
	freeDiff, cmaDiff       int64
}

// pcpOrder says whether blocks of the order go through per-CPU lists:
// pcp_allowed_order.
func (a *Allocator) pcpOrder(order int) bool { return a.pcpOrders>>order&1 != 0 }

// pindex is order_to_pindex. The per-CPU list of a CMA or highatomic block is
// the movable one.
func (a *Allocator) pindex(order int, mt MigrateType) int {
	if order > costlyOrder {
		if mt == Movable {
			return numLowLists + 1
		}
		return numLowLists
	}
	return NumPCPTypes*order + int(mt)
}

func (a *Allocator) pindexOrder(i int) int {
	if i >= numLowLists {
		return a.pageblockOrder
	}
	return i / NumPCPTypes
}

// rmqueuePCP takes a block from the CPU's list, refilling it when it is empty:
// rmqueue_pcplist.
func (a *Allocator) rmqueuePCP(z *Zone, cpu CPU, order int, mt MigrateType, flags allocFlags) (uint32, bool) {
	c := &z.pcp[cpu]
	switch a.profile.FreeBatch {
	case FreeBatchFactor:
		c.freeFactor >>= 1
	case FreeBatchCount:
		c.freeCount >>= 1
	}
	return a.popPCP(z, c, cpu, order, mt, flags)
}

// popPCP is __rmqueue_pcplist.
func (a *Allocator) popPCP(z *Zone, c *pcp, cpu CPU, order int, mt MigrateType, flags allocFlags) (uint32, bool) {
	l := &c.lists[a.pindex(order, mt)]
	if l.n == 0 {
		n := a.refillSize(z, c, order)
		c.count += a.rmqueueBulk(z, cpu, order, n, l, mt, flags) << order
		if l.n == 0 {
			return nilPFN, false
		}
	} else {
		z.stats.PCPHits++
	}
	pfn := l.popFront()
	c.count -= 1 << order
	return pfn, true
}

// refillSize is how many blocks a refill takes: nr_pcp_alloc, or the plain
// batch before 6.7.
func (a *Allocator) refillSize(z *Zone, c *pcp, order int) int {
	batch := c.batch
	if a.profile.FreeBatch == FreeBatchCount {
		c.high = clamp(c.high, c.highMin, c.highMax)
		if c.high < batch {
			return 1
		}
		if order == 0 {
			batch <<= c.allocFactor
		}
		high := c.high
		if c.highMin != c.highMax && !z.belowHigh {
			c.high = min(c.high+batch, c.highMax)
			high = c.high
		}
		if order == 0 {
			most := max(high-c.count-c.batch, c.batch)
			if batch <= most && c.allocFactor < batchScaleMax {
				c.allocFactor++
			}
			batch = min(batch, most)
		}
	}
	if batch > 1 {
		batch = max(batch>>order, 2)
	}
	return batch
}

// rmqueueBulk moves n blocks to the tail of a list: rmqueue_bulk. It returns
// how many there were.
func (a *Allocator) rmqueueBulk(z *Zone, cpu CPU, order, n int, l *ring, mt MigrateType, flags allocFlags) int {
	if a.amountHook != nil {
		n = a.amountHook(EventZoneLocked, n)
	}
	z.stats.LockAcquisitions++
	z.stats.Refills++
	mode := rmqueueNormal
	i := 0
	for ; i < n; i++ {
		pfn, ok := a.rmqueueZone(z, cpu, order, mt, flags, &mode)
		if !ok {
			break
		}
		p := a.page(pfn)
		p.state, p.order, p.zone = pagePCP, uint8(order), z.index
		l.pushBack(pfn)
		if !a.profile.ExactTypes && p.mt == CMA {
			z.modFreeCMA(&z.pcp[cpu], -1<<order)
		}
	}
	if !a.profile.ExactTypes {
		z.modFree(&z.pcp[cpu], -int64(i)<<order)
	}
	return i
}

// commitPCP puts a freed block at the head of the CPU's list and drains the
// list if it got too long: free_unref_page_commit. mt is the list's type; the
// page's metadata is already that of a page on a per-CPU list.
func (a *Allocator) commitPCP(z *Zone, cpu CPU, pfn uint32, order int, mt MigrateType) {
	c := &z.pcp[cpu]
	i := a.pindex(order, mt)
	c.lists[i].pushFront(pfn)
	c.count += 1 << order
	z.stats.Free += 1 << order
	switch a.profile.FreeBatch {
	case FreeBatchFixed:
		if c.count >= c.high {
			a.drainFixed(z, cpu, cpu, c.batch)
		}
	case FreeBatchFactor:
		if c.count >= c.high || order > 0 || z.reclaimActive {
			a.trimFactor(z, c, cpu, order, i)
		}
	case FreeBatchCount:
		a.trimCount(z, c, cpu, order, i)
	}
}

// limitFreed is at which count a list is drained that a block of an order was
// just freed to, and whether high orders have to go at once. From 6.7 on it moves
// what adapts to frees.
func (a *Allocator) limitFreed(z *Zone, c *pcp, order int) (high int, flush bool) {
	switch a.profile.FreeBatch {
	case FreeBatchFactor:
		flush = c.freeFactor > 0 && order > 0 && order <= costlyOrder
		switch {
		case flush:
			return 0, true
		case z.reclaimActive:
			return min(c.batch<<2, c.high), false
		}
	case FreeBatchCount:
		return a.countFreed(z, c, order)
	}
	return c.high, false
}

// trimFactor is the end of free_unref_page_commit of 5.14 to 6.6.
func (a *Allocator) trimFactor(z *Zone, c *pcp, cpu CPU, order, pindex int) {
	high, flush := a.limitFreed(z, c, order)
	if c.count < high {
		return
	}
	n := 0
	switch {
	case flush:
		n = c.count
	case high < c.batch:
		n = 1
	default:
		n = c.batch << c.freeFactor
		if n < high-c.batch && c.freeFactor < batchScaleMax {
			c.freeFactor++
		}
		n = clamp(n, c.batch, high-c.batch)
	}
	a.drain(z, cpu, cpu, n, pindex)
}

// countFreed is what free_unref_page_commit of 6.7 and later does between putting
// a block on a list and draining it.
func (a *Allocator) countFreed(z *Zone, c *pcp, order int) (high int, flush bool) {
	c.allocFactor >>= 1
	if order > 0 && order <= costlyOrder {
		threshold := c.batch
		if a.profile.FreeHighHalfMin {
			threshold += c.highMin / 2
		}
		flush = c.freeCount >= threshold && c.flags&pcpPrevFreeHighOrder != 0 &&
			(c.flags&pcpFreeHighBatch == 0 || c.count >= c.batch)
		c.flags |= pcpPrevFreeHighOrder
	} else {
		c.flags &^= pcpPrevFreeHighOrder
	}
	if c.freeCount < c.batch<<batchScaleMax {
		c.freeCount += 1 << order
	}
	return a.tuneHigh(z, c, flush), flush
}

// trimCount is free_unref_page_commit of 6.7 and later after the list.
func (a *Allocator) trimCount(z *Zone, c *pcp, cpu CPU, order, pindex int) {
	high, flush := a.countFreed(z, c, order)
	if c.count < high {
		return
	}
	n := 0
	switch {
	case flush:
		n = min(c.count, c.batch<<batchScaleMax)
	case high < c.batch:
		n = 1
	default:
		n = clamp(c.freeCount, c.batch, high-c.batch)
	}
	a.drain(z, cpu, cpu, n, pindex)
	if z.belowHigh && a.watermarkOK(z, 0, z.watermark.High+z.boost, a.movableIndex, 0, z.seenFree()) {
		z.belowHigh = false
		z.epoch++
	}
}

// tuneHigh is nr_pcp_high of 6.7 and later: it moves pcp.high between its
// bounds and says at which count to drain.
func (a *Allocator) tuneHigh(z *Zone, c *pcp, flush bool) int {
	c.high = clamp(c.high, c.highMin, c.highMax)
	high := c.high
	if high == 0 {
		return 0
	}
	if flush {
		c.high = max(high-c.batch<<batchScaleMax, c.highMin)
		return 0
	}
	if z.reclaimActive {
		c.high = max(high-max(c.freeCount, c.batch), c.highMin)
		return min(c.batch<<2, c.high)
	}
	if c.highMin == c.highMax {
		return high
	}
	if z.belowHigh {
		c.high = max(high-max(c.freeCount, c.batch), c.highMin)
		return max(c.count, c.highMin)
	}
	if c.count >= high {
		if need := c.freeCount + c.batch; c.high < need {
			c.high = clamp(need, c.highMin, c.highMax)
		}
	}
	return high
}

// drain gives n pages of owner's lists back to the zone, starting with list
// pindex and going round: free_pcppages_bulk. cpu is the CPU that does it,
// whose counters change.
func (a *Allocator) drain(z *Zone, owner, cpu CPU, n, pindex int) {
	c := &z.pcp[owner]
	n = min(n, c.count)
	if a.amountHook != nil {
		n = min(a.amountHook(EventPCPDrain, n), c.count)
	}
	if n <= 0 {
		return
	}
	if a.profile.FreeBatch == FreeBatchFixed {
		a.drainFixed(z, owner, cpu, n)
		return
	}
	z.stats.LockAcquisitions++
	z.stats.Drains++
	for n > 0 {
		l := &c.lists[pindex]
		order := a.pindexOrder(pindex)
		for n > 0 && l.n > 0 {
			a.drainOne(z, c, l, cpu, order)
			n -= 1 << order
		}
		if pindex++; pindex == numPCPLists {
			pindex = 0
		}
	}
}

// drainOne moves the last block of a per-CPU list to the zone.
func (a *Allocator) drainOne(z *Zone, c *pcp, l *ring, cpu CPU, order int) {
	pfn := l.popBack()
	p := a.page(pfn)
	c.count -= 1 << order
	mt := p.mt
	if a.profile.ExactTypes || z.isolatedBlocks > 0 {
		mt = a.blockType(pfn)
	}
	a.freeOnePage(z, cpu, pfn, order, mt, 0)
	if a.hook != nil {
		a.hook(Event{Kind: EventPCPDrain, PFN: PFN(pfn), Order: Order(order), MigrateType: mt})
	}
}

// drainFixed is free_pcppages_bulk of before 5.14: order 0 only; a list gives a
// page, and one more for each empty list passed on the way to it.
func (a *Allocator) drainFixed(z *Zone, owner, cpu CPU, n int) {
	c := &z.pcp[owner]
	n = min(n, c.count)
	if n <= 0 {
		return
	}
	z.stats.LockAcquisitions++
	z.stats.Drains++
	helping, mt := 0, 0
	for n > 0 {
		for {
			helping++
			if mt++; mt == NumPCPTypes {
				mt = 0
			}
			if c.lists[mt].n > 0 {
				break
			}
		}
		if helping == NumPCPTypes {
			helping = n
		}
		for l := &c.lists[mt]; n > 0 && helping > 0 && l.n > 0; n, helping = n-1, helping-1 {
			a.drainOne(z, c, l, cpu, 0)
		}
	}
}

func clamp(x, lo, hi int) int { return min(max(x, lo), hi) }

// DrainPages gives up to n pages of a CPU's lists of a zone back, beginning with
// list 0: what drain_zone_pages and decay_pcp_high do; all of them in portions, as
// drain_pages_zone does. by is the CPU that does it. It returns how many pages it gave back, which is more than n if the last
// block was larger than what was left to do. The error is ErrNoCPU or ErrNoZone.
func (a *Allocator) DrainPages(zone int, owner, by CPU, n int) (int, error) {
	if err := a.checkCPUs(owner, by); err != nil {
		return 0, err
	}
	if uint(zone) >= uint(len(a.zones)) {
		return 0, fmt.Errorf("buddy: zone %d: %w", zone, ErrNoZone)
	}
	z := &a.zones[zone]
	c := &z.pcp[owner]
	before := c.count
	if n >= before {
		a.drainZone(z, owner, by)
	} else {
		a.drain(z, owner, by, n, 0)
	}
	return before - c.count, nil
}

// checkCPUs says whether the machine has some CPUs.
func (a *Allocator) checkCPUs(cpus ...CPU) error {
	for _, cpu := range cpus {
		if uint(cpu) >= uint(a.config.CPUs) {
			return fmt.Errorf("buddy: CPU %d: %w", cpu, ErrNoCPU)
		}
	}
	return nil
}

// DrainCPU empties a CPU's lists of all zones: drain_pages. The error is
// ErrNoCPU.
func (a *Allocator) DrainCPU(cpu CPU) error {
	if err := a.checkCPUs(cpu); err != nil {
		return err
	}
	for i := range a.zones {
		a.drainZone(&a.zones[i], cpu, cpu)
	}
	return nil
}

// DrainAll empties all CPUs' lists: drain_all_pages. by is the CPU that does it
// (since 6.2 it empties the others' lists itself, as here). The error is
// ErrNoCPU.
func (a *Allocator) DrainAll(by CPU) error {
	if err := a.checkCPUs(by); err != nil {
		return err
	}
	a.drainAll(by)
	return nil
}

func (a *Allocator) drainAll(by CPU) {
	for cpu := range CPU(a.config.CPUs) {
		for i := range a.zones {
			a.drainZone(&a.zones[i], cpu, by)
		}
	}
}

// drainZone is drain_pages_zone.
func (a *Allocator) drainZone(z *Zone, owner, by CPU) {
	c := &z.pcp[owner]
	for before := 0; c.count > 0 && c.count != before; {
		before = c.count
		n := c.count
		if a.profile.FreeBatch != FreeBatchFixed {
			n = min(n, max(c.batch, 1)<<batchScaleMax)
		}
		a.drain(z, owner, by, n, 0)
	}
}

// Decay is decay_pcp_high, which the counter updater runs about once a second
// on each CPU since 6.7: it lowers a CPU's high of every zone and gives back
// what is above it. Older profiles do nothing. The error is ErrNoCPU.
func (a *Allocator) Decay(cpu CPU) error {
	if err := a.checkCPUs(cpu); err != nil || a.profile.FreeBatch != FreeBatchCount {
		return err
	}
	for i := range a.zones {
		z := &a.zones[i]
		c := &z.pcp[cpu]
		if c.high > c.highMin {
			c.high = max(c.count-c.batch<<batchScaleMax, c.high-c.high>>3, c.highMin)
		}
		batch := max(c.batch, 1)
		for over := c.count - c.high; over > 0; over -= batch {
			a.drain(z, cpu, cpu, min(over, batch), 0)
		}
	}
	return nil
}

// FoldStats adds a CPU's counter differences to the zones' counters, as the
// counter updater does about once a second (refresh_cpu_vm_stats). The error is
// ErrNoCPU.
func (a *Allocator) FoldStats(cpu CPU) error {
	if err := a.checkCPUs(cpu); err != nil {
		return err
	}
	for i := range a.zones {
		z := &a.zones[i]
		c := &z.pcp[cpu]
		z.freePages += c.freeDiff
		z.freeCMA += c.cmaDiff
		z.epoch++
		c.freeDiff, c.cmaDiff = 0, 0
	}
	return nil
}
