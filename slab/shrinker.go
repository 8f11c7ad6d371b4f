package slab

// Shrinker is a cache's owner that can free objects under memory pressure
// (struct shrinker): inodes, dentries.
type Shrinker interface {
	// Count says how many objects could be freed.
	Count() uint64
	// Scan looks at n objects and frees what it can. It says how many it freed
	// and how many it looked at (n unless it tells otherwise); stop ends the
	// pass (SHRINK_STOP).
	Scan(n uint64) (freed, scanned uint64, stop bool)
}

// Shrink is a registered shrinker: how hard its objects are to make again, and
// the work that was put off.
type Shrink struct {
	Shrinker
	// Seeks is how many seeks an object costs to make again; 2 is
	// DEFAULT_SEEKS, 0 means that they cost nothing.
	Seeks uint32
	// Batch is how many objects are looked at at a time; 0 means 128.
	Batch uint64
	// Deferred is the work put off because it was less than a batch.
	Deferred uint64
}

// Pass is one turn of a shrinker at a reclaim priority (12, DEF_PRIORITY, is the
// lightest, 0 looks at everything): do_shrink_slab. Its figures are those of
// the tracepoints mm_shrink_slab_start and mm_shrink_slab_end.
type Pass struct {
	// Freeable objects, the Delta that the priority asks for, the Deferred work
	// before, and the Total to look at.
	Freeable, Delta, Deferred, Total uint64
	// Freed and Scanned objects; Left of the total; NewDeferred work put off.
	Freed, Scanned, Left, NewDeferred uint64
}

// shrinkBatch is SHRINK_BATCH.
const shrinkBatch = 128

// Run does one pass.
func (s *Shrink) Run(priority uint) Pass {
	p := Pass{Freeable: s.Count(), Deferred: s.Deferred, NewDeferred: s.Deferred}
	if p.Freeable == 0 {
		return p
	}
	batch := s.Batch
	if batch == 0 {
		batch = shrinkBatch
	}
	p.Delta = p.Freeable / 2
	if s.Seeks > 0 {
		p.Delta = p.Freeable >> priority * 4 / uint64(s.Seeks)
	}
	p.Total = min(p.Deferred>>priority+p.Delta, 2*p.Freeable)
	p.Left = p.Total
	// Less than a batch is put off, unless all there is shall be looked at.
	for p.Left > 0 && (p.Left >= batch || p.Left >= p.Freeable) {
		freed, scanned, stop := s.Scan(min(batch, p.Left))
		if stop {
			break
		}
		p.Freed += freed
		p.Scanned += scanned
		if scanned == 0 {
			break // it would never end
		}
		p.Left -= min(scanned, p.Left)
	}
	p.NewDeferred = min(p.Deferred+p.Delta-min(p.Scanned, p.Deferred+p.Delta), 2*p.Freeable)
	s.Deferred = p.NewDeferred
	return p
}
