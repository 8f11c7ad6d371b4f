package buddy

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A machine booted from its log has as many pageblocks as its pagetypeinfo
// shows: none in sections without memory, and all of a section that has some.
func TestPageblocksOfBootedMachine(t *testing.T) {
	_, m := readBootLog(t, "x86-ubuntu-5.4-sos-kubernetes")
	a, err := NewMachine(&m, Linux5_4)
	require.NoError(t, err)
	_, want := readPagetypeText(t, readProcText(t, "x86-ubuntu-5.4-sos-kubernetes", "pagetypeinfo"))
	_, got := readPagetypeText(t, a.Pagetypeinfo())
	require.Len(t, got, 3)
	for zone, types := range want {
		assert.Equal(t, sumOf(types), sumOf(got[zone]), zone)
	}
	assert.Equal(t, uint64(1), got["0 DMA"]["Unmovable"], "page 0 is missing, so its pageblock was never made movable")
	mt, ok := a.BlockType(1)
	assert.Equal(t, Unmovable, mt)
	assert.True(t, ok)
}

func sumOf(counts map[string]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// Holes are in no zone, and a state keeps them.
func TestHolesOfState(t *testing.T) {
	c := Config{PageShift: 12, PageblockOrder: 9, MaxOrder: 11, CPUs: 1, ZoneTypes: []ZoneType{ZoneNormal},
		Zones: []ZoneConfig{{Type: ZoneNormal, Spanned: 8 << 9, Present: 4 << 9, Managed: 4 << 9, LowmemReserve: []uint64{0}, PCP: PCPConfig{Batch: 1}}}}
	st := &State{Zones: []ZoneState{{Blocks: []BlockRun{{512, 2, Movable}, {5 << 9, 2, Unmovable}}}}}
	st.Zones[0].Free[9][Movable] = []PFN{512}
	a, err := New(c, Linux6_1)
	require.NoError(t, err)
	require.NoError(t, a.Restore(st))
	assert.Equal(t, st.Zones[0].Blocks, a.State().Zones[0].Blocks)
	for pfn, want := range map[PFN]bool{0: false, 511: false, 512: true, 3<<9 - 1: true, 3 << 9: false, 5 << 9: true, 7 << 9: false} {
		_, ok := a.BlockType(pfn)
		assert.Equal(t, want, ok, pfn)
	}
	assert.ErrorIs(t, a.Free(0, 0, 0), ErrOutside)
	assert.Contains(t, a.Pagetypeinfo(), fmt.Sprintf("Node 0, zone   Normal %12d %12d %12d ", 2, 2, 0))

	st.Zones[0].Free[0][Movable] = []PFN{3 << 9}
	a, err = New(c, Linux6_1)
	require.NoError(t, err)
	var bad *StateError
	require.ErrorAs(t, a.Restore(st), &bad)
	assert.Equal(t, PFN(3<<9), bad.PFN)
}
