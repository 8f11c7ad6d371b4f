package buddy

import "fmt"

// GFP is a set of allocation flags, the kernel's gfp_t: how hard to try, from
// which zones, and how movable the page will be.
//
// The low 32 bits are numbered as in Linux 6.1 (include/linux/gfp_types.h),
// with flags of later kernels in bits that 6.1 leaves free. Other kernels
// number some flags differently: [GFPTable] translates to and from a kernel's
// numbers and names. The upper 32 bits keep bits of a number that the table's
// kernel has no flag for, so that nothing read is lost.
type GFP uint64

// Single flags. Each is the kernel's __GFP_ flag of the same name; only
// __GFP_ATOMIC needs a longer name here, because GFP_ATOMIC is a composite.
const (
	// GFPDMA is __GFP_DMA (and GFP_DMA): take from ZONE_DMA.
	GFPDMA GFP = 1 << iota
	// GFPHighMem is __GFP_HIGHMEM: ZONE_HIGHMEM is allowed too.
	GFPHighMem
	// GFPDMA32 is __GFP_DMA32 (and GFP_DMA32): take from ZONE_DMA32.
	GFPDMA32
	// GFPMovable is __GFP_MOVABLE: the page can be migrated; with GFPHighMem,
	// ZONE_MOVABLE is allowed too.
	GFPMovable
	// GFPReclaimable is __GFP_RECLAIMABLE: a shrinker can free the page.
	GFPReclaimable
	// GFPHigh is __GFP_HIGH: high priority, may use half of the reserve below
	// the min watermark.
	GFPHigh
	// GFPIO is __GFP_IO: physical I/O may be started to reclaim.
	GFPIO
	// GFPFS is __GFP_FS: reclaim may call into file systems.
	GFPFS
	// GFPZero is __GFP_ZERO: return a zeroed page.
	GFPZero
	// GFPAtomicFlag is __GFP_ATOMIC: cannot sleep, lower watermark. Removed
	// in 6.3, where __GFP_HIGH without direct reclaim means the same.
	GFPAtomicFlag
	// GFPDirectReclaim is __GFP_DIRECT_RECLAIM: the caller may reclaim itself.
	GFPDirectReclaim
	// GFPKswapdReclaim is __GFP_KSWAPD_RECLAIM: kswapd may be woken.
	GFPKswapdReclaim
	// GFPWrite is __GFP_WRITE: the page will be dirtied.
	GFPWrite
	// GFPNoWarn is __GFP_NOWARN: print no failure report.
	GFPNoWarn
	// GFPRetryMayFail is __GFP_RETRY_MAYFAIL: retry as long as there is
	// progress, but rather fail than kill.
	GFPRetryMayFail
	// GFPNoFail is __GFP_NOFAIL: retry forever.
	GFPNoFail
	// GFPNoRetry is __GFP_NORETRY: one light attempt to reclaim.
	GFPNoRetry
	// GFPMemalloc is __GFP_MEMALLOC: all reserves may be used.
	GFPMemalloc
	// GFPComp is __GFP_COMP: make a compound page.
	GFPComp
	// GFPNoMemalloc is __GFP_NOMEMALLOC: no emergency reserves, even for a
	// task that has PF_MEMALLOC.
	GFPNoMemalloc
	// GFPHardwall is __GFP_HARDWALL: only nodes of the task's cpuset.
	GFPHardwall
	// GFPThisNode is __GFP_THISNODE: only the requested node.
	GFPThisNode
	// GFPAccount is __GFP_ACCOUNT: charge to the memory cgroup.
	GFPAccount
	// GFPZeroTags is __GFP_ZEROTAGS: zero memory tags too. Since 5.14.
	GFPZeroTags
	// GFPSkipZero is __GFP_SKIP_ZERO (CONFIG_KASAN_HW_TAGS only).
	GFPSkipZero
	// GFPSkipKASANUnpoison is __GFP_SKIP_KASAN_UNPOISON (CONFIG_KASAN_HW_TAGS
	// only, until 6.3).
	GFPSkipKASANUnpoison
	// GFPSkipKASANPoison is __GFP_SKIP_KASAN_POISON (CONFIG_KASAN_HW_TAGS
	// only, until 6.3).
	GFPSkipKASANPoison
	// GFPNoLockdep is __GFP_NOLOCKDEP (CONFIG_LOCKDEP only).
	GFPNoLockdep
	// GFPNoObjExt is __GFP_NO_OBJ_EXT (CONFIG_SLAB_OBJ_EXT, since 6.10).
	GFPNoObjExt
)

