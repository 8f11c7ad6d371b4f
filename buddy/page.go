package buddy

// pageState says what a page frame's metadata currently describes. Only the
// first page of a block carries a state; the others are pageNone.
//
//	pageNone -> pageBuddy        a range is handed to the allocator
//	pageBuddy -> pageAllocated   allocated through the zone
//	pageBuddy -> pagePCP         a per-CPU list is refilled
//	pagePCP -> pageAllocated     allocated from the per-CPU list
//	pageAllocated -> pagePCP     freed to the per-CPU list
//	pageAllocated -> pageBuddy   freed to the zone
//	pageAllocated -> pagePrepared -> pagePCP    freed as part of a list
//	pagePCP -> pageBuddy         the per-CPU list is drained
//	pageBuddy -> pageIsolated    compaction or alloc_contig_range took it
//	pageIsolated -> pageBuddy, pageAllocated
type pageState uint8

const (
	pageNone pageState = iota
	pageBuddy
	pagePCP
	pageAllocated
	// pagePrepared: free_unref_page_prepare is done, the commit is not
	// (between mm_page_free and mm_page_free_batched).
	pagePrepared
	pageIsolated
)

var pageStateNames = [...]string{
	"not the first page of a block", "free", "free on a per-CPU list",
	"allocated", "being freed", "isolated",
}

func (s pageState) String() string { return pageStateNames[s] }

// pageInfo bits of an allocated block.
const (
	// infoMovable: the contents can be migrated (PageLRU or __PageMovable).
	infoMovable = 1 << iota
)

// page is the metadata of one page frame: 16 bytes, the counterpart of struct
// page. next and prev link blocks of one list by the PFN of their first page;
// nilPFN ends a list.
type page struct {
	next, prev uint32
	// info has the infoXxx bits of an allocated block.
	info  uint32
	state pageState
	order uint8
	// mt is, on a free list, the list's migrate type; on a per-CPU list or in
	// a freshly taken page the type to give it back to (the kernel's
	// get_pcppage_migratetype, page->index).
	mt MigrateType
	// zone is the zone's index in Allocator.zones.
	zone uint8
}

const nilPFN = ^uint32(0)

// Page metadata is allocated by section, as with SPARSEMEM, so that a machine
// costs memory for the page frames that were ever used, not for its holes.
const (
	sectionShift = 15
	sectionPages = 1 << sectionShift
	sectionMask  = sectionPages - 1
)

// Free blocks of the highest order are kept apart, in Allocator.top: a machine
// that has just booted consists of them, and costs 16 bytes for each instead of
// a section for each 32.

type section [sectionPages]page

// freePage gives the metadata of a free block of an order, or the place for it.
func (a *Allocator) freePage(pfn uint32, order int) *page {
	if order == a.topOrder {
		return &a.top[pfn>>order]
	}
	return a.page(pfn)
}

// head gives the metadata at a page frame, whether it starts a free block of
// the highest order or anything else, for reading.
func (a *Allocator) head(pfn uint32) *page {
	if pfn&(1<<a.topOrder-1) == 0 {
		if i := pfn >> a.topOrder; int(i) < len(a.top) && a.top[i].state != pageNone {
			return &a.top[i]
		}
	}
	return a.peek(pfn)
}

// noPage is what peek gives for a page frame without metadata. It is never
// written.
var noPage page

// page gives the metadata of a page frame inside the machine for writing.
func (a *Allocator) page(pfn uint32) *page {
	s := a.sections[pfn>>sectionShift]
	if s == nil {
		s = new(section)
		a.sections[pfn>>sectionShift] = s
	}
	return &s[pfn&sectionMask]
}

// peek gives the metadata of any page frame for reading.
func (a *Allocator) peek(pfn uint32) *page {
	i := pfn >> sectionShift
	if int(i) >= len(a.sections) || a.sections[i] == nil {
		return &noPage
	}
	return &a.sections[i][pfn&sectionMask]
}

// zoneOf gives the zone that a page frame belongs to, or nil.
func (a *Allocator) zoneOf(pfn uint64) *Zone {
	if z := a.zoneClaiming(pfn); z != nil {
		return z
	}
	return a.zoneSharingBlock(pfn)
}

// zoneClaiming gives the zone that claims a page frame's pageblock, or nil if
// it does not reach to the page frame. It is small enough to be inlined.
func (a *Allocator) zoneClaiming(pfn uint64) *Zone {
	b := pfn >> a.pageblockOrder
	if b >= uint64(len(a.blockZone)) || a.blockZone[b] == noZone {
		return nil
	}
	if z := &a.zones[a.blockZone[b]]; z.spans(PFN(pfn)) {
		return z
	}
	// Zones may meet within a pageblock.
	for i := range a.zones {
		if a.zones[i].spans(PFN(pfn)) {
			return &a.zones[i]
		}
	}
	return nil
}

// zoneSharingBlock gives the zone of a page frame in a pageblock that another
// zone claims: HighMem of 32-bit machines can begin anywhere. A pageblock that
// no zone claims is a hole.
func (a *Allocator) zoneSharingBlock(pfn uint64) *Zone {
	if b := pfn >> a.pageblockOrder; b >= uint64(len(a.blockZone)) || a.blockZone[b] == noZone {
		return nil
	}
	for _, r := range a.config.Present {
		if pfn >= uint64(r.Start) && pfn < uint64(r.End) {
			return &a.zones[r.Zone]
		}
	}
	if len(a.config.Present) > 0 {
		return nil
	}
	block := pfn >> a.pageblockOrder
	for i := range a.zones {
		z := &a.zones[i]
		atEdge := block == uint64(z.start)>>a.pageblockOrder || block == uint64(z.end-1)>>a.pageblockOrder
		if atEdge && z.spans(PFN(pfn)) {
			return z
		}
	}
	return nil
}

// list is an intrusive, doubly linked list of blocks.
type list struct {
	head, tail uint32
	n          uint32
}

func (l *list) init() { *l = list{head: nilPFN, tail: nilPFN} }

// pushFront is the kernel's list_add, for a list of blocks of an order.
func (a *Allocator) pushFront(l *list, pfn uint32, p *page, order int) {
	p.next, p.prev = l.head, nilPFN
	if l.head == nilPFN {
		l.tail = pfn
	} else {
		a.freePage(l.head, order).prev = pfn
	}
	l.head = pfn
	l.n++
}

// pushBack is the kernel's list_add_tail.
func (a *Allocator) pushBack(l *list, pfn uint32, p *page, order int) {
	p.next, p.prev = nilPFN, l.tail
	if l.tail == nilPFN {
		l.head = pfn
	} else {
		a.freePage(l.tail, order).next = pfn
	}
	l.tail = pfn
	l.n++
}

// remove is the kernel's list_del.
func (a *Allocator) remove(l *list, p *page, order int) {
	if p.prev == nilPFN {
		l.head = p.next
	} else {
		a.freePage(p.prev, order).next = p.next
	}
	if p.next == nilPFN {
		l.tail = p.prev
	} else {
		a.freePage(p.next, order).prev = p.prev
	}
	l.n--
}
