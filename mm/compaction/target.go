package compaction

import "github.com/kernsim/kernsim/buddy"

// findSpare takes free pages, as many as are being moved if there are (isolate_freepages).
func (c *Compactor) findSpare(r *run) {
	c.searchTarget(r)
	if len(c.spare) > 0 {
		return
	}
	z := r.zone
	at, start := r.free, c.blockStart(r.free)
	end, low := min(start+c.block, z.end), c.blockEnd(r.migrate)
	stride := buddy.PFN(1)
	if !r.sync {
		stride = clusterMax
	}
	for start >= low {
		if c.within(r, start, end) && c.target(r, start) && !c.skipped(r, start) {
			got := 0
			at, got = c.takeFree(r, at, end, stride)
			if at == end {
				z.skip[c.blockIndex(z, start)] = true
				z.free = min(z.free, start)
			}
			if len(c.spare) >= len(c.moving) {
				if at >= end {
					at = start - c.block
				}
				break
			}
			if at < end {
				break // the zone is short of memory
			}
			if stride = min(stride<<1, clusterMax); got > 0 {
				stride = 1
			}
		}
		end = start
		start -= c.block
		at = start
	}
	r.free = at
}

// target says whether pages may be moved into a pageblock (suitable_migration_target).
func (c *Compactor) target(r *run, start buddy.PFN) bool {
	if order, free := c.a.FreeBlock(start); free && buddy.PFN(1)<<order >= c.block {
		return false
	}
	mt, _ := c.a.BlockType(start)
	return r.anyTarget || mt == buddy.Movable || mt == buddy.CMA
}

// takeFree takes free blocks of a range until there are enough pages, looking at every
// stride-th page. It gives where it stopped and how many pages it took
// (isolate_freepages_block).
func (c *Compactor) takeFree(r *run, pfn, end, stride buddy.PFN) (at buddy.PFN, got int) {
	for ; pfn < end; pfn += stride {
		c.stats.FreeScanned++
		if _, ok := c.a.FreeBlock(pfn); !ok {
			continue
		}
		n := c.takeBlock(r, pfn)
		if n == 0 {
			break
		}
		c.stats.FreeScanned += uint64(n - 1)
		got += n
		if len(c.spare) >= len(c.moving) {
			pfn += buddy.PFN(n)
			break
		}
		pfn += buddy.PFN(n - 1)
	}
	return min(pfn, end), got
}

// takeBlock takes a free block, and makes single pages of it. It gives their number, 0 if
// the zone is short of memory.
func (c *Compactor) takeBlock(r *run, pfn buddy.PFN) int {
	order, err := c.a.IsolateFreePage(r.cpu, pfn)
	if err != nil {
		return 0
	}
	// What was just isolated can be used and split.
	_ = c.a.UseIsolated(r.cpu, pfn)
	if order > 0 {
		_ = c.a.Split(pfn, order)
	}
	for k := range buddy.PFN(1) << order {
		c.spare = append(c.spare, pfn+k)
	}
	c.stats.Isolated += 1 << order
	return 1 << order
}
