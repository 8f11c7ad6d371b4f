package replay

import (
	"fmt"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/trace"
)

// Under memory pressure two things decide about pages that no event tells:
// when kswapd lowers a watermark boost, and when it ends balancing (during
// which per-CPU lists are kept short). The first is seen when a page comes from
// another zone than the model would choose: the request counts as a difference,
// and the watermark state that explains it is taken over. The second is seen
// when a drain comes at the short limit or does not come: it is counted as a
// hint.

// wrongZone handles a request that the kernel served from another zone than the
// model would. It reports whether it did.
func (r *pageReplay) wrongZone(rec *pageRec, q buddy.Request) bool {
	if rec.pfn == 0 {
		return false
	}
	want, got := r.zoneIndex(rec.pfn), r.a.ChooseZone(q)
	if want < 0 || want == got {
		return false
	}
	r.res.differ(rec.line, fmt.Sprintf("order %d %v: model chooses %s, kernel gave page frame %d of %s",
		rec.order, q.GFP, r.zoneName(got), rec.pfn, r.zoneName(want)))
	r.res.count("requests served from another zone than the model chose")
	r.explainZone(q, want)
	pfn, err := r.a.AllocFrom(q, want)
	if err == nil && uint64(pfn) == rec.pfn {
		r.compareEvents(r.zone, rec)
		return true
	}
	if err == nil {
		mt, _ := r.a.BlockType(pfn)
		if r.a.PutPCP(q.CPU, pfn, q.Order, mt, false) != nil {
			_ = r.a.PutFree(q.CPU, pfn, q.Order, mt)
		}
	}
	r.compareEvents(r.zone, rec)
	if r.a.Seize(buddy.PFN(rec.pfn), q.Order) != nil {
		r.res.count("pages given back without an event")
	}
	return true
}

func (r *pageReplay) zoneName(i int) string {
	if i < 0 {
		return "no zone"
	}
	return fmt.Sprintf("node %d %v", r.a.Zone(i).Node(), r.a.Zone(i).Type())
}

// explainZone drops the watermark boosts if that makes the model choose the
// kernel's zone, or else folds the CPU's counter differences.
func (r *pageReplay) explainZone(q buddy.Request, want int) {
	boosts := make([]uint64, r.a.NumZones())
	for i := range boosts {
		boosts[i] = r.a.Zone(i).WatermarkBoost()
		r.a.SetBoost(i, 0)
	}
	if r.a.ChooseZone(q) == want {
		return
	}
	for i, b := range boosts {
		r.a.SetBoost(i, b)
	}
	r.a.FoldStats(q.CPU)
}

// noteReclaim takes over from a free's drain, or its absence, whether kswapd is
// balancing the zone. Only captures with vmscan events have a kswapd.
func (r *pageReplay) noteReclaim(op *pageOp, rec *pageRec) {
	if !r.kswapd || op.kind != opFree && op.kind != opCommit {
		return
	}
	zone := r.zoneIndex(rec.pfn)
	if zone < 0 {
		return
	}
	z := r.a.Zone(zone)
	cpu, order := buddy.CPU(rec.cpu), buddy.Order(rec.order)
	short := r.a.WouldDrain(zone, cpu, order, true)
	full := r.a.WouldDrain(zone, cpu, order, false)
	if short == full {
		return
	}
	drained := false
	for _, at := range r.zone {
		drained = drained || r.t.at(at).kind == trace.KindMMPagePCPUDrain
	}
	if drained != z.ReclaimActive() {
		r.res.hint("kswapd balancing or not")
		r.note(PageCall{Kind: CallReclaim, Time: rec.time, Request: buddy.Request{CPU: cpu}, Node: z.Node(), On: drained})
		r.a.SetReclaimActive(z.Node(), drained)
	}
}
