package percpu

import "math/bits"

// Sizes in grains of minAlloc bytes.
const (
	blockGrains = pageSize / minAlloc
)

// bitmap is a set of grains.
type bitmap []uint64

func newBitmap(n int) bitmap         { return make(bitmap, (n+63)/64) }
func (m bitmap) has(i int) bool      { return m[i/64]>>(i%64)&1 != 0 }
func (m bitmap) set(i int)           { m[i/64] |= 1 << (i % 64) }
func (m bitmap) clear(i int)         { m[i/64] &^= 1 << (i % 64) }
func (m bitmap) setAll(from, to int) { m.fill(from, to, true) }

func (m bitmap) fill(from, to int, on bool) {
	for i := from; i < to; i++ {
		if i%64 == 0 && to-i >= 64 {
			m[i/64] = 0
			if on {
				m[i/64] = ^uint64(0)
			}
			i += 63
			continue
		}
		if on {
			m.set(i)
		} else {
			m.clear(i)
		}
	}
}

// next is the first grain from a place on that is set, or not, n if there is none
// below n.
func (m bitmap) next(from, n int, on bool) int {
	for i := from; i < n; {
		w := m[i/64]
		if !on {
			w = ^w
		}
		if w >>= i % 64; w != 0 {
			return min(n, i+bits.TrailingZeros64(w))
		}
		i = (i/64 + 1) * 64
	}
	return n
}

// freeBefore is where the free grains begin that end before a place; not below floor.
func (m bitmap) freeBefore(at, floor int) int {
	for at > floor && !m.has(at-1) {
		at--
	}
	return at
}

// hints say what is free in a block of a page, or in a whole chunk, in grains
// (struct pcpu_block_md).
type hints struct {
	// contig is the largest free area, at contigAt. Of several, the best aligned.
	contig, contigAt int
	// scan is the largest free area known before contig, at scanAt; 0 if none is: a
	// request larger than it can begin to look behind it.
	scan, scanAt int
	// left and right are what is free at both ends; first is the first free grain.
	left, right, first int
	size               int
}

func freshHints(n int) hints { return hints{contig: n, left: n, right: n, size: n} }

func overlap(a, aEnd, b, bEnd int) bool { return a < bEnd && b < aEnd }

// alignment of a place: how many zero bits it ends in.
func alignment(at int) int { return bits.TrailingZeros(uint(at)) }

func alignUp(n, to int) int { return (n + to - 1) &^ (to - 1) }

// fits says whether an aligned request fits into the largest area.
func (h *hints) fits(n, align int) bool {
	return alignUp(h.contigAt, align)-h.contigAt+n <= h.contig
}

// begin is where a search for n grains begins: behind the scan hint if that is too
// small and lies before the largest area (pcpu_next_hint).
func (h *hints) begin(n int) int {
	if h.scan != 0 && h.contigAt > h.scanAt && n > h.scan {
		return h.scanAt + h.scan
	}
	return h.first
}

// learn takes over that the grains from start to end are free, and those around not
// (pcpu_block_update).
func (h *hints) learn(start, end int) {
	n := end - start
	h.first = min(h.first, start)
	if start == 0 {
		h.left = n
	}
	if end == h.size {
		h.right = n
	}
	switch {
	case n > h.contig:
		h.promote(start)
		h.contigAt, h.contig = start, n
	case n == h.contig:
		h.equal(start, n)
	case start < h.contigAt && (n > h.scan || n == h.scan && start > h.scanAt):
		h.scanAt, h.scan = start, n
	}
}

// promote makes the largest area so far the scan hint, if it lies before the new one
// at start.
func (h *hints) promote(start int) {
	switch {
	case start <= h.contigAt:
		h.scan = 0
	case h.contig > h.scan:
		h.scanAt, h.scan = h.contigAt, h.contig
	case start < h.scanAt:
		h.scan = 0
	}
}

// equal chooses between two largest areas: the better aligned.
func (h *hints) equal(start, n int) {
	switch {
	case h.contigAt != 0 && (start == 0 || alignment(start) > alignment(h.contigAt)):
		h.contigAt = start
		if start < h.scanAt && h.contig > h.scan {
			h.scan = 0
		}
	case start > h.scanAt || h.contig > h.scan:
		h.scanAt, h.scan = start, n
	}
}

// restart forgets the largest area, which is used; the scan hint takes its place. It
// returns from where on the rest has to be looked at.
func (h *hints) restart(full bool) int {
	if !full && h.scan != 0 {
		h.contigAt, h.contig = h.scanAt, h.scan
		h.scan = 0
		return h.contigAt + h.contig
	}
	h.contig = 0
	return h.first
}
