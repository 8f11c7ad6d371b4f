package buddy

import (
	"errors"
	"fmt"
	"slices"
)

// Arch is a processor architecture, as far as it decides about zones.
type Arch uint8

// Architectures.
const (
	// X86_64 has zones DMA (16 MiB), DMA32 (4 GiB) and Normal.
	X86_64 Arch = iota
	// ARM64 has zones DMA (as the firmware says; else 4 GiB), DMA32 and Normal.
	ARM64
	// ARM is 32-bit ARM: DMA (as the board says), Normal and HighMem (beyond
	// 768 MiB).
	ARM
	// X86_32 is 32-bit x86 with PAE: DMA (16 MiB), Normal and HighMem (beyond
	// 887 MiB).
	X86_32
	numArchs = 4
)

var archNames = [numArchs]string{"x86_64", "arm64", "arm", "x86_32"}

func (a Arch) String() string {
	if int(a) < len(archNames) {
		return archNames[a]
	}
	return fmt.Sprintf("Arch(%d)", uint8(a))
}

// PhysRange is a range of physical addresses in bytes; End is the first
// address behind it.
type PhysRange struct {
	Start, End uint64
}

func (r PhysRange) String() string {
	return fmt.Sprintf("[mem 0x%x-0x%x]", r.Start, r.End-1)
}

// MemRange is a range of memory on a node (a region of memblock.memory).
type MemRange struct {
	PhysRange
	Node NodeID
	// Hotpluggable says that the memory may be unplugged; with
	// [Machine.MovableNode] it becomes ZONE_MOVABLE.
	Hotpluggable bool
}

// ZonePages is a number of pages of one zone.
type ZonePages struct {
	Node  NodeID
	Type  ZoneType
	Pages uint64
}

// NoHugePages as [Machine.HugePageOrder] is a kernel without huge pages.
const NoHugePages Order = -1

// Machine describes hardware and kernel settings from which [Machine.Boot]
// computes zones, as a kernel does when it boots. Zero values are an x86_64
// machine of one CPU with 4 KiB pages and the kernel's defaults; only Memory is
// needed.
type Machine struct {
	Arch Arch
	// PageShift is the base-2 logarithm of the page size: 12, 14 or 16
	// (arm64 only); 0 means 12.
	PageShift int
	// Memory is all RAM, in any order, without overlaps; the nodes' memory does
	// not share pageblocks.
	Memory []MemRange
	// Reserved is what the kernel keeps from the page allocator for good: its
	// image, page structures, firmware tables (memblock.reserved). It may
	// overlap and lie outside of memory.
	Reserved []PhysRange
	// ReservedPages is the same where only the number is known; the lowest
	// free pages of the zone are taken.
	ReservedPages []ZonePages
	// InitMemory is what the kernel frees after it has booted: its init
	// sections and the initial RAM disk. The limits of zones are computed
	// without it. InitPages is the same where only the number is known.
	InitMemory []PhysRange
	InitPages  []ZonePages
	// CMA are the areas for contiguous allocation, aligned to pageblocks.
	CMA []PhysRange
	// CMABuiltIn says that the kernel has CONFIG_CMA, with or without areas.
	CMABuiltIn bool
	// CPUs is the number of online CPUs; 0 means that of CPUNode, or 1.
	CPUs int
	// CPUNode is the node of each CPU. Empty puts all on node 0.
	CPUNode []NodeID
	// Distances is as in [Config].
	Distances [][]int
	// KernelCore and MovableCore are the command line's kernelcore= and
	// movablecore=: how much memory stays out of ZONE_MOVABLE or goes there.
	KernelCore, MovableCore CoreSize
	// MovableNode is the command line's movable_node: hotpluggable memory
	// becomes ZONE_MOVABLE. KernelCore and MovableCore are then ignored.
	MovableNode bool
	// ZoneTypes are the zone types that the kernel was built with, ascending.
	// Empty means those of a distribution kernel of the architecture.
	ZoneTypes []ZoneType
	// DMALimit is the first address beyond ZONE_DMA on ARM64 and ARM (1 GiB on
	// a Raspberry Pi 4); 0 means no limit of its own.
	DMALimit uint64
	// LowmemLimit is the first address of HighMem on 32-bit architectures; 0
	// means the architecture's.
	LowmemLimit uint64
	// MaxOrder is as in [Config]; 0 means the architecture's.
	MaxOrder Order
	// HugePageOrder is the order of a huge page; 0 means the architecture's
	// (none on ARM), [NoHugePages] none.
	HugePageOrder Order
	// THPNever is the command line's transparent_hugepage=never; NoTHP a
	// kernel without transparent huge pages.
	THPNever, NoTHP bool
	// Sysctl are the settings; nil means [DefaultSysctl].
	Sysctl *Sysctl
}

