package bench

import "math/bits"

// bitTree is a set of small numbers that finds its least one in a few steps:
// the first level has a bit for each number, each further one a bit for each
// word below that is not empty.
type bitTree [][]uint64

func newBitTree(n int) bitTree {
	var t bitTree
	for {
		n = max((n+63)/64, 1)
		t = append(t, make([]uint64, n))
		if n == 1 {
			return t
		}
	}
}

func (t bitTree) set(i int) {
	for _, level := range t {
		level[i>>6] |= 1 << (i & 63)
		i >>= 6
	}
}

func (t bitTree) clear(i int) {
	for _, level := range t {
		if level[i>>6] &^= 1 << (i & 63); level[i>>6] != 0 {
			return
		}
		i >>= 6
	}
}

// first is the least number, -1 if there is none.
func (t bitTree) first() int {
	i := 0
	for l := len(t) - 1; l >= 0; l-- {
		w := t[l][i]
		if w == 0 {
			return -1
		}
		i = i<<6 + bits.TrailingZeros64(w)
	}
	return i
}
