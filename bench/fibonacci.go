package bench

import (
	"slices"

	"github.com/kernsim/kernsim/buddy"
)

// fibonacci is the Fibonacci buddy system (D. S. Hirschberg: A Class of Dynamic
// Memory Allocation Algorithms, CACM 1973): a block of F(k) pages divides into
// F(k-1) and F(k-2). Where that is larger than the request, the rest is given
// back at once, so that nothing is wasted inside; blocks are not aligned.
type fibonacci struct {
	arena
	// sizes[k] is 1, 2, 3, 5, 8, ...
	sizes []int
	roots []fibBlock
	// kind[page] is k of the free block that starts there, or -1.
	kind  []int8
	lists []blockList
}

type fibBlock struct{ start, k int }

// Fibonacci makes a Fibonacci buddy system.
func Fibonacci() Strategy { return &fibonacci{} }

func (f *fibonacci) Start(m *Machine) error {
	f.arena = newArena(m)
	f.sizes = []int{1, 2}
	for f.sizes[len(f.sizes)-1] < f.pages {
		n := len(f.sizes)
		f.sizes = append(f.sizes, f.sizes[n-1]+f.sizes[n-2])
	}
	f.kind = make([]int8, f.pages)
	for i := range f.kind {
		f.kind[i] = -1
	}
	f.lists = make([]blockList, len(f.sizes))
	for k := range f.lists {
		f.lists[k].init(f.pages, false)
	}
	for _, s := range m.Spans {
		f.cover(f.page(s.Start), f.page(s.End))
	}
	f.start(m, f.put)
	return nil
}

// cover makes the roots of a span, the largest first.
func (f *fibonacci) cover(from, to int) {
	for from < to {
		k := len(f.sizes) - 1
		for f.sizes[k] > to-from {
			k--
		}
		f.roots = append(f.roots, fibBlock{from, k})
		from += f.sizes[k]
	}
}

// halves are the two blocks that one divides into.
func (f *fibonacci) halves(b fibBlock) (left, right fibBlock) {
	left = fibBlock{b.start, b.k - 1}
	return left, fibBlock{b.start + f.sizes[left.k], max(b.k-2, 0)}
}

func (f *fibonacci) hold(b fibBlock) {
	f.counts.LockWork++
	f.kind[b.start] = int8(b.k)
	f.lists[b.k].push(b.start)
}

func (f *fibonacci) take(b fibBlock) {
	f.counts.LockWork++
	f.kind[b.start] = -1
	f.lists[b.k].remove(b.start)
}

func (f *fibonacci) isFree(b fibBlock) bool { return f.kind[b.start] == int8(b.k) }

func (f *fibonacci) Alloc(r Request) (buddy.PFN, bool) {
	f.counts.Locks++
	n := 1 << r.Order
	for k := range f.lists {
		if f.sizes[k] < n {
			continue
		}
		f.counts.Scanned++
		if start := f.lists[k].first(); start >= 0 {
			b := fibBlock{start, k}
			f.take(b)
			b = f.narrow(b, n)
			f.trim(b, n)
			return f.pfn(b.start), true
		}
	}
	return 0, false
}

// narrow divides a block while a part is large enough, the smaller one first.
func (f *fibonacci) narrow(b fibBlock, n int) fibBlock {
	for b.k > 0 {
		left, right := f.halves(b)
		switch {
		case f.sizes[right.k] >= n:
			f.hold(left)
			b = right
		case f.sizes[left.k] >= n:
			f.hold(right)
			b = left
		default:
			return b
		}
		f.counts.Splits++
	}
	return b
}

// trim gives back what is behind the first n pages of a block.
func (f *fibonacci) trim(b fibBlock, n int) {
	switch {
	case n <= 0:
		f.hold(b)
	case n < f.sizes[b.k]:
		left, right := f.halves(b)
		f.counts.Splits++
		f.trim(left, n)
		f.trim(right, n-f.sizes[left.k])
	}
}

func (f *fibonacci) Free(_ buddy.CPU, pfn buddy.PFN, order buddy.Order) {
	f.counts.Locks++
	page := f.page(pfn)
	f.put(page, page+1<<order)
}

// put frees pages of one or more roots.
func (f *fibonacci) put(from, to int) {
	i, found := slices.BinarySearchFunc(f.roots, from, func(b fibBlock, page int) int { return b.start - page })
	if !found {
		i--
	}
	for ; i >= 0 && i < len(f.roots) && f.roots[i].start < to; i++ {
		f.join(f.roots[i], from, to)
	}
}

// join frees the pages of a block that lie in [from, to), and joins free halves.
func (f *fibonacci) join(b fibBlock, from, to int) {
	end := b.start + f.sizes[b.k]
	switch {
	case to <= b.start || from >= end:
		return
	case from <= b.start && end <= to:
		f.hold(b)
		return
	}
	left, right := f.halves(b)
	f.join(left, from, to)
	f.join(right, from, to)
	if f.isFree(left) && f.isFree(right) {
		f.take(left)
		f.take(right)
		f.counts.Merges++
		f.hold(b)
	}
}
