package replay

import (
	"context"
	"fmt"

	"github.com/kernsim/kernsim/buddy"
)

// CallKind is what happened to the page allocator in a capture.
type CallKind uint8

const (
	// CallAlloc is a request for a block.
	CallAlloc CallKind = iota
	// CallBulk is a request for N single pages (alloc_pages_bulk).
	CallBulk
	// CallFree gives a block back.
	CallFree
	// CallPrepare and CallCommit are the halves of a free that is part of a
	// list of pages: what the page's pageblock is, is noted at the first.
	CallPrepare
	CallCommit
	// CallFreeToZone is a free past a per-CPU list.
	CallFreeToZone
	// CallDrain drains N pages of a CPU's list of a zone from outside.
	CallDrain
	// CallDecay is the CPU's vmstat work (decay_pcp_high).
	CallDecay
	// CallTake takes a certain free block away, as compaction does.
	CallTake
	// CallIsolate and CallUnisolate change a pageblock's type.
	CallIsolate
	CallUnisolate
	// CallReclaim says whether kswapd is up on a node: it keeps per-CPU lists
	// short, and counters exact.
	CallReclaim
	// CallShort says whether kswapd keeps a node's per-CPU lists short, where a
	// drain told.
	CallShort
	// CallBoost sets a zone's watermark boost to N pages, as kswapd lowered it.
	CallBoost
	// CallFold folds a CPU's counters; CallHidden sets what the CPUs hide from a
	// zone's.
	CallFold
	CallHidden
)

// PageCall is one call of a capture's request stream, in the order in which
// the kernel's calls took effect.
type PageCall struct {
	Kind CallKind
	// Time is the trace's, in ns.
	Time uint64
	// Request is that of CallAlloc and CallBulk; its CPU is every call's.
	Request buddy.Request
	// PFN and Order are the block's; a request's PFN is what the kernel
	// answered, 0 if it failed.
	PFN   buddy.PFN
	Order buddy.Order
	// PFNs are a bulk request's pages.
	PFNs []buddy.PFN
	// N is how many pages are asked for in bulk or drained, or a boost; Zone which
	// zone's list is drained, or watermark boosted.
	N, Zone int
	// Hidden are CallHidden's pages, by CPU.
	Hidden []int64
	// Type is CallUnisolate's pageblock type.
	Type buddy.MigrateType
	// Node and On are CallReclaim's and CallShort's.
	Node buddy.NodeID
	On   bool
	// Claims are the kernel's answers to whether a request claimed the
	// pageblock it fell back to.
	Claims []bool
}

// PageRequests is a capture as a machine with a stream of calls, which another
// allocator can be asked to serve.
type PageRequests struct {
	Name    string
	Meta    Meta
	Config  buddy.Config
	Profile buddy.Profile
	// Before and After are the kernel's lists.
	Before, After *buddy.State
	Calls         []PageCall
	// Result is how the replay went that the calls were written down in.
	Result *Result
}

// Requests replays the page allocator and writes down what it was asked for.
func Requests(ctx context.Context, c Capture) (*PageRequests, error) {
	in, err := loadPageCapture(c)
	if err != nil {
		return nil, err
	}
	p := &PageRequests{Name: c.Name, Meta: in.meta, Config: in.config, Profile: in.profile, Before: in.state, After: in.end}
	p.Result, err = in.replayWith(ctx, Options{calls: &p.Calls}, nil)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Compare says how many of the kernel's lists an allocator has, element by
// element, and the first that differs.
func (p *PageRequests) Compare(a *buddy.Allocator) (identical, lists int, difference string) {
	var res Result
	compareLists(&res, p.After, a)
	return res.ListsIdentical, res.Lists, res.FirstDifference
}

// record writes an operation down before it is done. The caller may complete
// what it returns until the next one; it is nil if nothing is recorded.
func (r *pageReplay) record(op *pageOp, rec *pageRec) *PageCall {
	if r.opts.calls == nil {
		return nil
	}
	c := PageCall{Time: rec.time, PFN: buddy.PFN(rec.pfn), Order: buddy.Order(rec.order), Request: buddy.Request{CPU: buddy.CPU(rec.cpu)}}
	switch op.kind {
	case opAlloc:
		c.Kind, c.Request = CallAlloc, r.request(rec)
	case opFree:
		c.Kind = CallFree
	case opPrepare:
		c.Kind = CallPrepare
	case opCommit:
		c.Kind = CallCommit
	case opFreeToZone:
		c.Kind = CallFreeToZone
	case opDecay:
		c.Kind = CallDecay
	case opIsolate:
		c.Kind = CallTake
	default: // written down where they are done
		return nil
	}
	return r.note(c)
}

func (r *pageReplay) note(c PageCall) *PageCall {
	if r.opts.calls == nil {
		return &c
	}
	*r.opts.calls = append(*r.opts.calls, c)
	return &(*r.opts.calls)[len(*r.opts.calls)-1]
}

// String names the call.
func (k CallKind) String() string {
	names := [...]string{"alloc", "bulk", "free", "prepare", "commit", "free to zone", "drain", "decay", "take", "isolate", "unisolate", "reclaim", "short lists", "boost", "fold", "hidden"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("CallKind(%d)", uint8(k))
}
