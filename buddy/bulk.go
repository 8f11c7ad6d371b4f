package buddy

import "math/bits"

// AllocBulk asks for n single pages at once and appends them to dst:
// __alloc_pages_bulk (alloc_pages_bulk_array, _list). The result may hold fewer
// than n pages: if the zone is short of memory or the CPU's list cannot be
// filled, it falls back to one ordinary request. r.Order must be 0. The error
// is that request's.
func (a *Allocator) AllocBulk(dst []PFN, r Request, n int) ([]PFN, error) {
	if r.Order != 0 {
		return dst, &RequestError{Request: r, Reason: "bulk requests are for single pages"}
	}
	if n <= 0 {
		return dst, nil
	}
	var ac allocContext
	if err := a.prepare(&r, &ac); err != nil {
		return dst, err
	}
	if n > 1 && r.GFP&GFPAccount == 0 {
		if z := a.bulkZone(&r, &ac, n); z != nil {
			before := len(dst)
			if dst = a.bulkFrom(dst, z, &r, &ac, n); len(dst) > before {
				return dst, nil
			}
		}
	}
	pfn, err := a.Alloc(r)
	if err != nil {
		return dst, err
	}
	return append(dst, pfn), nil
}

// bulkFlags are the allocation flags of a bulk request.
func bulkFlags(ac *allocContext) allocFlags {
	if ac.mt == Movable {
		return allocWmarkLow | allocCMA
	}
	return allocWmarkLow
}

// bulkZone finds a local zone that stays above its low watermark by n pages.
func (a *Allocator) bulkZone(r *Request, ac *allocContext, n int) *Zone {
	if ac.preferred >= len(ac.zones) {
		return nil
	}
	preferred := &a.zones[ac.zones[ac.preferred]]
	highest := a.typeIndex(preferred.typ)
	flags := bulkFlags(ac)
	for i := ac.preferred; i < len(ac.zones); i = a.firstAllowed(ac, i+1) {
		z := &a.zones[ac.zones[i]]
		if z.node != preferred.node {
			return nil
		}
		if a.watermarkFast(z, 0, z.mark(flags)+uint64(n), highest, flags, r.GFP) {
			return z
		}
	}
	return nil
}

func (a *Allocator) bulkFrom(dst []PFN, z *Zone, r *Request, ac *allocContext, n int) []PFN {
	c := &z.pcp[ac.cpu]
	got := uint64(0)
	for range n {
		pfn, ok := a.popPCP(z, c, ac.cpu, 0, ac.mt, bulkFlags(ac))
		if !ok {
			break
		}
		p := a.page(pfn)
		p.state, p.order, p.zone, p.info = pageAllocated, 0, z.index, 0
		if r.GFP&GFPMovable != 0 {
			p.info = infoMovable
		}
		dst = append(dst, PFN(pfn))
		got++
	}
	a.countAlloc(z, ac, got, got)
	return dst
}

// OrderOf is the smallest order whose block holds size bytes: get_order. Size 0
// gives the order of the whole address space, as in the kernel.
func (a *Allocator) OrderOf(size uint64) Order {
	return Order(bits.Len64((size - 1) >> a.config.PageShift))
}

// AllocExact asks for just enough contiguous pages for size bytes: it takes a
// block of the next power of two and gives the rest back
// (alloc_pages_exact). Free the pages with [Allocator.FreeExact].
func (a *Allocator) AllocExact(r Request, size uint64) (PFN, error) {
	r.Order = a.OrderOf(size)
	if size == 0 || int(r.Order) >= a.maxOrder {
		r.Order = Order(min(int(r.Order), MaxOrders))
		return 0, &RequestError{Request: r, Reason: "size is 0 or larger than the largest block"}
	}
	r.GFP &^= GFPComp | GFPHighMem
	pfn, err := a.Alloc(r)
	if err != nil {
		return 0, err
	}
	if err := a.Split(pfn, r.Order); err != nil {
		return 0, err
	}
	n := a.pagesFor(size)
	for extra := pfn + PFN(n); extra < pfn+1<<r.Order; extra++ {
		if err := a.FreeToZone(r.CPU, extra, 0, true); err != nil {
			return 0, err
		}
	}
	return pfn, nil
}

// FreeExact gives back what [Allocator.AllocExact] gave for the same size:
// free_pages_exact.
func (a *Allocator) FreeExact(cpu CPU, pfn PFN, size uint64) error {
	n := PFN(a.pagesFor(size))
	for i := range n {
		if _, _, err := a.freeable(cpu, pfn+i, 0); err != nil {
			return err
		}
	}
	for i := range n {
		if err := a.Free(cpu, pfn+i, 0); err != nil {
			return err
		}
	}
	return nil
}

// pagesFor is how many pages size bytes need.
func (a *Allocator) pagesFor(size uint64) uint64 {
	return (size + 1<<a.config.PageShift - 1) >> a.config.PageShift
}

// GetFreePages is __get_free_pages: [Allocator.AllocPages] for callers that
// need the page mapped in the kernel, so __GFP_HIGHMEM is dropped. It returns
// the physical address in bytes.
func (a *Allocator) GetFreePages(cpu CPU, gfp GFP, order Order) (uint64, error) {
	pfn, err := a.AllocPages(cpu, gfp&^GFPHighMem, order)
	return uint64(pfn) << a.config.PageShift, err
}

// GetZeroedPage is get_zeroed_page: a single page with __GFP_ZERO. It returns
// the physical address in bytes.
func (a *Allocator) GetZeroedPage(cpu CPU, gfp GFP) (uint64, error) {
	return a.GetFreePages(cpu, gfp|GFPZero, 0)
}
