package buddy

import (
	"errors"
	"fmt"
	"math/bits"
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
		if !a.watermarkOK(z, 0, mark, 0, allocCMA, z.seenFree()) {
			return 0, &RangeError{Start: pfn, End: pfn + 1<<order, PFN: pfn, Reason: "zone would fall below its min watermark", Err: ErrBusy}
		}
		a.account(z, cpu, -1<<order, mt)
	}
	a.removeFree(z, p)
	p = a.page(uint32(pfn))
	p.state, p.order, p.zone = pageIsolated, uint8(order), z.index
	if order >= a.pageblockOrder-1 {
		for n := uint32(pfn); n < uint32(pfn)+1<<order; n += 1 << a.pageblockOrder {
			a.makeMovable(z, cpu, n)
		}
	}
	return Order(order), nil
}

// makeMovable makes an ordinary pageblock movable, with exact types together
// with its free pages.
func (a *Allocator) makeMovable(z *Zone, cpu CPU, pfn uint32) {
	mt := a.blockType(pfn)
	switch {
	case mt >= NumPCPTypes:
	case a.profile.ExactTypes:
		a.retypeBlock(z, cpu, pfn, mt, Movable)
	default:
		a.setBlockType(pfn, Movable)
	}
}

// PutbackIsolated returns a block that [Allocator.IsolateFreePage] took to the
// tail of the free list: __putback_isolated_page.
func (a *Allocator) PutbackIsolated(cpu CPU, pfn PFN) error {
	p, z, err := a.inState(cpu, pfn, pageIsolated)
	if err != nil {
		return err
	}
	a.freeOnePage(z, cpu, uint32(pfn), int(p.order), a.blockType(uint32(pfn)), a.tailFlag())
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
// pages to the isolate lists: start_isolate_page_range of one pageblock. The
// block must hold no unmovable pages, and no block in use may reach beyond it;
// mt is the type that CMA pageblocks may have to be taken (CMA) or not
// (Movable). On an error nothing changed.
func (a *Allocator) IsolateBlock(cpu CPU, pfn PFN, mt MigrateType) error {
	z, err := a.rangeZone(cpu, pfn, pfn+1)
	if err != nil {
		return err
	}
	start, _ := a.blockBounds(uint32(pfn))
	return a.isolateRange(z, cpu, start, start, mt)
}

// rangeZone gives the zone of a range of page frames, which must be in one.
func (a *Allocator) rangeZone(cpu CPU, start, end PFN) (*Zone, error) {
	z := a.zoneOf(uint64(start))
	switch {
	case z == nil || start >= end || end > z.end:
		return nil, a.pageError(start, 0, ErrOutside)
	case uint(cpu) >= uint(len(z.pcp)):
		return nil, a.pageError(start, 0, ErrNoCPU)
	}
	return z, nil
}

// isolateRange isolates the pageblocks from the one at first to the one at
// last, or none: start_isolate_page_range. The outer ones come first, with the
// free blocks that reach beyond the range cut there.
func (a *Allocator) isolateRange(z *Zone, cpu CPU, first, last uint32, mt MigrateType) error {
	block := uint32(1) << a.pageblockOrder
	for _, boundary := range []uint32{first, last + block} {
		if head, p := a.enclosing(boundary); p != nil && head < boundary && p.state != pageBuddy {
			return a.busy(boundary, head, "is in use across the end of the range")
		}
	}
	if at, ok := a.isolatedNeighbour(z, first, last); ok {
		return a.busy(first, at, "is isolated already, and free blocks could reach from the range into it")
	}
	if err := a.isolateOne(z, cpu, first, mt); err != nil {
		return err
	}
	a.splitAt(z, cpu, first)
	if last != first {
		if err := a.isolateOne(z, cpu, last, mt); err != nil {
			a.unisolateOne(z, cpu, first, mt)
			return err
		}
	}
	a.splitAt(z, cpu, last+block)
	for n := first + block; n < last; n += block {
		if err := a.isolateOne(z, cpu, n, mt); err != nil {
			a.unisolateRange(z, cpu, first, n-block, mt)
			a.unisolateOne(z, cpu, last, mt)
			return err
		}
	}
	return nil
}

// isolatedNeighbour finds an isolated pageblock that a free block of the range
// could merge with. Kernels before 6.10 miscount when parts of such a block are
// given back one after the other; later ones put pages on lists of another type
// if the largest block is of more than two pageblocks. The model does not begin
// it.
func (a *Allocator) isolatedNeighbour(z *Zone, first, last uint32) (uint32, bool) {
	if z.isolatedBlocks == 0 || a.profile.ExactTypes && a.maxOrder-1 <= a.pageblockOrder+1 {
		return 0, false
	}
	block, mask := uint32(1)<<a.pageblockOrder, uint32(1)<<(a.maxOrder-1)-1
	zoneFirst, _ := a.blockBounds(uint32(z.start))
	for n := max(first&^mask, zoneFirst); n <= min(last|mask, uint32(z.end-1)); n += block {
		if a.blockType(n) == Isolate {
			return n, true
		}
	}
	return 0, false
}

// busy is the error for a pageblock that cannot be isolated.
func (a *Allocator) busy(start, at uint32, reason string) error {
	return &RangeError{Start: PFN(start), End: PFN(start) + 1<<a.pageblockOrder, PFN: PFN(at), Reason: reason, Err: ErrBusy}
}

// isolateOne is set_migratetype_isolate for a whole pageblock. A pageblock in
// which zones meet cannot be isolated; kernels before 6.10 go on and miscount.
func (a *Allocator) isolateOne(z *Zone, cpu CPU, start uint32, mt MigrateType) error {
	old := a.blockType(start)
	switch {
	case old == Isolate:
		return a.busy(start, start, "is isolated already")
	case old == CMA && mt != CMA:
		return a.busy(start, start, "is CMA")
	case old != CMA:
		if at, ok := a.unmovable(z, start, start+1<<a.pageblockOrder); ok {
			return a.busy(start, at, "is unmovable")
		}
	}
	if !z.spans(PFN(start)) || !z.spans(PFN(start)+1<<a.pageblockOrder-1) {
		return a.busy(start, start, "is not wholly in the zone")
	}
	z.isolatedBlocks++
	if a.profile.ExactTypes {
		a.moveIsolate(z, cpu, start, Isolate)
		return nil
	}
	a.setBlockType(start, Isolate)
	free, _ := a.moveFreeBlock(z, start, Isolate)
	a.account(z, cpu, -int64(free), old)
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

// splitAt cuts a free block in two at a pageblock's boundary and frees the
// parts anew, so that each can be on the list of its type: split_free_page, as
// isolate_single_pageblock uses it. With exact types moveIsolate has done so.
func (a *Allocator) splitAt(z *Zone, cpu CPU, boundary uint32) {
	head, p := a.enclosing(boundary)
	if a.profile.ExactTypes || p == nil || head == boundary || p.state != pageBuddy {
		return
	}
	order := int(p.order)
	a.account(z, cpu, -1<<order, a.blockType(head))
	a.removeFree(z, p)
	end := head + 1<<order
	for pfn, left := head, boundary-head; pfn < end; {
		o := bits.Len32(left) - 1
		if pfn != 0 {
			o = min(o, bits.TrailingZeros32(pfn))
		}
		a.freeOnePage(z, cpu, pfn, o, a.blockType(pfn), 0)
		pfn += 1 << o
		if left -= 1 << o; left == 0 {
			left = end - pfn
		}
	}
}

// moveIsolate retypes a pageblock and moves its free pages to the type's lists;
// a free block that reaches beyond the pageblock is freed anew by pageblock:
// move_freepages_block_isolate since 6.10.
func (a *Allocator) moveIsolate(z *Zone, cpu CPU, start uint32, mt MigrateType) {
	head, p := a.enclosing(start)
	if p == nil || p.state != pageBuddy || int(p.order) <= a.pageblockOrder {
		a.retypeBlock(z, cpu, start, a.blockType(start), mt)
		return
	}
	order := int(p.order)
	a.removeFree(z, p)
	a.account(z, cpu, -1<<order, a.blockType(head))
	a.setBlockType(start, mt)
	a.splitLarge(z, cpu, head, order, 0)
}

// UnisolateBlock gives an isolated pageblock a type and its free pages to that
// type's lists: unset_migratetype_isolate. On an error nothing changed.
func (a *Allocator) UnisolateBlock(cpu CPU, pfn PFN, mt MigrateType) error {
	z, err := a.rangeZone(cpu, pfn, pfn+1)
	if err != nil {
		return err
	}
	start, _ := a.blockBounds(uint32(pfn))
	if a.blockType(start) != Isolate || mt >= Isolate || mt == CMA && !a.cma {
		return a.busy(start, start, "is not isolated, or cannot get that type")
	}
	a.unisolateOne(z, cpu, start, mt)
	return nil
}

// unisolateRange gives isolated pageblocks a type back: undo_isolate_page_range.
func (a *Allocator) unisolateRange(z *Zone, cpu CPU, first, last uint32, mt MigrateType) {
	for n := first; n <= last; n += 1 << a.pageblockOrder {
		if a.blockType(n) == Isolate {
			a.unisolateOne(z, cpu, n, mt)
		}
	}
}

func (a *Allocator) unisolateOne(z *Zone, cpu CPU, start uint32, mt MigrateType) {
	z.isolatedBlocks--
	p := a.head(start)
	order := int(p.order)
	if p.state == pageBuddy && order >= a.pageblockOrder && order < a.maxOrder-1 {
		buddy := start ^ 1<<order
		if b := a.peek(buddy); b.state == pageBuddy && int(b.order) == order && b.zone == z.index && a.blockType(buddy) != Isolate {
			// Freed anew, it merges with a neighbour that is not isolated.
			a.removeFree(z, p)
			a.setBlockType(start, mt)
			a.freeOnePage(z, cpu, start, order, mt, a.tailFlag())
			return
		}
	}
	if a.profile.ExactTypes {
		a.moveIsolate(z, cpu, start, mt)
		return
	}
	free, _ := a.moveFreeBlock(z, start, mt)
	a.account(z, cpu, int64(free), mt)
	a.setBlockType(start, mt)
}
