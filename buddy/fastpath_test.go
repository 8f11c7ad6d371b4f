package buddy

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestShortCutsChangeNothing: the short cuts of single-page requests and frees
// give the pages, lists and counters that the long way gives.
func TestShortCutsChangeNothing(t *testing.T) {
	gfps := []GFP{GFPKernel, GFPHighUserMovable, GFPKernel | GFPReclaimable, GFPAtomic, GFPKernel | GFPDMA}
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				m := &Machine{CPUs: 2, CMABuiltIn: true, CMA: []PhysRange{{Start: 8 << 20, End: 12 << 20}},
					Memory: []MemRange{{PhysRange: PhysRange{Start: 0, End: 40 << 20}}}}
				short, err := NewMachine(m, p)
				require.NoError(t, err)
				long, err := NewMachine(m, p)
				require.NoError(t, err)
				long.fast = nil
				var live []PFN
				for range rapid.IntRange(1, 4).Draw(t, "phases") {
					gfp := rapid.SampledFrom(gfps).Draw(t, "gfp")
					cpu := CPU(rapid.IntRange(0, 1).Draw(t, "cpu"))
					for range rapid.IntRange(0, 3000).Draw(t, "requests") {
						pfn, err := short.AllocPages(cpu, gfp, 0)
						want, wantErr := long.AllocPages(cpu, gfp, 0)
						require.Equal(t, wantErr, err)
						require.Equal(t, want, pfn)
						if err == nil {
							live = append(live, pfn)
						}
					}
					for range rapid.IntRange(0, len(live)).Draw(t, "frees") {
						pfn := live[len(live)-1]
						live = live[:len(live)-1]
						require.NoError(t, short.Free(cpu, pfn, 0))
						require.NoError(t, long.Free(cpu, pfn, 0))
					}
				}
				require.Equal(t, long.State(), short.State())
				for i := range long.zones {
					require.Equal(t, long.Zone(i).Stats(), short.Zone(i).Stats())
				}
				require.NoError(t, short.Check())
			})
		})
	}
}
