package buddy

import "slices"

// ProcFormat says which rows and fields a kernel prints in /proc/zoneinfo,
// /proc/vmstat and its memory reports, and how. The presets are those of
// distribution kernels, which have all options of [KernelOptions] built in;
// [ProcFormat.With] takes away what another kernel was built without.
// (/proc/buddyinfo, pagetypeinfo and extfrag's indexes look the same in all
// versions: [Allocator.Buddyinfo] and so on.)
type ProcFormat struct {
	// NodeRows are the rows of "per-node stats" in zoneinfo, ZoneRows those of
	// each zone. vmstat has the same, zone rows first.
	NodeRows []NodeStat
	ZoneRows []ZoneStat
	// Boost, Promo and CMA: zoneinfo has these lines between "pages free" and
	// "protection" (since 5.12, 6.12 and 5.12).
	Boost, Promo, CMA bool
	// PCPBounds: the per-CPU lists have high_min and high_max, and their
	// numbers are aligned to the left.
	PCPBounds bool
	// DeviceEvents: vmstat counts events of ZONE_DEVICE.
	DeviceEvents bool

	// GFP prints the flags of failed requests.
	GFP *GFPTable
	// Options says what the kernel was built without.
	Options KernelOptions

	// The layouts of a memory report: names of counters as they are printed;
	// "/" ends a line of the summary.
	summary, nodeFields, zoneFields string
	// thpGap: the huge page counters of a node have a space after the colon.
	thpGap bool
	// allZones: memory reports show all zones, not only those that the request
	// could have used.
	allZones bool
	// swapCacheStats: the report has a line about swap cache events.
	swapCacheStats bool
	// warnNoDMA: failures of __GFP_DMA requests are reported also where the
	// DMA zone has no pages (before 5.17).
	warnNoDMA bool
}

// KernelOptions are build options of a kernel that change its texts. The zero
// value is a distribution's kernel.
type KernelOptions struct {
	// NoNUMA: without CONFIG_NUMA there are no numa_ rows, and reports don't
	// name a zone's node. NoNUMABalancing takes the pgpromote_ rows away.
	NoNUMA, NoNUMABalancing bool
	// NoSMP: without CONFIG_SMP zoneinfo has no "vm stats threshold".
	NoSMP bool
	// NoTHP: no transparent huge pages in memory reports.
	NoTHP bool
	// NoSwap: no nr_swapcached row, no lines about swap in memory reports.
	NoSwap bool
	// NoZsmalloc: no nr_zspages row.
	NoZsmalloc bool
	// NoIOMMU: no nr_iommu_pages row.
	NoIOMMU bool
	// NoMemoryFailure: no line about poisoned pages in memory reports.
	NoMemoryFailure bool
	// UnacceptedMemory: CONFIG_UNACCEPTED_MEMORY adds the nr_unaccepted row
	// (6.12 and later, confidential guests).
	UnacceptedMemory bool
}

const (
	lruSummary = "active_anon inactive_anon isolated_anon/" +
		"active_file inactive_file isolated_file/"
	lruNode = "active_anon inactive_anon active_file inactive_file unevictable " +
		"isolated(anon) isolated(file) mapped dirty writeback shmem shmem_thp shmem_pmdmapped anon_thp "
	lruZone = "active_anon inactive_anon active_file inactive_file unevictable writepending "
	newSums = lruSummary + "unevictable dirty writeback/slab_reclaimable slab_unreclaimable/" +
		"mapped shmem pagetables/sec_pagetables bounce/kernel_misc_reclaimable/free free_pcp free_cma"
	endZone = "present managed mlocked bounce free_pcp local_pcp free_cma"
)

