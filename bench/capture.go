package bench

import (
	"context"
	"slices"

	"github.com/kernsim/kernsim/buddy"
	"github.com/kernsim/kernsim/replay"
)

// FromCapture makes a workload of a capture: its machine with what was free in
// it, and its request stream.
func FromCapture(ctx context.Context, c replay.Capture) (*Workload, error) {
	p, err := replay.Requests(ctx, c)
	if err != nil {
		return nil, err
	}
	m := &Machine{Config: p.Config, State: p.Before}
	if p.Result.ExactAll() {
		m.Baseline = p.Profile.Name
	}
	for _, z := range p.Config.Zones {
		m.Spans = append(m.Spans, Span{z.StartPFN, z.StartPFN + buddy.PFN(z.Spanned)})
	}
	slices.SortFunc(m.Spans, func(a, b Span) int { return int(a.Start) - int(b.Start) })
	m.Spans = joined(m.Spans)
	m.Free = freeSpans(p.Before, p.Config.PageblockOrder)
	b := streamBuilder{m: m, owner: make([]uint32, m.Pages()), prepared: map[buddy.PFN]buddy.Order{}}
	b.start()
	for i := range p.Calls {
		b.add(&p.Calls[i])
	}
	ops := b.ops
	return &Workload{Name: p.Name, About: "capture of Linux " + p.Meta.Kernel + ", " + p.Meta.Machine, Machine: m, Ops: len(ops), Capture: p,
		Stream: func(uint64) Stream { s := sliceStream(ops); return &s }}, nil
}

// sliceStream is a stream that is in memory.
type sliceStream []Op

func (s *sliceStream) Next(op *Op) bool {
	if len(*s) == 0 {
		return false
	}
	*op, *s = (*s)[0], (*s)[1:]
	return true
}

// joined joins spans that touch or overlap. They are sorted by Start.
func joined(in []Span) []Span {
	var out []Span
	for _, s := range in {
		if n := len(out); n > 0 && out[n-1].End >= s.Start {
			out[n-1].End = max(out[n-1].End, s.End)
			continue
		}
		out = append(out, s)
	}
	return out
}

// freeSpans are the free blocks of a state, those on per-CPU lists too.
func freeSpans(s *buddy.State, pageblock buddy.Order) []Span {
	var out []Span
	_ = eachFree(s, pageblock, func(pfn buddy.PFN, order int) error {
		out = append(out, Span{pfn, pfn + 1<<order})
		return nil
	})
	slices.SortFunc(out, func(a, b Span) int { return int(a.Start) - int(b.Start) })
	return joined(out)
}

// Owners of pages in a stream builder that are no slots.
const (
	ownerFree = ^uint32(0)
	ownerPast = ^uint32(0) - 1
)

// streamBuilder turns a capture's calls, which name pages by the kernel's page
// frames, into operations that name the request that a page came from. What
// contradicts itself (a page given out twice: a free that the trace lacks) is
// made whole here, the same for all strategies.
type streamBuilder struct {
	m   *Machine
	ops []Op
	// owner[page] is the slot that the page belongs to; slots[i] its block.
	owner    []uint32
	slots    []builtSlot
	unused   []uint32
	prepared map[buddy.PFN]buddy.Order
}

type builtSlot struct {
	at   int
	left int
}

func (b *streamBuilder) start() {
	for i := range b.owner {
		b.owner[i] = ownerPast
	}
	for _, s := range b.m.Free {
		for p := s.Start; p < s.End; p++ {
			b.owner[p-b.m.First()] = ownerFree
		}
	}
}

func (b *streamBuilder) add(c *replay.PageCall) {
	op := Op{Kind: OpNote, Slot: NoSlot, Request: c.Request, Order: c.Order, PFN: c.PFN, Call: c, Time: c.Time}
	switch c.Kind {
	case replay.CallAlloc, replay.CallTake:
		op.Kind = OpAlloc
		if c.Kind == replay.CallTake {
			op.Request = Request{CPU: c.Request.CPU, Node: buddy.NoNode, Order: c.Order, GFP: buddy.GFPHighUserMovable}
		}
		if c.PFN != 0 {
			op.Slot = b.take(c.PFN, 1<<c.Order, c)
		}
		b.ops = append(b.ops, op)
	case replay.CallBulk:
		op.Kind = OpBulk
		for _, p := range c.PFNs {
			op.Slots = append(op.Slots, b.take(p, 1, c))
		}
		b.ops = append(b.ops, op)
	case replay.CallPrepare:
		b.prepared[c.PFN] = c.Order
		b.ops = append(b.ops, op)
	case replay.CallCommit:
		op.Order = b.prepared[c.PFN]
		delete(b.prepared, c.PFN)
		b.free(op)
	case replay.CallFree, replay.CallFreeToZone:
		b.free(op)
	default:
		b.ops = append(b.ops, op)
	}
}

// take makes a slot of pages that the kernel gave out. Pages that are in use
// are freed first.
func (b *streamBuilder) take(pfn buddy.PFN, n int, c *replay.PageCall) uint32 {
	at := int(pfn - b.m.First())
	for p := at; p < at+n && p < len(b.owner); p++ {
		if b.owner[p] != ownerFree {
			b.free(Op{Request: Request{CPU: c.Request.CPU}, PFN: pfn + buddy.PFN(p-at), Time: c.Time})
		}
	}
	slot := uint32(len(b.slots))
	if k := len(b.unused); k > 0 {
		slot, b.unused = b.unused[k-1], b.unused[:k-1]
	} else {
		b.slots = append(b.slots, builtSlot{})
	}
	b.slots[slot] = builtSlot{at, n}
	for p := at; p < at+n && p < len(b.owner); p++ {
		b.owner[p] = slot
	}
	return slot
}

// free frees a block: at once if its pages have one owner, else page by page,
// without those that are free.
func (b *streamBuilder) free(op Op) {
	at, n := int(op.PFN-b.m.First()), 1<<op.Order
	if at < 0 || at+n > len(b.owner) {
		return
	}
	owner := b.owner[at]
	for p := at; p < at+n; p++ {
		if b.owner[p] != owner {
			b.freeSingly(op, at, n)
			return
		}
	}
	op.Kind, op.Slot = OpFree, NoSlot
	switch {
	case owner == ownerFree:
		return
	case owner != ownerPast:
		s := &b.slots[owner]
		op.Slot, op.Offset = owner, uint32(at-s.at)
		if s.left -= n; s.left == 0 {
			b.unused = append(b.unused, owner)
		}
	}
	for p := at; p < at+n; p++ {
		b.owner[p] = ownerFree
	}
	b.ops = append(b.ops, op)
}

func (b *streamBuilder) freeSingly(op Op, at, n int) {
	for i := range n {
		one := op
		one.PFN, one.Order, one.Call = op.PFN+buddy.PFN(i), 0, nil
		b.free(one)
	}
}
