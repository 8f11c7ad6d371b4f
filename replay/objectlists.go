package replay

import (
	"fmt"
	"slices"

	"github.com/kernsim/kernsim/slab"
)

// compareEnd compares the lists of every cache with the second snapshot.
func (r *objectReplay) compareEnd() {
	got := r.a.State()
	slabs := map[uint64]*slab.SlabState{}
	for i := range got.Slabs {
		slabs[uint64(got.Slabs[i].PFN)] = &got.Slabs[i]
	}
	for i := range r.end.Caches {
		g, w := &got.Caches[r.endNumber[i]], &r.end.Caches[i]
		if r.untraced[r.endNumber[i]] {
			continue
		}
		for cpu := range g.CPUs {
			where := fmt.Sprintf("cache %s CPU %d", g.Params.Name, cpu)
			r.compareObjects(where+" slab and free list", append([]uint64{g.CPUs[cpu].Slab}, g.CPUs[cpu].Freelist...), append([]uint64{w.CPUs[cpu].Slab}, w.CPUs[cpu].Freelist...))
			r.compareObjects(where+" partial slabs", g.CPUs[cpu].Partial, w.CPUs[cpu].Partial)
			r.compareObjects(where+" main sheaf", g.CPUs[cpu].Main, w.CPUs[cpu].Main)
			r.compareObjects(where+" spare sheaf", g.CPUs[cpu].Spare, w.CPUs[cpu].Spare)
		}
		for n := range g.Nodes {
			r.compareObjects(fmt.Sprintf("cache %s node %d partial slabs", g.Params.Name, n), g.Nodes[n].Partial, w.Nodes[n].Partial)
		}
	}
	for i := range r.end.Slabs {
		w := &r.end.Slabs[i]
		if r.untraced[r.endNumber[w.Cache]] {
			continue
		}
		g := slabs[uint64(w.PFN)]
		where := fmt.Sprintf("cache %s slab at page frame %d", r.end.Caches[w.Cache].Params.Name, w.PFN)
		if g == nil {
			r.res.Lists++
			r.res.differ(0, "at the end: "+where+": missing in the model")
			r.res.count("slabs missing at the end")
			continue
		}
		r.compareObjects(where, g.Freelist, w.Freelist)
	}
}

func (r *objectReplay) compareObjects(where string, got, want []uint64) {
	if len(want) == 0 && len(got) == 0 {
		return
	}
	r.res.Lists++
	if slices.Equal(want, got) {
		r.res.ListsIdentical++
		return
	}
	at := 0
	for at < len(want) && at < len(got) && want[at] == got[at] {
		at++
	}
	r.res.differ(0, fmt.Sprintf("at the end: %s: %d entries, kernel %d; first difference at place %d", where, len(got), len(want), at))
}
