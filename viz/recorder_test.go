package viz

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kernsim/kernsim/buddy"
)

// testAllocator is of two zones with given limits, so that it does not depend on
// how a machine boots.
func testAllocator(t testing.TB) *buddy.Allocator {
	t.Helper()
	zone := func(typ buddy.ZoneType, start buddy.PFN, pages uint64) buddy.ZoneConfig {
		return buddy.ZoneConfig{Type: typ, StartPFN: start, Spanned: pages, Present: pages, Managed: pages,
			Watermark: buddy.Watermarks{Min: 64, Low: 80, High: 96}, LowmemReserve: make([]uint64, 2),
			PCP: buddy.PCPConfig{Batch: 15, High: 150, HighMin: 150, HighMax: 150}}
	}
	a, err := buddy.New(buddy.Config{PageShift: 12, PageblockOrder: 9, MaxOrder: 11, CPUs: 2,
		ZoneTypes: []buddy.ZoneType{buddy.ZoneDMA32, buddy.ZoneNormal},
		Zones:     []buddy.ZoneConfig{zone(buddy.ZoneDMA32, 0, 1<<12), zone(buddy.ZoneNormal, 1<<12, 1<<16)}}, buddy.Linux6_1)
	require.NoError(t, err)
	require.NoError(t, a.Release(0, 1<<12))
	require.NoError(t, a.Release(1<<12, 1<<12+1<<16))
	return a
}

// record runs some requests and samples after each.
func record(t testing.TB, r *PageRecorder, a *buddy.Allocator) {
	t.Helper()
	for i := range 40 {
		_, err := a.AllocPages(buddy.CPU(i%2), buddy.GFPKernel, buddy.Order(i%11))
		require.NoError(t, err)
		r.Observe(uint64(i)*1e6, a)
	}
}

func TestRecorderFiguresGolden(t *testing.T) {
	var r PageRecorder
	record(t, &r, testAllocator(t))
	seen := map[string]bool{}
	for _, f := range r.Figures("a machine of 272 MiB, policy 6.1") {
		assert.False(t, seen[f.ID], f.ID)
		seen[f.ID] = true
		wellFormed(t, f.SVG)
		assert.Contains(t, string(f.SVG), "policy 6.1")
		assert.NotEmpty(t, f.Caption)
		golden(t, "pages-"+f.ID+".svg", f.SVG)
	}
	assert.Len(t, seen, 8)
}

func TestRecorderStartsAnewWithAnotherAllocator(t *testing.T) {
	var once, twice PageRecorder
	record(t, &twice, testAllocator(t))
	record(t, &twice, testAllocator(t))
	record(t, &once, testAllocator(t))
	assert.Equal(t, once.Figures("s"), twice.Figures("s"))
	assert.Empty(t, new(PageRecorder).Figures("s"))
}

// The pages in use by the map are those that the zones don't count as free.
func TestMapOfCountsEveryFreePage(t *testing.T) {
	a := testAllocator(t)
	var r PageRecorder
	record(t, &r, a)
	for i, z := range MapOf(a) {
		free := uint64(0)
		for _, b := range z.Blocks {
			assert.LessOrEqual(t, b.Free, b.Pages)
			free += b.Free
		}
		assert.Equal(t, a.Zone(i).FreePages()+a.Zone(i).PCPPages(), free)
	}
}

func ExamplePageRecorder() {
	machine := buddy.Machine{Memory: []buddy.MemRange{{PhysRange: buddy.PhysRange{Start: 1 << 20, End: 256 << 20}}}}
	a, err := buddy.NewMachine(&machine, buddy.Linux6_1)
	if err != nil {
		fmt.Println(err)
		return
	}
	var rec PageRecorder
	for i := range 100 {
		rec.Observe(uint64(i)*1000, a)
		a.AllocPages(0, buddy.GFPKernel, 3)
	}
	for _, f := range rec.Figures("100 requests of order 3, policy 6.1") {
		fmt.Println(f.ID, strings.HasPrefix(string(f.SVG), "<svg"))
	}
	// Output:
	// free-blocks true
	// pcp true
	// map-before true
	// map-after true
	// unusable true
	// extfrag true
	// list-lengths true
	// zone-lock true
}
