// Package compaction makes large free blocks of small ones by moving pages in use
// together. It mirrors mm/compaction.c of Linux 6.1, and plugs into the slow path of
// a [buddy.Allocator].
//
//	zone   |----------------------------------------------------------------|
//	        migrate scanner ->                              <- free scanner
//	        takes 32 pages in use at a time                  takes free pages for them,
//	        that can be moved                                from movable pageblocks
//
// The rules:
//
//   - A zone is compacted if it has no block of the order, but enough single pages to
//     move others to, and for large orders if it is fragmented: compaction_suitable.
//   - The migrate scanner begins where it was the last time, and takes pages of a
//     pageblock in ascending order, 32 at a time, at the second turn all the rest; the
//     last one taken is moved first. Asynchronous compaction for a request looks only at
//     pageblocks of the request's type, and gives a part of the request's size up at the
//     first page that must stay.
//   - For more than 8 pages it first looks for a free block in the lower part of what is
//     left, to clear that block's pageblock. In 6.1 the search marks the pageblock as one
//     to pass over and then passes it over itself; what remains is that the scanner goes
//     on behind it, and that the free list was turned.
//   - The free scanner asks the free lists for a block in the upper quarter, or half, of
//     what is left. Else it goes down by pageblocks, those that are movable and no
//     free block as a whole, and takes free blocks until it has as many pages as are to
//     be moved. What was taken last is used first.
//   - A pageblock in which a scanner found nothing is passed over the next time. When
//     the scanners met for a request, the marks are void once kswapd sleeps
//     ([Compactor.Forget]), or after 64 requests were put off.
//   - It ends when a block of the order, or one that may be claimed, is free, at
//     the end of a pageblock; when the request has captured a block that was just freed;
//     or when the scanners meet: compact_finished.
//   - After a failure a zone is left alone for 1, 2, 4, up to 64 requests of that order
//     or above: defer_compaction. A request that finds its block ends that.
//   - kcompactd sleeps until kswapd, having made room, wakes it for an order, or looks
//     every half a second whether a node is so fragmented that it compacts without a
//     request ([Compactor.Daemon]).
//
// Left out: pages that cannot be moved at the moment, contention, CMA as a target of its
// own; blocks in use of more than a page are looked at page by page, compound or not.
package compaction

import (
	"fmt"

	"github.com/kernsim/kernsim/buddy"
)

// Pages knows the pages in use.
type Pages interface {
	// Movable says whether a page is a single page in use that can be moved.
	Movable(pfn buddy.PFN) bool
	// Move moves a page's contents and its user's references. The old page is
	// freed by the caller.
	Move(from, to buddy.PFN)
}

// Stats are the rows of /proc/vmstat that compaction counts.
type Stats struct {
	Stall, Fail, Success        uint64 // of requests
	MigrateScanned, FreeScanned uint64 // page frames looked at
	Isolated, Moved, DaemonRuns uint64
	Deferred, Met               uint64 // requests put off, times that the scanners met
	// DaemonMigrate and DaemonFree are what kcompactd scanned for an order.
	DaemonMigrate, DaemonFree uint64
}

// Compactor compacts a machine's zones.
type Compactor struct {
	a     *buddy.Allocator
	pages Pages
	zones []zone
	nodes []daemon
	block buddy.PFN // pages of a pageblock
	// reclaimable is [buddy.Pressure]'s; proactiveness vm.compaction_proactiveness.
	reclaimable   func(*buddy.Zone) uint64
	proactiveness int
	stats         Stats
	order         []int // of the zones of a request
	// moving are the pages to be moved, spare those to move to.
	moving, spare []buddy.PFN
}

// costlyOrder is PAGE_ALLOC_COSTLY_ORDER.
const costlyOrder = 3

// New makes a compactor of an allocator's zones. [Compactor.Plug] adds it to the slow
// path.
func New(a *buddy.Allocator, p Pages) *Compactor {
	c := &Compactor{a: a, pages: p, zones: make([]zone, a.NumZones()), block: 1 << a.Config().PageblockOrder, proactiveness: 20}
	for i := range c.zones {
		z := a.Zone(i)
		c.zones[i] = zone{start: z.StartPFN(), end: z.EndPFN()}
		c.zones[i].skip = make([]bool, c.blockIndex(&c.zones[i], z.EndPFN()-1)+1)
		for int(z.Node()) >= len(c.nodes) {
			c.nodes = append(c.nodes, daemon{highest: buddy.ZoneMovable})
		}
	}
	return c
}