// GFPSkipKASAN is __GFP_SKIP_KASAN, which replaced the two
// __GFP_SKIP_KASAN_(UN)POISON flags in 6.4.
const GFPSkipKASAN = GFPSkipKASANUnpoison | GFPSkipKASANPoison

// GFPReclaim is __GFP_RECLAIM: both direct reclaim and kswapd.
const GFPReclaim = GFPDirectReclaim | GFPKswapdReclaim

// GFPZoneMask is GFP_ZONEMASK, the flags that select the zone.
const GFPZoneMask = GFPDMA | GFPHighMem | GFPDMA32 | GFPMovable

// Composites, with their value in Linux 6.1. Two of them have another value
// in other kernels (see [GFPTable.Composite]): GFP_ATOMIC lost __GFP_ATOMIC in
// 6.3, and GFP_NOWAIT gained __GFP_NOWARN in 6.10.
const (
	// GFPAtomic is GFP_ATOMIC: for callers that cannot sleep.
	GFPAtomic = GFPHigh | GFPAtomicFlag | GFPKswapdReclaim
	// GFPKernel is GFP_KERNEL: ordinary kernel memory.
	GFPKernel = GFPReclaim | GFPIO | GFPFS
	// GFPKernelAccount is GFP_KERNEL_ACCOUNT.
	GFPKernelAccount = GFPKernel | GFPAccount
	// GFPNowait is GFP_NOWAIT: no waiting, no reserves.
	GFPNowait = GFPKswapdReclaim
	// GFPNoIO is GFP_NOIO: reclaim without starting I/O.
	GFPNoIO = GFPReclaim
	// GFPNoFS is GFP_NOFS: reclaim without calling into file systems.
	GFPNoFS = GFPReclaim | GFPIO
	// GFPUser is GFP_USER: for user space, but mapped by the kernel too.
	GFPUser = GFPKernel | GFPHardwall
	// GFPHighUser is GFP_HIGHUSER: for user space, need not be mapped.
	GFPHighUser = GFPUser | GFPHighMem
	// GFPHighUserMovable is GFP_HIGHUSER_MOVABLE: ordinary user pages.
	GFPHighUserMovable = GFPHighUser | GFPMovable
	// GFPTransHugeLight is GFP_TRANSHUGE_LIGHT: a huge page, without reclaim.
	GFPTransHugeLight = (GFPHighUserMovable | GFPComp | GFPNoMemalloc | GFPNoWarn) &^ GFPReclaim
	// GFPTransHuge is GFP_TRANSHUGE: a huge page, with direct reclaim.
	GFPTransHuge = GFPTransHugeLight | GFPDirectReclaim
)

// Has says whether all of the flags are set.
func (g GFP) Has(flags GFP) bool { return g&flags == flags }

// Any says whether one of the flags is set.
func (g GFP) Any(flags GFP) bool { return g&flags != 0 }

// AllowBlocking says whether the caller may sleep to reclaim, the kernel's
// gfpflags_allow_blocking.
func (g GFP) AllowBlocking() bool { return g.Any(GFPDirectReclaim) }

// AllowSpinning says whether the caller may wait for locks, the kernel's
// gfpflags_allow_spinning (since 6.15).
func (g GFP) AllowSpinning() bool { return g.Any(GFPReclaim) }