// pageShift is PageShift with its default.
func (m *Machine) pageShift() int {
	if m.PageShift == 0 {
		return 12
	}
	return m.PageShift
}

// cpus is CPUs with its default.
func (m *Machine) cpus() int {
	switch {
	case m.CPUs != 0:
		return m.CPUs
	case len(m.CPUNode) != 0:
		return len(m.CPUNode)
	}
	return 1
}

// zoneTypes is ZoneTypes with its default.
func (m *Machine) zoneTypes() []ZoneType {
	switch {
	case len(m.ZoneTypes) != 0:
		return m.ZoneTypes
	case m.Arch == ARM || m.Arch == X86_32:
		return []ZoneType{ZoneDMA, ZoneNormal, ZoneHighMem, ZoneMovable}
	case m.Arch == ARM64:
		return []ZoneType{ZoneDMA, ZoneDMA32, ZoneNormal, ZoneMovable}
	}
	return []ZoneType{ZoneDMA, ZoneDMA32, ZoneNormal, ZoneMovable, ZoneDevice}
}

// sysctl is Sysctl with its default.
func (m *Machine) sysctl() *Sysctl {
	if m.Sysctl == nil {
		return &DefaultSysctl
	}
	return m.Sysctl
}

// Validate reports all faults at once: the result unwraps to a list of
// [*ConfigError].
func (m *Machine) Validate() error {
	var f faults
	f.want(m.Arch < numArchs, "Arch", uint8(m.Arch), "below %d", numArchs)
	shift := m.pageShift()
	f.want(shift == 12 || m.Arch == ARM64 && (shift == 14 || shift == 16),
		"PageShift", m.PageShift, "12, or 14 or 16 on arm64")
	m.validateMemory(&f)
	m.validateCPUs(&f)
	m.validateOrders(&f)
	m.validateZones(&f)
	m.validateCMA(&f)
	m.sysctl().validate(&f)
	return errors.Join(f...)
}

func (m *Machine) validateMemory(f *faults) {
	f.want(len(m.Memory) > 0, "Memory", "empty", "at least one range")
	limit := uint64(maxPFN) << min(max(m.pageShift(), 0), 16)
	for i, r := range m.Memory {
		field := fmt.Sprintf("Memory[%d]", i)
		f.want(r.Start < r.End && r.End <= limit, field, r.PhysRange, "a range below 0x%x", limit)
		f.want(r.Node >= 0 && r.Node < maxNodes, field+".Node", r.Node, "0 to %d", maxNodes-1)
	}
	sorted := slices.Clone(m.Memory)
	slices.SortFunc(sorted, func(a, b MemRange) int { return cmpUint64(a.Start, b.Start) })
	block := uint64(1) << (min(max(m.pageShift(), 0), 16) + max(int(m.PageblockOrder()), 0))
	for i := 1; i < len(sorted); i++ {
		before, r := sorted[i-1], sorted[i]
		f.want(r.Start >= before.End, "Memory", r.PhysRange, "no overlap with %v", before.PhysRange)
		f.want(r.Node == before.Node || before.End <= r.Start&^(block-1), "Memory", r.PhysRange,
			"no pageblock shared with node %d, %v", before.Node, before.PhysRange)
	}
	validatePhysRanges(f, "Reserved", m.Reserved)
	validatePhysRanges(f, "InitMemory", m.InitMemory)
}

