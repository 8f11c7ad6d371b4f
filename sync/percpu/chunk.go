package percpu

import "fmt"

// chunk is a unit's worth of per-CPU memory (struct pcpu_chunk).
type chunk struct {
	// base is where its first grain lies in the unit, in bytes.
	base int
	// used has the grains in use; bound those that begin an area, in use or free.
	used, bound bitmap
	grains      int
	// from and to are the grains that are the chunk's own to give.
	from, to  int
	blocks    []hints
	whole     hints
	freeBytes int
	// populated are the pages that have memory; empty counts those of them that are
	// wholly free.
	populated bitmap
	empty     int
	// isolated: so much of it is free that its pages are taken back; it is only used
	// again if no other chunk can serve, and counts no longer among those with empty pages.
	isolated bool
	// immutable: the first chunk, all of whose pages have memory.
	immutable bool
	slot      int
	// stats: areas now and at most, and the largest request.
	areas, maxAreas, maxSize int
}

func newChunk(base, bytes int) *chunk {
	n := bytes / minAlloc
	c := &chunk{base: base, used: newBitmap(n + 1), bound: newBitmap(n + 1), grains: n, to: n, whole: freshHints(n), freeBytes: bytes, populated: newBitmap(bytes / pageSize)}
	for range bytes / pageSize {
		c.blocks = append(c.blocks, freshHints(blockGrains))
	}
	c.bound.set(0)
	c.bound.set(n)
	return c
}

// newFirstChunk makes a chunk of the first unit, whose grains outside of from to to
// belong to others.
func newFirstChunk(from, to int) *chunk {
	base := from &^ (pageSize - 1)
	c := newChunk(base, alignUp(to, pageSize)-base)
	c.immutable = true
	c.populated.setAll(0, len(c.blocks))
	c.from, c.to = (from-base)/minAlloc, (to-base)/minAlloc
	if c.from > 0 {
		c.hide(0, c.from)
		c.whole.first = c.from
	}
	if c.to < c.grains {
		c.hide(c.to, c.grains)
	}
	return c
}

func (c *chunk) hide(from, to int) {
	c.used.setAll(from, to)
	c.bound.set(from)
	c.bound.set(to)
	c.freeBytes -= (to - from) * minAlloc
	c.taken(from, to-from)
}

// nextFree finds the next free region from a place on: the block's largest area, or
// what is free at its end with what follows (pcpu_next_md_free_region).
func (c *chunk) nextFree(at int) (int, int) {
	n, off := 0, at%blockGrains
	for i := at / blockGrains; i < len(c.blocks); i++ {
		b := &c.blocks[i]
		if n > 0 {
			n += b.left
			if b.left == blockGrains {
				continue
			}
			return at, n
		}
		if b.contig > 0 && b.contigAt >= off && b.contig+b.contigAt < blockGrains {
			return i*blockGrains + b.contigAt, b.contig
		}
		off = 0
		n, at = b.right, (i+1)*blockGrains-b.right
	}
	return at, n
}

// refresh looks for the chunk's largest area again (pcpu_chunk_refresh_hint).
func (c *chunk) refresh(full bool) {
	at := c.whole.restart(full)
	for at, n := c.nextFree(at); at < c.grains; at, n = c.nextFree(at + n + 1) {
		c.whole.learn(at, at+n)
	}
}

// refreshBlock looks for a block's largest area again (pcpu_block_refresh_hint).
func (c *chunk) refreshBlock(i int) {
	b := &c.blocks[i]
	from := i * blockGrains
	start := b.restart(false)
	b.right = 0
	for start = c.used.next(from+start, from+blockGrains, false) - from; start < blockGrains; {
		end := c.used.next(from+start, from+blockGrains, true) - from
		b.learn(start, end)
		start = c.used.next(from+end, from+blockGrains, false) - from
	}
}

