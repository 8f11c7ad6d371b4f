package replay

import (
	"context"
	"fmt"
	"slices"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/trace"
)

// pageReplay runs the page allocator against a trace.
type pageReplay struct {
	a   *buddy.Allocator
	t   *pageTrace
	ops []pageOp
	res *Result
	// got are the model's zone-level events of the operation under way.
	got []buddy.Event
	// zone are the operation's zone-level events; claims, for the claim hook,
	// those still to come.
	zone, claims []int32
	// byCPU[cpu] are the operations of task level, in order; cursor the next.
	byCPU  [][]int32
	cursor []int
	pfns   []buddy.PFN
	ctx    context.Context
	opts   Options
	// kswapd: the trace has vmscan events.
	kswapd bool
	// tasks are those of which something is known: kswapd and tasks between the
	// events of direct reclaim may use the reserves.
	tasks map[int32]buddy.TaskFlags
	// boosts are the zones' watermark boosts when kswapd began its work.
	boosts []uint64
	// balancing: what each node's kswapd balances it for, as far as events tell.
	balancing map[buddy.NodeID]kswapdRun
	// shortage: a task has reclaimed nothing at all, so that tasks may be killed.
	shortage bool
	// decisions, if set, compares what reclaim decided.
	decisions *decisions
	// op is the operation under way, for amount.
	op *pageOp
	// call is the operation as it is written down, or nil.
	call *PageCall
	// end is the second snapshot; seen is made of it at a difference.
	end  *buddy.State
	seen *sightings
}

// run does all operations. The only error is the context's.
func (r *pageReplay) run() error {
	r.a.SetAdopt(true)
	r.a.SetHook(func(e buddy.Event) {
		if e.Kind >= buddy.EventZoneLocked {
			r.got = append(r.got, e)
		}
	})
	r.a.SetClaimHook(r.claimed)
	r.a.SetAmountHook(r.amount)
	r.watchBoosts()
	r.byCPU = make([][]int32, r.a.Config().CPUs)
	r.cursor = make([]int, len(r.byCPU))
	for i := range r.ops {
		rec := r.t.at(r.ops[i].rec)
		if rec.level == 0 && rec.cpu >= 0 && int(rec.cpu) < len(r.byCPU) {
			r.byCPU[rec.cpu] = append(r.byCPU[rec.cpu], int32(i))
		}
	}
	step := r.sampleStep()
	for i := range r.ops {
		if i%step == 0 {
			if err := r.sample(i); err != nil {
				return err
			}
		}
		op := &r.ops[i]
		rec := r.t.at(op.rec)
		if int(rec.cpu) >= len(r.byCPU) || rec.cpu < 0 {
			r.res.differ(rec.line, fmt.Sprintf("event on CPU %d, the snapshot has %d", rec.cpu, len(r.byCPU)))
			continue
		}
		if rec.level > 0 {
			r.early(op, rec)
		}
		if !op.done {
			r.do(op, rec)
		}
	}
	return r.sample(len(r.ops))
}

// sampleStep is after how many operations sample is called.
func (r *pageReplay) sampleStep() int {
	n := r.opts.Samples
	if n <= 0 {
		n = 100
	}
	return max(len(r.ops)/n, 1)
}

// sample reports progress and shows the allocator before operation i.
func (r *pageReplay) sample(i int) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if r.opts.Progress != nil && len(r.ops) > 0 {
		r.opts.Progress(float64(i) / float64(len(r.ops)))
	}
	if r.opts.Observe != nil && r.t.n > 0 {
		at := r.t.n - 1
		if i < len(r.ops) {
			at = r.ops[i].rec
		}
		r.opts.Observe(r.t.at(at).time, r.a)
	}
	return nil
}

// early runs the interrupted task's allocation before an interrupt's free if
// it took its page before it: mm_page_alloc is printed after the page has left
// its list. That is seen where the page it got is the list's head now and
// would not be any more after the free.
func (r *pageReplay) early(op *pageOp, rec *pageRec) {
	var order buddy.Order
	switch op.kind {
	case opFree, opCommit:
		order = buddy.Order(rec.order)
	default:
		return
	}
	task := r.nextTaskOp(rec)
	if task == nil || task.kind != opAlloc || task.zone >= 0 {
		return
	}
	trec := r.t.at(task.rec)
	if trec.pid != rec.pid {
		return
	}
	pindex, ok := r.a.FreePIndex(buddy.PFN(rec.pfn), order)
	if !ok {
		return
	}
	head, pi, ok := r.a.PeekPCP(r.request(trec))
	if !ok || pi != pindex || uint64(head) != trec.pfn {
		return
	}
	r.res.hint("order")
	r.do(task, trec)
}

