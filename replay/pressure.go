package replay

import (
	"fmt"
	"slices"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/trace"
)

// Under memory pressure a few things decide about pages whose moment no event
// tells: when kswapd lowers the watermark boosts that it found, when it ends
// balancing (during which per-CPU lists are kept short), and when a worker folds a
// CPU's counters. They are seen when a page comes from another zone than the model
// would choose, or a drain comes at the short limit or not. If just that explains
// the kernel's choice, it is counted as a hint, else as a difference.

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

// explainZone finds, before a request is served from another zone than the model
// would choose, what no event tells and leads to the kernel's zone: that kswapd has
// lowered the boosts which there were when it woke, that the task is being killed
// for want of memory and may use some of the reserves, or what counters hide.
func (r *pageReplay) explainZone(rec *pageRec) {
	if rec.pfn == 0 {
		return
	}
	q := r.request(rec)
	want := r.zoneIndex(rec.pfn)
	if want < 0 || r.a.ChooseZone(q) == want {
		return
	}
	before := r.zoneBoosts()
	if r.lowerBoosts() {
		if r.a.ChooseZone(q) == want {
			clear(r.boosts)
			r.res.hint("watermark boost lowered by kswapd")
			return
		}
		for i, b := range before {
			r.setBoost(i, b)
		}
	}
	for i := range r.a.NumZones() {
		if r.a.Zone(i).WatermarkBoost() > 0 && !r.kswapd {
			// Without events of kswapd it may have run at any time.
			r.setBoost(i, 0)
		}
	}
	if r.a.ChooseZone(q) == want {
		r.res.hint("watermark boost lowered, kswapd untraced")
		return
	}
	for i, b := range before {
		r.setBoost(i, b)
	}
	if r.shortage && r.a.ChooseZone(withTask(q, buddy.TaskOOMVictim)) == want {
		r.tasks[rec.pid] |= buddy.TaskOOMVictim
		r.res.hint("task that is being killed for want of memory")
		return
	}
	r.explainCounters(rec, func() bool { return r.a.ChooseZone(q) == want })
}

func withTask(q buddy.Request, t buddy.TaskFlags) buddy.Request {
	q.Task |= t
	return q
}

// explainCounters finds what the CPUs' counters could hide so that the model decides
// as the kernel did: nothing on this CPU, as the worker folded it; or else the
// fewest pages more or less in one zone. What they hid at the first snapshot is not
// known, and how much they may hide is bounded.
func (r *pageReplay) explainCounters(rec *pageRec, right func() bool) {
	if right() {
		return
	}
	hidden := make([][]int64, r.a.NumZones())
	most := int64(0)
	for i := range hidden {
		hidden[i] = r.a.HiddenFree(i)
		most = max(most, 2*int64(len(hidden[i]))*r.a.Zone(i).StatThreshold())
	}
	cpu := buddy.CPU(rec.cpu)
	if r.a.FoldStats(cpu) == nil && right() {
		r.note(PageCall{Kind: CallFold, Time: rec.time, Request: buddy.Request{CPU: cpu}})
		r.res.hint("counters folded by the worker")
		return
	}
	for i := range hidden {
		r.a.SetHiddenFree(i, hidden[i])
	}
	for n := int64(1); n <= most; n++ {
		for i := range hidden {
			for _, shift := range [2]int64{n, -n} {
				if shifted := shiftHidden(hidden[i], shift, r.a.Zone(i).StatThreshold()); shifted != nil {
					if r.a.SetHiddenFree(i, shifted); right() {
						r.note(PageCall{Kind: CallHidden, Time: rec.time, Zone: i, Hidden: shifted})
						r.res.hint("pages that CPUs hide from a zone's counter")
						return
					}
					r.a.SetHiddenFree(i, hidden[i])
				}
			}
		}
	}
}

// shiftHidden adds pages to what the CPUs hide, none more than it may; nil if they
// cannot hide so much.
func shiftHidden(hidden []int64, by, most int64) []int64 {
	out := slices.Clone(hidden)
	for i := range out {
		was := out[i]
		out[i] = min(max(was+by, min(-most, was)), max(most, was))
		by -= out[i] - was
	}
	if by != 0 {
		return nil
	}
	return out
}

// lowerBoosts does what kswapd does when it has reclaimed for the boosts that
// there were when it began (balance_pgdat); false if there were none.
func (r *pageReplay) lowerBoosts() bool {
	any := false
	for i, b := range r.boosts {
		r.lowerBoost(i, b)
		any = any || b > 0
	}
	return any
}

func (r *pageReplay) lowerBoost(zone int, by uint64) {
	have := r.a.Zone(zone).WatermarkBoost()
	if by = min(by, have); by > 0 {
		r.setBoost(zone, have-by)
	}
}

func (r *pageReplay) setBoost(zone int, pages uint64) {
	r.note(PageCall{Kind: CallBoost, Zone: zone, N: int(pages)})
	r.a.SetBoost(zone, pages)
}

