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
//     pageblock in ascending order, 32 at a time; the last one taken is moved first.
//     Asynchronous compaction for a request looks only at pageblocks of the request's type.
//   - The free scanner goes down by pageblocks, those that are movable and no free block
//     as a whole, and takes free blocks until it has as many pages as are to be moved; the
//     pages at the highest addresses are used first.
//   - A pageblock in which a scanner found nothing is passed over the next time, until
//     the scanners have met and a request compacts again: set_pageblock_skip.
//   - It ends when a block of the order, or one that may be claimed, is free, at
//     the end of a pageblock; or when the scanners meet: compact_finished.
//   - After a failure a zone is left alone for 1, 2, 4, up to 64 requests of that order
//     or above: defer_compaction.
//
// Left out: the short cuts of the scanners through the free lists
// (fast_find_migrateblock, fast_isolate_freepages), capturing a block as it is freed,
// pages that cannot be moved at the moment, contention, CMA as a target of its own.
package compaction

import (
	"fmt"
	"slices"

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
}

// zone is what compaction remembers of a zone.
type zone struct {
	start, end buddy.PFN
	// migrate are where the migrate scanner goes on, asynchronous and not; free
	// where the free scanner does.
	migrate [2]buddy.PFN
	free    buddy.PFN
	// skip has a bit for each pageblock in which nothing was found; flush: the
	// bits are void at the next request.
	skip  []bool
	flush bool
	// Deferral: of how many requests since the last failure one is let through.
	considered, shift uint
	failed            buddy.Order
}

// Compactor compacts a machine's zones.
type Compactor struct {
	a     *buddy.Allocator
	pages Pages
	zones []zone
	types []buddy.ZoneType
	block buddy.PFN // pages of a pageblock
	stats Stats
	order []int // of the zones of a request
	// moving are the pages to be moved, spare those to move to.
	moving, spare []buddy.PFN
}

// New makes a compactor of an allocator's zones. [Compactor.Plug] adds it to the slow
// path.
func New(a *buddy.Allocator, p Pages) *Compactor {
	c := &Compactor{a: a, pages: p, zones: make([]zone, a.NumZones()), types: a.Config().ZoneTypes, block: 1 << a.Config().PageblockOrder}
	for i := range c.zones {
		z := a.Zone(i)
		c.zones[i] = zone{start: z.StartPFN(), end: z.EndPFN()}
		c.zones[i].skip = make([]bool, c.index(&c.zones[i], z.EndPFN()-1)+1)
		c.reset(&c.zones[i])
	}
	return c
}

// Plug adds compaction to the hooks of the slow path.
func (c *Compactor) Plug(p buddy.Pressure) {
	p.DirectCompact, p.CompactRetry = c.direct, c.retry
	c.a.SetPressure(p)
}

// Stats gives the counters.
func (c *Compactor) Stats() Stats { return c.stats }

// index is the number of a pageblock in its zone.
func (c *Compactor) index(z *zone, pfn buddy.PFN) int {
	return int(pfn/c.block - z.start/c.block)
}

// reset puts the scanners at the ends (reset_cached_positions).
func (c *Compactor) reset(z *zone) {
	z.migrate = [2]buddy.PFN{z.start, z.start}
	z.free = (z.end - 1) &^ (c.block - 1)
}

// unskip forgets what was found to be worthless (__reset_isolation_suitable).
func (c *Compactor) unskip(z *zone) {
	clear(z.skip)
	z.flush = false
	c.reset(z)
}

// Deferral: maxShift is COMPACT_MAX_DEFER_SHIFT.
const maxShift = 6

// deferred is compaction_deferred.
func (z *zone) deferred(order buddy.Order) bool {
	if order < z.failed {
		return false
	}
	limit := uint(1) << z.shift
	if z.considered++; z.considered >= limit {
		z.considered = limit
		return false
	}
	return true
}

// postpone is defer_compaction.
func (z *zone) postpone(order buddy.Order) {
	z.considered = 0
	z.shift = min(z.shift+1, maxShift)
	z.failed = min(z.failed, order)
}

// worked is compaction_defer_reset: compaction of an order succeeded; served: so did the request.
func (z *zone) worked(order buddy.Order, served bool) {
	if served {
		z.considered, z.shift = 0, 0
	}
	z.failed = max(z.failed, order+1)
}