// nextTaskOp is the next operation of task context on the event's CPU.
func (r *pageReplay) nextTaskOp(rec *pageRec) *pageOp {
	list := r.byCPU[rec.cpu]
	c := &r.cursor[rec.cpu]
	for *c < len(list) && r.ops[list[*c]].done {
		*c++
	}
	if *c == len(list) {
		return nil
	}
	return &r.ops[list[*c]]
}

func (r *pageReplay) request(rec *pageRec) buddy.Request {
	q := buddy.Request{CPU: buddy.CPU(rec.cpu), Node: buddy.NoNode, GFP: r.t.gfps[rec.gfp], Order: buddy.Order(rec.order)}
	if rec.kind == trace.KindMMPageAllocZoneLocked || rec.kind == trace.KindMMPageAllocExtfrag {
		// A request cut off by the second snapshot: only its type is known.
		q.GFP = [buddy.NumPCPTypes]buddy.GFP{buddy.GFPKernel, buddy.GFPHighUserMovable, buddy.GFPKernel | buddy.GFPReclaimable}[min(rec.mt, buddy.NumPCPTypes-1)]
	}
	if rec.level > 0 {
		q.Task = buddy.TaskInterrupt
	} else {
		q.Task = r.tasks[rec.pid]
	}
	if zone := r.zoneIndex(rec.pfn); rec.pfn != 0 && zone >= 0 && r.a.Zone(zone).Node() != r.nodeOf(rec.cpu) && r.named(q, zone) {
		q.Node = r.a.Zone(zone).Node()
	}
	return q
}

// named says that whoever made a request named another node than the CPU's, which
// no event tells: with __GFP_THISNODE only that node can have answered; without
// it, the model would choose a zone with so much memory that no counter can have
// made the kernel pass it over, and the kernel's zone if its node is named.
func (r *pageReplay) named(q buddy.Request, zone int) bool {
	if q.GFP.Any(buddy.GFPThisNode) {
		return true
	}
	got := r.a.ChooseZone(q)
	if got < 0 || got == zone {
		return false
	}
	z := r.a.Zone(got)
	need := z.Watermarks().High + z.WatermarkBoost() + z.ReservedHighatomic() + z.FreeCMAPages() + slices.Max(z.LowmemReserve()) +
		uint64(z.StatThreshold())*uint64(len(r.a.HiddenFree(got))) + 1<<q.Order
	q.Node = r.a.Zone(zone).Node()
	return z.Node() != q.Node && z.FreePages() > need && r.a.ChooseZone(q) == zone
}

// retype follows a pageblock into isolation and out of it. Other moves of free
// pages belong to requests, and the model does them itself.
func (r *pageReplay) retype(rec *pageRec) {
	cpu, pfn := buddy.CPU(rec.cpu), buddy.PFN(rec.pfn)
	old, ok := r.a.BlockType(pfn)
	switch {
	case !ok || old == rec.mt:
	case rec.mt == buddy.Isolate:
		r.note(PageCall{Kind: CallIsolate, Time: rec.time, Request: buddy.Request{CPU: cpu}, PFN: pfn})
		if err := r.a.IsolateBlock(cpu, pfn, buddy.CMA); err != nil {
			r.res.differ(rec.line, err.Error())
		}
	case old == buddy.Isolate:
		r.note(PageCall{Kind: CallUnisolate, Time: rec.time, Request: buddy.Request{CPU: cpu}, PFN: pfn, Type: rec.mt})
		if err := r.a.UnisolateBlock(cpu, pfn, rec.mt); err != nil {
			r.res.differ(rec.line, err.Error())
		}
	}
}

func (r *pageReplay) nodeOf(cpu int16) buddy.NodeID {
	if nodes := r.a.Config().CPUNode; int(cpu) < len(nodes) {
		return nodes[cpu]
	}
	return 0
}

// list gives the events of a chain.
func (r *pageReplay) list(dst []int32, i int32) []int32 {
	for ; i >= 0; i = r.t.at(i).chain {
		dst = append(dst, i)
	}
	return dst
}

