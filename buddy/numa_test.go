package buddy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// numaMachine has two nodes: DMA32 and Normal on node 0, Normal on node 1; CPU 0
// on node 0, CPU 1 on node 1. Each zone has 64 pages and keeps 8.
func numaMachine(t testing.TB, p Profile) *Allocator {
	zone := func(node NodeID, typ ZoneType, start PFN) ZoneConfig {
		return ZoneConfig{Node: node, Type: typ, StartPFN: start, Spanned: 64, Present: 64, Managed: 64,
			LowmemReserve: []uint64{0, 0}, Watermark: Watermarks{Min: 8, Low: 8, High: 8}, PCP: PCPConfig{Batch: 1}}
	}
	c := Config{PageShift: 12, PageblockOrder: 4, MaxOrder: 6, CPUs: 2, CPUNode: []NodeID{0, 1},
		ZoneTypes: []ZoneType{ZoneDMA32, ZoneNormal},
		Zones:     []ZoneConfig{zone(0, ZoneDMA32, 0), zone(0, ZoneNormal, 64), zone(1, ZoneNormal, 128)}}
	a, err := New(c, p)
	require.NoError(t, err)
	for i := range c.Zones {
		require.NoError(t, a.Release(c.Zones[i].StartPFN, c.Zones[i].StartPFN+64))
	}
	return a
}

// zonesOf counts the blocks that a request gets by zone, until it fails.
func zonesOf(a *Allocator, r Request) (zones []int) {
	zones = make([]int, len(a.zones))
	for {
		pfn, err := a.Alloc(r)
		if err != nil {
			return zones
		}
		zones[a.zoneOf(uint64(pfn)).index]++
	}
}

// TestNodes: which zones a request may use, and what is counted.
func TestNodes(t *testing.T) {
	tests := []struct {
		name string
		r    Request
		want []int
	}{
		{"its own node, then the other", Request{GFP: GFPKernel | GFPNoRetry, Node: NoNode}, []int{56, 56, 56}},
		{"DMA32 is on node 0 only", Request{CPU: 1, GFP: GFPKernel | GFPDMA32 | GFPNoRetry, Node: NoNode}, []int{56, 0, 0}},
		{"this node only", Request{CPU: 1, GFP: GFPKernel | GFPThisNode, Node: NoNode}, []int{0, 0, 56}},
		{"this node without the zone", Request{CPU: 1, GFP: GFPKernel | GFPDMA32 | GFPThisNode, Node: NoNode}, []int{0, 0, 0}},
		{"another node preferred", Request{CPU: 0, Node: 1, GFP: GFPKernel | GFPThisNode}, []int{0, 0, 56}},
		{"nodes of a policy", Request{CPU: 0, Node: 0, Nodes: 1 << 1, GFP: GFPKernel | GFPNoRetry}, []int{0, 0, 56}},
		{"no node of the policy", Request{CPU: 0, Node: 0, Nodes: 1 << 5, GFP: GFPKernel | GFPNoRetry}, []int{0, 0, 0}},
		// An atomic request goes on to 3 pages without its policy.
		{"atomic requests ignore the policy at last", Request{CPU: 0, Node: 0, Nodes: 1 << 1, GFP: GFPAtomic}, []int{61, 61, 61}},
	}
	for _, p := range Profiles() {
		for _, test := range tests {
			a := numaMachine(t, p)
			require.Equal(t, test.want, zonesOf(a, test.r), "%s: %s", p.Name, test.name)
			require.NoError(t, a.Check())
		}
	}
}

// TestNodeOrder: Normal of the own node first, then DMA32 of it, then the other
// node's.
func TestNodeOrder(t *testing.T) {
	for _, p := range Profiles() {
		a := numaMachine(t, p)
		var order []uint8
		for {
			pfn, err := a.AllocPages(0, GFPKernel|GFPNoRetry, 0)
			if err != nil {
				break
			}
			if z := a.zoneOf(uint64(pfn)).index; len(order) == 0 || order[len(order)-1] != z {
				order = append(order, z)
			}
		}
		require.Equal(t, []uint8{1, 0, 2}, order, p.Name)
		normal, remote := a.Zone(1).Stats(), a.Zone(2).Stats()
		require.Equal(t, uint64(56), normal.NUMAHit)
		require.Equal(t, uint64(56), normal.NUMALocal)
		require.Equal(t, uint64(56), normal.NUMAForeign)
		require.Equal(t, uint64(56), remote.NUMAMiss)
		require.Equal(t, uint64(56), remote.NUMAOther)
	}
}