// ProcFormat5_4 is the format of 5.4. What proves it: zoneinfo and vmstat of
// the published Ubuntu machines. Memory reports of 5.4 were at hand only as
// parts of patches.
var ProcFormat5_4 = ProcFormat{
	NodeRows: nodeRows5_4, ZoneRows: zoneRows5_4, GFP: GFPNames5_4,
	summary: lruSummary + "unevictable dirty writeback unstable/slab_reclaimable slab_unreclaimable/" +
		"mapped shmem pagetables bounce/free free_pcp free_cma",
	nodeFields: lruNode + "writeback_tmp unstable all_unreclaimable?",
	zoneFields: "free min low high " + lruZone +
		"present managed mlocked kernel_stack pagetables bounce free_pcp local_pcp free_cma",
	thpGap: true, allZones: true, swapCacheStats: true, warnNoDMA: true,
}

// ProcFormat6_1 is the format of 6.1. What proves it: the files of the
// x86_64-6.1-* and pi3-* captures, and the out-of-memory reports of 6.1.
var ProcFormat6_1 = ProcFormat{
	NodeRows: nodeRows6_1, ZoneRows: zoneRows6_1, Boost: true, CMA: true, DeviceEvents: true,
	GFP: GFPNames6_1, summary: newSums,
	nodeFields: lruNode + "writeback_tmp kernel_stack pagetables sec_pagetables all_unreclaimable?",
	zoneFields: "free boost min low high reserved_highatomic " + lruZone + endZone,
	thpGap:     true,
}

// ProcFormat6_12 is the format of 6.12. What proves it: published reports of
// 6.8 and 6.12 for the memory report; the files were read in the source only.
var ProcFormat6_12 = ProcFormat{
	NodeRows: nodeRows6_12, ZoneRows: zoneRows6_1, Boost: true, Promo: true, CMA: true, DeviceEvents: true,
	GFP: GFPNames6_12, summary: newSums,
	nodeFields: lruNode + "writeback_tmp kernel_stack pagetables sec_pagetables all_unreclaimable?",
	zoneFields: "free boost min low high reserved_highatomic " + lruZone + endZone,
}

// ProcFormat6_18 is the format of 6.18. What proves it: the files of the
// hw-x86_64-epyc-6.18* captures, and published reports of 6.17 for the memory
// report.
var ProcFormat6_18 = ProcFormat{
	NodeRows: nodeRows6_18, ZoneRows: zoneRows6_18, Boost: true, Promo: true, CMA: true, DeviceEvents: true,
	PCPBounds: true, GFP: GFPNames6_18, summary: newSums,
	nodeFields: lruNode + "kernel_stack pagetables sec_pagetables all_unreclaimable? Balloon",
	zoneFields: "free boost min low high reserved_highatomic free_highatomic " + lruZone + endZone,
}