func (r *pageReplay) do(op *pageOp, rec *pageRec) {
	op.done = true
	r.got = r.got[:0]
	r.zone = r.list(r.zone[:0], op.zone)
	r.claims, r.op = r.zone, op
	r.noteReclaim(op, rec)
	if op.kind == opAlloc {
		r.explainZone(rec)
	}
	r.call = r.record(op, rec)
	cpu, pfn, order := buddy.CPU(rec.cpu), buddy.PFN(rec.pfn), buddy.Order(rec.order)
	switch op.kind {
	case opAlloc:
		if r.decisions != nil {
			r.decisions.request(r, rec)
		}
		r.alloc(op, rec)
		if t, ok := r.tasks[rec.pid]; ok && rec.level == 0 {
			r.tasks[rec.pid] = t &^ buddy.TaskRetrying
		}
	case opFree:
		r.freed(op, rec, r.a.Free(cpu, pfn, order))
	case opPrepare:
		r.freed(op, rec, r.a.PrepareFree(cpu, pfn, order))
	case opCommit:
		r.freed(op, rec, r.a.CommitFree(cpu, pfn))
	case opFreeToZone:
		if rec.past {
			r.res.hint("free past the per-CPU list")
		}
		r.freed(op, rec, r.a.FreeToZone(cpu, pfn, order, false))
	case opBulk:
		r.bulk(op, rec)
	case opDrain:
		r.drained(rec, 0)
	case opDecay:
		r.a.Decay(cpu)
		r.freed(op, rec, nil)
	case opIsolate:
		if err := r.a.Seize(pfn, order); err != nil {
			r.res.differ(rec.line, err.Error())
		}
	case opRetype:
		r.retype(rec)
	case opReclaim:
		r.reclaim(rec)
	}
}

// maxUnseen bounds the pages that a single difference may count as taken
// without an event.
const maxUnseen = 64

// alloc compares an allocation's page frame and zone-level events.
func (r *pageReplay) alloc(op *pageOp, rec *pageRec) {
	r.res.Requests++
	q := r.request(rec)
	if q.Node != buddy.NoNode {
		r.res.hint("node")
	}
	if r.wrongZone(rec, q) {
		return
	}
	pfn, err := r.a.Alloc(q)
	if rec.pfn == 0 && err != nil || err == nil && uint64(pfn) == rec.pfn {
		r.res.Exact++
		r.compareEvents(r.zone, rec)
		return
	}
	if err != nil {
		r.res.differ(rec.line, fmt.Sprintf("order %d %v: model fails (%v), kernel gave page frame %d", rec.order, q.GFP, err, rec.pfn))
	} else {
		r.res.differ(rec.line, fmt.Sprintf("order %d %v: model gives page frame %d, kernel gave %d", rec.order, q.GFP, pfn, rec.pfn))
	}
	if rec.pfn == 0 {
		r.res.count("requests that failed in the kernel only")
	}
	// Pages that the kernel cannot have had any more are out of the way;
	// the one that it could have given goes back where it came from.
	for n := 0; err == nil && uint64(pfn) != rec.pfn; n++ {
		if n == maxUnseen || !r.takenUnseen(pfn, op.rec) {
			mt, _ := r.a.BlockType(pfn)
			if r.a.PutPCP(q.CPU, pfn, q.Order, mt, false) != nil {
				_ = r.a.PutFree(q.CPU, pfn, q.Order, mt)
			}
			break
		}
		r.res.count("pages taken without an event")
		pfn, err = r.a.Alloc(q)
	}
	r.compareEvents(r.zone, rec)
	if rec.pfn != 0 && (err != nil || uint64(pfn) != rec.pfn) && r.a.Seize(buddy.PFN(rec.pfn), q.Order) != nil {
		r.res.count("pages given back without an event")
	}
}

// freed compares what a free did to the zone, and runs a drain that follows it
// without being caused by it.
func (r *pageReplay) freed(op *pageOp, rec *pageRec, err error) {
	if err != nil {
		r.res.differ(rec.line, err.Error())
		r.res.count("frees the model refused")
	}
	n := len(r.got)
	if err == nil && n < len(r.zone) && r.zoneEqual(r.zone[:n]) {
		r.compareEqual(n)
		r.drained(rec, n)
		return
	}
	r.compareEvents(r.zone, rec)
}