// run is one compaction of a zone (struct compact_control).
type run struct {
	cpu   buddy.CPU
	order buddy.Order // -1: all of the zone
	mt    buddy.MigrateType
	sync  bool
	// all: pageblocks are not skipped. direct: for a request.
	all, direct   bool
	migrate, free buddy.PFN
}

// direct is try_to_compact_pages.
func (c *Compactor) direct(r buddy.Request, prio buddy.CompactPriority) buddy.CompactResult {
	result := buddy.CompactSkipped
	if r.GFP&buddy.GFPIO == 0 {
		return result
	}
	for _, i := range c.zonesOf(r) {
		if prio > buddy.CompactSyncFull && c.zones[i].deferred(r.Order) {
			c.stats.Deferred++
			result = max(result, buddy.CompactDeferred)
			continue
		}
		got := c.a.CompactionSuitable(i, r)
		if got == buddy.CompactContinue {
			c.stats.Stall++
			got = c.compact(i, &run{cpu: r.CPU, order: r.Order, mt: r.GFP.MigrateType(), sync: prio != buddy.CompactAsync, all: prio == buddy.CompactSyncFull, direct: true})
			c.account(i, r.Order, got, prio != buddy.CompactAsync)
		}
		if result = max(result, got); got == buddy.CompactSuccess {
			break
		}
	}
	return result
}

// zonesOf are the zones that a request may use, its node's first, the highest type
// first. (The order of other nodes is by number, not by distance.)
func (c *Compactor) zonesOf(r buddy.Request) []int {
	highest := r.GFP.HighestZone(c.types)
	c.order = c.order[:0]
	for _, own := range [2]bool{true, false} {
		for i := len(c.zones) - 1; i >= 0; i-- {
			z := c.a.Zone(i)
			if z.Type() <= highest && z.Managed() > 0 && r.Nodes.Has(z.Node()) && (z.Node() == r.Node) == own && (own || !r.GFP.Has(buddy.GFPThisNode)) {
				c.order = append(c.order, i)
			}
		}
	}
	return c.order
}

// account notes how a compaction ended.
func (c *Compactor) account(i int, order buddy.Order, got buddy.CompactResult, sync bool) {
	switch {
	case got == buddy.CompactSuccess:
		c.stats.Success++
		c.zones[i].worked(order, false)
	case sync:
		c.stats.Fail++
		c.zones[i].postpone(order)
	default:
		c.stats.Fail++
	}
}

// Retries of the slow path: MAX_COMPACT_RETRIES.
const maxRetries = 16

// retry is should_compact_retry: again at the same priority while it makes progress,
// then harder. Costly orders are not tried to the end.
func (c *Compactor) retry(r buddy.Request, result buddy.CompactResult, prio buddy.CompactPriority, retries int) (buddy.CompactPriority, bool) {
	costly := r.Order > 3
	if result == buddy.CompactSkipped {
		// Reclaim may make room for it.
		for i := range c.zones {
			if c.a.CompactionSuitable(i, r) != buddy.CompactSkipped {
				return prio, true
			}
		}
		return prio, false
	}
	limit := maxRetries
	if costly {
		limit /= 4
	}
	if result == buddy.CompactSuccess && retries <= limit {
		return prio, true
	}
	least := buddy.CompactSyncFull
	if costly {
		least = buddy.CompactSyncLight
	}
	if prio > least {
		return prio - 1, true
	}
	return prio, false
}

// Node compacts all zones of a node, to the end (vm.compact_memory).
func (c *Compactor) Node(cpu buddy.CPU, id buddy.NodeID) {
	for i := range c.zones {
		if z := c.a.Zone(i); z.Node() == id && z.Managed() > 0 {
			c.unskip(&c.zones[i])
			c.compact(i, &run{cpu: cpu, order: -1, mt: buddy.Movable, sync: true, all: true})
		}
	}
	_ = c.a.DrainAll(cpu) // an unknown CPU has done nothing
}

