package buddy

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// listedMachine is numaMachine with room on the per-CPU lists.
func listedMachine(t testing.TB, p Profile) *Allocator {
	c := numaMachine(t, p).Config()
	c.Zones = slices.Clone(c.Zones)
	for i := range c.Zones {
		c.Zones[i].PCP = PCPConfig{Batch: 4, High: 12, HighMin: 12, HighMax: 12}
	}
	a, err := New(c, p)
	require.NoError(t, err)
	for i := range c.Zones {
		require.NoError(t, a.Release(c.Zones[i].StartPFN, c.Zones[i].StartPFN+64))
	}
	return a
}

// A request answers and counts the same with and without the short cut, whatever
// it says about nodes: two machines are given the same calls, one of them
// without it, and stay equal.
func TestShortCutChangesNothing(t *testing.T) {
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				a, b := listedMachine(t, p), listedMachine(t, p)
				var held []PFN
				for range rapid.IntRange(1, 12).Draw(rt, "steps") {
					r := Request{CPU: CPU(rapid.IntRange(0, 1).Draw(rt, "cpu")), Node: NodeID(rapid.IntRange(-1, 1).Draw(rt, "node")),
						GFP: rapid.SampledFrom(drawnGFPs).Draw(rt, "gfp"), Nodes: NodeMask(rapid.SampledFrom([]int{0, 0, 1, 2, 3}).Draw(rt, "nodes")),
						Task: TaskFlags(rapid.SampledFrom([]int{0, 0, 1, 2, 4}).Draw(rt, "task"))}
					for range rapid.IntRange(1, 70).Draw(rt, "n") {
						want, err := b.allocSlow(r)
						pfn, gotErr := a.Alloc(r)
						require.Equal(rt, want, pfn)
						require.Equal(rt, err == nil, gotErr == nil)
						if err == nil {
							held = append(held, pfn)
						}
					}
					for range min(len(held), rapid.IntRange(0, 60).Draw(rt, "free")) {
						pfn := held[len(held)-1]
						held = held[:len(held)-1]
						require.NoError(rt, a.Free(r.CPU, pfn, 0))
						require.NoError(rt, b.Free(r.CPU, pfn, 0))
					}
				}
				require.Equal(rt, b.State(), a.State())
				for z := range a.NumZones() {
					require.Equal(rt, b.Zone(z).Stats(), a.Zone(z).Stats())
				}
			})
		})
	}
}
