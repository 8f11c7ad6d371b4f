package lkmm

import "math/bits"

// maxThreadEvents bounds the events of one thread's path: every fence, access
// and marker counts.
const maxThreadEvents = 256

// bitset is a set of events of one thread, by their index in the path.
type bitset [maxThreadEvents / 64]uint64

func (b *bitset) add(i int) { b[i>>6] |= 1 << (i & 63) }

func (b *bitset) has(i int) bool { return b[i>>6]&(1<<(i&63)) != 0 }

func (b *bitset) del(i int) { b[i>>6] &^= 1 << (i & 63) }

// within says whether every member of b is one of c.
func (b bitset) within(c bitset) bool {
	for i := range b {
		if b[i]&^c[i] != 0 {
			return false
		}
	}
	return true
}

func (b bitset) union(c bitset) bitset {
	for i := range b {
		b[i] |= c[i]
	}
	return b
}

func (b *bitset) empty() bool { return *b == bitset{} }

// each calls f for every member, smallest first.
func (b *bitset) each(f func(i int)) {
	for w, word := range b {
		for ; word != 0; word &= word - 1 {
			f(w<<6 | bits.TrailingZeros64(word))
		}
	}
}
