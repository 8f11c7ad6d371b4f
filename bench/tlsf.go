package bench

import (
	"math/bits"

	"github.com/kernsim/kernsim/buddy"
)

// tlsf is two-level segregated fit over pages: lists of free runs by power of
// two and, within each, by sixteenths; two levels of bitmaps find a list whose
// runs are all large enough in a fixed number of steps; a freed run is joined
// with its neighbours at once. M. Masmano, I. Ripoll, A. Crespo, J. Real:
// TLSF: a New Dynamic Memory Allocator for Real-Time Systems, ECRTS 2004.
// Runs are not aligned, as there.
type tlsf struct {
	arena
	// size[page] is the length of the free run that starts there, back[page]
	// of the one that ends there (its last page); 0 if none does.
	size, back []uint32
	next, prev []int32
	heads      [tlsfFirst][tlsfSecond]int32
	firstMap   uint32
	secondMap  [tlsfFirst]uint32
}

const (
	tlsfFirst      = 32
	tlsfSecondBits = 4
	tlsfSecond     = 1 << tlsfSecondBits
)

// TLSF makes a two-level segregated fit allocator.
func TLSF() Strategy { return &tlsf{} }

func (t *tlsf) Start(m *Machine) error {
	t.arena = newArena(m)
	t.size, t.back = make([]uint32, t.pages), make([]uint32, t.pages)
	t.next, t.prev = make([]int32, t.pages), make([]int32, t.pages)
	for f := range t.heads {
		for s := range t.heads[f] {
			t.heads[f][s] = -1
		}
	}
	t.start(m, func(from, to int) { t.insert(from, to-from) })
	return nil
}

// class is mapping_insert: where runs of n pages are kept. Below tlsfSecond
// each length has a list of its own.
func tlsfClass(n int) (f, s int) {
	if n < tlsfSecond {
		return 0, n
	}
	log := bits.Len(uint(n)) - 1
	return log - tlsfSecondBits + 1, n>>(log-tlsfSecondBits) - tlsfSecond
}

func (t *tlsf) insert(page, n int) {
	t.counts.LockWork++
	f, s := tlsfClass(n)
	head := t.heads[f][s]
	t.size[page], t.back[page+n-1] = uint32(n), uint32(n)
	t.next[page], t.prev[page] = head, -1
	if head >= 0 {
		t.prev[head] = int32(page)
	}
	t.heads[f][s] = int32(page)
	t.firstMap |= 1 << f
	t.secondMap[f] |= 1 << s
}

func (t *tlsf) remove(page int) (n int) {
	t.counts.LockWork++
	n = int(t.size[page])
	f, s := tlsfClass(n)
	if p := t.prev[page]; p >= 0 {
		t.next[p] = t.next[page]
	} else if t.heads[f][s] = t.next[page]; t.heads[f][s] < 0 {
		if t.secondMap[f] &^= 1 << s; t.secondMap[f] == 0 {
			t.firstMap &^= 1 << f
		}
	}
	if x := t.next[page]; x >= 0 {
		t.prev[x] = t.prev[page]
	}
	t.size[page], t.back[page+n-1] = 0, 0
	return n
}

func (t *tlsf) Alloc(r Request) (buddy.PFN, bool) {
	t.counts.Locks++
	n := 1 << r.Order
	page := t.find(n)
	if page < 0 {
		return 0, false
	}
	if rest := t.remove(page) - n; rest > 0 {
		t.counts.Splits++
		t.insert(page+n, rest)
	}
	return t.pfn(page), true
}

// find takes the head of the first list whose runs are all large enough: n is
// rounded up to the next list's size (mapping_search), which a power of two
// is already.
func (t *tlsf) find(n int) int {
	f, s := tlsfClass(n)
	t.counts.Scanned++
	second := t.secondMap[f] & (^uint32(0) << s)
	if second == 0 {
		first := t.firstMap & (^uint32(0) << (f + 1))
		if first == 0 {
			return -1
		}
		t.counts.Scanned++
		f = bits.TrailingZeros32(first)
		second = t.secondMap[f]
	}
	return int(t.heads[f][bits.TrailingZeros32(second)])
}

func (t *tlsf) Free(_ buddy.CPU, pfn buddy.PFN, order buddy.Order) {
	t.counts.Locks++
	page, n := t.page(pfn), 1<<order
	if page > 0 && t.back[page-1] > 0 {
		t.counts.Merges++
		before := int(t.back[page-1])
		page -= before
		n += t.remove(page)
	}
	if page+n < t.pages && t.size[page+n] > 0 {
		t.counts.Merges++
		n += t.remove(page + n)
	}
	t.insert(page, n)
}
