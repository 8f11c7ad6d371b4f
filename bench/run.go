package bench

import (
	"context"
	"fmt"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/replay"
)

// Options choose what a run does.
type Options struct {
	// Samples is how many times the state is looked at; 0 means 100.
	Samples int
	// Progress, if set, is called now and then with the share done.
	Progress func(share float64)
	// NoCheck leaves the checker and the map of pages out: what is measured
	// there is zero. For measuring speed.
	NoCheck bool
}

// Result is what a strategy did with a stream.
type Result struct {
	Strategy, Workload string
	Seed               uint64
	// Requests and Frees are the calls; a bulk request counts each page.
	Requests, Frees, Failed int
	// FirstFailureFree is the free share of the memory when the first request
	// failed, NaN if none did; FirstFailureOp which operation it was.
	FirstFailureFree float64
	FirstFailureOp   int
	// PeakUsed is the most pageblocks that were in use at a time, PeakPages the
	// most pages of those that were free at the start or came back.
	PeakUsed, PeakPages int
	// MeanTHP and MeanUnusable (by order) are means over the samples.
	MeanTHP      float64
	MeanUnusable [buddy.MaxOrders]float64
	// MeanCached and PeakCached are the pages in per-CPU caches over the samples.
	MeanCached float64
	PeakCached uint64
	Samples    []Sample
	Last       Sample
	// Exact: this is the baseline. ListsIdentical of Lists of its lists at the
	// end are the captured kernel's; Difference is the first that isn't.
	Exact                 bool
	ListsIdentical, Lists int
	Difference            string
}

// teller is a strategy that wants what a capture's trace tells; bulker one
// with a bulk request of its own; holder one that knows what it holds; checker
// one that can examine itself.
type (
	teller interface{ tell(*replay.PageCall) }
	bulker interface {
		bulk(Request, int) []buddy.PFN
	}
	holder  interface{ freePages() int }
	checker interface{ check() error }
)

// block is what a slot holds.
type block struct {
	// at is the first page, relative to the map's.
	at      uint32
	order   uint8
	ok      bool
	movable bool
}

// blockUse are the pages of a pageblock that are in use: those that can be moved
// and the others.
type blockUse struct{ movable, fixed uint32 }

type runner struct {
	name  string
	s     Strategy
	tell  teller
	bulk  bulker
	m     *Machine
	res   *Result
	free  pageMap
	slots []block
	op    int
	// blocks are the pages in use by pageblock, inUse the number of pageblocks
	// with some; startMovable says whether pages in use before the start count
	// as movable.
	blocks       []blockUse
	inUse        int
	startMovable []bool
	shift        int
	// have is how many pages there are to be given out, in use or free, as far
	// as it is known; nfree those free.
	have, nfree int
	nocheck     bool
	first       buddy.PFN
}

// Run drives a strategy with the stream of a workload for a seed. The error is
// a [*StrategyError] if the strategy is wrong, or the context's.
func Run(ctx context.Context, n Named, w *Workload, seed uint64, o Options) (*Result, error) {
	r := newRunner(n, w, o)
	r.res.Seed = seed
	if err := r.s.Start(w.Machine); err != nil {
		return nil, r.fail(FaultItself, 0, 0, err)
	}
	if err := r.all(ctx, w, seed, o); err != nil {
		return nil, err
	}
	if c, ok := r.s.(checker); ok {
		if err := c.check(); err != nil {
			return nil, r.fail(FaultItself, 0, 0, err)
		}
	}
	if l, ok := r.s.(*linux); ok && l.exact && w.Capture != nil {
		r.res.Exact = true
		r.res.ListsIdentical, r.res.Lists, r.res.Difference = w.Capture.Compare(l.a)
	}
	if o.NoCheck {
		return r.res, nil
	}
	return r.res, r.account()
}

