package buddy

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What WouldDrain and DrainsFirst say before a free is what the free does, with
// kswapd at work and without, under each kernel's rule.
func TestDrainsAreForetold(t *testing.T) {
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			a, err := NewMachine(&Machine{Memory: []MemRange{{PhysRange: PhysRange{Start: 1 << 20, End: 96 << 20}}}, CPUs: 1}, p)
			require.NoError(t, err)
			var drained []PFN
			a.SetHook(func(e Event) {
				if e.Kind == EventPCPDrain {
					drained = append(drained, e.PFN)
				}
			})
			type block struct {
				pfn   PFN
				order Order
			}
			var live []block
			seen := map[bool]int{}
			for range 20000 {
				if r.IntN(200) == 0 {
					a.SetReclaimActive(0, r.IntN(2) == 0)
				}
				if len(live) < 200 || len(live) < 9000 && r.IntN(1000) < 530 {
					order := Order(0)
					if r.IntN(8) == 0 {
						order = Order(r.IntN(4))
					}
					gfp := []GFP{GFPKernel, GFPHighUserMovable, GFPKernel | GFPReclaimable}[r.IntN(3)]
					if pfn, err := a.AllocPages(0, gfp, order); err == nil {
						live = append(live, block{pfn, order})
						continue
					}
				}
				i := r.IntN(len(live))
				b := live[i]
				live[i] = live[len(live)-1]
				live = live[:len(live)-1]
				zone := 0
				for a.Zone(zone).EndPFN() <= b.pfn {
					zone++
				}
				active := a.Zone(zone).ReclaimActive()
				first, known := a.DrainsFirst(0, b.pfn, b.order)
				onList := a.pcpOrder(int(b.order))
				want := onList && a.WouldDrain(zone, 0, b.order, active)
				before := a.State()
				_ = a.WouldDrain(zone, 0, b.order, !active)
				if seen[want] < 50 {
					require.Equal(t, before, a.State(), "asking changes nothing")
				}
				drained = drained[:0]
				require.NoError(t, a.Free(0, b.pfn, b.order))
				require.Equal(t, want, len(drained) > 0, "order %d", b.order)
				if want && known {
					require.Equal(t, first, drained[0])
				}
				seen[want]++
				assert.Equal(t, p.FreeBatch != FreeBatchFixed && onList, known)
			}
			assert.Greater(t, seen[true], 20)
			assert.Greater(t, seen[false], 1000)
		})
	}
}
