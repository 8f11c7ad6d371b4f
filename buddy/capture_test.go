package buddy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCapture: a block that is freed while a request compacts goes to the request, if
// it is of its order, in its zone, and no part of a movable pageblock.
func TestCapture(t *testing.T) {
	for _, x := range []struct {
		name    string
		profile Profile
		gfp     GFP
		order   Order // of the block that is freed
		zone    int
		begin   bool
		want    bool
	}{
		{"6.1", Linux6_1, GFPKernel, 4, 0, true, true},
		{"not asked for", Linux6_1, GFPKernel, 4, 0, false, false},
		{"another order", Linux6_1, GFPKernel, 5, 0, true, false},
		{"no such zone", Linux6_1, GFPKernel, 4, 9, true, false},
		{"6.1, part of a movable pageblock", Linux6_1, GFPHighUserMovable, 4, 0, true, false},
		{"6.12, part of a movable pageblock", Linux6_12, GFPHighUserMovable, 4, 0, true, true},
		{"6.12", Linux6_12, GFPKernel, 4, 0, true, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			memory := []MemRange{{PhysRange: PhysRange{Start: 16 << 20, End: 80 << 20}}}
			a, err := NewMachine(&Machine{Memory: memory, CPUs: 1}, x.profile)
			require.NoError(t, err)
			a.BeginCapture(0) // no request compacts
			var held []PFN
			for {
				pfn, err := a.Alloc(Request{GFP: x.gfp, Order: x.order, Task: TaskMemalloc})
				if err != nil {
					break
				}
				held = append(held, pfn)
			}
			victim := held[len(held)/2]
			calls := 0
			a.SetPressure(Pressure{DirectCompact: func(r Request, _ CompactPriority) CompactResult {
				if calls++; calls > 1 {
					return CompactSkipped
				}
				if x.begin {
					a.BeginCapture(x.zone)
				}
				require.NoError(t, a.Free(0, victim, x.order))
				assert.Equal(t, x.want, a.Captured())
				a.EndCapture()
				require.NoError(t, a.Free(0, held[0], x.order))
				return CompactComplete
			}})
			before := a.Zone(0).Stats().Alloc
			pfn, err := a.Alloc(Request{GFP: x.gfp, Order: 4})
			require.Positive(t, calls)
			if x.want {
				require.NoError(t, err)
				assert.Equal(t, victim, pfn)
				assert.Equal(t, before, a.Zone(0).Stats().Alloc, "not taken from a list")
				require.NoError(t, a.Free(0, pfn, 4))
			} else if err == nil {
				require.NoError(t, a.Free(0, pfn, 4))
			}
			assert.False(t, a.Captured())
			require.NoError(t, a.Check())
		})
	}
}

// TestTurnFree: turning a list keeps its cyclic order and brings a block to its end.
func TestTurnFree(t *testing.T) {
	memory := []MemRange{{PhysRange: PhysRange{Start: 16 << 20, End: 80 << 20}}}
	a, err := NewMachine(&Machine{Memory: memory, CPUs: 1}, Linux6_1)
	require.NoError(t, err)
	list := func(backward bool) (out []PFN) {
		a.EachFree(0, 10, Movable, backward, func(pfn PFN) bool { out = append(out, pfn); return true })
		return out
	}
	before := list(false)
	n := len(before)
	require.Greater(t, n, 4)
	for i, pfn := range before {
		for _, tail := range []bool{false, true} {
			a.TurnFree(pfn, tail)
			got, end := list(false), 0
			if tail {
				end = n - 1
			}
			assert.Equal(t, pfn, got[end])
			for j := range n {
				assert.Equal(t, before[(i+j)%n], got[(end+j)%n])
				assert.Equal(t, got[j], list(true)[n-1-j])
			}
			require.NoError(t, a.Check())
		}
	}
	a.TurnFree(before[0]+1, true)
	assert.Equal(t, before[n-1], list(false)[n-1])
}