func (r *pageReplay) zoneBoosts() []uint64 {
	out := make([]uint64, r.a.NumZones())
	for i := range out {
		out[i] = r.a.Zone(i).WatermarkBoost()
	}
	return out
}

// reclaim follows who reclaims: kswapd, and tasks between two events of theirs.
func (r *pageReplay) reclaim(rec *pageRec) {
	node := buddy.NodeID(rec.n)
	if rec.kind == trace.KindCompactionSuitable || rec.kind == trace.KindCompactionWakeupKcompactd {
		r.balancedBoost(rec, node)
		return
	}
	r.kswapd = true
	switch rec.kind {
	case trace.KindVmscanKswapdWake:
		r.balancing[node] = kswapdRun{pid: rec.pid, order: rec.order}
		r.finishBoosts(node)
	case trace.KindVmscanKswapdSleep:
		// Whatever it did before is over.
		delete(r.balancing, node)
		r.finishBoosts(node)
	}
	r.explainReclaim(rec, node)
	if r.decisions != nil {
		r.decisions.event(r, rec)
	}
	switch rec.kind {
	case trace.KindVmscanDirectReclaimBegin, trace.KindVmscanDirectReclaimEnd:
		// While it reclaims it makes requests of its own; then it goes on with
		// the one that had no memory.
		t := r.tasks[rec.pid] &^ (buddy.TaskMemalloc | buddy.TaskRetrying)
		if rec.kind == trace.KindVmscanDirectReclaimBegin {
			t |= buddy.TaskMemalloc
		} else {
			t |= buddy.TaskRetrying
			r.shortage = r.shortage || rec.n == 0
		}
		r.tasks[rec.pid] = t
	case trace.KindVmscanKswapdWake, trace.KindVmscanKswapdSleep:
		r.tasks[rec.pid] |= buddy.TaskMemalloc
		for i := range r.boosts {
			if isWake(rec) && r.a.Zone(i).Node() == node {
				r.boosts[i] = r.a.Zone(i).WatermarkBoost()
			}
		}
		r.note(PageCall{Kind: CallReclaim, Time: rec.time, Request: buddy.Request{CPU: buddy.CPU(rec.cpu)}, Node: node, On: isWake(rec)})
		r.a.SetReclaimActive(node, isWake(rec))
		r.a.SetPressureThresholds(node, isWake(rec))
	}
}

// kswapdRun is what kswapd of a node was woken for.
type kswapdRun struct {
	pid   int32
	order int8
}

// balancedBoost follows kswapd that has balanced a node for the boosts it found: it
// has lowered them and wakes kcompactd, for an order that is not its own
// (balance_pgdat). Of its own order it may ask while it still balances.
func (r *pageReplay) balancedBoost(rec *pageRec, node buddy.NodeID) {
	run, ok := r.balancing[node]
	if !ok || run.pid != rec.pid || run.order == rec.order {
		return
	}
	delete(r.balancing, node)
	r.finishBoosts(node)
	r.note(PageCall{Kind: CallShort, Time: rec.time, Request: buddy.Request{CPU: buddy.CPU(rec.cpu)}, Node: node, On: false})
	r.a.SetReclaimActive(node, false)
}

// explainReclaim lets an event of reclaim tell what the counters hide.
func (r *pageReplay) explainReclaim(rec *pageRec, node buddy.NodeID) {
	q := r.request(rec)
	switch {
	case rec.kind == trace.KindVmscanWakeupKswapd && q.GFP != 0:
		r.explainCounters(rec, func() bool { return r.a.WakesKswapd(q, node) })
	case rec.kind == trace.KindVmscanDirectReclaimBegin:
		r.explainCounters(rec, func() bool { return r.a.ChooseZone(q) < 0 })
	}
}

// finishBoosts lowers a node's boosts that kswapd found: at the end of its work at
// the latest.
func (r *pageReplay) finishBoosts(node buddy.NodeID) {
	for i, b := range r.boosts {
		if r.a.Zone(i).Node() == node {
			r.lowerBoost(i, b)
			r.boosts[i] = 0
		}
	}
}

// isWake says whether an event is kswapd's waking rather than its sleeping.
func isWake(rec *pageRec) bool { return rec.kind == trace.KindVmscanKswapdWake }

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
	first, known := r.a.DrainsFirst(cpu, buddy.PFN(rec.pfn), order)
	for _, at := range r.zone {
		if ev := r.t.at(at); ev.kind == trace.KindMMPagePCPUDrain {
			// Another drain may follow that has nothing to do with the free.
			drained = !known || buddy.PFN(ev.pfn) == first
			break
		}
	}
	if drained != z.ReclaimActive() {
		r.res.hint("kswapd balancing or not")
		r.note(PageCall{Kind: CallShort, Time: rec.time, Request: buddy.Request{CPU: cpu}, Node: z.Node(), On: drained})
		r.a.SetReclaimActive(z.Node(), drained)
	}
}
