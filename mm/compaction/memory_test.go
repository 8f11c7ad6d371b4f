package compaction_test

import (
	"fmt"
	"testing"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/mm/compaction"
	"github.com/kernsim/kernsim/mm/reclaim"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// loaded is a machine whose memory is full of a file's pages, every second one of
// them active, with reclaim and compaction behind the allocator.
func loaded(t require.TestingT) (*buddy.Allocator, *reclaim.Memory, *compaction.Compactor, map[buddy.PFN]bool) {
	memory := []buddy.MemRange{{PhysRange: buddy.PhysRange{Start: 16 << 20, End: 144 << 20}}}
	a, err := buddy.NewMachine(&buddy.Machine{Memory: memory, CPUs: 1}, buddy.Linux6_1)
	require.NoError(t, err)
	cache := map[buddy.PFN]bool{}
	var c *compaction.Compactor
	m, err := reclaim.New(a, reclaim.Config{Swappiness: 60,
		KswapdSleeps: func(id buddy.NodeID) { c.Forget(id) },
		WakeKcompactd: func(id buddy.NodeID, order buddy.Order, highest buddy.ZoneType) {
			if c.Wake(id, order, highest) {
				c.Daemon(0, id)
			}
		},
		Evicted: func(e reclaim.Eviction) { delete(cache, e.PFN) },
		Moved:   func(from, to buddy.PFN) { delete(cache, from); cache[to] = true },
	})
	require.NoError(t, err)
	c = compaction.New(a, m)
	c.Plug(m.Hooks())
	for range 128 << 20 >> 12 {
		pfn, err := a.AllocPages(0, buddy.GFPHighUserMovable, 0)
		require.NoError(t, err)
		require.NoError(t, m.Add(0, pfn, reclaim.Use{File: true}))
		cache[pfn] = true
		if pfn%2 == 0 { // read again and again
			require.NoError(t, m.Access(0, pfn))
			require.NoError(t, m.Access(0, pfn))
		}
	}
	return a, m, c, cache
}

// TestReclaimAndCompaction: requests of orders that are not costly find memory in a
// machine that is full of cache, most others too, and what they get is nobody else's.
func TestReclaimAndCompaction(t *testing.T) {
	a, m, c, cache := loaded(t)
	failed := 0
	for round := range 20 {
		for order := buddy.Order(0); order <= 9; order++ {
			gfp := [2]buddy.GFP{buddy.GFPKernel, buddy.GFPHighUserMovable}[round%2]
			pfn, err := a.AllocPages(0, gfp, order)
			if order > 3 && err != nil {
				failed++
				continue
			}
			require.NoError(t, err, "round %d order %d", round, order)
			for i := range buddy.PFN(1) << order {
				require.False(t, cache[pfn+i])
			}
		}
	}
	assert.Less(t, failed, 30)
	s := m.Sizes(0)
	waiting := int64(len(cache)) - s[reclaim.InactiveFile] - s[reclaim.ActiveFile]
	assert.True(t, waiting >= 0 && waiting < 15, "%d pages are on no list and in no batch", waiting)
	assert.Positive(t, c.Stats().Moved)
	require.NoError(t, a.Check())
	require.NoError(t, m.Check())
	require.NoError(t, c.Check())
}

// Huge pages in a machine that is full of cache: reclaim makes room, compaction
// brings it together. The first requests fail: what was reclaimed is at the low end of
// memory, where the free scanner does not look.
func Example() {
	a, m, c, _ := loaded(fails{})
	got := 0
	for range 20 {
		if _, err := a.AllocPages(0, buddy.GFPHighUserMovable, 9); err == nil {
			got++
		}
	}
	fmt.Println("huge pages:", got)
	fmt.Println("reclaimed:", m.Stats().StealKswapd+m.Stats().StealDirect, "moved:", c.Stats().Moved)
	// Output:
	// huge pages: 14
	// reclaimed: 20349 moved: 455
}

type fails struct{}

func (fails) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (fails) FailNow()                          { panic("failed") }