// taken updates the hints after grains were taken (pcpu_block_update_hint_alloc).
func (c *chunk) taken(at, n int) {
	s, e := at/blockGrains, (at+n-1)/blockGrains
	sOff, eOff := at%blockGrains, (at+n-1)%blockGrains+1
	b := &c.blocks[s]
	if sOff == b.first {
		b.first = c.used.next(min(at+n, (s+1)*blockGrains), (s+1)*blockGrains, false) - s*blockGrains
	}
	if overlap(b.scanAt, b.scanAt+b.scan, sOff, sOff+n) {
		b.scan = 0
	}
	if overlap(b.contigAt, b.contigAt+b.contig, sOff, sOff+n) {
		if sOff == 0 {
			b.left = 0
		}
		c.refreshBlock(s)
	} else {
		b.left = min(b.left, sOff)
		if s == e {
			b.right = min(b.right, blockGrains-eOff)
		} else {
			b.right = 0
		}
	}
	if s != e {
		c.takenEnd(s, e, eOff)
	}
	if overlap(c.whole.scanAt, c.whole.scanAt+c.whole.scan, at, at+n) {
		c.whole.scan = 0
	}
	if overlap(c.whole.contigAt, c.whole.contigAt+c.whole.contig, at, at+n) {
		c.refresh(false)
	}
}

// takenEnd updates the blocks behind the first one that an area takes.
func (c *chunk) takenEnd(s, e, eOff int) {
	b := &c.blocks[e]
	from := e * blockGrains
	b.first = c.used.next(from+eOff, from+blockGrains, false) - from
	if eOff == blockGrains {
		e++
	} else {
		if eOff > b.scanAt {
			b.scan = 0
		}
		b.left = 0
		if eOff > b.contigAt {
			c.refreshBlock(e)
		} else {
			b.right = min(b.right, blockGrains-eOff)
		}
	}
	for i := s + 1; i < e; i++ {
		b := &c.blocks[i]
		b.scan, b.contig, b.left, b.right = 0, 0, 0, 0
	}
}

// given updates the hints after grains were given back
// (pcpu_block_update_hint_free).
func (c *chunk) given(at, n int) {
	s, e := at/blockGrains, (at+n-1)/blockGrains
	sFrom, eFrom := s*blockGrains, e*blockGrains
	start, end := at-sFrom, at+n-eFrom
	sb, eb := &c.blocks[s], &c.blocks[e]
	if start == sb.contig+sb.contigAt {
		start = sb.contigAt
	} else {
		start = c.used.freeBefore(at, sFrom) - sFrom
	}
	if end == eb.contigAt {
		end = eb.contigAt + eb.contig
	} else {
		end = c.used.next(eFrom+end, eFrom+blockGrains, true) - eFrom
	}
	if s == e {
		sb.learn(start, end)
	} else {
		sb.learn(start, blockGrains)
		eb.learn(0, end)
		for i := s + 1; i < e; i++ {
			c.blocks[i] = freshHints(blockGrains)
		}
	}
	// The chunk's hint is only looked for again if a page or more is free in one piece.
	if end-start >= blockGrains || s != e {
		c.refresh(true)
		return
	}
	// The kernel takes the end's place in its page for one in the chunk: an area of any
	// page but the first seems to have a negative size, and the hint stays. The captured
	// percpu_stats show it.
	c.whole.learn(sFrom+start, end)
}

// nextFit finds the next region that a request may fit into, from a place on, and how
// far it has then looked (pcpu_next_fit_region).
func (c *chunk) nextFit(n, align, at int) (int, int) {
	got, off := 0, at%blockGrains
	for i := at / blockGrains; i < len(c.blocks); i++ {
		b := &c.blocks[i]
		if got > 0 {
			got += b.left
			if got >= n {
				return at, got
			}
			if b.left == blockGrains {
				continue
			}
		}
		skip := alignUp(b.contigAt, align) - b.contigAt
		if b.contig > 0 && b.contigAt >= off && b.contig >= skip+n {
			start := b.begin(n)
			return i*blockGrains + start, skip + n + b.contigAt - start
		}
		off = 0
		at = alignUp(blockGrains-b.right, align)
		got = blockGrains - at
		at += i * blockGrains
		if got >= n {
			return at, got
		}
	}
	return c.grains, 0
}

// find is where a search of the map for a request begins, -1 if it can not fit.
// populatedOnly passes over regions whose pages have no memory (pcpu_find_block_fit).
func (c *chunk) find(n, align int, populatedOnly bool) int {
	if !c.whole.fits(n, align) {
		return -1
	}
	at, got := c.nextFit(n, align, c.whole.begin(n))
	for at < c.grains {
		if !populatedOnly {
			return at
		}
		next, ok := c.hasMemory(at, got)
		if ok {
			return at
		}
		at, got = c.nextFit(n, align, next)
	}
	return -1
}

