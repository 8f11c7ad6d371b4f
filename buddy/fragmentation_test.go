package buddy

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// zoneWith makes a zone with free blocks by order.
func zoneWith(free ...uint64) *Zone {
	z := &Zone{}
	for o, n := range free {
		z.free[o].nrFree = n
	}
	return z
}

func TestFragmentationIndex(t *testing.T) {
	for _, tc := range []struct {
		free          []uint64
		order         Order
		index, unused int
		percent       int
	}{
		{nil, 0, 0, 1000, 0},
		{nil, 5, 0, 1000, 0},
		// A block is there.
		{[]uint64{1}, 0, -1000, 0, 0},
		{[]uint64{0, 0, 0, 1}, 3, -1000, 0, 0},
		{[]uint64{8, 0, 0, 1}, 3, -1000, 500, 50},
		// 1,000 single pages: nothing but fragmentation keeps a pair away.
		{[]uint64{1000}, 1, 499, 1000, 100},
		{[]uint64{1000}, 4, 937, 1000, 100},
		{[]uint64{1000}, 10, 999, 1000, 100},
		// One page: want of memory. Below zero: half of what is wanted is
		// there, in one piece.
		{[]uint64{1}, 10, 0, 1000, 100},
		{[]uint64{1}, 1, -500, 1000, 100},
		{[]uint64{0, 1}, 2, -500, 1000, 100},
		{[]uint64{0, 1}, 3, -250, 1000, 100},
	} {
		z := zoneWith(tc.free...)
		assert.Equal(t, tc.index, z.FragmentationIndex(tc.order), "%v order %d", tc.free, tc.order)
		assert.Equal(t, tc.unused, z.UnusableIndex(tc.order), "%v order %d", tc.free, tc.order)
		assert.Equal(t, tc.percent, z.ExternalFragmentation(tc.order), "%v order %d", tc.free, tc.order)
	}
	for _, o := range []Order{-1, MaxOrders, 127} {
		z := zoneWith(5)
		assert.Equal(t, 0, z.FragmentationIndex(o))
		assert.Equal(t, 1000, z.UnusableIndex(o))
		assert.Equal(t, 0, z.ExternalFragmentation(o))
	}
}

// The indexes are what their definitions say, by exact arithmetic: unusable =
// 1 - suitable pages / free pages; fragmentation = 1 - (1 + pages/wanted) /
// blocks, each cut to thousandths where the kernel cuts.
func TestIndexesByDefinition(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		free := rapid.SliceOfN(rapid.Uint64Range(0, 1<<22), MaxOrders, MaxOrders).Draw(rt, "free")
		top := rapid.IntRange(0, MaxOrders).Draw(rt, "top")
		for i := top; i < MaxOrders; i++ {
			free[i] = 0
		}
		order := rapid.IntRange(0, MaxOrders-1).Draw(rt, "order")
		z := zoneWith(free...)
		var pages, suitable, blocks int64
		for o, n := range free {
			pages += int64(n) << o
			blocks += int64(n)
			if o >= order {
				suitable += int64(n) << o
			}
		}
		if pages == 0 {
			return
		}
		floor := func(num, den int64, scale int64) int {
			n := new(big.Int).Mul(big.NewInt(num), big.NewInt(scale))
			return int(n.Quo(n, big.NewInt(den)).Int64())
		}
		require.Equal(t, floor(pages-suitable, pages, 1000), z.UnusableIndex(Order(order)))
		require.Equal(t, floor(pages-suitable, pages, 100), z.ExternalFragmentation(Order(order)))
		if suitable > 0 {
			require.Equal(t, -1000, z.FragmentationIndex(Order(order)))
			return
		}
		require.Equal(t, 1000-int((1000+int64(floor(pages, 1<<order, 1000)))/blocks), z.FragmentationIndex(Order(order)))
	})
}

// The printed index is quotient and remainder, each with its own sign, as the
// kernel prints it.
func TestExtfragText(t *testing.T) {
	a := smallMachine(t, Linux6_1)
	for i := range a.zones {
		for o := range a.zones[i].free {
			a.zones[i].free[o].nrFree = 0
		}
	}
	a.zones[0].free[0].nrFree = 1
	a.zones[1].free[0].nrFree = 1000
	a.zones[1].free[3].nrFree = 50
	want := []string{
		"Node 0, zone      DMA -1.000  0.-500  0.-250  0.-125  0.-62  0.-31  0.-15  0.-07  0.-03  0.-01  0.000 ",
		"Node 0, zone    DMA32 -1.000 -1.000 -1.000 -1.000  0.916  0.958  0.979  0.989  0.994  0.997  0.998 ",
		"Node 1, zone   Normal  0.000  0.000  0.000  0.000  0.000  0.000  0.000  0.000  0.000  0.000  0.000 ",
	}
	assert.Equal(t, strings.Join(want, "\n")+"\n", a.ExtfragIndex())
	want = []string{
		"Node 0, zone      DMA 0.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 ",
		"Node 0, zone    DMA32 0.000 0.714 0.714 0.714 1.000 1.000 1.000 1.000 1.000 1.000 1.000 ",
		"Node 1, zone   Normal 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 1.000 ",
	}
	assert.Equal(t, strings.Join(want, "\n")+"\n", a.UnusableFreeIndex())
}

func ExampleZone_UnusableIndex() {
	a := exampleMachine()
	// Every other page of a quarter of the zone is taken: half of that is free,
	// but in single pages.
	var pages []PFN
	for range 1 << 12 {
		pfn, _ := a.AllocPages(0, GFPKernel, 0)
		pages = append(pages, pfn)
	}
	for _, pfn := range pages {
		if pfn%2 == 0 {
			a.Free(0, pfn, 0)
		}
	}
	a.DrainAll(0)
	z := a.Zone(0)
	for _, order := range []Order{0, 1, 9, 10} {
		fmt.Printf("order %d: unusable %.3f, index %.3f\n", order,
			float64(z.UnusableIndex(order))/1000, float64(z.FragmentationIndex(order))/1000)
	}
	// Output:
	// order 0: unusable 0.000, index -1.000
	// order 1: unusable 0.142, index -1.000
	// order 9: unusable 0.142, index -1.000
	// order 10: unusable 0.142, index -1.000
}