// drained runs a drain that the trace shows no cause for: from r.zone[from]
// on.
func (r *pageReplay) drained(rec *pageRec, from int) {
	for from < len(r.zone) {
		first := r.t.at(r.zone[from])
		zone := r.zoneIndex(first.pfn)
		pages, end := 0, from
		for ; end < len(r.zone) && r.zoneIndex(r.t.at(r.zone[end]).pfn) == zone; end++ {
			pages += 1 << r.t.at(r.zone[end]).order
		}
		r.got = r.got[:0]
		r.res.hint("drain")
		if zone >= 0 {
			cpu := buddy.CPU(first.cpu)
			r.note(PageCall{Kind: CallDrain, Time: first.time, Request: buddy.Request{CPU: cpu}, N: pages, Zone: zone})
			r.a.DrainPages(zone, cpu, cpu, pages)
		}
		r.compareEvents(r.zone[from:end], rec)
		from = end
	}
}

func (r *pageReplay) zoneIndex(pfn uint64) int {
	for i := range r.a.NumZones() {
		z := r.a.Zone(i)
		if buddy.PFN(pfn) >= z.StartPFN() && buddy.PFN(pfn) < z.EndPFN() {
			return i
		}
	}
	return -1
}

// bulk runs a bulk request. Where its pages are traced they are compared.
func (r *pageReplay) bulk(op *pageOp, rec *pageRec) {
	n := int(rec.n)
	q := r.request(rec)
	q.Order = 0
	if rec.kind == trace.KindAllocVmapArea {
		// vmalloc takes its pages, but for the guard page, in bulk; the
		// request itself is not traced.
		n--
		q.GFP = buddy.GFPKernel
		r.res.hintN("untraced bulk page", max(n, 0))
	} else if op.pages < 0 {
		r.res.hintN("untraced bulk page", n)
	}
	var err error
	r.call = r.note(PageCall{Kind: CallBulk, Time: rec.time, Request: q, N: n})
	r.pfns, err = r.a.AllocBulk(r.pfns[:0], q, n)
	r.call.PFNs = slices.Clone(r.pfns)
	if err != nil && n > 0 {
		r.res.differ(rec.line, err.Error())
	}
	for i, at := range r.list(nil, op.pages) {
		prec := r.t.at(at)
		r.res.Requests++
		if i < len(r.pfns) && uint64(r.pfns[i]) == prec.pfn {
			r.res.Exact++
			continue
		}
		r.res.differ(prec.line, fmt.Sprintf("bulk page %d: model and kernel differ, kernel gave %d", i, prec.pfn))
	}
	r.compareEvents(r.zone, rec)
}

// claimed answers whether the kernel claimed a pageblock, from the
// change_ownership field of the extfrag event that the request printed.
func (r *pageReplay) claimed(block buddy.PFN, free, movable int) (claim, known bool) {
	for len(r.claims) > 0 {
		rec := r.t.at(r.claims[0])
		r.claims = r.claims[1:]
		if rec.kind == trace.KindMMPageAllocExtfrag {
			r.res.hint("claim")
			if r.call != nil {
				r.call.Claims = append(r.call.Claims, rec.own)
			}
			return rec.own, true
		}
	}
	return false, false
}

// amount makes a refill or drain that is not as large as the kernel's follow
// the kernel, and counts the difference. Without it one wrong amount would
// shift all later ones.
func (r *pageReplay) amount(kind buddy.EventKind, n int) int {
	kernel := 0
	for _, at := range r.zone {
		switch rec := r.t.at(at); {
		case kind == buddy.EventPCPDrain && rec.kind == trace.KindMMPagePCPUDrain:
			kernel += 1 << rec.order
		case kind == buddy.EventZoneLocked && rec.kind != trace.KindMMPagePCPUDrain:
			kernel++
		}
	}
	switch r.op.kind {
	case opFree, opCommit:
		if kind != buddy.EventPCPDrain || kernel >= n {
			return n
		}
	case opAlloc:
		if kind != buddy.EventZoneLocked || kernel == n || kernel == 0 || r.hasExtfrag() {
			return n
		}
	default:
		return n
	}
	r.res.Events++
	rec := r.t.at(r.op.rec)
	r.res.differ(rec.line, fmt.Sprintf("%v: model moves %d, kernel %d", kind, n, kernel))
	return kernel
}

// hasExtfrag says whether the operation under way has events that are no page
// of their own.
func (r *pageReplay) hasExtfrag() bool {
	for _, at := range r.zone {
		if r.t.at(at).kind == trace.KindMMPageAllocExtfrag {
			return true
		}
	}
	return false
}
