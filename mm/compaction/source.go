package compaction

import "github.com/kernsim/kernsim/buddy"

// clusterMax is how many pages are moved at a time (COMPACT_CLUSTER_MAX).
const clusterMax = 32

// isolate lets the migrate scanner take the next pages: from the first pageblock that
// is worth a look (isolate_migratepages).
func (c *Compactor) isolate(r *run) {
	z := r.zone
	low := c.searchSource(r)
	found := low != r.migrate && r.misses == 0
	start, end := max(c.blockStart(low), z.start), c.blockEnd(low)
	for end <= r.free {
		switch {
		case !c.within(r, start, end):
		case low%c.block == 0 && !found && c.skipped(r, low):
		case !c.source(r, start):
			c.advance(r, end)
		default:
			c.scanBlock(r, low, end)
			return
		}
		found = false
		low, start, end = end, end, end+c.block
		r.migrate = low
	}
}

// skipped says whether a pageblock is passed over (isolation_suitable).
func (c *Compactor) skipped(r *run, pfn buddy.PFN) bool {
	return !r.noSkip && r.zone.skip[c.blockIndex(r.zone, pfn)]
}

// advance notes where the migrate scanner goes on the next time: behind the pageblock
// that pfn is in, or begins (update_cached_migrate).
func (c *Compactor) advance(r *run, pfn buddy.PFN) {
	pfn = c.blockEnd(pfn)
	z := r.zone
	z.migrate[0] = max(z.migrate[0], pfn)
	if r.sync {
		z.migrate[1] = max(z.migrate[1], pfn)
	}
}

// source says whether the migrate scanner looks into a pageblock
// (suitable_migration_source).
func (c *Compactor) source(r *run, start buddy.PFN) bool {
	if r.sync || !r.direct {
		return true
	}
	mt, _ := c.a.BlockType(start)
	if r.mt == buddy.Movable {
		return mt == buddy.Movable || mt == buddy.CMA
	}
	return mt == r.mt
}

// scanBlock takes pages of a part of a pageblock (isolate_migratepages_block).
func (c *Compactor) scanBlock(r *run, low, end buddy.PFN) {
	var (
		z      = r.zone
		picky  = r.direct && !r.sync
		part   = buddy.PFN(0) // end of the part that must be free as a whole
		block  = -1           // the pageblock, if the scan began with it
		marked = false
	)
	if picky {
		part = orderEnd(low, r.order)
	}
scan:
	for ; low < end; low++ {
		if picky && low >= part {
			if len(c.moving) > 0 {
				break
			}
			part = orderEnd(low, r.order)
		}
		c.stats.MigrateScanned++
		if block < 0 && low%c.block == 0 {
			if c.skipped(r, low) {
				low = end
				break
			}
			block = c.blockIndex(z, low)
		}
		order, free := c.a.FreeBlock(low)
		switch {
		case free:
			low += 1<<order - 1
		case c.pages.Movable(low):
			if !marked {
				marked = true
				if !r.noSkip && low%c.block == 0 {
					z.skip[block] = true
				}
			}
			if c.moving = append(c.moving, low); len(c.moving) >= clusterMax && !r.rescan {
				low++
				break scan
			}
		case picky:
			// The part will not become free.
			c.moving = c.moving[:0]
			if low < part {
				low = part - 1
				part += 1 << r.order
			}
		}
	}
	low = min(low, end)
	if low == end && (len(c.moving) == 0 || r.rescan) {
		if block >= 0 && !marked {
			z.skip[block] = true
		}
		c.advance(r, low)
	}
	c.stats.Isolated += uint64(len(c.moving))
	r.migrate = low
}
