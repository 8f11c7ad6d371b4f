package compaction

import "github.com/kernsim/kernsim/buddy"

// searchLimit is how many free blocks a search looks at: fewer after searches in vain
// (freelist_scan_limit).
func (r *run) searchLimit() int { return clusterMax>>min(r.misses, 63) + 1 }

// searchSource looks for a free block in the lower part of what is left, as a pageblock
// that is partly free takes less to clear. It gives where the migrate scanner is to go
// on (fast_find_migrateblock).
func (c *Compactor) searchSource(r *run) buddy.PFN {
	z := r.zone
	if r.noSkip || r.migrate != z.start && r.migrate%c.block != 0 || r.order <= costlyOrder || r.direct && r.mt != buddy.Movable {
		return r.migrate
	}
	distance := (r.free - r.migrate) >> 1
	if r.migrate != z.start {
		distance >>= 2
	}
	high := c.blockStart(r.migrate + distance)
	limit, scanned := r.searchLimit(), 0
	var at buddy.PFN
	found := false
	for order := r.order - 1; order >= costlyOrder && !found && scanned < limit; order-- {
		stop := false
		c.a.EachFree(r.index, order, buddy.Movable, false, func(pfn buddy.PFN) bool {
			at = pfn
			if stop = scanned >= limit; !stop {
				found = pfn < high && !z.skip[c.blockIndex(z, pfn)]
			}
			scanned++
			return !stop && !found
		})
		if stop || found {
			c.a.TurnFree(at, true)
		}
	}
	c.stats.MigrateScanned += uint64(scanned)
	if !found {
		r.misses++
		return r.backToLowest()
	}
	if !r.gone && (r.lowest == 0 || at < r.lowest) {
		r.lowest = at
	}
	r.misses = 0
	z.skip[c.blockIndex(z, at)] = true
	return max(c.blockStart(at), z.start)
}

// backToLowest goes on where the lowest source was that searches found, once
// (reinit_migrate_pfn).
func (r *run) backToLowest() buddy.PFN {
	if r.lowest != 0 && !r.gone {
		r.migrate, r.gone = r.lowest, true
	}
	return r.migrate
}

// nextOrder is the order to search after another; -1 after the last, and then the next
// search begins one order below this one (next_search_order).
func (r *run) nextOrder(order int) int {
	if order--; order < 0 {
		order = int(r.order) - 1
	}
	if order != r.search {
		return order
	}
	if r.search--; r.search < 0 {
		r.search = int(r.order) - 1
	}
	return -1
}

// hunt is a search for free pages.
type hunt struct {
	limit int
	// From low on a block is taken at once, from least on if there is no better one.
	// highest is the first page of the highest pageblock that was seen.
	low, least, highest buddy.PFN
	scanned             uint64
}

// searchTarget looks for a free block in the upper quarter of what is left, or half if
// there is none, and takes it and what is free around it (fast_isolate_freepages).
func (c *Compactor) searchTarget(r *run) {
	if r.order <= 0 {
		return
	}
	z, h := r.zone, hunt{limit: max(1, r.searchLimit()>>1)}
	first := r.free >= z.initFree
	if first {
		h.limit = int(c.block >> 1)
	}
	distance := r.free - r.migrate
	h.low, h.least = c.blockStart(r.free-distance>>2), c.blockStart(r.free-distance>>1)
	h.low = max(h.low, h.least)
	r.search = min(r.search, int(r.order)-1)
	var at buddy.PFN
	found := false
	for order := r.search; !found && order >= 0; order = r.nextOrder(order) {
		if c.a.Zone(r.index).FreeBlocks(buddy.Order(order)) == 0 {
			continue
		}
		if at, found = c.searchList(r, &h, order); found {
			if n := c.takeBlock(r, at); n > 0 {
				h.scanned += uint64(n - 1)
			} else {
				found, order = false, r.search+1 // the zone is short of memory
			}
		}
	}
	if !found {
		r.misses++
		if first {
			at, found = c.lowerFree(r, &h)
		}
	}
	if h.highest != 0 && h.highest >= z.free {
		z.free = h.highest - c.block
	}
	c.stats.FreeScanned += h.scanned
	if found {
		c.around(r, at)
	}
}

// searchList searches a free list from its tail, and turns it so that the next search
// sees other blocks.
func (c *Compactor) searchList(r *run, h *hunt, order int) (at buddy.PFN, found bool) {
	scanned, second, last := 0, buddy.PFN(0), buddy.PFN(0)
	stop := false
	c.a.EachFree(r.index, buddy.Order(order), buddy.Movable, true, func(pfn buddy.PFN) bool {
		last = pfn
		scanned++
		if pfn >= h.highest {
			h.highest = max(c.blockStart(pfn), r.zone.start)
		}
		if found = pfn >= h.low; found {
			return false
		}
		if pfn >= h.least && pfn > second {
			second = pfn
			h.limit >>= 1
		}
		stop = scanned >= h.limit
		return !stop
	})
	h.scanned += uint64(scanned)
	switch {
	case found:
		r.misses, r.search = 0, order
	case second != 0:
		last, found = second, true
	}
	if found || stop {
		c.a.TurnFree(last, false)
	}
	if scanned >= h.limit {
		h.limit = max(1, h.limit>>1)
	}
	return last, found
}

// lowerFree sets a free scanner that has just begun to where a search in vain saw free
// blocks at all, or for a request to the middle of what is left.
func (c *Compactor) lowerFree(r *run, h *hunt) (at buddy.PFN, ok bool) {
	if h.highest >= h.least {
		r.free = h.highest
		return h.highest, true
	}
	if !r.direct || c.a.ZoneOf(h.least) < 0 {
		return 0, false
	}
	r.free = h.least
	return h.least, c.within(r, h.least, min(c.blockEnd(h.least), r.zone.end))
}

// around takes what is free in a block's pageblock, if more pages are needed
// (fast_isolate_around).
func (c *Compactor) around(r *run, pfn buddy.PFN) {
	z := r.zone
	if len(c.spare) >= len(c.moving) || r.direct && !r.sync {
		return
	}
	start, end := max(c.blockStart(pfn), z.start), min(c.blockEnd(pfn), z.end)
	if !c.within(r, start, end) {
		return
	}
	c.takeFree(r, start, end, 1)
	if len(c.spare) < len(c.moving) {
		z.skip[c.blockIndex(z, start)] = true
	}
}