var (
	zoneRows6_1 = []ZoneStat{
		NRFreePages, NRZoneInactiveAnon, NRZoneActiveAnon, NRZoneInactiveFile, NRZoneActiveFile,
		NRZoneUnevictable, NRZoneWritePending, NRMlock, NRBounce, NRZspages, NRFreeCMA,
		NUMAHit, NUMAMiss, NUMAForeign, NUMAInterleave, NUMALocal, NUMAOther,
	}
	zoneRows5_4  = addAfter(zoneRows6_1, NRMlock, NRZonePageTables, NRZoneKernelStack)
	zoneRows6_18 = addAfter(without(zoneRows6_1, NRBounce), NRFreePages, NRFreePagesBlocks)

	nodeRows6_1 = []NodeStat{
		NRInactiveAnon, NRActiveAnon, NRInactiveFile, NRActiveFile, NRUnevictable,
		NRSlabReclaimable, NRSlabUnreclaimable, NRIsolatedAnon, NRIsolatedFile, WorkingsetNodes,
		WorkingsetRefaultAnon, WorkingsetRefaultFile, WorkingsetActivateAnon, WorkingsetActivateFile,
		WorkingsetRestoreAnon, WorkingsetRestoreFile, WorkingsetNodeReclaim, NRAnonPages, NRMapped,
		NRFilePages, NRDirty, NRWriteback, NRWritebackTemp, NRShmem, NRShmemHugePages, NRShmemPMDMapped,
		NRFileHugePages, NRFilePMDMapped, NRAnonHugePages, NRVmscanWrite, NRVmscanImmediateReclaim,
		NRDirtied, NRWritten, NRThrottledWritten, NRKernelMiscReclaimable, NRFollPinAcquired,
		NRFollPinReleased, NRKernelStack, NRPageTablePages, NRSecPageTablePages, NRSwapCached,
		PGPromoteSuccess, PGPromoteCandidate,
	}
	nodeRows6_12 = addAfter(addAfter(nodeRows6_1, NRSecPageTablePages, NRIOMMUPages),
		PGPromoteCandidate, PGDemoteKswapd, PGDemoteDirect, PGDemoteKhugepaged)
	nodeRows6_18 = addAfter(addAfter(without(nodeRows6_12, NRWritebackTemp),
		PGPromoteCandidate, PGPromoteCandidateNRL),
		PGDemoteKhugepaged, PGDemoteProactive, NRHugeTLB, NRBalloonPages, NRKernelFilePages)
	nodeRows5_4 = []NodeStat{
		NRInactiveAnon, NRActiveAnon, NRInactiveFile, NRActiveFile, NRUnevictable,
		NRSlabReclaimable, NRSlabUnreclaimable, NRIsolatedAnon, NRIsolatedFile, WorkingsetNodes,
		WorkingsetRefault, WorkingsetActivate, WorkingsetRestore, WorkingsetNodeReclaim, NRAnonPages, NRMapped,
		NRFilePages, NRDirty, NRWriteback, NRWritebackTemp, NRShmem, NRShmemHugePages, NRShmemPMDMapped,
		NRFileHugePages, NRFilePMDMapped, NRAnonHugePages, NRUnstable, NRVmscanWrite,
		NRVmscanImmediateReclaim, NRDirtied, NRWritten, NRKernelMiscReclaimable,
	}
)

// addAfter gives a copy of rows with more after one of them.
func addAfter[T comparable](rows []T, after T, more ...T) []T {
	return slices.Insert(slices.Clone(rows), slices.Index(rows, after)+1, more...)
}

// without gives a copy of rows that lacks some.
func without[T comparable](rows []T, gone ...T) []T {
	return slices.DeleteFunc(slices.Clone(rows), func(r T) bool { return slices.Contains(gone, r) })
}

// ProcFormat gives the format of the allocator's kernel version: the preset of
// its profile's name, or the newest one for a profile of another name.
func (a *Allocator) ProcFormat() ProcFormat {
	switch a.profile.Name {
	case Linux5_4.Name:
		return ProcFormat5_4
	case Linux6_1.Name:
		return ProcFormat6_1
	case Linux6_12.Name:
		return ProcFormat6_12
	}
	return ProcFormat6_18
}

// With gives the format of the same version built with other options. f must
// be a preset.
func (f ProcFormat) With(o KernelOptions) ProcFormat {
	f.Options = o
	if o.NoNUMA {
		f.ZoneRows = without(f.ZoneRows, NUMAHit, NUMAMiss, NUMAForeign, NUMAInterleave, NUMALocal, NUMAOther)
	}
	if o.NoNUMA || o.NoNUMABalancing {
		f.NodeRows = without(f.NodeRows, PGPromoteSuccess, PGPromoteCandidate, PGPromoteCandidateNRL)
	}
	if o.NoSwap {
		f.NodeRows = without(f.NodeRows, NRSwapCached)
	}
	if o.NoZsmalloc {
		f.ZoneRows = without(f.ZoneRows, NRZspages)
	}
	if o.NoIOMMU {
		f.NodeRows = without(f.NodeRows, NRIOMMUPages)
	}
	if o.UnacceptedMemory {
		f.ZoneRows = addAfter(f.ZoneRows, NRFreeCMA, NRUnaccepted)
	}
	return f
}
