package buddy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestStartProperties: any machine that boots gives a sound allocator in which
// all that the zones manage is free.
func TestStartProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genMachine(t, 64*mib)
		profile := rapid.SampledFrom(Profiles()).Draw(t, "profile")
		b, err := m.Boot(profile.Boot)
		if err != nil {
			return // without usable memory, see bootProperty
		}
		a, err := b.NewAllocator(profile)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Check(); err != nil {
			t.Fatal(err)
		}
		for _, p := range b.Config.Present {
			for _, pfn := range []PFN{p.Start, p.Start + (p.End-p.Start)/2, p.End - 1} {
				if z := a.zoneOf(uint64(pfn)); z != &a.zones[p.Zone] {
					t.Fatalf("page frame %d is not in zone %d", pfn, p.Zone)
				}
			}
		}
	})
}

// TestStartWithSharedPageblocks: on 32-bit x86, HighMem begins inside a
// pageblock of Normal.
func TestStartWithSharedPageblocks(t *testing.T) {
	m := Machine{Arch: X86_32, Memory: []MemRange{{PhysRange: PhysRange{mib, 2 * gib}}}}
	a, err := NewMachine(&m, Linux6_1)
	require.NoError(t, err)
	require.NoError(t, a.Check())
	assert.Equal(t, ZoneNormal, a.zoneOf(0x377fd).typ)
	assert.Equal(t, ZoneHighMem, a.zoneOf(0x377fe).typ)
}

// TestStartWithInterleavedNodes: each node's memory lies inside the span of the
// other's zone.
func TestStartWithInterleavedNodes(t *testing.T) {
	m := Machine{Memory: []MemRange{
		{PhysRange: PhysRange{4 * gib, 5 * gib}, Node: 0}, {PhysRange: PhysRange{5 * gib, 6 * gib}, Node: 1},
		{PhysRange: PhysRange{6 * gib, 7 * gib}, Node: 0}, {PhysRange: PhysRange{7 * gib, 8 * gib}, Node: 1},
	}}
	a, err := NewMachine(&m, Linux6_1)
	require.NoError(t, err)
	require.NoError(t, a.Check())
	for i, node := range []NodeID{0, 1, 0, 1} {
		assert.Equal(t, node, a.zoneOf(uint64(4+i)<<18).node)
	}
}
