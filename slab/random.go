package slab

import "math/bits"

// Random is where an allocator's random draws come from. A replay gives one
// that knows the draws of the kernel it follows.
type Random interface {
	// Long is get_random_long: keys of hardened free pointers and seeds of
	// shuffled orders.
	Long() uint64
	// Below is get_random_u32_below: 0 to n-1. n is at least 1.
	Below(n uint32) uint32
	// Start says where in its cache's shuffled order a new slab begins:
	// 0 to n-1. addr is the slab's address.
	Start(c *Cache, addr uint64, n uint32) uint32
}

// SeededRandom draws from a seed: the same seed gives the same draws on every
// machine (SplitMix64).
type SeededRandom struct{ state uint64 }

// NewSeededRandom makes a source of a seed.
func NewSeededRandom(seed uint64) *SeededRandom { return &SeededRandom{seed} }

// Long implements [Random].
func (r *SeededRandom) Long() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Below implements [Random], by scaling a 32-bit draw as prandom_u32_max does.
func (r *SeededRandom) Below(n uint32) uint32 {
	return uint32(r.Long() >> 32 * uint64(n) >> 32)
}

// Start implements [Random].
func (r *SeededRandom) Start(_ *Cache, _ uint64, n uint32) uint32 { return r.Below(n) }

// prandom is the kernel's struct rnd_state: L'Ecuyer's combined Tausworthe
// generator of four registers (LFSR113), with which kernels before 6.2 shuffle
// a cache's order.
type prandom [4]uint32

// Smallest values of the registers; smaller ones would degenerate.
var prandomMin = [4]uint32{2, 8, 16, 128}

// newPrandom is prandom_seed_state.
func newPrandom(seed uint64) prandom {
	i := uint32(seed>>32 ^ seed<<10 ^ seed)
	var p prandom
	for k := range p {
		p[k] = i
		if i < prandomMin[k] {
			p[k] += prandomMin[k]
		}
	}
	return p
}

// next is prandom_u32_state.
func (p *prandom) next() uint32 {
	p[0] = p[0]&^1<<18 ^ (p[0]<<6^p[0])>>13
	p[1] = p[1]&^7<<2 ^ (p[1]<<2^p[1])>>27
	p[2] = p[2]&^15<<7 ^ (p[2]<<13^p[2])>>21
	p[3] = p[3]&^127<<13 ^ (p[3]<<3^p[3])>>12
	return p[0] ^ p[1] ^ p[2] ^ p[3]
}

// shuffledOrder makes a cache's random sequence of n objects: nil if there is
// nothing to shuffle (cache_random_seq_create).
func shuffledOrder(r Random, below bool, n uint32) []uint16 {
	if n < 2 {
		return nil
	}
	seq := make([]uint16, n)
	for i := range seq {
		seq[i] = uint16(i)
	}
	var state prandom
	if !below {
		state = newPrandom(r.Long())
	}
	for i := n - 1; i > 0; i-- {
		j := uint32(0)
		if below {
			j = r.Below(i + 1)
		} else {
			j = state.next() % (i + 1)
		}
		seq[i], seq[j] = seq[j], seq[i]
	}
	return seq
}

// swab reverses the bytes of a pointer of so many bytes.
func swab(v uint64, word uint32) uint64 {
	return bits.ReverseBytes64(v) >> (64 - 8*word)
}