func newRunner(n Named, w *Workload, o Options) *runner {
	m := w.Machine
	r := &runner{name: n.Name, s: n.New(), m: m, first: m.First(), nocheck: o.NoCheck, shift: int(m.Config.PageblockOrder),
		res: &Result{Strategy: n.Name, Workload: w.Name, FirstFailureFree: nan, FirstFailureOp: -1}}
	r.tell, _ = r.s.(teller)
	r.bulk, _ = r.s.(bulker)
	r.free = newPageMap(r.first, m.Pages())
	blocks := m.Pages()>>r.shift + 1
	r.blocks, r.startMovable = make([]blockUse, blocks), make([]bool, blocks)
	for _, s := range m.Free {
		r.free.set(int(s.Start-r.first), int(s.End-r.first))
	}
	r.nfree = r.free.count()
	r.have = r.nfree
	r.usedAtStart()
	for b := range r.blocks {
		if r.blocks[b] != (blockUse{}) {
			r.inUse++
		}
	}
	r.res.PeakUsed = r.inUse
	return r
}

// usedAtStart counts the pages in use before the start by their pageblock's
// type. Only captures have some.
func (r *runner) usedAtStart() {
	if r.m.State == nil {
		return
	}
	for z := range r.m.State.Zones {
		for _, run := range r.m.State.Zones[z].Blocks {
			first := int(run.First-r.first) >> r.shift
			for b := first; b < first+int(run.N) && b < len(r.blocks); b++ {
				used := uint32(0)
				for p := b << r.shift; p < (b+1)<<r.shift; p += 64 {
					used += uint32(64 - popcount(r.free.words, p/64))
				}
				r.startMovable[b] = run.Type == buddy.Movable || run.Type == buddy.CMA
				if r.startMovable[b] {
					r.blocks[b] = blockUse{movable: used}
				} else {
					r.blocks[b] = blockUse{fixed: used}
				}
			}
		}
	}
}

func (r *runner) fail(f Fault, pfn buddy.PFN, order buddy.Order, err error) error {
	return &StrategyError{Strategy: r.name, Op: r.op, Fault: f, PFN: pfn, Order: order, Err: err}
}

// all does the stream's operations and takes the samples.
func (r *runner) all(ctx context.Context, w *Workload, seed uint64, o Options) error {
	samples := o.Samples
	if samples <= 0 {
		samples = 100
	}
	step := max(w.Ops/samples, 1)
	stream := w.Stream(seed)
	var op Op
	r.sample(0)
	for stream.Next(&op) {
		if err := r.do(&op); err != nil {
			return err
		}
		r.op++
		if r.op%step == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if o.Progress != nil {
				o.Progress(min(float64(r.op)/float64(max(w.Ops, 1)), 1))
			}
			r.sample(op.Time)
		}
	}
	if n := len(r.res.Samples); n == 0 || r.res.Samples[n-1].Op != r.op {
		r.sample(op.Time)
	}
	r.finish()
	return nil
}

func (r *runner) do(op *Op) error {
	if op.Call != nil && r.tell != nil {
		r.tell.tell(op.Call)
	}
	switch op.Kind {
	case OpAlloc:
		return r.alloc(op)
	case OpFree:
		return r.release(op)
	case OpBulk:
		return r.allocBulk(op)
	}
	return nil
}

// slot makes room for a slot.
func (r *runner) slot(i uint32) *block {
	for int(i) >= len(r.slots) {
		r.slots = append(r.slots, block{})
	}
	return &r.slots[i]
}

func (r *runner) alloc(op *Op) error {
	r.res.Requests++
	pfn, ok := r.s.Alloc(op.Request)
	if !ok {
		r.failed()
		if op.Slot != NoSlot {
			*r.slot(op.Slot) = block{}
		}
		return nil
	}
	b := block{order: uint8(op.Request.Order), ok: true, movable: op.Request.GFP.Any(buddy.GFPMovable)}
	if err := r.take(pfn, &b); err != nil {
		return err
	}
	if op.Slot == NoSlot {
		// The kernel had none for this request: nobody gives it back later.
		r.give(int(b.at), op.Request.Order, b.movable)
		r.s.Free(op.Request.CPU, pfn, op.Request.Order)
		return nil
	}
	*r.slot(op.Slot) = b
	return nil
}

