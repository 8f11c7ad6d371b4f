package replay

import (
	"fmt"
	"slices"

	"github.com/kernsim/kernsim/buddy"
)

// compareLists compares every free list, per-CPU list and the pageblocks'
// types of the model with the second snapshot. Lists that are empty on both
// sides don't count.
func compareLists(res *Result, want *buddy.State, a *buddy.Allocator) {
	got := a.State()
	for i := range got.Zones {
		if i >= len(want.Zones) {
			break
		}
		z := a.Zone(i)
		where := fmt.Sprintf("node %d zone %v", z.Node(), z.Type())
		g, w := &got.Zones[i], &want.Zones[i]
		for o := range g.Free {
			for t := range g.Free[o] {
				compareList(res, w.Free[o][t], g.Free[o][t], func() string {
					return fmt.Sprintf("%s free list order %d %v", where, o, buddy.MigrateType(t))
				})
			}
		}
		for cpu := range g.PCP {
			for l := range g.PCP[cpu].Lists {
				var wl []buddy.PFN
				if cpu < len(w.PCP) {
					wl = w.PCP[cpu].Lists[l]
				}
				compareList(res, wl, g.PCP[cpu].Lists[l], func() string {
					return fmt.Sprintf("%s per-CPU list %d of CPU %d", where, l, cpu)
				})
			}
		}
		compareBlocks(res, w.Blocks, a, z.EndPFN(), where)
	}
}

func compareList(res *Result, want, got []buddy.PFN, where func() string) {
	if len(want) == 0 && len(got) == 0 {
		return
	}
	res.Lists++
	if slices.Equal(want, got) {
		res.ListsIdentical++
		return
	}
	at := 0
	for at < len(want) && at < len(got) && want[at] == got[at] {
		at++
	}
	res.differ(0, fmt.Sprintf("at the end: %s: %d blocks, kernel %d; first difference at place %d", where(), len(got), len(want), at))
}

// compareBlocks compares a zone's pageblock types as one list.
func compareBlocks(res *Result, want []buddy.BlockRun, a *buddy.Allocator, end buddy.PFN, where string) {
	res.Lists++
	block := buddy.PFN(1) << a.Config().PageblockOrder
	for _, run := range want {
		for n := range run.N {
			pfn := run.First + buddy.PFN(n)*block
			if pfn < run.First || pfn >= end {
				break
			}
			if mt, ok := a.BlockType(pfn); ok && mt != run.Type {
				res.differ(0, fmt.Sprintf("at the end: %s: pageblock of page frame %d is %v, kernel %v", where, pfn, mt, run.Type))
				return
			}
		}
	}
	res.ListsIdentical++
}
