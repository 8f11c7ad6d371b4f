package fault

import "github.com/kernsim/kernsim/mm/vma"

// Transparent huge pages: 2 MiB of private anonymous memory mapped by one entry.
// Here they are a table whose 512 entries belong together until one of them is
// treated alone.

const (
	hugeShift = 21
	hugeSize  = 1 << hugeShift
)

// HugeMode is /sys/kernel/mm/transparent_hugepage/enabled.
type HugeMode uint8

// Modes.
const (
	HugeNever HugeMode = iota
	// HugeMadvise: where madvise(MADV_HUGEPAGE) asked for it.
	HugeMadvise
	HugeAlways
)

// eligible says that the 2 MiB around an address may be a huge page
// (hugepage_vma_check, transhuge_vma_suitable).
func (x *Memory) eligible(v *vma.VMA, addr uint64) bool {
	start := addr &^ (hugeSize - 1)
	switch {
	case x.m.Pages != nil, v.File != nil, v.Flags&(vma.Shared|vma.NoHugePage) != 0, start < v.Start, start+hugeSize > v.End:
		return false
	case x.m.Huge == HugeMadvise:
		return v.Flags&vma.HugePage != 0
	}
	return x.m.Huge == HugeAlways
}

// fits says that a VMA has a place for a huge page (THPeligible).
func (x *Memory) fits(v *vma.VMA) bool {
	return x.eligible(v, (v.Start+hugeSize-1)&^(hugeSize-1))
}

// mapHuge serves a fault with a huge page, if that may be: the huge zero page for a
// read (do_huge_pmd_anonymous_page). false: a small page has to do.
func (x *Memory) mapHuge(v *vma.VMA, addr uint64, write bool) (done bool, err error) {
	key := addr >> hugeShift
	if x.tables[key] != nil || !x.eligible(v, addr) {
		return false, nil
	}
	zero := !write && x.m.HugeZero
	if !zero && x.m.Limit > 0 && x.m.used+tableSize > x.m.Limit {
		return false, nil
	}
	t := &table{huge: true}
	x.tables[key] = t
	x.last, x.lastAt = nil, ^uint64(0)
	if zero {
		for i := range t.entries {
			t.entries[i] = entry{flags: present | zeroPage}
		}
		t.used = tableSize
		return true, nil
	}
	return true, x.fillHuge(v, t, addr)
}

// fillHuge gives a table the frames of a huge page.
func (x *Memory) fillHuge(v *vma.VMA, t *table, addr uint64) error {
	flags := present
	if v.Flags&vma.Write != 0 {
		flags |= writable
	}
	for i := range t.entries {
		f, err := x.m.take()
		if err != nil {
			return err
		}
		t.entries[i] = entry{f + 1, flags}
	}
	t.used = tableSize
	x.AnonPages += tableSize
	return x.s.Write(addr)
}

// writeHuge serves a write to a huge page that is mapped read-only
// (do_huge_pmd_wp_page): it becomes writable if nobody else has it, else its table
// is split and the page copied alone. On newer kernels a huge zero page makes room for a huge
// page.
func (x *Memory) writeHuge(v *vma.VMA, t *table, addr uint64) (done bool, err error) {
	if t.entries[0].flags&zeroPage != 0 {
		if x.m.HugeZeroCopied && x.eligible(v, addr) && (x.m.Limit == 0 || x.m.used+tableSize <= x.m.Limit) {
			return true, x.fillHuge(v, t, addr)
		}
		t.huge = false
		return false, nil
	}
	for i := range t.entries {
		if x.m.refs[t.entries[i].frame-1] != 1 {
			t.huge = false
			return false, nil
		}
	}
	for i := range t.entries {
		t.entries[i].flags = t.entries[i].flags&^old | writable
	}
	return true, x.s.Write(addr)
}

// splitAt splits the huge page that an address is inside of (split_huge_pmd).
func (x *Memory) splitAt(addr uint64) {
	if t := x.tables[addr>>hugeShift]; t != nil && addr%hugeSize != 0 {
		t.huge = false
	}
}

// splitBorders splits where VMAs were split (vma_adjust_trans_huge).
func (x *Memory) splitBorders(start, end uint64) {
	for _, at := range [2]uint64{start, end} {
		if v, ok := x.s.At(at); !ok || v.Start == at {
			x.splitAt(at)
		}
	}
}

// freeTables frees the page tables of an unmapped range that no VMA outside of it
// needs (free_pgtables).
func (x *Memory) freeTables(start, end uint64) {
	x.eachTable(start, end, func(key uint64) {
		from, to := key<<hugeShift, (key+1)<<hugeShift
		if x.occupied(from, start) || x.occupied(end, to) {
			return
		}
		delete(x.tables, key)
		x.last, x.lastAt = nil, ^uint64(0)
	})
}

// occupied says that a VMA is in a range.
func (x *Memory) occupied(from, to uint64) bool {
	if from >= to {
		return false
	}
	v, ok := x.s.Find(from)
	return ok && v.Start < to
}

// Collapse makes a huge page of small ones, as khugepaged does, or madvise with
// MADV_COLLAPSE: EINVAL where none may be, or where nothing is mapped or another
// process has a page; ENOMEM without memory.
func (x *Memory) Collapse(addr uint64) error {
	v, ok := x.s.At(addr)
	t := x.tables[addr>>hugeShift]
	if !ok || v.File != nil || v.Flags&(vma.Shared|vma.NoHugePage) != 0 || addr&^(hugeSize-1) < v.Start || addr&^(hugeSize-1)+hugeSize > v.End || t == nil || t.used == 0 {
		return &vma.Error{Call: "madvise", Errno: "EINVAL", Why: "no huge page can be there"}
	}
	if t.huge {
		return nil
	}
	for i := range t.entries {
		if f := t.entries[i].frame; f != 0 && x.m.refs[f-1] != 1 {
			return &vma.Error{Call: "madvise", Errno: "EINVAL", Why: "another process has a page"}
		}
	}
	if x.m.Limit > 0 && x.m.used+tableSize > x.m.Limit {
		return &vma.Error{Call: "madvise", Errno: "ENOMEM", Why: "no huge page is free"}
	}
	for i := range t.entries {
		x.forget(t.entries[i])
		t.entries[i] = entry{}
	}
	t.huge = true
	return x.fillHuge(&v, t, addr)
}
