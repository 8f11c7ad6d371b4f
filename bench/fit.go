package bench

import (
	"math"
	"math/bits"

	"github.com/kernsim/kernsim/buddy"
)

// FitRule says which free place a bitmap allocator takes.
type FitRule uint8

// The rules of Knuth, The Art of Computer Programming 1, 2.5: the first place
// that is large enough, the first after the last one taken, the smallest.
const (
	FirstFit FitRule = iota
	NextFit
	BestFit
)

// BitmapFit is a bitmap with a bit for each page, searched from one end to the
// other (as the kernel's own bootmem allocator was, and its CMA areas are:
// bitmap_find_next_zero_area). Blocks are aligned to their size.
func BitmapFit(rule FitRule) func() Strategy {
	return func() Strategy { return &bitmapFit{rule: rule} }
}

type bitmapFit struct {
	arena
	rule FitRule
	free pageMap
	// low is a word before which no page is free; next where next fit goes on.
	low, next int
}

func (b *bitmapFit) Start(m *Machine) error {
	b.arena = newArena(m)
	b.free = newPageMap(b.first, b.pages)
	b.start(m, b.free.set)
	return nil
}

func (b *bitmapFit) Alloc(r Request) (buddy.PFN, bool) {
	b.counts.Locks++
	before := b.counts.Scanned
	page := -1
	switch o := int(r.Order); b.rule {
	case FirstFit:
		page = b.search(b.low, len(b.free.words), o, o == 0)
	case NextFit:
		if page = b.search(b.next, len(b.free.words), o, false); page < 0 {
			page = b.search(0, len(b.free.words), o, false)
		}
	case BestFit:
		page = b.best(1 << o)
	}
	b.counts.LockWork += b.counts.Scanned - before
	if page < 0 {
		return 0, false
	}
	b.counts.LockWork += wordsOf(1 << r.Order)
	b.next = page / 64
	b.free.clear(page, page+1<<r.Order)
	return b.pfn(page), true
}

// search finds the first aligned block from a word on. A search for single
// pages moves low.
func (b *bitmapFit) search(from, to, order int, lowers bool) int {
	step := 1
	if order > 6 {
		step = 1 << (order - 6)
	}
	for w := from &^ (step - 1); w+step <= to; w += step {
		b.counts.Scanned++
		if order <= 6 {
			if x := foldWord(b.free.words[w], order); x != 0 {
				if lowers {
					b.low = w
				}
				return w*64 + bits.TrailingZeros64(x)
			}
			continue
		}
		if b.free.words[w] == ^uint64(0) && b.free.all(w*64, (w+step)*64) {
			b.counts.Scanned += uint64(step)
			return w * 64
		}
	}
	return -1
}

// foldWord gives the first bits of a word's aligned runs of 1<<order ones.
func foldWord(w uint64, order int) uint64 {
	if order == 6 {
		if w == ^uint64(0) {
			return 1
		}
		return 0
	}
	for o := range order {
		w &= w >> (1 << o) & alignedMasks[o+1]
	}
	return w
}

// best finds the shortest run of free pages that has an aligned block of n
// pages, and gives the block.
func (b *bitmapFit) best(n int) int {
	found, least := -1, math.MaxInt
	start := -1
	end := func(at int) {
		if start < 0 {
			return
		}
		first := (start + n - 1) &^ (n - 1)
		if length := at - start; first+n <= at && length < least {
			found, least = first, length
		}
		start = -1
	}
	for w := b.low; w < len(b.free.words); w++ {
		b.counts.Scanned++
		x := b.free.words[w]
		switch x {
		case 0:
			end(w * 64)
			continue
		case ^uint64(0):
			if start < 0 {
				start = w * 64
			}
			continue
		}
		for i := 0; i < 64; {
			rest := x >> i
			if rest&1 == 0 {
				end(w*64 + i)
				i += bits.TrailingZeros64(rest)
				continue
			}
			if start < 0 {
				start = w*64 + i
			}
			i += bits.TrailingZeros64(^rest)
		}
		if least == n {
			return found
		}
	}
	end(len(b.free.words) * 64)
	return found
}

func (b *bitmapFit) Free(_ buddy.CPU, pfn buddy.PFN, order buddy.Order) {
	b.counts.Locks++
	b.counts.LockWork += wordsOf(1 << order)
	page := b.page(pfn)
	b.free.set(page, page+1<<order)
	b.low = min(b.low, page/64)
}
