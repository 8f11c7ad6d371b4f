package bench

import (
	"math/bits"

	"github.com/kernsim/kernsim/buddy"
)

// goPages is the Go runtime's page allocator (src/runtime/mpagealloc.go,
// mpagecache.go; proposal 35112): a bitmap in chunks of 512 pages, above it a
// radix tree of summaries (free pages at the start, the longest run, free pages
// at the end), which finds the first fit; requests of under 16 pages come from
// a cache of up to 64 pages of each processor. Runs are not aligned.
type goPages struct {
	arena
	free pageMap
	// levels[0] are the chunks' summaries, each further level's cover eight of
	// the one below.
	levels [][]runSummary
	// full[l] is how many pages a summary of level l covers.
	full   []int
	caches []goCache
}

// runSummary is pallocSum.
type runSummary struct{ start, longest, end int32 }

// goCache is pageCache: the free ones of 64 pages.
type goCache struct {
	base int
	bits uint64
}

const (
	goChunk  = 512
	goRadix  = 8
	goCached = 16
)

// GoPages makes the Go runtime's page allocator.
func GoPages() Strategy { return &goPages{} }

func (g *goPages) Start(m *Machine) error {
	g.arena = newArena(m)
	chunks := (g.pages + goChunk - 1) / goChunk
	g.free = newPageMap(g.first, chunks*goChunk)
	g.start(m, g.free.set)
	g.caches = make([]goCache, max(m.Config.CPUs, 1))
	for n, full := chunks, goChunk; ; n, full = (n+goRadix-1)/goRadix, full*goRadix {
		g.levels = append(g.levels, make([]runSummary, n))
		g.full = append(g.full, full)
		if n == 1 {
			break
		}
	}
	g.update(0, chunks*goChunk)
	g.counts = Counters{}
	return nil
}

// Counters adds what is looked at to what is changed: both happen under the
// heap's lock.
func (g *goPages) Counters() Counters {
	c := g.counts
	c.LockWork += c.Scanned
	for i := range g.caches {
		c.Cached += uint64(bits.OnesCount64(g.caches[i].bits))
	}
	return c
}

// update computes the summaries over pages [from, to) again.
func (g *goPages) update(from, to int) {
	first, last := from/goChunk, (to-1)/goChunk
	g.counts.LockWork += wordsOf(to-from) + uint64(last-first+1)
	for c := first; c <= last; c++ {
		g.levels[0][c] = summarizeBits(g.free.words[c*8 : c*8+8])
	}
	for l := 1; l < len(g.levels); l++ {
		first, last = first/goRadix, last/goRadix
		g.counts.LockWork += uint64(last - first + 1)
		for i := first; i <= last; i++ {
			below := g.levels[l-1]
			g.levels[l][i] = mergeSummaries(below[i*goRadix:min((i+1)*goRadix, len(below))], int32(g.full[l-1]))
		}
	}
}

// summarizeBits finds the runs of ones.
func summarizeBits(words []uint64) (s runSummary) {
	run, whole := int32(0), true
	for _, w := range words {
		for i := 0; i < 64; {
			rest := w >> i
			if rest&1 == 0 {
				if whole {
					s.start, whole = run, false
				}
				run = 0
				if rest == 0 {
					break
				}
				i += bits.TrailingZeros64(rest)
				continue
			}
			n := min(bits.TrailingZeros64(^rest), 64-i)
			run += int32(n)
			s.longest = max(s.longest, run)
			i += n
		}
	}
	if whole {
		s.start = run
	}
	s.end = run
	return s
}

// mergeSummaries is mergeSummaries: each part covers full pages.
func mergeSummaries(parts []runSummary, full int32) (s runSummary) {
	run, whole := int32(0), true
	for _, p := range parts {
		s.longest = max(s.longest, p.longest, run+p.start)
		if p.start == full {
			run += full
			continue
		}
		if whole {
			s.start, whole = run+p.start, false
		}
		run = p.end
	}
	if whole {
		s.start = run
	}
	s.end = run
	s.longest = max(s.longest, run)
	return s
}

func (g *goPages) Alloc(r Request) (buddy.PFN, bool) {
	n := 1 << r.Order
	if n < goCached && int(r.CPU) < len(g.caches) {
		c := &g.caches[r.CPU]
		if c.bits != 0 {
			if page, ok := c.take(n); ok {
				g.counts.CacheHits++
				return g.pfn(page), true
			}
		} else {
			g.counts.Locks++
			g.fill(c)
			if page, ok := c.take(n); ok {
				return g.pfn(page), true
			}
		}
	}
	g.counts.Locks++
	page := g.find(n)
	if page < 0 {
		return 0, false
	}
	g.free.clear(page, page+n)
	g.update(page, page+n)
	return g.pfn(page), true
}

// take gives n pages of the cache that follow each other.
func (c *goCache) take(n int) (page int, ok bool) {
	x := c.bits
	for k := 1; k < n; k *= 2 {
		x &= x >> k
	}
	if x == 0 {
		return 0, false
	}
	i := bits.TrailingZeros64(x)
	c.bits &^= (1<<n - 1) << i
	return c.base + i, true
}

// fill takes all free pages of the first 64 pages that have some:
// allocToCache.
func (g *goPages) fill(c *goCache) {
	page := g.find(1)
	if page < 0 {
		return
	}
	w := page / 64
	*c = goCache{w * 64, g.free.words[w]}
	g.free.words[w] = 0
	g.update(w*64, w*64+64)
}

// find gives the first n free pages that follow each other, or -1.
func (g *goPages) find(n int) int {
	top := len(g.levels) - 1
	if int(g.levels[top][0].longest) < n {
		g.counts.Scanned++
		return -1
	}
	return g.findIn(top, 0, n)
}

// findIn searches a summary that has such a run, from the top down: where it
// crosses parts, or in the part that has it inside.
func (g *goPages) findIn(level, i, n int) int {
	if level == 0 {
		return g.findBits(i, n)
	}
	below := g.levels[level-1]
	full := g.full[level-1]
	run := 0
	for k := i * goRadix; k < min((i+1)*goRadix, len(below)); k++ {
		g.counts.Scanned++
		s := below[k]
		switch {
		case run > 0 && run+int(s.start) >= n:
			return k*full - run
		case int(s.longest) >= n:
			return g.findIn(level-1, k, n)
		case int(s.start) == full:
			run += full
		default:
			run = int(s.end)
		}
	}
	return -1
}

// findBits searches a chunk.
func (g *goPages) findBits(chunk, n int) int {
	run := 0
	for page := chunk * goChunk; page < (chunk+1)*goChunk; {
		if page&63 == 0 {
			g.counts.Scanned++
		}
		rest := g.free.words[page>>6] >> (page & 63)
		left := 64 - page&63
		if rest&1 == 0 {
			run = 0
			page += min(bits.TrailingZeros64(rest), left)
			continue
		}
		k := min(bits.TrailingZeros64(^rest), left)
		if run+k >= n {
			return page - run
		}
		run += k
		page += k
	}
	return -1
}

func (g *goPages) Free(_ buddy.CPU, pfn buddy.PFN, order buddy.Order) {
	g.counts.Locks++
	page := g.page(pfn)
	g.free.set(page, page+1<<order)
	g.update(page, page+1<<order)
}