// Daemon is a node's kcompactd, woken for an order (kcompactd_do_work).
func (c *Compactor) Daemon(cpu buddy.CPU, id buddy.NodeID, order buddy.Order) {
	r := buddy.Request{CPU: cpu, Node: id, Order: order, GFP: buddy.GFPKernel}
	for i := range c.zones {
		z := &c.zones[i]
		if c.a.Zone(i).Node() != id || c.a.Zone(i).Managed() == 0 || z.deferred(order) || c.a.CompactionSuitable(i, r) != buddy.CompactContinue {
			continue
		}
		c.stats.DaemonRuns++
		c.account(i, order, c.compact(i, &run{cpu: cpu, order: order, mt: buddy.Unmovable, sync: true}), true)
	}
}

// Score says how fragmented a node is, 0 to 100: the share of its free memory that is
// not in blocks of the pageblock order, zone by zone in proportion to their sizes
// (fragmentation_score_node).
func (c *Compactor) Score(id buddy.NodeID) int {
	present, score := uint64(0), 0
	for i := range c.zones {
		if z := c.a.Zone(i); z.Node() == id {
			present += z.Present()
		}
	}
	for i := range c.zones {
		if z := c.a.Zone(i); z.Node() == id {
			score += z.ExternalFragmentation(buddy.Order(c.a.Config().PageblockOrder)) * int(z.Present()) / int(present+1)
		}
	}
	return score
}

// Proactive says whether a node is to be compacted without a request, by
// vm.compaction_proactiveness (0 to 100, 20 is usual), and below which score that ends.
func (c *Compactor) Proactive(id buddy.NodeID, proactiveness int) (now bool, until int) {
	until = max(100-min(max(proactiveness, 0), 100), 5)
	return proactiveness > 0 && c.Score(id) > min(until+10, 100), until
}

// Check proves that the scanners are in their zones.
func (c *Compactor) Check() error {
	for i := range c.zones {
		z := &c.zones[i]
		for _, at := range [3]buddy.PFN{z.migrate[0], z.migrate[1], z.free} {
			if at < z.start&^(c.block-1) || at > z.end+c.block {
				return fmt.Errorf("compaction: zone %d: a scanner is at page frame %d", i, at)
			}
		}
		if z.shift > maxShift || len(c.moving) > 0 || len(c.spare) > 0 {
			return fmt.Errorf("compaction: zone %d: deferred %d times, %d pages under way", i, z.shift, len(c.moving)+len(c.spare))
		}
	}
	return nil
}