// Plug adds compaction to the hooks of the slow path.
func (c *Compactor) Plug(p buddy.Pressure) {
	p.DirectCompact, p.CompactRetry, p.Compacted = c.direct, c.retry, c.done
	c.reclaimable = p.Reclaimable
	c.a.SetPressure(p)
}

// Stats gives the counters.
func (c *Compactor) Stats() Stats { return c.stats }

// direct is try_to_compact_pages.
func (c *Compactor) direct(r buddy.Request, prio buddy.CompactPriority) buddy.CompactResult {
	result := buddy.CompactSkipped
	if r.GFP&buddy.GFPIO == 0 {
		return result
	}
	c.order = c.a.RequestZones(r, c.order[:0])
	for _, i := range c.order {
		z := &c.zones[i]
		if prio > buddy.CompactSyncFull && z.deferred(r.Order) {
			c.stats.Deferred++
			result = max(result, buddy.CompactDeferred)
			continue
		}
		got := c.a.CompactionSuitable(i, r)
		if got == buddy.CompactContinue {
			full := prio == buddy.CompactSyncFull
			c.a.BeginCapture(i)
			got = c.compact(&run{zone: z, index: i, cpu: r.CPU, order: r.Order, search: int(r.Order), mt: r.GFP.MigrateType(),
				sync: prio != buddy.CompactAsync, direct: true, whole: full, noSkip: full, anyTarget: full})
			c.a.EndCapture()
		}
		if result = max(result, got); got == buddy.CompactSuccess {
			z.worked(r.Order, false)
			break
		}
		if prio != buddy.CompactAsync && (got == buddy.CompactComplete || got == buddy.CompactPartial) {
			z.postpone(r.Order)
		}
	}
	return result
}

// done is the end of __alloc_pages_direct_compact: a request that got its block ends
// the deferral of the zone it came from.
func (c *Compactor) done(r buddy.Request, zone int) {
	c.stats.Stall++
	if zone < 0 {
		c.stats.Fail++
		return
	}
	c.stats.Success++
	c.zones[zone].flush = false
	c.zones[zone].worked(r.Order, true)
}

// Retries of the slow path: MAX_COMPACT_RETRIES.
const maxRetries = 16

// retry is should_compact_retry: again at the same priority while it makes progress,
// then harder. Costly orders are not tried to the end.
func (c *Compactor) retry(r buddy.Request, result buddy.CompactResult, prio buddy.CompactPriority, retries int) (buddy.CompactPriority, bool) {
	costly := r.Order > costlyOrder
	if result == buddy.CompactSkipped {
		return prio, c.roomComes(r)
	}
	limit, least := maxRetries, buddy.CompactSyncFull
	if costly {
		limit, least = limit/4, buddy.CompactSyncLight
	}
	if (result == buddy.CompactSuccess || result == buddy.CompactContinue) && retries <= limit {
		return prio, true
	}
	if prio > least {
		return prio - 1, true
	}
	return prio, false
}

// roomComes says whether reclaim can make room for compaction (compaction_zonelist_suitable).
func (c *Compactor) roomComes(r buddy.Request) bool {
	c.order = c.a.RequestZones(r, c.order[:0])
	for _, i := range c.order {
		more := uint64(0)
		if c.reclaimable != nil && r.Order > 0 {
			more = c.reclaimable(c.a.Zone(i)) / uint64(r.Order)
		}
		if c.a.CompactionPossible(i, r, more) {
			return true
		}
	}
	return false
}

// Node compacts all zones of a node, to the end (vm.compact_memory).
func (c *Compactor) Node(cpu buddy.CPU, id buddy.NodeID) {
	c.eachZone(id, buddy.ZoneMovable, func(i int, z *zone) {
		c.compact(&run{zone: z, index: i, cpu: cpu, order: -1, mt: buddy.Unmovable, sync: true, whole: true, noSkip: true})
	})
}

// eachZone calls f for a node's zones up to a type, that have memory.
func (c *Compactor) eachZone(id buddy.NodeID, highest buddy.ZoneType, f func(i int, z *zone)) {
	for i := range c.zones {
		if z := c.a.Zone(i); z.Node() == id && z.Type() <= highest && z.Present() > 0 {
			f(i, &c.zones[i])
		}
	}
}

// Check proves that nothing is under way.
func (c *Compactor) Check() error {
	for i := range c.zones {
		z := &c.zones[i]
		if z.shift > maxShift || z.considered > 1<<maxShift || len(c.moving) > 0 || len(c.spare) > 0 {
			return fmt.Errorf("compaction: zone %d: deferred %d times, %d pages under way", i, z.shift, len(c.moving)+len(c.spare))
		}
	}
	return nil
}
