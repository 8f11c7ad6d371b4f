package buddy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOperationsAllocateNothing: requests and frees cost no heap allocation,
// with a hook or without.
func TestOperationsAllocateNothing(t *testing.T) {
	for _, p := range Profiles() {
		for _, hooked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s hook=%v", p.Name, hooked), func(t *testing.T) {
				a := benchMachine(t, p)
				events := 0
				if hooked {
					a.SetHook(func(e Event) { events += int(e.Kind) + 1 })
				}
				testAllocsPerRun(t, a)
				a.pcpOrders = 0
				testAllocsPerRun(t, a)
				require.Equal(t, hooked, events > 0)
			})
		}
	}
}

// testAllocsPerRun goes through all orders, bursts and drains.
func testAllocsPerRun(t *testing.T, a *Allocator) {
	held := make([]heldBlock, 0, 4096)
	gfps := []GFP{GFPKernel, GFPHighUserMovable, GFPKernel | GFPReclaimable, GFPAtomic}
	round := func() {
		for i := range 3000 {
			order := Order(i % 50 / 5 * (1 - i%5&1))
			pfn, err := a.AllocPages(0, gfps[i%4], order)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, heldBlock{pfn: pfn, order: order})
		}
		for _, b := range held {
			if err := a.Free(0, b.pfn, b.order); err != nil {
				t.Fatal(err)
			}
		}
		held = held[:0]
		if a.DrainAll(0) != nil || a.Decay(0) != nil || a.FoldStats(0) != nil {
			t.Fatal("housekeeping")
		}
	}
	round() // lists and sections grow once
	require.Zero(t, testing.AllocsPerRun(5, round))
}

// TestSameOperationsSameState: the same operations give the same state, to the
// byte, and the same events.
func TestSameOperationsSameState(t *testing.T) {
	run := func(seed uint64) string {
		ops := randomOps(seed, 1200)
		u := newOpUser(t, Profiles()[ops[0]%4])
		var events strings.Builder
		u.a.SetHook(func(e Event) { fmt.Fprintln(&events, e) })
		for ops = ops[1:]; len(ops) >= 3; ops = ops[3:] {
			u.do(ops[0], int(ops[1]), int(ops[2]))
		}
		return fmt.Sprintf("%+v\n%s%s%x", u.a.State(), memoryMap(u.a), events.String(), fingerprint(u.a))
	}
	for seed := range uint64(16) {
		first := run(seed)
		require.Equal(t, first, run(seed))
		require.NotEqual(t, first, run(seed+4))
	}
}

// TestRestoreState: an allocator restored from a state has that state.
func TestRestoreState(t *testing.T) {
	for seed := range uint64(24) {
		ops := randomOps(seed, 900)
		u := newOpUser(t, Profiles()[ops[0]%4])
		for ops = ops[1:]; len(ops) >= 3; ops = ops[3:] {
			if op := ops[0] % 20; op != 14 && op != 15 && op != 17 {
				u.do(ops[0], int(ops[1]), int(ops[2]))
			}
		}
		b, err := New(fuzzMachine(), u.a.profile)
		require.NoError(t, err)
		b.SetAdopt(true)
		require.NoError(t, b.Restore(u.a.State()))
		require.NoError(t, b.Check())
		require.Equal(t, u.a.State(), b.State())
	}
}
