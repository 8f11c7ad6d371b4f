package slab

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// fixedRandom gives one long and nothing else.
type fixedRandom struct{ long uint64 }

func (r fixedRandom) Long() uint64                      { return r.long }
func (fixedRandom) Below(uint32) uint32                 { return 0 }
func (fixedRandom) Start(*Cache, uint64, uint32) uint32 { return 0 }

// TestShuffledOrder makes the order that a real kernel drew for its cache
// kmalloc-128 (capture x86_64-6.1-slab-1cpu) from the 32 bits of its seed that
// matter, which were found by trying all.
func TestShuffledOrder(t *testing.T) {
	want := []uint16{8, 20, 26, 19, 2, 29, 7, 12, 11, 25, 28, 13, 4, 3, 27, 14, 30, 1, 9, 16, 21, 10, 18, 15, 6, 0, 31, 5, 24, 17, 23, 22}
	assert.Equal(t, want, shuffledOrder(fixedRandom{0x88ee4c5c << 32}, false, 32))
	assert.Nil(t, shuffledOrder(fixedRandom{}, false, 1))
	assert.Nil(t, shuffledOrder(fixedRandom{}, true, 0))
}

// TestSeededRandom: the same seed draws the same, another one draws otherwise,
// and no draw leaves its range.
func TestSeededRandom(t *testing.T) {
	a, b, c := NewSeededRandom(7), NewSeededRandom(7), NewSeededRandom(8)
	seen := [5]int{}
	differ := false
	for range 1000 {
		x := a.Below(5)
		assert.Equal(t, x, b.Below(5))
		differ = differ || x != c.Below(5)
		assert.Less(t, x, uint32(5))
		seen[x]++
	}
	assert.True(t, differ)
	for i, n := range seen {
		assert.NotZero(t, n, i)
	}
}

// TestOrders: with either rule a cache's order has each object once, and the two
// rules and different seeds differ.
func TestOrders(t *testing.T) {
	var got [][]uint16
	for _, below := range []bool{false, true} {
		for seed := range uint64(2) {
			order := shuffledOrder(NewSeededRandom(seed), below, 64)
			assert.NoError(t, checkPermutation(order, 64))
			assert.NotContains(t, got, order)
			got = append(got, order)
		}
	}
}
