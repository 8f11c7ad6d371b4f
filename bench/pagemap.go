package bench

import (
	"math/bits"

	"github.com/kernsim/kernsim/buddy"
)

// pageMap is which pages are free: a bit a page, from a first page that is
// aligned to the largest block. It is the runner's, and a building block of
// strategies.
type pageMap struct {
	first buddy.PFN
	words []uint64
}

func newPageMap(first buddy.PFN, pages int) pageMap {
	return pageMap{first, make([]uint64, (pages+63)/64)}
}

func (p *pageMap) pages() int { return len(p.words) * 64 }

// mask covers the pages of word w that lie in [from, to).
func mask(w, from, to int) uint64 {
	m := ^uint64(0)
	if lo := from - w*64; lo > 0 {
		m <<= uint(lo)
	}
	if hi := (w+1)*64 - to; hi > 0 {
		m &= ^uint64(0) >> uint(hi)
	}
	return m
}

// set makes pages [from, to) free, clear makes them used.
func (p *pageMap) set(from, to int) {
	for w := from / 64; w*64 < to; w++ {
		p.words[w] |= mask(w, from, to)
	}
}

func (p *pageMap) clear(from, to int) {
	for w := from / 64; w*64 < to; w++ {
		p.words[w] &^= mask(w, from, to)
	}
}

// all says whether pages [from, to) are all free.
func (p *pageMap) all(from, to int) bool {
	for w := from / 64; w*64 < to; w++ {
		if m := mask(w, from, to); p.words[w]&m != m {
			return false
		}
	}
	return true
}

func (p *pageMap) count() int {
	n := 0
	for _, w := range p.words {
		n += bits.OnesCount64(w)
	}
	return n
}

// alignedMasks[o] has the first bit of each block of order o of a word.
var alignedMasks = [6]uint64{
	^uint64(0), 0x5555555555555555, 0x1111111111111111, 0x0101010101010101, 0x0001000100010001, 0x0000000100000001,
}

// blocks counts the aligned free blocks by order, each page in the largest one
// that it is part of, up to order orders-1.
func (p *pageMap) blocks(orders int) (n [buddy.MaxOrders]int) {
	// all[o] counts blocks of order o, those that lie in larger ones too.
	var all [buddy.MaxOrders + 1]int
	for _, w := range p.words {
		for o := 0; o < 6 && w != 0; o++ {
			all[o] += bits.OnesCount64(w)
			w &= w >> (1 << o)
			if o < 5 {
				w &= alignedMasks[o+1]
			}
		}
	}
	for o := 6; o < orders; o++ {
		step := 1 << (o - 6)
	next:
		for i := 0; i+step <= len(p.words); i += step {
			for _, w := range p.words[i : i+step] {
				if w != ^uint64(0) {
					continue next
				}
			}
			all[o]++
		}
	}
	for o := range orders {
		n[o] = all[o]
		if o+1 < orders {
			n[o] -= 2 * all[o+1]
		}
	}
	return n
}

// popcount is the number of free pages of word w; none beyond the end.
func popcount(words []uint64, w int) int {
	if w >= len(words) {
		return 0
	}
	return bits.OnesCount64(words[w])
}
