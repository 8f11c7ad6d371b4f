package buddy

import "fmt"

// PFN is a page frame number: the physical address of a page divided by the
// page size. Simulated machines are limited to 1<<32-1 page frames (16 TiB of
// 4 KiB pages), so that lists can be linked with 32-bit indexes.
type PFN uint64

// Order is the base-2 logarithm of a block's size in pages.
type Order int8

// MaxOrders is the number of free areas of a zone, the kernel's MAX_ORDER in
// 6.1 (NR_PAGE_ORDERS since 6.8) on the architectures simulated here, as a
// compile-time bound. A machine may use fewer, see [Config.MaxOrder].
const MaxOrders = 14

// CPU is the number of a simulated CPU.
type CPU int32

// NodeID is the number of a NUMA node; NoNode means "the node of the CPU that
// asks", the kernel's NUMA_NO_NODE.
type NodeID int32

// NoNode is the kernel's NUMA_NO_NODE.
const NoNode NodeID = -1

// MigrateType says how well the pages of a block can be moved, the kernel's
// enum migratetype. The numbers of CMA and Isolate depend on the kernel's
// configuration: 4 is CMA and 5 Isolate where CONFIG_CMA is set, else 4 is
// Isolate. These constants are the model's own, fixed numbers; use
// [MigrateType.KernelNumber] and [MigrateTypeFromKernel] at the border.
type MigrateType uint8

// Migrate types, in the kernel's order.
const (
	Unmovable MigrateType = iota
	Movable
	Reclaimable
	HighAtomic
	CMA
	Isolate
	NumMigrateTypes = 6
	// NumPCPTypes is the number of migrate types that have per-CPU lists,
	// the kernel's MIGRATE_PCPTYPES.
	NumPCPTypes = 3
)

var migrateTypeNames = [NumMigrateTypes]string{
	"Unmovable", "Movable", "Reclaimable", "HighAtomic", "CMA", "Isolate",
}

// String gives the name that /proc/pagetypeinfo prints.
func (mt MigrateType) String() string {
	if int(mt) < len(migrateTypeNames) {
		return migrateTypeNames[mt]
	}
	return fmt.Sprintf("MigrateType(%d)", uint8(mt))
}

// KernelNumber is the number that a kernel with or without CONFIG_CMA prints
// for the type, for example in the migratetype field of mm_page_alloc.
func (mt MigrateType) KernelNumber(cma bool) int {
	if mt == Isolate && !cma {
		return 4
	}
	return int(mt)
}

// MigrateTypeFromKernel is the inverse of [MigrateType.KernelNumber]. ok is
// false if the kernel has no type of that number.
func MigrateTypeFromKernel(n int, cma bool) (mt MigrateType, ok bool) {
	switch {
	case n < 0 || n > 5 || n == 5 && !cma:
		return 0, false
	case n == 4 && !cma:
		return Isolate, true
	}
	return MigrateType(n), true
}

// ZoneType is the kind of a zone, the kernel's enum zone_type.
type ZoneType uint8

// Zone types in the kernel's order; a machine has a subset of them.
const (
	ZoneDMA ZoneType = iota
	ZoneDMA32
	ZoneNormal
	ZoneHighMem
	ZoneMovable
	ZoneDevice
	NumZoneTypes = 6
)

var zoneTypeNames = [NumZoneTypes]string{"DMA", "DMA32", "Normal", "HighMem", "Movable", "Device"}

// String gives the name that /proc/zoneinfo prints.
func (t ZoneType) String() string {
	if int(t) < len(zoneTypeNames) {
		return zoneTypeNames[t]
	}
	return fmt.Sprintf("ZoneType(%d)", uint8(t))
}

// ParseZoneType is the inverse of [ZoneType.String].
func ParseZoneType(s string) (ZoneType, error) {
	for i, n := range zoneTypeNames {
		if n == s {
			return ZoneType(i), nil
		}
	}
	return 0, fmt.Errorf("buddy: unknown zone name %q", s)
}

// Watermarks are a zone's limits in pages, without the boost: the kernel's
// zone->_watermark[].
type Watermarks struct {
	Min, Low, High, Promo uint64
}

// PCPConfig is what bounds a per-CPU page list of a zone (struct
// per_cpu_pages), in pages. HighMin and HighMax bound the auto-tuned High of
// 6.7 and later; older profiles ignore them.
type PCPConfig struct {
	Batch, High      int
	HighMin, HighMax int
}

// ZoneConfig describes one zone of a machine, as [NewAllocator] wants it and
// as [Boot] computes it from a memory map.
type ZoneConfig struct {
	Node NodeID
	Type ZoneType
	// StartPFN is the zone's first page frame; Spanned the number of frames
	// to its last one, holes included; Present those with memory; Managed
	// those that the page allocator was given.
	StartPFN                  PFN
	Spanned, Present, Managed uint64
	Watermark                 Watermarks
	// Boost is the current watermark boost in pages.
	Boost uint64
	// LowmemReserve[i] is how many pages a request whose highest usable zone
	// is the i-th zone type *of the machine* must leave free here. Its length
	// is the machine's number of zone types ([Config.ZoneTypes]).
	LowmemReserve []uint64
	// PCP bounds the per-CPU lists; the same on every CPU.
	PCP PCPConfig
	// StatThreshold is how many pages a CPU's counter difference may reach
	// before it is folded into the zone's, the kernel's
	// calculate_normal_threshold. 0 folds at once.
	StatThreshold int
	// CMAPages is how many of the zone's pages belong to CMA areas.
	CMAPages uint64
}
