package compaction

import "github.com/kernsim/kernsim/buddy"

// zone is what compaction remembers of a zone.
type zone struct {
	start, end buddy.PFN
	// migrate are where the migrate scanner goes on, asynchronous and not; free
	// where the free scanner does. Outside of the zone they stand for its ends.
	migrate [2]buddy.PFN
	free    buddy.PFN
	// initMigrate and initFree are where they went on when marks were last forgotten: a
	// run from there on sees the whole zone.
	initMigrate, initFree buddy.PFN
	// skip has a mark for each pageblock in which nothing was found; flush: the
	// marks are void when kswapd goes to sleep.
	skip  []bool
	flush bool
	// Deferral: of how many requests since the last failure one is let through.
	considered, shift uint
	failed            buddy.Order
}

// blockIndex is the number of a pageblock in its zone.
func (c *Compactor) blockIndex(z *zone, pfn buddy.PFN) int {
	return int(pfn/c.block - z.start/c.block)
}

// blockStart and blockEnd are the bounds of a pageblock. The end of a pageblock's end is
// that of the next.
func (c *Compactor) blockStart(pfn buddy.PFN) buddy.PFN { return pfn &^ (c.block - 1) }
func (c *Compactor) blockEnd(pfn buddy.PFN) buddy.PFN   { return c.blockStart(pfn) + c.block }

// reset puts the scanners at the ends (reset_cached_positions).
func (c *Compactor) reset(z *zone) {
	z.migrate = [2]buddy.PFN{z.start, z.start}
	z.free = c.blockStart(z.end - 1)
}

// Forget lets a node's pageblocks be looked at again in which nothing was found, if
// scanners met there for a request: what kswapd does before it sleeps
// (reset_isolation_suitable).
func (c *Compactor) Forget(id buddy.NodeID) {
	c.eachZone(id, buddy.ZoneMovable, func(i int, z *zone) { c.unskip(i, z) })
}

// unskip goes through a zone from both ends at a time and unmarks pageblocks that a
// sample says have pages to move or free pages. The outermost ones are where the
// scanners begin (__reset_isolation_suitable).
func (c *Compactor) unskip(i int, z *zone) {
	if !z.flush {
		return
	}
	z.flush = false
	migrate, free := z.start, z.end-1
	source, target := free, migrate
	var sourceSet, targetSet bool
	for migrate < free {
		if c.worthwhile(i, z, migrate, true, sourceSet) && migrate < source {
			sourceSet, source = true, migrate
			z.initMigrate, z.migrate = source, [2]buddy.PFN{source, source}
		}
		if c.worthwhile(i, z, free, targetSet, true) && free > target {
			targetSet, target = true, free
			z.initFree, z.free = target, target
		}
		migrate += c.block
		if free < c.block {
			break
		}
		free -= c.block
	}
	if source >= target {
		z.migrate, z.free = [2]buddy.PFN{migrate, migrate}, free
	}
}

// sampleStep: one page of so many is looked at.
const sampleStep = 1 << costlyOrder

// worthwhile unmarks a pageblock if a sample of its pages has, for a source, one that
// can be moved, or for a target a free block (__reset_isolation_pfn).
func (c *Compactor) worthwhile(i int, z *zone, pfn buddy.PFN, source, target bool) bool {
	if c.a.ZoneOf(pfn) != i {
		return false
	}
	skip := &z.skip[c.blockIndex(z, pfn)]
	if source && target && !*skip {
		return true
	}
	if mt, _ := c.a.BlockType(pfn); !source && mt != buddy.Movable {
		return false
	}
	if first := max(c.blockStart(pfn), z.start); c.a.ZoneOf(first) >= 0 {
		pfn = first
	}
	last := min(c.blockEnd(pfn)-1, z.end-1)
	if c.a.ZoneOf(last) < 0 {
		return false
	}
	for ; pfn <= last; pfn += sampleStep {
		_, free := c.a.FreeBlock(pfn)
		if source && c.pages.Movable(pfn) || target && free {
			*skip = false
			return true
		}
	}
	return false
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

// restarting says whether the zone is compacted again after it was put off as long as
// that goes (compaction_restarting).
func (z *zone) restarting(order buddy.Order) bool {
	return order >= z.failed && z.shift == maxShift && z.considered >= 1<<maxShift
}