// hasMemory says whether the pages of a region have memory; if not, where the next
// page is that has.
func (c *chunk) hasMemory(at, n int) (int, bool) {
	from, to := at/blockGrains, (at+n+blockGrains-1)/blockGrains
	hole := c.populated.next(from, to, false)
	if hole >= to {
		return 0, true
	}
	return c.populated.next(min(hole+1, to), to, true) * blockGrains, false
}

// take takes a request from a place of the map on, -1 if it does not fit within a
// block behind it (pcpu_alloc_area).
func (c *chunk) take(n, align, start int) int {
	end := min(start+n+blockGrains, c.grains)
	at, bestAt, best := start, 0, 0
	for {
		at = alignUp(c.used.next(at, end, false), align)
		if at+n > end {
			return -1
		}
		hit := c.used.next(at, at+n, true)
		if hit >= at+n {
			break
		}
		if free := hit - at; free > best || free == best && bestAt != 0 && (at == 0 || alignment(at) > alignment(bestAt)) {
			bestAt, best = at, free
		}
		at = hit + 1
	}
	if at+n >= end && at >= end {
		return -1
	}
	if best > 0 {
		c.learnScan(bestAt, best)
	}
	c.used.setAll(at, at+n)
	c.bound.set(at)
	c.bound.fill(at+1, at+n, false)
	c.bound.set(at + n)
	c.freeBytes -= n * minAlloc
	if at == c.whole.first {
		c.whole.first = c.used.next(at+n, c.grains, false)
	}
	c.taken(at, n)
	return at
}

// learnScan notes the largest area that a search passed over, if it lies in one block
// (pcpu_block_update_scan).
func (c *chunk) learnScan(at, n int) {
	i, off := at/blockGrains, at%blockGrains
	if off+n > blockGrains {
		return
	}
	c.blocks[i].learn(c.used.freeBefore(at, i*blockGrains)-i*blockGrains, off+n)
}

// give gives an area back and returns its size in grains.
func (c *chunk) give(at int) int {
	n := c.bound.next(at+1, c.grains, true) - at
	c.used.fill(at, at+n, false)
	c.freeBytes += n * minAlloc
	c.whole.first = min(c.whole.first, at)
	c.given(at, n)
	return n
}

// check proves what the hints promise: the area that a block or the chunk calls its
// largest is free, the first free grain is not behind the first, and the free bytes are
// right. As in the kernel the hints may promise too little: a search with alignment
// notes the largest area that it passed over as the scan hint, though one before it may
// be larger, and where two areas are the largest the ends may be told wrong.
func (c *chunk) check() error {
	free := 0
	for i := range c.blocks {
		b := &c.blocks[i]
		from, largest, first := i*blockGrains, 0, blockGrains
		for at := c.used.next(from, from+blockGrains, false); at < from+blockGrains; {
			end := c.used.next(at, from+blockGrains, true)
			first = min(first, at-from)
			largest = max(largest, end-at)
			free += end - at
			at = c.used.next(end, from+blockGrains, false)
		}
		left := c.used.next(from, from+blockGrains, true) - from
		right := from + blockGrains - c.used.freeBefore(from+blockGrains, from)
		switch {
		case b.contig > largest || b.contig == 0 && largest > 0:
			return fmt.Errorf("block %d: the largest area is %d, its hint %d", i, largest, b.contig)
		case b.left < left || b.right > right:
			return fmt.Errorf("block %d: free at the ends %d and %d, hints %d and %d", i, left, right, b.left, b.right)
		case largest > 0 && b.first > first:
			return fmt.Errorf("block %d: first free grain %d, hint %d", i, first, b.first)
		case b.contig > 0 && c.used.next(from+b.contigAt, from+b.contigAt+b.contig, true) < from+b.contigAt+b.contig:
			return fmt.Errorf("block %d: its largest area is not free", i)
		case b.scan > b.contig:
			return fmt.Errorf("block %d: scan hint %d, largest area %d", i, b.scan, b.contig)
		}
	}
	if free*minAlloc != c.freeBytes {
		return fmt.Errorf("%d bytes are free, counted %d", free*minAlloc, c.freeBytes)
	}
	if w := &c.whole; w.contig > 0 && c.used.next(w.contigAt, w.contigAt+w.contig, true) < w.contigAt+w.contig {
		return fmt.Errorf("the largest area is not free")
	}
	return nil
}
