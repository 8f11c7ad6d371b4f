package replay

import (
	"slices"

	"github.com/kernsim/kernsim/trace"
)

// pageOpKind is what a caller asked the page allocator for.
type pageOpKind uint8

const (
	opAlloc pageOpKind = iota
	opFree
	// opPrepare and opCommit are the halves of a free that is part of a list.
	opPrepare
	opCommit
	// opFreeToZone is a free past a locked per-CPU list.
	opFreeToZone
	// opBulk is a bulk request; its pages may be untraced.
	opBulk
	// opDrain is a drain that no other operation caused.
	opDrain
	// opDecay is decay_pcp_high.
	opDecay
	// opIsolate takes a free block away (compaction); opRetype moves a
	// pageblock's free pages to or from isolation.
	opIsolate
	opRetype
	// opReclaim is an event of vmscan: it switches the zones' reclaim state (kswapd
	// woke or slept) and whether a task reclaims (PF_MEMALLOC).
	opReclaim
)

// pageOp is a request with the zone-level events that the kernel printed for
// it.
type pageOp struct {
	// pos is when it happens: the place of its first zone-level event, which
	// is printed under the zone lock, or of its own event.
	pos int32
	// rec is its event.
	rec  int32
	kind pageOpKind
	done bool
	// zone is its first zone-level event, pages its first page_bulk event, or
	// -1; pageRec.chain leads on.
	zone, pages int32
}

// opBuilder groups a trace's events into operations, by context: a CPU, the
// level of interrupt and, in task context, the task.
type opBuilder struct {
	t    *pageTrace
	ops  []pageOp
	ctxs []opCtx
}

type opCtx struct {
	cpu   int16
	level uint8
	pid   int32
	// pending are zone-level events whose request is not printed yet.
	pending chain
	// last is the operation that following drains belong to, or -1; drains are
	// those it has.
	last   int32
	drains chain
	// bulk is the open alloc_bulk event, or -1; pages its page_bulk lines.
	bulk  int32
	pages chain
	// single: the bulk request fell back to an ordinary one.
	single bool
}

// chain is a list of events, linked by pageRec.chain.
type chain struct{ first, last int32 }

var emptyChain = chain{-1, -1}

func (c *chain) append(t *pageTrace, i int32) {
	if c.first < 0 {
		c.first = i
	} else {
		t.at(c.last).chain = i
	}
	c.last = i
}

func newCtx(rec *pageRec, pid int32) opCtx {
	return opCtx{cpu: rec.cpu, level: rec.level, pid: pid, last: -1, bulk: -1,
		pending: emptyChain, pages: emptyChain, drains: emptyChain}
}

func (b *opBuilder) ctx(rec *pageRec) *opCtx {
	pid := rec.pid
	if rec.level > 0 {
		pid = -1
	}
	for i := range b.ctxs {
		c := &b.ctxs[i]
		if c.cpu == rec.cpu && c.level == rec.level && c.pid == pid {
			return c
		}
	}
	// Contexts with nothing open are reused, so that the list stays short.
	for i := range b.ctxs {
		c := &b.ctxs[i]
		if c.pending.first < 0 && c.bulk < 0 && c.cpu == rec.cpu && c.level == rec.level {
			*c = newCtx(rec, pid)
			return c
		}
	}
	b.ctxs = append(b.ctxs, newCtx(rec, pid))
	return &b.ctxs[len(b.ctxs)-1]
}

// build makes the operations in the order in which they happened.
func (b *opBuilder) build() []pageOp {
	n := 0
	for i := range b.t.n {
		switch b.t.at(i).kind {
		case trace.KindMMPageAllocZoneLocked, trace.KindMMPageAllocExtfrag, trace.KindMMPagePCPUDrain:
		default:
			n++
		}
	}
	b.ops = make([]pageOp, 0, n+n/64)
	for i := range b.t.n {
		b.add(i)
	}
	for i := range b.ctxs {
		b.finish(&b.ctxs[i])
	}
	byPos := func(x, y pageOp) int { return int(x.pos) - int(y.pos) }
	if !slices.IsSortedFunc(b.ops, byPos) {
		slices.SortStableFunc(b.ops, byPos)
	}
	return b.ops
}