func (r *runner) failed() {
	r.res.Failed++
	if r.res.FirstFailureOp < 0 {
		r.res.FirstFailureOp = r.op
		r.res.FirstFailureFree = float64(r.nfree) / float64(max(r.have, 1))
	}
}

func (r *runner) allocBulk(op *Op) error {
	if r.bulk == nil {
		for _, s := range op.Slots {
			if err := r.alloc(&Op{Slot: s, Request: op.Request}); err != nil {
				return err
			}
		}
		return nil
	}
	pfns := r.bulk.bulk(op.Request, len(op.Slots))
	for i, s := range op.Slots {
		r.res.Requests++
		if i >= len(pfns) {
			r.failed()
			*r.slot(s) = block{}
			continue
		}
		b := block{ok: true, movable: op.Request.GFP.Any(buddy.GFPMovable)}
		if err := r.take(pfns[i], &b); err != nil {
			return err
		}
		*r.slot(s) = b
	}
	return nil
}

// take notes a block that was given out, if that is right.
func (r *runner) take(pfn buddy.PFN, b *block) error {
	n := 1 << b.order
	if pfn < r.first || uint64(pfn-r.first)+uint64(n) > uint64(r.free.pages()) {
		return r.fail(FaultOutside, pfn, buddy.Order(b.order), nil)
	}
	from := int(pfn - r.first)
	b.at = uint32(from)
	if r.nocheck {
		return nil
	}
	if n == 1 {
		w, bit := &r.free.words[from>>6], uint64(1)<<(from&63)
		if *w&bit == 0 {
			return r.wrongPage(from, b)
		}
		*w &^= bit
	} else {
		if !r.free.all(from, from+n) {
			return r.wrongPage(from, b)
		}
		r.free.clear(from, from+n)
	}
	r.nfree -= n
	r.res.PeakPages = max(r.res.PeakPages, r.have-r.nfree)
	r.count(from, n, b.movable, 1)
	return nil
}

// wrongPage says whether a page was in use or never there.
func (r *runner) wrongPage(from int, b *block) error {
	f := FaultTwice
	for p := from; p < from+1<<b.order; p++ {
		pfn := r.first + buddy.PFN(p)
		inside := false
		for _, s := range r.m.Spans {
			inside = inside || pfn >= s.Start && pfn < s.End
		}
		if !inside {
			f = FaultOutside
		}
	}
	return r.fail(f, r.first+buddy.PFN(from), buddy.Order(b.order), nil)
}

// count adds pages to what is in use in their pageblocks, or takes them away.
func (r *runner) count(from, n int, movable bool, sign int) {
	for n > 0 {
		b := from >> r.shift
		k := min(n, (b+1)<<r.shift-from)
		u := &r.blocks[b]
		before := u.movable + u.fixed
		if movable {
			u.movable += uint32(sign * k)
		} else {
			u.fixed += uint32(sign * k)
		}
		switch {
		case before == 0:
			if r.inUse++; r.inUse > r.res.PeakUsed {
				r.res.PeakUsed = r.inUse
			}
		case u.movable+u.fixed == 0:
			r.inUse--
		}
		from, n = from+k, n-k
	}
}

// give notes a block that comes back.
func (r *runner) give(from int, order buddy.Order, movable bool) {
	if r.nocheck {
		return
	}
	n := 1 << order
	if n == 1 {
		r.free.words[from>>6] |= 1 << (from & 63)
	} else {
		r.free.set(from, from+n)
	}
	r.nfree += n
	r.count(from, n, movable, -1)
}

