package rival

import (
	"slices"
	"sort"
)

// run is a run of pages.
type run struct{ first, pages uint32 }

// heap hands out runs of pages of address space, as user-space allocators do:
// the lowest that fits, or the smallest that fits. Free runs are joined.
type heap struct {
	shift    uint // of a page, in bytes
	smallest bool // the smallest run that fits, of equals the lowest; else the lowest
	limit    uint32
	end      uint32 // pages that were ever used
	free     []run  // ascending
	held     uint32
	allocs   uint64
	frees    uint64
}

// heapBase is where the address space of the heaps begins.
const heapBase = 1 << 40

func newHeap(shift uint, smallest bool) heap {
	return heap{shift: shift, smallest: smallest, limit: uint32(uint64(1) << 32 >> shift)}
}

func (h *heap) addr(page uint32) uint64 { return heapBase + uint64(page)<<h.shift }

// page is the page of an address; false if it was never used.
func (h *heap) page(addr uint64) (uint32, bool) {
	if addr < heapBase || addr-heapBase >= uint64(h.end)<<h.shift {
		return 0, false
	}
	return uint32((addr - heapBase) >> h.shift), true
}

func (h *heap) alloc(pages uint32) (uint32, error) {
	best := -1
	for i := range h.free {
		if n := h.free[i].pages; n >= pages && (best < 0 || n < h.free[best].pages) {
			best = i
			if !h.smallest || n == pages {
				break
			}
		}
	}
	var first uint32
	switch {
	case best >= 0:
		r := &h.free[best]
		first = r.first
		if r.first, r.pages = r.first+pages, r.pages-pages; r.pages == 0 {
			h.free = slices.Delete(h.free, best, best+1)
		}
	case pages > h.limit-h.end:
		return 0, ErrNoMemory
	default:
		first = h.end
		h.end += pages
	}
	h.held += pages
	h.allocs++
	return first, nil
}

func (h *heap) release(first, pages uint32) {
	h.held -= pages
	h.frees++
	i := sort.Search(len(h.free), func(i int) bool { return h.free[i].first > first })
	if i > 0 && h.free[i-1].first+h.free[i-1].pages == first {
		i--
		h.free[i].pages += pages
	} else {
		h.free = slices.Insert(h.free, i, run{first, pages})
	}
	if i+1 < len(h.free) && h.free[i].first+h.free[i].pages == h.free[i+1].first {
		h.free[i].pages += h.free[i+1].pages
		h.free = slices.Delete(h.free, i+1, i+2)
	}
}

func (h *heap) footprint() uint64 { return uint64(h.held) << h.shift }

// check proves that free runs are apart and that all pages are accounted for.
func (h *heap) check(name string) error {
	sum, last := h.held, uint32(0)
	for i, r := range h.free {
		if r.pages == 0 || i > 0 && r.first <= last || r.first+r.pages > h.end {
			return &CheckError{name, "free runs of pages overlap or touch"}
		}
		sum, last = sum+r.pages, r.first+r.pages
	}
	if sum != h.end {
		return &CheckError{name, "pages are lost"}
	}
	return nil
}