// finish makes an operation of zone-level events whose request was not printed
// before the second snapshot: that snapshot may be taken while the request is
// under way.
func (b *opBuilder) finish(c *opCtx) {
	switch {
	case c.bulk >= 0:
		b.closeBulk(c, c.bulk)
	case c.pending.first >= 0:
		op := b.push(c, opAlloc, c.pending.first)
		c.takePending(op)
	}
}

func (b *opBuilder) push(c *opCtx, kind pageOpKind, i int32) *pageOp {
	b.ops = append(b.ops, pageOp{pos: i, rec: i, kind: kind, zone: -1, pages: -1})
	op := &b.ops[len(b.ops)-1]
	c.last, c.drains = int32(len(b.ops)-1), emptyChain
	return op
}

// takePending gives the op the context's open zone-level events.
func (c *opCtx) takePending(op *pageOp) {
	if c.pending.first >= 0 {
		op.zone, op.pos = c.pending.first, c.pending.first
		c.pending = emptyChain
	}
}

func (b *opBuilder) add(i int32) {
	rec := b.t.at(i)
	c := b.ctx(rec)
	switch rec.kind {
	case trace.KindMMPageAllocZoneLocked, trace.KindMMPageAllocExtfrag:
		c.pending.append(b.t, i)
		c.last = -1
	case trace.KindMMPagePCPUDrain:
		if c.last < 0 {
			b.push(c, opDrain, i)
		}
		if op := &b.ops[c.last]; op.zone < 0 {
			op.pos, op.zone = i, i
		}
		c.drains.append(b.t, i)
	case trace.KindMMPageAlloc:
		op := b.push(c, opAlloc, i)
		c.takePending(op)
		c.last = -1
		c.single = c.bulk >= 0
	case trace.KindMMPageFree:
		b.addFree(c, rec, i)
	case trace.KindMMPageFreeBatched:
		b.push(c, opCommit, i)
	case trace.KindFreeOnePage:
		b.push(c, opFreeToZone, i)
		c.last = -1
	case trace.KindAllocBulk:
		c.bulk, c.pages, c.single = i, emptyChain, false
	case trace.KindPageBulk:
		c.pages.append(b.t, i)
	case trace.KindAllocBulkRet:
		b.closeBulk(c, i)
	case trace.KindIsolateFreePage:
		b.push(c, opIsolate, i)
		c.last = -1
	case trace.KindMoveFreepages:
		b.push(c, opRetype, i)
		c.last = -1
	case trace.KindAllocVmapArea:
		b.push(c, opBulk, i)
		c.last = -1
	case trace.KindWorkqueueExecuteStart:
		b.push(c, opDecay, i)
	case trace.KindVmscanKswapdWake, trace.KindVmscanKswapdSleep, trace.KindVmscanDirectReclaimBegin, trace.KindVmscanDirectReclaimEnd,
		trace.KindVmscanWakeupKswapd, trace.KindVmscanLRUShrinkInactive, trace.KindCompactionSuitable, trace.KindCompactionWakeupKcompactd:
		b.push(c, opReclaim, i)
		c.last = -1
	}
}

// addFree adds a free: whole, or its first half if it is part of a list, or
// nothing if the page goes to the zone later.
func (b *opBuilder) addFree(c *opCtx, rec *pageRec, i int32) {
	if rec.batched {
		b.push(c, opPrepare, i)
		c.last = -1
		return
	}
	if rec.next >= 0 && b.t.at(rec.next).kind == trace.KindFreeOnePage {
		b.t.at(rec.next).order = rec.order
		c.last = -1
		return
	}
	if rec.past {
		b.push(c, opFreeToZone, i)
		c.last = -1
		return
	}
	b.push(c, opFree, i)
}

// closeBulk ends a bulk request at event i.
func (b *opBuilder) closeBulk(c *opCtx, i int32) {
	if c.bulk >= 0 && !c.single {
		op := b.push(c, opBulk, c.bulk)
		op.pos = i
		op.pages = c.pages.first
		if op.pages >= 0 {
			op.pos = op.pages
		}
		c.takePending(op)
		if r := b.t.at(i); r.kind == trace.KindAllocBulkRet {
			b.t.at(c.bulk).n = r.n
		}
	}
	c.bulk, c.pages, c.single, c.last = -1, emptyChain, false, -1
}
