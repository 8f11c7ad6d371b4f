package bench

import "github.com/kernsim/kernsim/buddy"

// Fragmentation is how the free memory of a machine lies, in pages and
// blocks; the same rule for all strategies (see the package's documentation).
type Fragmentation struct {
	// Free is the number of free pages, Total that of pages that were free at
	// some time or given out.
	Free, Total int
	// Blocks are the aligned free blocks by order, each page in its largest.
	Blocks [buddy.MaxOrders]int
	// Orders is how many of them count (the machine's MaxOrder).
	Orders int
	// THPOrder is the order of a transparent huge page.
	THPOrder int
}

// Largest is the order of the largest free block, -1 if nothing is free.
func (f *Fragmentation) Largest() int {
	for o := f.Orders - 1; o >= 0; o-- {
		if f.Blocks[o] > 0 {
			return o
		}
	}
	return -1
}

// suitable is how many pages lie in blocks of an order or more.
func (f *Fragmentation) suitable(order int) int {
	n := 0
	for o := order; o < f.Orders; o++ {
		n += f.Blocks[o] << o
	}
	return n
}

// Unusable is the kernel's unusable_free_index: the share of the free memory
// that a request of an order cannot use, 0 to 1; 1 if nothing is free.
func (f *Fragmentation) Unusable(order int) float64 {
	if f.Free == 0 {
		return 1
	}
	return float64(f.Free-f.suitable(order)) / float64(f.Free)
}

// Extfrag is the kernel's fragmentation_index: why a request of an order would
// fail, towards 0 for lack of memory, towards 1 because of fragmentation; -1 if
// it would find a block, 0 if nothing is free.
func (f *Fragmentation) Extfrag(order int) float64 {
	blocks := 0
	for o := range f.Orders {
		blocks += f.Blocks[o]
	}
	switch {
	case blocks == 0:
		return 0
	case f.suitable(order) > 0:
		return -1
	}
	return 1 - (1+float64(f.Free)/float64(int(1)<<order))/float64(blocks)
}

// THPShare is the share of the free memory that could be huge pages, 0 to 1.
func (f *Fragmentation) THPShare() float64 { return 1 - f.Unusable(f.THPOrder) }

// Sample is the state of a run at a moment.
type Sample struct {
	// Op is after how many operations, Time the stream's time in ns.
	Op   int
	Time uint64
	Fragmentation
	// Mixed are the pageblocks with both movable pages and others in use,
	// Unmovable those with pages that cannot be moved, Used those with any.
	Mixed, Unmovable, Used int
	Failed                 int
	Counters               Counters
}

// Metric is a number of a result that strategies are compared by.
type Metric struct {
	// Name is the column's, ID that of CSV and JSON; Unit is "" for a number
	// of things.
	Name, ID, Unit, About string
	// Better is 1 if more is better, -1 if less is, 0 if neither.
	Better int
	// Of reads it; NaN if a result has none.
	Of func(r *Result) float64
}

// Metrics are all metrics, the most telling ones first.
func Metrics() []Metric {
	last := func(f func(s *Sample) float64) func(*Result) float64 {
		return func(r *Result) float64 { return f(&r.Last) }
	}
	per1000 := func(f func(c *Counters) uint64) func(*Result) float64 {
		return func(r *Result) float64 {
			return 1000 * float64(f(&r.Last.Counters)) / float64(max(r.Requests+r.Frees, 1))
		}
	}
	return []Metric{
		{"THP-usable", "thp_share", "% of free", "share of the free memory in free pageblock-size blocks, at the end", 1,
			last(func(s *Sample) float64 { return 100 * s.THPShare() })},
		{"THP mean", "thp_share_mean", "% of free", "share of the free memory in free pageblock-size blocks, mean over time", 1, func(r *Result) float64 { return 100 * r.MeanTHP }},
		{"unusable o3", "unusable_order3", "% of free", "unusable_free_index of order 3, mean over time", -1, func(r *Result) float64 { return 100 * r.MeanUnusable[3] }},
		{"extfrag THP", "extfrag_thp", "", "fragmentation_index of the huge-page order at the end; -1: a request would succeed", 0,
			last(func(s *Sample) float64 { return s.Extfrag(s.THPOrder) })},
		{"largest", "largest_order", "order", "order of the largest free block at the end", 1, last(func(s *Sample) float64 { return float64(s.Largest()) })},
		{"mixed blocks", "mixed_blocks", "", "pageblocks with movable and other pages in use at the end", -1, last(func(s *Sample) float64 { return float64(s.Mixed) })},
		{"unmovable blocks", "unmovable_blocks", "", "pageblocks with pages in use that cannot be moved, at the end", -1, last(func(s *Sample) float64 { return float64(s.Unmovable) })},
		{"failed", "failed", "", "requests that failed", -1, func(r *Result) float64 { return float64(r.Failed) }},
		{"free at 1st fail", "first_failure_free", "% free", "free share of the memory when the first request failed", -1, func(r *Result) float64 { return 100 * r.FirstFailureFree }},
		{"peak blocks", "peak_blocks", "", "most pageblocks in use at a time: the footprint", -1, func(r *Result) float64 { return float64(r.PeakUsed) }},
		{"peak pages", "peak_pages", "pages", "most pages in use at a time, of those that the stream knows", 0, func(r *Result) float64 { return float64(r.PeakPages) }},
		{"locks/1k", "locks", "per 1,000 calls", "acquisitions of the zone's lock", -1, per1000(func(c *Counters) uint64 { return c.Locks })},
		{"lock work", "lock_work", "per 1,000 calls", "blocks put on or taken off shared lists, or words looked at, while a shared lock is held", -1, per1000(func(c *Counters) uint64 { return c.LockWork })},
		{"work/lock", "lock_hold", "", "work each time that a shared lock is held, mean", 0, func(r *Result) float64 {
			if r.Last.Counters.Locks == 0 {
				return nan
			}
			return float64(r.Last.Counters.LockWork) / float64(r.Last.Counters.Locks)
		}},
		{"cached", "cached_mean", "pages", "pages that lie in per-CPU caches, mean over time", 0, func(r *Result) float64 { return r.MeanCached }},
		{"hits", "cache_hits", "% of requests", "requests served by a per-CPU cache", 1,
			func(r *Result) float64 {
				return 100 * float64(r.Last.Counters.CacheHits) / float64(max(r.Requests, 1))
			}},
		{"splits/1k", "splits", "per 1,000 calls", "blocks divided", -1, per1000(func(c *Counters) uint64 { return c.Splits })},
		{"merges/1k", "merges", "per 1,000 calls", "blocks joined", -1, per1000(func(c *Counters) uint64 { return c.Merges })},
		{"scanned/1k", "scanned", "per 1,000 calls", "words or entries looked at in searches", -1, per1000(func(c *Counters) uint64 { return c.Scanned })},
		{"fallbacks/1k", "fallbacks", "per 1,000 calls", "requests served from another migrate type's memory", -1, per1000(func(c *Counters) uint64 { return c.Fallbacks })},
	}
}