func (r *runner) release(op *Op) error {
	from, movable := int(op.PFN-r.first), false
	if op.Slot == NoSlot {
		if !r.nocheck {
			movable = r.startMovable[from>>r.shift]
			r.have += 1 << op.Order
		}
	} else {
		b := r.slot(op.Slot)
		if !b.ok {
			return nil
		}
		from, movable = int(b.at+op.Offset), b.movable
	}
	r.res.Frees++
	r.give(from, op.Order, movable)
	r.s.Free(op.Request.CPU, r.first+buddy.PFN(from), op.Order)
	return nil
}

// sample looks at the state.
func (r *runner) sample(time uint64) {
	s := Sample{Op: r.op, Time: time, Failed: r.res.Failed}
	c := &r.m.Config
	s.Fragmentation = Fragmentation{Free: r.nfree, Total: r.have, Orders: int(c.MaxOrder), THPOrder: int(c.PageblockOrder)}
	if !r.nocheck {
		s.Blocks = r.free.blocks(s.Orders)
	}
	s.Used = r.inUse
	for b := range r.blocks {
		if u := &r.blocks[b]; u.fixed > 0 {
			s.Unmovable++
			if u.movable > 0 {
				s.Mixed++
			}
		}
	}
	if c, ok := r.s.(Counter); ok {
		s.Counters = c.Counters()
	}
	r.res.Samples = append(r.res.Samples, s)
}

// finish computes what is over all samples.
func (r *runner) finish() {
	res := r.res
	n := float64(len(res.Samples))
	for i := range res.Samples {
		s := &res.Samples[i]
		res.MeanTHP += s.THPShare() / n
		res.MeanCached += float64(s.Counters.Cached) / n
		res.PeakCached = max(res.PeakCached, s.Counters.Cached)
		for o := range s.Orders {
			res.MeanUnusable[o] += s.Unusable(o) / n
		}
	}
	res.Last = res.Samples[len(res.Samples)-1]
}

// account proves that nothing was lost. A strategy that knows what it holds
// is asked; any other has to give out everything that is free.
func (r *runner) account() error {
	// What is taken here is no footprint of the stream.
	used, pages := r.res.PeakUsed, r.res.PeakPages
	defer func() { r.res.PeakUsed, r.res.PeakPages = used, pages }()
	missing := 0
	if h, ok := r.s.(holder); ok {
		missing = r.nfree - h.freePages()
	} else if err := r.drain(); err != nil {
		return err
	} else {
		missing = r.nfree
	}
	if missing != 0 {
		return &StrategyError{Strategy: r.name, Op: -1, Fault: FaultLost, Pages: missing}
	}
	return nil
}

// drain gives back all that is in use and takes single pages, on all CPUs and
// of all types, until none are left.
func (r *runner) drain() error {
	kinds := []buddy.GFP{buddy.GFPHighUserMovable | buddy.GFPMemalloc, buddy.GFPKernel | buddy.GFPMemalloc,
		buddy.GFPKernel | buddy.GFPReclaimable | buddy.GFPMemalloc, buddy.GFPAtomic | buddy.GFPMemalloc}
	r.op = -1
	for _, gfp := range kinds {
		for cpu := range max(r.m.Config.CPUs, 1) {
			for order := r.m.Config.MaxOrder - 1; order >= 0; order-- {
				for {
					pfn, ok := r.s.Alloc(Request{CPU: buddy.CPU(cpu), Node: buddy.NoNode, Order: order, GFP: gfp})
					if !ok {
						break
					}
					if err := r.take(pfn, &block{order: uint8(order)}); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// String sums a result up.
func (r *Result) String() string {
	return fmt.Sprintf("%s on %s: %d requests, %d failed, %.1f %% of %d free pages usable as huge pages",
		r.Strategy, r.Workload, r.Requests, r.Failed, 100*r.Last.THPShare(), r.Last.Free)
}
