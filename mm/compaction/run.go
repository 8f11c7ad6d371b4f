package compaction

import (
	"slices"

	"github.com/kernsim/kernsim/buddy"
)

// run is one compaction of a zone (struct compact_control).
type run struct {
	zone  *zone
	index int // of the zone
	cpu   buddy.CPU
	order buddy.Order // -1: all of the zone
	mt    buddy.MigrateType
	sync  bool
	// direct: for a request. proactive: until the zone's score is below until.
	direct, proactive bool
	until             int
	// whole: all of the zone is seen. noSkip: marks of pageblocks do not count.
	// anyTarget: pages may be moved into pageblocks of all types.
	whole, noSkip, anyTarget bool
	migrate, free            buddy.PFN
	// search is the order where the next search of the free lists begins, misses are
	// the searches in vain since the last hit.
	search, misses int
	// lowest is the lowest page that the searches for a source found, gone: it was used.
	lowest buddy.PFN
	gone   bool
	// rescan: the pageblock is looked at for the second time in a row.
	rescan bool
}

// compact is compact_zone, after compaction_suitable.
func (c *Compactor) compact(r *run) (result buddy.CompactResult) {
	z := r.zone
	if z.restarting(r.order) {
		c.unskip(r.index, z)
	}
	c.begin(r)
	last := buddy.PFN(0) // where pages were last taken
	together := !r.sync && z.migrate[0] == z.migrate[1]
	for {
		if result = c.finished(r); result != buddy.CompactContinue {
			break
		}
		from := r.migrate
		r.rescan = c.blockStart(last) == c.blockStart(from)
		c.isolate(r)
		if len(c.moving) == 0 {
			if together {
				z.migrate[1] = z.migrate[0]
			}
		} else {
			together, last = false, from
			if !c.move(r) {
				if !c.met(r) {
					result = buddy.CompactContended
					break
				}
				if r.direct && !r.sync {
					r.migrate, last = orderEnd(r.migrate-1, r.order), 0
				}
			}
		}
		if r.order > 0 && last != 0 && last < r.migrate&^(1<<r.order-1) {
			// What was freed must merge before it is looked at. The CPU is one of the machine's.
			_, _ = c.a.DrainPages(r.index, r.cpu, r.cpu, allPages)
			last = 0
		}
		if r.direct && c.a.Captured() {
			result = buddy.CompactSuccess
			break
		}
	}
	c.putBack(r)
	return result
}

// allPages asks for all pages of a list.
const allPages = int(^uint(0) >> 1)

// orderEnd is the end of the naturally aligned block of an order that a page is in.
func orderEnd(pfn buddy.PFN, order buddy.Order) buddy.PFN {
	return pfn&^(1<<order-1) + 1<<order
}

// begin sets the scanners.
func (c *Compactor) begin(r *run) {
	z := r.zone
	if r.whole {
		r.migrate, r.free = z.start, c.blockStart(z.end-1)
		return
	}
	if z.free < z.start || z.free >= z.end {
		z.free = c.blockStart(z.end - 1)
	}
	if from := z.migrate[b2i(r.sync)]; from < z.start || from >= z.end {
		z.migrate = [2]buddy.PFN{z.start, z.start}
	}
	r.migrate, r.free = z.migrate[b2i(r.sync)], z.free
	r.whole = r.migrate <= z.initMigrate
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// met is compact_scanners_met.
func (c *Compactor) met(r *run) bool { return r.free/c.block <= r.migrate/c.block }

// finished is compact_finished.
func (c *Compactor) finished(r *run) buddy.CompactResult {
	z := r.zone
	switch {
	case c.met(r):
		c.reset(z)
		z.flush = z.flush || r.direct
		c.stats.Met++
		if r.whole {
			return buddy.CompactComplete
		}
		return buddy.CompactPartial
	case r.proactive:
		if c.score(r.index) > r.until {
			return buddy.CompactContinue
		}
		return buddy.CompactSuccess
	case r.order >= 0 && r.migrate%c.block == 0 && c.a.BlockFor(r.index, r.order, r.mt):
		return buddy.CompactSuccess
	}
	return buddy.CompactContinue
}

// move moves the isolated pages, the last one first (migrate_pages). It says whether
// there were free pages for all of them; the others stay where they are.
func (c *Compactor) move(r *run) bool {
	all := true
	for _, from := range slices.Backward(c.moving) {
		if len(c.spare) == 0 {
			c.findSpare(r)
		}
		if all = len(c.spare) > 0; !all {
			break
		}
		to := c.spare[len(c.spare)-1]
		c.spare = c.spare[:len(c.spare)-1]
		c.pages.Move(from, to)
		_ = c.a.Free(r.cpu, from, 0) // its user has the new one
		c.stats.Moved++
	}
	c.moving = c.moving[:0]
	return all
}

// putBack frees the pages that nothing was moved to; the next free scanner begins no
// lower than there (release_freepages).
func (c *Compactor) putBack(r *run) {
	highest := buddy.PFN(0)
	for _, pfn := range slices.Backward(c.spare) {
		_ = c.a.Free(r.cpu, pfn, 0) // it is the compactor's
		highest = max(highest, pfn)
	}
	if len(c.spare) > 0 {
		r.zone.free = max(r.zone.free, c.blockStart(highest))
	}
	c.spare = c.spare[:0]
}

// within says whether a range of a pageblock is in the zone (pageblock_pfn_to_page).
func (c *Compactor) within(r *run, start, end buddy.PFN) bool {
	return c.a.ZoneOf(start) == r.index && c.a.ZoneOf(end-1) == r.index
}
