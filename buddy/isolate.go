package buddy

import (
	"errors"
	"fmt"
)

// ErrBusy: a range holds pages that cannot be isolated or moved away (EBUSY).
var ErrBusy = errors.New("range is busy")

// RangeError is a failure of an operation on a range of page frames.
type RangeError struct {
	Start, End PFN
	// PFN is the page that stands in the way.
	PFN    PFN
	Reason string
	Err    error
}

func (e *RangeError) Error() string {
	return fmt.Sprintf("buddy: range %d-%d, PFN %d: %s: %v", e.Start, e.End, e.PFN, e.Reason, e.Err)
}

// Unwrap gives Err.
func (e *RangeError) Unwrap() error { return e.Err }

// IsolateFreePage takes a free block off its list for compaction or isolation:
// __isolate_free_page. The zone must stay above its min watermark by the block
// (not so in isolated pageblocks); blocks of half a pageblock or more make
// their pageblocks movable. It returns the block's order.
func (a *Allocator) IsolateFreePage(cpu CPU, pfn PFN) (Order, error) {
	z, err := a.zoneFor(cpu, pfn)
	if err != nil {
		return 0, err
	}
	p := a.head(uint32(pfn))
	if p.state != pageBuddy {
		return 0, a.pageError(pfn, 0, ErrNotFree)
	}
	order := int(p.order)
	mt := a.blockType(uint32(pfn))
	if mt != Isolate {
		mark := z.watermark.Min + 1<<order
		if !a.watermarkOK(z, 0, mark, 0, allocCMA, z.freePages) {
			return 0, &RangeError{Start: pfn, End: pfn + 1<<order, PFN: pfn, Reason: "zone would fall below its min watermark", Err: ErrBusy}
		}
		a.account(z, cpu, -1<<order, mt)
	}
	a.removeFree(z, p)
	p = a.page(uint32(pfn))
	p.state, p.order, p.zone = pageIsolated, uint8(order), z.index
	if order >= a.pageblockOrder-1 {
		for n := uint32(pfn); n < uint32(pfn)+1<<order; n += 1 << a.pageblockOrder {
			if a.blockType(n) < NumPCPTypes {
				a.setBlockType(n, Movable)
			}
		}
	}
	return Order(order), nil
}

// PutbackIsolated returns a block that [Allocator.IsolateFreePage] took to the
// tail of the free list: __putback_isolated_page.
func (a *Allocator) PutbackIsolated(cpu CPU, pfn PFN) error {
	p, z, err := a.inState(cpu, pfn, pageIsolated)
	if err != nil {
		return err
	}
	a.freeOnePage(z, cpu, uint32(pfn), int(p.order), a.blockType(uint32(pfn)), freeToTail)
	return nil
}

// UseIsolated makes a block that [Allocator.IsolateFreePage] took an allocated
// one, as compaction does with the pages it migrates to. It emits no event.
func (a *Allocator) UseIsolated(cpu CPU, pfn PFN) error {
	p, _, err := a.inState(cpu, pfn, pageIsolated)
	if err != nil {
		return err
	}
	p.state, p.info = pageAllocated, 0
	return nil
}

// IsolateBlock marks the pageblock of a page frame isolated and moves its free
// pages to the isolate lists: set_migratetype_isolate. mt is the type that it
// is expected to have when only CMA may be taken; the block must hold no
// unmovable pages.
func (a *Allocator) IsolateBlock(cpu CPU, pfn PFN, mt MigrateType) error {
	z, err := a.zoneFor(cpu, pfn)
	if err != nil {
		return err
	}
	start, end := a.blockBounds(uint32(pfn))
	bad := func(at uint32, reason string) error {
		return &RangeError{Start: PFN(start), End: PFN(end), PFN: PFN(at), Reason: reason, Err: ErrBusy}
	}
	old := a.blockType(start)
	switch {
	case old == Isolate:
		return bad(start, "is isolated already")
	case old == CMA && mt != CMA:
		return bad(start, "is CMA")
	case old != CMA:
		if at, ok := a.unmovable(z, start, end); ok {
			return bad(at, "is unmovable")
		}
	}
	a.splitAcross(z, start)
	a.setBlockType(start, Isolate)
	z.isolatedBlocks++
	if z.spans(PFN(end - 1)) {
		free, _ := a.moveFreeBlock(z, start, Isolate)
		a.account(z, cpu, -int64(free), old)
	}
	return nil
}

// unmovable finds a page of a range that cannot be migrated: reserved, or
// allocated for something else than movable contents (has_unmovable_pages).
func (a *Allocator) unmovable(z *Zone, start, end uint32) (uint32, bool) {
	for n := start; n < end; {
		head, p := a.enclosing(n)
		if p == nil {
			if !a.adopt {
				return n, true
			}
			n++
			continue
		}
		if p.state == pageAllocated && p.info&infoMovable == 0 && z.typ != ZoneMovable {
			return n, true
		}
		n = head + 1<<p.order
	}
	return 0, false
}

// splitAcross cuts a free block that reaches beyond the pageblock from start on
// into pieces of a pageblock (isolate_single_pageblock, split_free_page; since
// 6.10 move_freepages_block_isolate).
func (a *Allocator) splitAcross(z *Zone, start uint32) {
	head, p := a.enclosing(start)
	if p == nil || p.state != pageBuddy || int(p.order) <= a.pageblockOrder {
		return
	}
	order, mt := int(p.order), p.mt
	a.removeFree(z, p)
	for n := head; n < head+1<<order; n += 1 << a.pageblockOrder {
		a.pushFree(z, n, a.pageblockOrder, mt, false)
	}
}

// UnisolateBlock gives an isolated pageblock its type back and its free pages
// to that type's lists: unset_migratetype_isolate.
func (a *Allocator) UnisolateBlock(cpu CPU, pfn PFN, mt MigrateType) error {
	z, err := a.zoneFor(cpu, pfn)
	if err != nil {
		return err
	}
	start, end := a.blockBounds(uint32(pfn))
	if a.blockType(start) != Isolate || mt == Isolate || mt >= NumMigrateTypes {
		return &RangeError{Start: PFN(start), End: PFN(end), PFN: PFN(start), Reason: "is not isolated, or cannot get that type", Err: ErrBusy}
	}
	z.isolatedBlocks--
	p := a.head(start)
	order := int(p.order)
	if p.state == pageBuddy && order >= a.pageblockOrder && order < a.maxOrder-1 {
		b := a.peek(start ^ 1<<order)
		if b.state == pageBuddy && int(b.order) == order && b.zone == z.index && a.blockType(start^1<<order) != Isolate {
			// Freed anew, it merges with a neighbour that is not isolated.
			a.removeFree(z, p)
			a.setBlockType(start, mt)
			a.freeOnePage(z, cpu, start, order, mt, freeToTail)
			return nil
		}
	}
	if z.spans(PFN(end - 1)) {
		free, _ := a.moveFreeBlock(z, start, mt)
		a.account(z, cpu, int64(free), mt)
	}
	a.setBlockType(start, mt)
	return nil
}
