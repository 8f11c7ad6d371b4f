package vma

import "fmt"

// HugePool is the machine's persistent huge pages of one size (/proc/sys/vm/nr_hugepages):
// mappings with MAP_HUGETLB promise themselves as many as they may need.
type HugePool struct {
	// Size is a page's in bytes: 2 MiB or 1 GiB.
	Size uint64
	// Total pages; Promised ones are kept for mappings, in use or not; Other
	// ones are used without a promise.
	Total, Promised, Other uint64
	// Used are the promised ones in use.
	Used uint64
}

// NewHugePool makes a pool of so many pages of a size; EINVAL for sizes that x86_64
// does not have.
func NewHugePool(size, pages uint64) (*HugePool, error) {
	if size != 2<<20 && size != 1<<30 {
		return nil, refuse("hugetlb", "EINVAL", "no huge pages of %d bytes", size)
	}
	return &HugePool{Size: size, Total: pages}, nil
}

// promise keeps pages for a mapping (hugetlb_acct_memory).
func (p *HugePool) promise(pages uint64) bool {
	if p == nil || pages > p.Total-p.Promised-p.Other {
		return false
	}
	p.Promised += pages
	return true
}

// Take takes a page into use, of the promised ones or not; false if there is none.
func (p *HugePool) Take(promised bool) bool {
	switch {
	case promised:
		p.Used++
	case p.Promised+p.Other < p.Total:
		p.Other++
	default:
		return false
	}
	return true
}

// Give gives a page back that Take took.
func (p *HugePool) Give(promised bool) {
	if promised {
		p.Used--
	} else {
		p.Other--
	}
}

// MemInfo is what /proc/meminfo says of the pool.
func (p *HugePool) MemInfo() string {
	return fmt.Sprintf("HugePages_Total: %7d\nHugePages_Free:  %7d\nHugePages_Rsvd:  %7d\nHugePages_Surp:  %7d\nHugepagesize:    %7d kB\n",
		p.Total, p.Total-p.Used-p.Other, p.Promised-p.Used, 0, p.Size>>10)
}

// Check proves that the pool has the pages that it promised.
func (p *HugePool) Check() error {
	if p.Used > p.Promised || p.Promised+p.Other > p.Total {
		return fmt.Errorf("vma: huge pages: %d of %d promised and %d others in use, of %d", p.Used, p.Promised, p.Other, p.Total)
	}
	return nil
}

// hugeSize is the size of huge pages that mmap's flags ask for: the pool's unless
// they name one.
func (s *Space) hugeSize(call string, flags MapFlags) (uint64, error) {
	if s.c.Huge == nil {
		return 0, refuse(call, "ENOMEM", "there are no huge pages")
	}
	if log := flags >> mapHugeShift & 63; log != 0 && uint64(1)<<log != s.c.Huge.Size {
		return 0, refuse(call, "EINVAL", "no huge pages of 2^%d bytes", log)
	}
	return s.c.Huge.Size, nil
}

// hugePlace finds the place of a mapping of huge pages: aligned to them.
func (s *Space) hugePlace(call string, addr, size, page uint64, flags MapFlags) (uint64, error) {
	if flags&MapFixed != 0 {
		if addr%page != 0 {
			return 0, refuse(call, "EINVAL", "%#x is not the start of a huge page", addr)
		}
		return s.unmapped(call, addr, size, flags)
	}
	at, err := s.unmapped(call, 0, size+page-pageSize, 0)
	return (at + page - pageSize) &^ (page - 1), err
}

// huge is the size of a VMA's huge pages, 0 for others.
func (v *VMA) huge() uint64 {
	if v.Flags&HugeTLB == 0 {
		return 0
	}
	return v.File.huge
}

// HugePageSize is the size of the huge pages of a mapping with MAP_HUGETLB, in bytes;
// 0 for other mappings.
func (v *VMA) HugePageSize() uint64 { return v.huge() }

// Kept says that huge pages are kept for a mapping, or for the shared memory that it
// maps.
func (v *VMA) Kept() bool { return v.Promised || v.Flags&Shared != 0 && v.File.kept > 0 }

// hold notes that huge pages of a mapping are mapped.
func (s *Space) hold(v *VMA, pages uint64) {
	if v.Flags&Shared != 0 {
		v.File.mapped += pages
	}
}

// release ends what was kept for huge pages that are not mapped any more.
func (s *Space) release(v *VMA, pages uint64) {
	if v.Flags&Shared == 0 {
		if v.Promised {
			s.c.Huge.Promised -= pages
		}
		return
	}
	if v.File.mapped -= pages; v.File.mapped == 0 {
		s.c.Huge.Promised -= v.File.kept
		v.File.kept = 0
	}
}

// uncuttable says that a border would go through a huge page (hugetlb_vm_op_split).
func (s *Space) uncuttable(call string, at uint64) error {
	if s.c.Huge == nil {
		return nil
	}
	if v, ok := s.At(at); ok && v.huge() > 0 && at%v.huge() != 0 {
		return refuse(call, "EINVAL", "%#x is inside of a huge page", at)
	}
	return nil
}
