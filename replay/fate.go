package replay

import (
	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/trace"
)

// A free puts its block onto the CPU's list, unless the lock of that list is
// taken: by what a softirq interrupted, or by another CPU that drains. Then the
// block goes straight to the zone, and no event says so. But the block's next
// event does: from a per-CPU list it can only come back by mm_page_alloc or
// mm_page_pcpu_drain, from the zone only by mm_page_alloc_zone_locked (of a
// block that covers it). For blocks without a further event the second snapshot
// tells.

// fate is where a page was seen next.
type fate uint8

const (
	fateUnknown fate = iota
	fatePCP
	fateZone
)

// fates has the fate of each page of a machine, by section, so that it costs
// memory only for pages that are touched.
type fates struct {
	sections [][]fate
}

const (
	fateShift = 12
	fateMask  = 1<<fateShift - 1
)

func (f *fates) set(pfn uint64, order int, to fate) {
	for n := pfn; n < pfn+1<<order; n++ {
		i := n >> fateShift
		if i >= uint64(len(f.sections)) {
			return
		}
		if f.sections[i] == nil {
			f.sections[i] = make([]fate, 1<<fateShift)
		}
		f.sections[i][n&fateMask] = to
	}
}

func (f *fates) get(pfn uint64) fate {
	i := pfn >> fateShift
	if i >= uint64(len(f.sections)) || f.sections[i] == nil {
		return fateUnknown
	}
	return f.sections[i][pfn&fateMask]
}

// findPast marks the frees that went past the per-CPU list.
func (t *pageTrace) findPast(c *buddy.Config, end *buddy.State) {
	var f fates
	last := uint64(0)
	for i := range c.Zones {
		last = max(last, uint64(c.Zones[i].StartPFN)+c.Zones[i].Spanned)
	}
	f.sections = make([][]fate, last>>fateShift+1)
	for i := range t.n {
		// Only pages that are freed in the window matter.
		if rec := t.at(i); rec.kind == trace.KindMMPageFree {
			f.set(rec.pfn, 0, fateUnknown)
		}
	}
	f.fromState(end)
	for i := t.n - 1; i >= 0; i-- {
		rec := t.at(i)
		order := min(max(int(rec.order), 0), buddy.MaxOrders)
		switch rec.kind {
		case trace.KindMMPageFree:
			rec.past = !rec.batched && order <= pcpMaxOrder && f.get(rec.pfn) == fateZone
			f.set(rec.pfn, order, fateUnknown)
		case trace.KindMMPageAlloc, trace.KindMMPagePCPUDrain:
			f.set(rec.pfn, order, fatePCP)
		case trace.KindMMPageAllocZoneLocked, trace.KindIsolateFreePage:
			f.set(rec.pfn, order, fateZone)
		case trace.KindMMPageAllocExtfrag:
			if !rec.own || rec.fbOrder >= int8(c.PageblockOrder) {
				f.set(rec.pfn, order, fateZone)
			}
		}
	}
}

// pcpMaxOrder is the highest small order with per-CPU lists.
const pcpMaxOrder = 3

// fromState gives the pages of the second snapshot's lists their fate.
func (f *fates) fromState(s *buddy.State) {
	for i := range s.Zones {
		z := &s.Zones[i]
		for o := range z.Free {
			for _, pfns := range z.Free[o] {
				for _, pfn := range pfns {
					f.setKnown(uint64(pfn), o, fateZone)
				}
			}
		}
		for cpu := range z.PCP {
			for l, pfns := range z.PCP[cpu].Lists {
				for _, pfn := range pfns {
					f.setKnown(uint64(pfn), min(l/buddy.NumPCPTypes, pcpMaxOrder), fatePCP)
				}
			}
		}
	}
}

// setKnown sets the fate only in sections that have a page of interest.
func (f *fates) setKnown(pfn uint64, order int, to fate) {
	for n := pfn; n < pfn+1<<order; {
		i := n >> fateShift
		if i >= uint64(len(f.sections)) {
			return
		}
		if f.sections[i] == nil {
			n = (i + 1) << fateShift
			continue
		}
		f.sections[i][n&fateMask] = to
		n++
	}
}
