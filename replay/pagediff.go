package replay

import (
	"fmt"
	"slices"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/trace"
)

// zoneEqual says whether the model's events equal the trace's.
func (r *pageReplay) zoneEqual(want []int32) bool {
	if len(want) != len(r.got) {
		return false
	}
	for i, at := range want {
		if !sameZoneEvent(&r.got[i], r.t.at(at)) {
			return false
		}
	}
	return true
}

func (r *pageReplay) compareEqual(n int) {
	r.res.Events += n
	r.res.EventsExact += n
}

// compareEvents counts the zone-level events that are equal, one by one, and
// after a difference takes over what the kernel did.
func (r *pageReplay) compareEvents(want []int32, rec *pageRec) {
	n := max(len(want), len(r.got))
	r.res.Events += n
	same := true
	for i := range n {
		if i < len(want) && i < len(r.got) && sameZoneEvent(&r.got[i], r.t.at(want[i])) {
			r.res.EventsExact++
			continue
		}
		if same {
			same = false
			r.res.differ(rec.line, r.eventDifference(want, i))
		}
	}
	if !same {
		r.resync(want, rec)
	}
}

func (r *pageReplay) eventDifference(want []int32, i int) string {
	model, kernel := "nothing", "nothing"
	if i < len(r.got) {
		g := &r.got[i]
		model = fmt.Sprintf("%v page frame %d order %d %v", g.Kind, g.PFN, g.Order, g.MigrateType)
	}
	if i < len(want) {
		w := r.t.at(want[i])
		kernel = fmt.Sprintf("%v page frame %d order %d %v", w.kind, w.pfn, w.order, w.mt)
	}
	return fmt.Sprintf("zone event %d: model %s, kernel %s", i, model, kernel)
}

func sameZoneEvent(g *buddy.Event, w *pageRec) bool {
	if uint64(g.PFN) != w.pfn || int8(g.Order) != w.order || g.MigrateType != w.mt {
		return false
	}
	switch g.Kind {
	case buddy.EventZoneLocked:
		return w.kind == trace.KindMMPageAllocZoneLocked && g.PCPRefill == w.refill
	case buddy.EventPCPDrain:
		return w.kind == trace.KindMMPagePCPUDrain
	case buddy.EventExtfrag:
		return w.kind == trace.KindMMPageAllocExtfrag && int8(g.FallbackOrder) == w.fbOrder &&
			g.FallbackType == w.fbMT && g.Fragmenting == w.fragmenting && g.ChangeOwnership == w.own
	}
	return false
}

// resync moves pages so that the model's lists hold what the kernel's do after
// an operation whose zone-level events differed.
func (r *pageReplay) resync(want []int32, rec *pageRec) {
	cpu := buddy.CPU(rec.cpu)
	kernel := make(map[uint64]*pageRec, len(want))
	for _, at := range want {
		kernel[r.t.at(at).pfn] = r.t.at(at)
	}
	model := make(map[uint64]bool, len(r.got))
	// Newest first, so that blocks come back into the order they had.
	for _, g := range slices.Backward(slices.Clone(r.got)) {
		model[uint64(g.PFN)] = true
		if kernel[uint64(g.PFN)] != nil || r.a.Seize(g.PFN, g.Order) != nil {
			continue
		}
		if g.Kind == buddy.EventPCPDrain {
			_ = r.a.PutPCP(cpu, g.PFN, g.Order, g.MigrateType, true)
		} else {
			_ = r.a.PutFree(cpu, g.PFN, g.Order, g.MigrateType)
		}
	}
	for _, at := range want {
		w := r.t.at(at)
		if model[w.pfn] || r.a.Seize(buddy.PFN(w.pfn), buddy.Order(w.order)) != nil {
			continue
		}
		switch w.kind {
		case trace.KindMMPagePCPUDrain:
			_ = r.a.PutFree(cpu, buddy.PFN(w.pfn), buddy.Order(w.order), w.mt)
		case trace.KindMMPageAllocZoneLocked, trace.KindMMPageAllocExtfrag:
			if r.a.PutPCP(cpu, buddy.PFN(w.pfn), buddy.Order(w.order), w.mt, true) != nil {
				_ = r.a.PutFree(cpu, buddy.PFN(w.pfn), buddy.Order(w.order), w.mt)
			}
		}
	}
}
