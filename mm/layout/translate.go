package layout

import (
	"fmt"
	"sort"
)

// AddrError is an address that a conversion is not for.
type AddrError struct {
	Op     string // the kernel's function
	Addr   uint64
	Why    string
	Report string // what the kernel does: a report of CONFIG_DEBUG_VIRTUAL, or that it answers nonsense
}

// Error names function, address and reason.
func (e *AddrError) Error() string {
	return fmt.Sprintf("layout: %s(%#x): %s (kernel: %s)", e.Op, e.Addr, e.Why, e.Report)
}

const (
	reportBug     = "with CONFIG_DEBUG_VIRTUAL: kernel BUG at VIRTUAL_BUG_ON; without: a wrong address"
	reportWarn    = "with CONFIG_DEBUG_VIRTUAL: WARNING: virt_to_phys used for non-linear address; without: a wrong address"
	reportNothing = "no check: a wrong address"
	reportFault   = "no check: a fault at the first use"
)

func (c *Config) nonLinearReport() string {
	if c.Arch == ARM64 || c.Arch == ARM {
		return reportWarn
	}
	return reportBug
}

// VirtToPhys is virt_to_phys (__pa): the physical address of a kernel address
// of the direct map, or, on 64 bits, of the kernel image. Other addresses (vmalloc, modules,
// fixmap, user space) are refused with an *AddrError.
func (l *Layout) VirtToPhys(addr uint64) (uint64, error) {
	fail := func(why string) (uint64, error) {
		return 0, &AddrError{"virt_to_phys", addr, why, l.c.nonLinearReport()}
	}
	r, ok := l.Find(addr)
	if !ok {
		return fail("not an address of 32 bits")
	}
	switch r.Kind {
	case DirectMap:
		phys := addr - l.pageOffset + l.memstart
		if phys>>l.c.PhysBits != 0 {
			return fail("a physical address that the CPU does not have")
		}
		return phys, nil
	case KernelImage:
		phys := addr + l.imageOffset
		if phys>>l.c.PhysBits != 0 {
			return fail("in front of the image")
		}
		return phys, nil
	}
	return fail("in " + r.Kind.String() + ", which is not mapped linearly")
}

// ImageToPhys is __pa_symbol: the physical address of one of the kernel's own
// symbols, as an address from _text on.
func (l *Layout) ImageToPhys(addr uint64) (uint64, error) {
	if !l.c.Arch.Is64() {
		return l.VirtToPhys(addr)
	}
	if addr < l.imageBase || addr > l.imageLast {
		return 0, &AddrError{"__pa_symbol", addr, "not in the kernel image", l.c.nonLinearReport()}
	}
	return addr + l.imageOffset, nil
}

// PhysToVirt is phys_to_virt (__va): the direct map's address of a physical
// address. Memory that the direct map does not reach is refused: high memory on
// 32 bits has no such address, kmap makes one.
func (l *Layout) PhysToVirt(phys uint64) (uint64, error) {
	addr := phys - l.memstart + l.pageOffset
	r, ok := l.Find(addr)
	if !ok || r.Kind != DirectMap || phys>>l.c.PhysBits != 0 {
		why := "beyond the direct map"
		if !l.c.Arch.Is64() && phys >= l.c.memStart() && phys < l.c.memEnd() {
			why = "high memory, which only kmap maps"
		}
		return 0, &AddrError{"phys_to_virt", phys, why, reportNothing}
	}
	return addr, nil
}

func (l *Layout) structPageSize() uint64 {
	if l.c.Arch.Is64() {
		return structPage
	}
	return 32
}

// PFNToPage is pfn_to_page: the address of a page frame's struct page. A page
// frame without one (PFNValid) is refused.
func (l *Layout) PFNToPage(pfn uint64) (uint64, error) {
	if l.vmemmap == 0 {
		return 0, &AddrError{"pfn_to_page", pfn, "where mem_map is was not told", reportNothing}
	}
	if !l.PFNValid(pfn) {
		return 0, &AddrError{"pfn_to_page", pfn, "a page frame without struct page", reportFault}
	}
	return l.vmemmap + (pfn-l.firstPFN())*l.structPageSize(), nil
}

// PageToPFN is page_to_pfn: the page frame number of a struct page's address.
func (l *Layout) PageToPFN(page uint64) (uint64, error) {
	if l.vmemmap == 0 {
		return 0, &AddrError{"page_to_pfn", page, "where mem_map is was not told", reportNothing}
	}
	size := l.structPageSize()
	off := page - l.vmemmap
	if off%size != 0 {
		return 0, &AddrError{"page_to_pfn", page, "in the middle of a struct page", reportNothing}
	}
	pfn := off/size + l.firstPFN()
	if !l.PFNValid(pfn) {
		return 0, &AddrError{"page_to_pfn", page, "no struct page of this machine", reportNothing}
	}
	return pfn, nil
}

// firstPFN is the page frame of the first element of mem_map: ARCH_PFN_OFFSET
// on 32 bits, where memory need not start at 0.
func (l *Layout) firstPFN() uint64 {
	if l.c.Arch == ARM {
		return l.c.memStart() >> l.c.pageShift()
	}
	return 0
}

// sectionShift is SECTION_SIZE_BITS; 0 where pfn_valid looks at each page.
func (c *Config) sectionShift() uint {
	switch {
	case c.Arch == X86_64, c.Arch == ARM64 && c.Kernel != Linux5_4 && c.PageSize != 64<<10:
		return 27
	case c.Arch == ARM64 && c.Kernel != Linux5_4:
		return 29
	}
	return 0
}

// PFNValid is pfn_valid: whether a page frame has a struct page. With sparse
// memory all page frames of a section have one, if any of it is memory.
func (l *Layout) PFNValid(pfn uint64) bool {
	c := &l.c
	if pfn>>(64-c.pageShift()) != 0 {
		return false
	}
	if c.Arch == X86 {
		return pfn < (c.memEnd()+c.PageSize-1)>>c.pageShift()
	}
	unit := max(c.sectionShift(), c.pageShift())
	first := pfn << c.pageShift() >> unit << unit
	last := first + 1<<unit - 1
	if c.sectionShift() == 0 {
		// A page counts if its first byte is memory.
		last = first
	}
	i := sort.Search(len(c.Memory), func(i int) bool { return c.Memory[i].End > first })
	return i < len(c.Memory) && c.Memory[i].Start <= last
}

// VirtAddrValid is virt_addr_valid: whether virt_to_page may be used on an
// address. It is true for the direct map's part with struct pages, and on x86_64 for the
// kernel image too.
func (l *Layout) VirtAddrValid(addr uint64) bool {
	r, ok := l.Find(addr)
	if !ok || (r.Kind != DirectMap && (r.Kind != KernelImage || l.c.Arch != X86_64)) {
		return false
	}
	phys, err := l.VirtToPhys(addr)
	return err == nil && l.PFNValid(phys>>l.c.pageShift())
}