// compact is compact_zone.
func (c *Compactor) compact(i int, r *run) buddy.CompactResult {
	z := &c.zones[i]
	if z.flush && r.direct || z.shift == maxShift && z.considered >= 1<<maxShift {
		c.unskip(z)
	}
	r.migrate, r.free = z.migrate[b2i(r.sync)], z.free
	if r.all {
		r.migrate, r.free = z.start, (z.end-1)&^(c.block-1)
	}
	for {
		if result := c.finished(i, r); result != buddy.CompactContinue {
			c.putBack(r.cpu)
			if !r.all && result == buddy.CompactSuccess {
				z.free = max(z.free, r.free)
			}
			return result
		}
		c.isolate(z, r)
		c.move(z, r)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// finished is compact_finished.
func (c *Compactor) finished(i int, r *run) buddy.CompactResult {
	z := &c.zones[i]
	if r.migrate/c.block >= r.free/c.block || r.free < z.start {
		c.reset(z)
		z.flush = z.flush || r.direct
		c.stats.Met++
		return buddy.CompactComplete
	}
	if r.order < 0 || r.migrate%c.block != 0 {
		return buddy.CompactContinue
	}
	if c.a.BlockFor(i, r.order, r.mt) {
		return buddy.CompactSuccess
	}
	return buddy.CompactContinue
}

// clusterMax is how many pages are moved at a time (COMPACT_CLUSTER_MAX).
const clusterMax = 32

// isolate lets the migrate scanner take the next pages (isolate_migratepages).
func (c *Compactor) isolate(z *zone, r *run) {
	for r.migrate/c.block < r.free/c.block && len(c.moving) == 0 {
		end := min(r.migrate&^(c.block-1)+c.block, z.end)
		if !c.source(z, r) {
			r.migrate = end
			continue
		}
		from := r.migrate
		for r.migrate < end && len(c.moving) < clusterMax {
			c.stats.MigrateScanned++
			if order, ok := c.a.FreeBlock(r.migrate); ok {
				r.migrate = min(r.migrate+1<<order, end)
				continue
			}
			if c.pages.Movable(r.migrate) {
				c.moving = append(c.moving, r.migrate)
			}
			r.migrate++
		}
		if r.migrate == end && from%c.block == 0 && len(c.moving) == 0 {
			z.skip[c.index(z, from)] = true
		}
		c.stats.Isolated += uint64(len(c.moving))
		if !r.all {
			z.migrate[0] = max(z.migrate[0], r.migrate)
			if r.sync {
				z.migrate[1] = max(z.migrate[1], r.migrate)
			}
		}
	}
}

// source says whether the migrate scanner looks into its pageblock
// (suitable_migration_source).
func (c *Compactor) source(z *zone, r *run) bool {
	mt, ok := c.a.BlockType(max(r.migrate, z.start))
	switch {
	case !ok, !r.all && z.skip[c.index(z, r.migrate)]:
		return false
	case r.sync || !r.direct:
		return true
	case r.mt == buddy.Movable:
		return mt == buddy.Movable || mt == buddy.CMA
	}
	return mt == r.mt
}

// move moves the isolated pages, the last one first (migrate_pages).
func (c *Compactor) move(z *zone, r *run) {
	for _, from := range slices.Backward(c.moving) {
		if len(c.spare) == 0 {
			c.findSpare(z, r, len(c.moving))
		}
		if len(c.spare) == 0 {
			break
		}
		to := c.spare[len(c.spare)-1]
		c.spare = c.spare[:len(c.spare)-1]
		c.pages.Move(from, to)
		_ = c.a.Free(r.cpu, from, 0) // its user has the new one
		c.stats.Moved++
	}
	c.moving = c.moving[:0]
	// What is freed must merge before it is looked at.
	_ = c.a.DrainCPU(r.cpu)
}

// findSpare lets the free scanner take at least so many pages (isolate_freepages).
func (c *Compactor) findSpare(z *zone, r *run, want int) {
	for len(c.spare) < want && r.free/c.block > r.migrate/c.block && r.free >= z.start&^(c.block-1) {
		end := min(r.free&^(c.block-1)+c.block, z.end)
		got := 0
		if c.target(z, r) {
			got = c.takeFree(max(r.free, z.start), end, r.cpu, want)
			if got == 0 {
				z.skip[c.index(z, r.free)] = true
			}
		}
		if got > 0 && len(c.spare) >= want {
			break // there may be more in it
		}
		if r.free < c.block {
			break
		}
		r.free = r.free&^(c.block-1) - c.block
	}
	if !r.all {
		z.free = min(z.free, r.free)
	}
	slices.Sort(c.spare)
}

// target says whether pages may be moved into the free scanner's pageblock
// (suitable_migration_target).
func (c *Compactor) target(z *zone, r *run) bool {
	at := max(r.free, z.start)
	mt, ok := c.a.BlockType(at)
	if !ok || mt != buddy.Movable && mt != buddy.CMA || !r.all && z.skip[c.index(z, at)] {
		return false
	}
	order, free := c.a.FreeBlock(at)
	return !free || buddy.PFN(1)<<order < c.block
}

// takeFree takes the free blocks of a range until there are enough pages.
func (c *Compactor) takeFree(from, end buddy.PFN, cpu buddy.CPU, want int) (got int) {
	for pfn := from; pfn < end && len(c.spare) < want; pfn++ {
		c.stats.FreeScanned++
		if _, ok := c.a.FreeBlock(pfn); !ok {
			continue
		}
		order, err := c.a.IsolateFreePage(cpu, pfn)
		if err != nil {
			break // the zone is short of memory
		}
		_ = c.a.UseIsolated(cpu, pfn)
		if order > 0 {
			_ = c.a.Split(pfn, order)
		}
		for k := range buddy.PFN(1) << order {
			c.spare = append(c.spare, pfn+k)
		}
		got += 1 << order
		pfn += 1<<order - 1
	}
	return got
}

// putBack frees the pages that nothing was moved to (release_freepages).
func (c *Compactor) putBack(cpu buddy.CPU) {
	for _, pfn := range c.spare {
		_ = c.a.Free(cpu, pfn, 0)
	}
	if len(c.spare) > 0 {
		_ = c.a.DrainCPU(cpu)
	}
	c.spare = c.spare[:0]
}