// TestLocalityBeforeFragmentation: a request that would have to leave its node to
// avoid fragmentation rather fragments. (Node 0's Normal and DMA32 have whole
// movable pageblocks in use; what is free there is smaller.)
func TestLocalityBeforeFragmentation(t *testing.T) {
	for _, p := range Profiles() {
		a := numaMachine(t, p)
		a.groupingDisabled = false
		held := map[uint8][]PFN{}
		for range 2 * 56 {
			pfn, err := a.AllocPages(0, GFPHighUserMovable|GFPNoRetry, 0)
			require.NoError(t, err)
			z := a.zoneOf(uint64(pfn)).index
			held[z] = append(held[z], pfn)
		}
		for _, z := range []uint8{0, 1} {
			for _, pfn := range held[z][:8] {
				require.NoError(t, a.Free(0, pfn, 0))
			}
		}
		pfn, err := a.AllocPages(0, GFPKernel, 0)
		require.NoError(t, err)
		require.Equal(t, uint8(1), a.zoneOf(uint64(pfn)).index, p.Name)
		require.Equal(t, uint64(1), a.Zone(1).Stats().Fallbacks)
	}
}

// TestBulk: a bulk request stays on its node and above the low watermark by all
// its pages, or is an ordinary request for one page.
func TestBulk(t *testing.T) {
	for _, p := range Profiles() {
		a := numaMachine(t, p)
		bulk := func(gfp GFP, n int) int {
			pfns, err := a.AllocBulk([]PFN{7}, Request{CPU: 0, Node: NoNode, GFP: gfp}, n)
			if err != nil {
				require.Equal(t, []PFN{7}, pfns)
				return 0
			}
			require.Equal(t, PFN(7), pfns[0], "appended")
			for _, pfn := range pfns[1:] {
				require.Less(t, pfn, PFN(128), "on node 0")
			}
			return len(pfns) - 1
		}
		require.Equal(t, 0, bulk(GFPKernel, 0))
		require.Equal(t, 1, bulk(GFPKernel, 1))
		require.Equal(t, 1, bulk(GFPKernelAccount, 20), "not for accounted pages")
		require.Equal(t, 40, bulk(GFPKernel, 40))
		require.Equal(t, uint64(22), a.Zone(1).FreePages())
		// Normal has 22 and keeps 8: 14 would do, if not one more had to stay.
		require.Equal(t, 14, bulk(GFPKernel, 14))
		require.Equal(t, uint64(50), a.Zone(0).FreePages(), "from DMA32")
		require.Equal(t, 13, bulk(GFPKernel, 13))
		require.Equal(t, uint64(9), a.Zone(1).FreePages())
		require.Equal(t, 1, bulk(GFPKernel, 45), "node 1 is not asked")
		require.NoError(t, a.Check())
	}
}

// TestReserveIsGivenUpAfterReclaim: when reclaim made progress but the request
// still fails, one of several highatomic pageblocks is given up and the lists are
// drained.
func TestReserveIsGivenUpAfterReclaim(t *testing.T) {
	for _, p := range Profiles() {
		if p.HighAtomicExact {
			continue // reserves nothing in a zone that small
		}
		c := Config{PageShift: 12, PageblockOrder: 6, MaxOrder: 8, CPUs: 1, ZoneTypes: []ZoneType{ZoneNormal},
			Zones: []ZoneConfig{{Type: ZoneNormal, Spanned: 3200, Present: 3200, Managed: 3200, LowmemReserve: []uint64{0},
				Watermark: Watermarks{Min: 3000, Low: 3200, High: 3300}, PCP: PCPConfig{Batch: 1}}}}
		a, err := New(c, p)
		require.NoError(t, err)
		require.NoError(t, a.Release(0, 3200))
		for range 3 { // the second from what the first had reserved
			_, err := a.AllocPages(0, GFPAtomic, 5)
			require.NoError(t, err)
		}
		require.Equal(t, uint64(128), a.Zone(0).ReservedHighatomic(), p.Name)
		a.zones[0].watermark.Min = 3100
		reclaims := 0
		a.SetPressure(Pressure{DirectReclaim: func(Request) uint64 { reclaims++; return 1 }})
		_, err = a.AllocPages(0, GFPKernel|GFPNoRetry, 0)
		require.ErrorIs(t, err, ErrNoMemory)
		require.Equal(t, 1, reclaims)
		require.Equal(t, uint64(64), a.Zone(0).ReservedHighatomic(), p.Name)
		require.NoError(t, a.Check())
	}
}
