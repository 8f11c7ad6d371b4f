package fault

import (
	"cmp"
	"slices"

	"github.com/kernsim/kernsim/mm/vma"
)

// Huge pages of MAP_HUGETLB: they come from the machine's pool, count as nobody's
// resident memory, and are never split.

// tlbPage is a huge page in use; promised: it was kept for the mapping.
type tlbPage struct {
	refs     int
	promised bool
	pos      filePos // of a shared mapping
}

// tlbEntry maps a huge page.
type tlbEntry struct {
	addr     uint64
	page     *tlbPage
	writable bool
}

func (x *Memory) findTLB(addr uint64) (int, bool) {
	return slices.BinarySearchFunc(x.tlb, addr, func(e tlbEntry, a uint64) int { return cmp.Compare(e.addr, a) })
}

// mapTLB serves a fault in a mapping of huge pages (hugetlb_fault): SIGBUS if there
// is none.
func (x *Memory) mapTLB(v *vma.VMA, addr uint64, write bool) (Kind, error) {
	start := addr &^ (v.HugePageSize() - 1)
	i, ok := x.findTLB(start)
	if ok && (!write || x.tlb[i].writable) {
		return Hit, nil
	}
	pool := x.s.Config().Huge
	if ok {
		old := x.tlb[i].page
		if v.Flags&vma.Shared == 0 && old.refs > 1 { // a private copy (hugetlb_wp)
			if !pool.Take(v.Kept()) {
				return 0, &Signal{"SIGBUS", "BUS_ADRERR", addr}
			}
			x.dropTLB(old)
			x.tlb[i].page = &tlbPage{refs: 1, promised: v.Kept()}
		}
		x.tlb[i].writable = true
		return Minor, nil
	}
	pos := filePos{v.File, v.PageOffset + (start-v.Start)>>pageShift}
	page := x.m.tlb[pos]
	if v.Flags&vma.Shared == 0 || page == nil {
		if !pool.Take(v.Kept()) {
			return 0, &Signal{"SIGBUS", "BUS_ADRERR", addr}
		}
		page = &tlbPage{promised: v.Kept()}
		if v.Flags&vma.Shared != 0 {
			page.pos = pos
			x.m.tlb[pos] = page
		}
	}
	page.refs++
	x.tlb = slices.Insert(x.tlb, i, tlbEntry{start, page, v.Flags&vma.Write != 0 && (write || v.Flags&vma.Shared == 0)})
	return Minor, nil
}

// dropTLB takes a reference away; the last one gives the page back to the pool.
func (x *Memory) dropTLB(p *tlbPage) {
	if p.refs--; p.refs == 0 {
		x.s.Config().Huge.Give(p.promised)
		if p.pos.file != nil {
			delete(x.m.tlb, p.pos)
		}
	}
}

// zapTLB unmaps the huge pages that begin in a range.
func (x *Memory) zapTLB(start, end uint64) {
	if len(x.tlb) == 0 {
		return
	}
	i, _ := x.findTLB(start)
	k, _ := x.findTLB(end)
	for _, e := range x.tlb[i:max(i, k)] {
		x.dropTLB(e.page)
	}
	x.tlb = slices.Delete(x.tlb, i, max(i, k))
}

// moveTLB moves the huge pages of a range along with their mapping.
func (x *Memory) moveTLB(start, end, to uint64) {
	for i := range x.tlb {
		if e := &x.tlb[i]; e.addr >= start && e.addr < end {
			e.addr = e.addr - start + to
		}
	}
	slices.SortFunc(x.tlb, func(a, b tlbEntry) int { return cmp.Compare(a.addr, b.addr) })
}

// protectTLB gives the huge pages of a range what their mapping allows now.
func (x *Memory) protectTLB(start, end uint64) {
	for i := range x.tlb {
		if e := &x.tlb[i]; e.addr >= start && e.addr < end {
			v, _ := x.s.At(e.addr)
			e.writable = v.Flags&vma.Write != 0 && (v.Flags&vma.Shared != 0 || e.page.refs == 1)
		}
	}
}

// forkTLB shares the huge pages with a child; private ones are copied by the one
// that writes.
func (x *Memory) forkTLB(child *Memory) {
	for i := range x.tlb {
		e := &x.tlb[i]
		v, ok := child.s.At(e.addr)
		if !ok || v.Flags&vma.WipeOnFork != 0 {
			continue
		}
		e.page.refs++
		e.writable = e.writable && v.Flags&vma.Shared != 0
		child.tlb = append(child.tlb, *e)
	}
}