func cmpUint64(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func validatePhysRanges(f *faults, name string, ranges []PhysRange) {
	for i, r := range ranges {
		f.want(r.Start <= r.End, fmt.Sprintf("%s[%d]", name, i), r, "Start at most End")
	}
}

func (m *Machine) validateCPUs(f *faults) {
	f.want(m.CPUs >= 0 && m.CPUs <= maxCPUs, "CPUs", m.CPUs, "0 to %d", maxCPUs)
	f.want(len(m.CPUNode) <= maxCPUs && (m.CPUs == 0 || len(m.CPUNode) == 0 || len(m.CPUNode) == m.CPUs),
		"len(CPUNode)", len(m.CPUNode), "0 or CPUs (%d)", m.CPUs)
	nodes := 1
	for i, n := range m.CPUNode {
		f.want(n >= 0 && n < maxNodes, fmt.Sprintf("CPUNode[%d]", i), n, "0 to %d", maxNodes-1)
		nodes = max(nodes, int(n)+1)
	}
	for _, r := range m.Memory {
		nodes = max(nodes, int(r.Node)+1)
	}
	if len(m.Distances) != 0 {
		validateDistances(f, m.Distances, nodes)
	}
}

func (m *Machine) validateOrders(f *faults) {
	f.want(m.MaxOrder >= 0 && m.MaxOrder <= MaxOrders, "MaxOrder", m.MaxOrder, "0 to %d", MaxOrders)
	f.want(m.HugePageOrder >= NoHugePages && m.HugePageOrder <= 20,
		"HugePageOrder", m.HugePageOrder, "%d to 20", NoHugePages)
	m.KernelCore.validate(f, "KernelCore")
	m.MovableCore.validate(f, "MovableCore")
}

func (m *Machine) validateZones(f *faults) {
	c := Config{ZoneTypes: m.zoneTypes()}
	c.validateZoneTypes(f)
	f.want(c.hasZoneType(ZoneNormal), "ZoneTypes", c.ZoneTypes, "Normal among them")
	f.want(c.hasZoneType(ZoneMovable), "ZoneTypes", c.ZoneTypes, "Movable among them")
	f.want(!c.hasZoneType(ZoneHighMem) || m.is32Bit(), "ZoneTypes", c.ZoneTypes, "no HighMem on %v", m.Arch)
	for i, r := range m.ReservedPages {
		f.want(c.hasZoneType(r.Type), fmt.Sprintf("ReservedPages[%d].Type", i), r.Type, "one of ZoneTypes")
	}
	for i, r := range m.InitPages {
		f.want(c.hasZoneType(r.Type), fmt.Sprintf("InitPages[%d].Type", i), r.Type, "one of ZoneTypes")
	}
}

func (m *Machine) is32Bit() bool { return m.Arch == ARM || m.Arch == X86_32 }

// validateCMA wants CMA areas to be whole pageblocks of memory that nothing
// else reserves.
func (m *Machine) validateCMA(f *faults) {
	align := uint64(1) << (m.pageShift() + int(m.PageblockOrder()))
	areas := slices.Clone(m.CMA)
	slices.SortFunc(areas, func(a, b PhysRange) int { return cmpUint64(a.Start, b.Start) })
	for i, r := range areas {
		f.want(r.Start < r.End && r.Start%align == 0 && r.End%align == 0,
			"CMA", r, "a range aligned to the pageblock size (0x%x)", align)
		f.want(i == 0 || r.Start >= areas[i-1].End, "CMA", r, "no overlap with another area")
		f.want(!overlapsAny(r, m.Reserved) && !overlapsAny(r, m.InitMemory), "CMA", r, "no overlap with reserved memory")
		f.want(r.Start >= r.End || m.inMemory(r), "CMA", r, "all of it memory of one node")
	}
}

func overlapsAny(r PhysRange, others []PhysRange) bool {
	for _, o := range others {
		if r.Start < o.End && o.Start < r.End {
			return true
		}
	}
	return false
}

// inMemory says whether a range lies in one range of memory, adjacent ones of
// a node taken together.
func (m *Machine) inMemory(r PhysRange) bool {
	for _, region := range mergeMemory(m.Memory) {
		if region.Start <= r.Start && r.End <= region.End {
			return true
		}
	}
	return false
}

// DefaultMaxOrder is the number of free areas of an architecture's kernels
// with a page size.
func DefaultMaxOrder(arch Arch, pageShift int) Order {
	if arch == ARM64 {
		switch pageShift {
		case 14:
			return 12
		case 16:
			return 14
		}
	}
	return 11
}

// maxOrder is MaxOrder with its default.
func (m *Machine) maxOrder() Order {
	if m.MaxOrder == 0 {
		return DefaultMaxOrder(m.Arch, m.pageShift())
	}
	return m.MaxOrder
}

// hugePageOrder is HugePageOrder with its default: what one entry of the second
// lowest page table level maps, or NoHugePages.
func (m *Machine) hugePageOrder() Order {
	switch {
	case m.HugePageOrder != 0:
		return m.HugePageOrder
	case m.Arch == ARM:
		return NoHugePages
	}
	return Order(m.pageShift() - 3) // a table is a page of 8-byte entries
}

// PageblockOrder is the machine's pageblock order, the kernel's pageblock_order:
// that of a huge page, or of the largest block if that is smaller or there are
// no huge pages.
func (m *Machine) PageblockOrder() Order {
	largest := m.maxOrder() - 1
	if huge := m.hugePageOrder(); huge != NoHugePages {
		return min(huge, largest)
	}
	return largest
}
