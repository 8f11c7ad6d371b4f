package buddy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// adoptMachine is a machine whose first half was in use before the model began.
func adoptMachine(t testing.TB, p Profile) *Allocator {
	a, err := New(fuzzMachine(), p)
	require.NoError(t, err)
	a.SetAdopt(true)
	require.NoError(t, a.Release(256, 640))
	return a
}

// TestAdopt: with adoption on, pages that the model did not give out may be
// freed, also those of a block that was split meanwhile.
func TestAdopt(t *testing.T) {
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			a := adoptMachine(t, p)
			require.NoError(t, a.Free(0, 8, 3))
			require.NoError(t, a.Free(0, 0, 0))
			require.ErrorIs(t, a.Free(0, 8, 0), ErrDoubleFree)
			require.ErrorIs(t, a.Free(0, 8, 4), ErrMisaligned)
			require.ErrorIs(t, a.Free(0, 0, 4), ErrDoubleFree, "a part of it is free")
			require.ErrorIs(t, a.Free(0, 240, 4), ErrNotAllocated, "the zones meet at 250")

			// A block given out by the model, freed in parts.
			pfn, err := a.AllocPages(0, GFPKernel, 4)
			require.NoError(t, err)
			require.NoError(t, a.Free(1, pfn+5, 0))
			require.NoError(t, a.Check())
			require.NoError(t, a.Free(1, pfn+8, 3))
			require.NoError(t, a.Free(1, pfn, 2))
			require.ErrorIs(t, a.Free(1, pfn+5, 0), ErrDoubleFree)
			require.NoError(t, a.Free(1, pfn+4, 0))
			require.NoError(t, a.Free(1, pfn+6, 1))
			require.NoError(t, a.DrainAll(0))
			require.NoError(t, a.Check())

			// Single pages freed as one block.
			var pages []PFN
			for range 32 {
				pfn, err := a.AllocPages(0, GFPUser, 0)
				require.NoError(t, err)
				pages = append(pages, pfn)
			}
			for _, pfn := range pages {
				if pfn&3 == 0 {
					require.NoError(t, a.Free(0, pfn, 2))
					break
				}
			}
			require.NoError(t, a.Check())
			require.NoError(t, a.IsolateBlock(0, 128, Movable), "unknown pages may be movable")
			require.NoError(t, a.UnisolateBlock(0, 128, Movable))
			require.NoError(t, a.Check())
		})
	}
}

// TestTakeOver: a page can be taken from wherever it is free, and put where the
// kernel has it.
func TestTakeOver(t *testing.T) {
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			a := newOpUser(t, p).a
			free, onCPUs := a.Zone(1).FreePages(), a.Zone(1).PCPPages()
			require.NoError(t, a.Seize(300, 0))
			require.Equal(t, free-1, a.Zone(1).FreePages())
			for o := range 6 {
				_, block := a.enclosing(uint32(300 ^ 1<<o))
				require.Equal(t, o, int(block.order), "the rest is split around it")
			}
			require.NoError(t, a.PutPCP(1, 300, 0, Movable, true))
			require.NoError(t, a.Check())
			require.NoError(t, a.Seize(300, 0))
			require.Equal(t, onCPUs, a.Zone(1).PCPPages())
			require.NoError(t, a.PutFree(0, 300, 0, Movable))
			require.Equal(t, free, a.Zone(1).FreePages())
			require.NoError(t, a.Check())

			r := Request{GFP: GFPHighUserMovable, Node: NoNode}
			_, _, ok := a.PeekPCP(r)
			require.False(t, ok, "the list is empty")
			pfn, err := a.Alloc(r)
			require.NoError(t, err)
			next, index, ok := a.PeekPCP(r)
			require.True(t, ok)
			require.Equal(t, 1, index)
			got, err := a.Alloc(r)
			require.NoError(t, err)
			require.Equal(t, next, got)
			index, ok = a.FreePIndex(pfn, 0)
			require.True(t, ok)
			require.Equal(t, 1, index)
			_, ok = a.FreePIndex(pfn, 6)
			require.False(t, ok)
		})
	}
}