// HasIOFS says whether reclaim may start I/O and call into file systems, the
// kernel's gfp_has_io_fs.
func (g GFP) HasIOFS() bool { return g.Has(GFPIO | GFPFS) }

// CompactionAllowed says whether memory may be compacted for the request, the
// kernel's gfp_compaction_allowed.
func (g GFP) CompactionAllowed() bool { return g.Any(GFPIO) }

// MigrateType is the migrate type of the pages that a request wants, the
// kernel's gfp_migratetype. Both mobility flags at once are misuse (see
// [GFP.Check]); they give HighAtomic, as in a kernel without debugging.
func (g GFP) MigrateType() MigrateType {
	return MigrateType(g & (GFPMovable | GFPReclaimable) >> 3)
}

// GFPZoneTable gives the highest zone type that a request may use from its
// zone flags, for a machine with certain zone types: the kernel's
// GFP_ZONE_TABLE. Index it with g & GFPZoneMask.
type GFPZoneTable [GFPZoneMask + 1]ZoneType

// NewGFPZoneTable makes the table for a kernel built with the zone types
// ([Config.ZoneTypes]). A flag for a zone that the kernel lacks means Normal.
func NewGFPZoneTable(types []ZoneType) GFPZoneTable {
	optional := func(want ZoneType) ZoneType {
		for _, t := range types {
			if t == want {
				return want
			}
		}
		return ZoneNormal
	}
	var table GFPZoneTable
	for zone := range table {
		switch g := GFP(zone); {
		case g.Any(GFPDMA):
			table[zone] = optional(ZoneDMA)
		case g.Any(GFPDMA32):
			table[zone] = optional(ZoneDMA32)
		case g.Has(GFPHighMem | GFPMovable):
			table[zone] = max(optional(ZoneMovable), optional(ZoneHighMem))
		case g.Any(GFPHighMem):
			table[zone] = optional(ZoneHighMem)
		default:
			table[zone] = ZoneNormal
		}
	}
	return table
}

// HighestZone is the highest zone type that the request may use, the kernel's
// gfp_zone. For the combinations that [GFP.Check] rejects it is the lowest of
// the zones asked for.
func (t *GFPZoneTable) HighestZone(g GFP) ZoneType { return t[g&GFPZoneMask] }

// HighestZone is the highest zone type that the request may use in a kernel
// with the zone types, see [GFPZoneTable].
func (g GFP) HighestZone(types []ZoneType) ZoneType {
	table := NewGFPZoneTable(types)
	return table.HighestZone(g)
}

// badZoneCombos has bit n set if the zone flags n exclude each other, the
// kernel's GFP_ZONE_BAD: at most one of DMA, DMA32 and HighMem.
const badZoneCombos = 1<<3 | 1<<5 | 1<<6 | 1<<7 | 1<<11 | 1<<13 | 1<<14 | 1<<15

// Check finds combinations that the kernel calls a bug: two zones at once
// (VM_BUG_ON in gfp_zone), or both mobility flags (VM_WARN_ON in
// gfp_migratetype). The result is nil or a [*GFPComboError].
func (g GFP) Check() error {
	if badZoneCombos>>(g&GFPZoneMask)&1 != 0 {
		return &GFPComboError{GFP: g, Flags: g & (GFPDMA | GFPDMA32 | GFPHighMem), Report: "kernel BUG: gfp_zone"}
	}
	if both := GFPMovable | GFPReclaimable; g.Has(both) {
		return &GFPComboError{GFP: g, Flags: both, Report: "WARNING: gfp_migratetype"}
	}
	return nil
}

// GFPComboError says that flags exclude each other.
type GFPComboError struct {
	// GFP are all flags of the request; Flags those that conflict.
	GFP, Flags GFP
	// Report is what a kernel with CONFIG_DEBUG_VM would say.
	Report string
}

func (e *GFPComboError) Error() string {
	return fmt.Sprintf("buddy: flags %v of %v exclude each other (%s)", e.Flags, e.GFP, e.Report)
}
