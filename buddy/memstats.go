package buddy

// NodeStat is a counter that the kernel keeps for each node: enum
// node_stat_item. The page allocator knows none of them; whoever simulates the
// page cache, anonymous memory or slabs may hand them over in [MemStats].
// Kernels have different subsets, see [ProcFormat.NodeRows].
type NodeStat uint8

// Node counters, in the order in which kernels print them. In pages unless
// said otherwise. (Kernels print the counters of huge pages in huge pages, and
// [ProcFormat] divides; here they are in pages, too.)
const (
	NRInactiveAnon           NodeStat = iota // inactive anonymous LRU list
	NRActiveAnon                             // active anonymous LRU list
	NRInactiveFile                           // inactive file LRU list
	NRActiveFile                             // active file LRU list
	NRUnevictable                            // unevictable LRU list
	NRSlabReclaimable                        // slabs that a shrinker can empty
	NRSlabUnreclaimable                      // other slabs
	NRIsolatedAnon                           // anonymous pages taken off the LRU lists for reclaim or migration
	NRIsolatedFile                           // file pages taken off the LRU lists
	WorkingsetNodes                          // page cache tree nodes that hold only shadow entries
	WorkingsetRefault                        // refaults (5.4)
	WorkingsetRefaultAnon                    // refaults of anonymous pages, events
	WorkingsetRefaultFile                    // refaults of file pages, events
	WorkingsetActivate                       // refaults that activated at once (5.4)
	WorkingsetActivateAnon                   // the same of anonymous pages, events
	WorkingsetActivateFile                   // the same of file pages, events
	WorkingsetRestore                        // refaults of active pages (5.4)
	WorkingsetRestoreAnon                    // the same of anonymous pages, events
	WorkingsetRestoreFile                    // the same of file pages, events
	WorkingsetNodeReclaim                    // tree nodes reclaimed, events
	NRAnonPages                              // mapped anonymous pages
	NRMapped                                 // mapped file pages
	NRFilePages                              // page cache
	NRDirty                                  // dirty file pages
	NRWriteback                              // pages under writeback
	NRWritebackTemp                          // FUSE's temporary writeback buffers (until 6.16)
	NRShmem                                  // shared memory and tmpfs
	NRShmemHugePages                         // huge pages of it
	NRShmemPMDMapped                         // huge pages of it that are mapped as such
	NRFileHugePages                          // huge pages of the page cache
	NRFilePMDMapped                          // huge pages of it that are mapped as such
	NRAnonHugePages                          // anonymous huge pages
	NRUnstable                               // NFS pages sent but not committed (5.4)
	NRVmscanWrite                            // pages written by reclaim, events
	NRVmscanImmediateReclaim                 // pages to reclaim once written, events
	NRDirtied                                // pages dirtied, events
	NRWritten                                // pages written, events
	NRThrottledWritten                       // pages written while reclaim was throttled, events
	NRKernelMiscReclaimable                  // reclaimable kernel memory that is not slab
	NRFollPinAcquired                        // pages pinned by pin_user_pages, events
	NRFollPinReleased                        // pages unpinned, events
	NRKernelStack                            // kernel stacks in KiB
	NRPageTablePages                         // page tables
	NRSecPageTablePages                      // secondary page tables (KVM, IOMMU)
	NRIOMMUPages                             // IOMMU page tables (6.12 and 6.18)
	NRSwapCached                             // swap cache
	PGPromoteSuccess                         // pages promoted to a faster tier, events
	PGPromoteCandidate                       // candidates for it, events
	PGPromoteCandidateNRL                    // candidates that are not rate limited, events (6.18)
	PGDemoteKswapd                           // pages demoted by kswapd, events
	PGDemoteDirect                           // pages demoted by direct reclaim, events
	PGDemoteKhugepaged                       // pages demoted by khugepaged, events
	PGDemoteProactive                        // pages demoted on request, events
	NRHugeTLB                                // hugetlb pages in use (6.18)
	NRBalloonPages                           // pages given to the hypervisor (since 6.16)
	NRKernelFilePages                        // file pages that belong to the kernel (6.18)
	NumNodeStats
)

var nodeStatNames = [NumNodeStats]string{
	NRInactiveAnon: "nr_inactive_anon", NRActiveAnon: "nr_active_anon",
	NRInactiveFile: "nr_inactive_file", NRActiveFile: "nr_active_file", NRUnevictable: "nr_unevictable",
	NRSlabReclaimable: "nr_slab_reclaimable", NRSlabUnreclaimable: "nr_slab_unreclaimable",
	NRIsolatedAnon: "nr_isolated_anon", NRIsolatedFile: "nr_isolated_file",
	WorkingsetNodes: "workingset_nodes", WorkingsetRefault: "workingset_refault",
	WorkingsetRefaultAnon: "workingset_refault_anon", WorkingsetRefaultFile: "workingset_refault_file",
	WorkingsetActivate: "workingset_activate", WorkingsetActivateAnon: "workingset_activate_anon",
	WorkingsetActivateFile: "workingset_activate_file", WorkingsetRestore: "workingset_restore",
	WorkingsetRestoreAnon: "workingset_restore_anon", WorkingsetRestoreFile: "workingset_restore_file",
	WorkingsetNodeReclaim: "workingset_nodereclaim", NRAnonPages: "nr_anon_pages", NRMapped: "nr_mapped",
	NRFilePages: "nr_file_pages", NRDirty: "nr_dirty", NRWriteback: "nr_writeback",
	NRWritebackTemp: "nr_writeback_temp", NRShmem: "nr_shmem", NRShmemHugePages: "nr_shmem_hugepages",
	NRShmemPMDMapped: "nr_shmem_pmdmapped", NRFileHugePages: "nr_file_hugepages",
	NRFilePMDMapped: "nr_file_pmdmapped", NRAnonHugePages: "nr_anon_transparent_hugepages",
	NRUnstable: "nr_unstable", NRVmscanWrite: "nr_vmscan_write",
	NRVmscanImmediateReclaim: "nr_vmscan_immediate_reclaim", NRDirtied: "nr_dirtied", NRWritten: "nr_written",
	NRThrottledWritten: "nr_throttled_written", NRKernelMiscReclaimable: "nr_kernel_misc_reclaimable",
	NRFollPinAcquired: "nr_foll_pin_acquired", NRFollPinReleased: "nr_foll_pin_released",
	NRKernelStack: "nr_kernel_stack", NRPageTablePages: "nr_page_table_pages",
	NRSecPageTablePages: "nr_sec_page_table_pages", NRIOMMUPages: "nr_iommu_pages",
	NRSwapCached: "nr_swapcached", PGPromoteSuccess: "pgpromote_success",
	PGPromoteCandidate: "pgpromote_candidate", PGPromoteCandidateNRL: "pgpromote_candidate_nrl",
	PGDemoteKswapd: "pgdemote_kswapd", PGDemoteDirect: "pgdemote_direct",
	PGDemoteKhugepaged: "pgdemote_khugepaged", PGDemoteProactive: "pgdemote_proactive",
	NRHugeTLB: "nr_hugetlb", NRBalloonPages: "nr_balloon_pages", NRKernelFilePages: "nr_kernel_file_pages",
}

// String gives the name of the row in /proc/vmstat and zoneinfo.
func (s NodeStat) String() string {
	if s < NumNodeStats {
		return nodeStatNames[s]
	}
	return "unknown"
}

// ParseNodeStat is the inverse of [NodeStat.String]; ok is false if no kernel
// that is modelled has such a row.
func ParseNodeStat(name string) (s NodeStat, ok bool) {
	for i, n := range nodeStatNames {
		if n == name {
			return NodeStat(i), true
		}
	}
	return 0, false
}

// ZoneStat is a counter that the kernel keeps for each zone: enum
// zone_stat_item and enum numa_stat_item. The allocator knows some of them
// itself ([ZoneStat.Known]); the others come from [MemStats].
type ZoneStat uint8

// Zone counters, in the order in which kernels print them, in pages; those of
// NUMA are in requests.
const (
	NRFreePages        ZoneStat = iota // free pages, without the CPUs' unfolded differences; known
	NRFreePagesBlocks                  // of them, in free blocks of at least a pageblock (since 6.15); known
	NRZoneInactiveAnon                 // the zone's pages on the node's inactive anonymous LRU list
	NRZoneActiveAnon                   // on the active anonymous one
	NRZoneInactiveFile                 // on the inactive file one
	NRZoneActiveFile                   // on the active file one
	NRZoneUnevictable                  // on the unevictable one
	NRZoneWritePending                 // dirty, unstable and writeback pages
	NRMlock                            // mlocked pages
	NRZonePageTables                   // page tables (5.4; later a node counter)
	NRZoneKernelStack                  // kernel stacks in KiB (5.4; later a node counter)
	NRBounce                           // bounce buffers (until 6.15)
	NRZspages                          // zsmalloc's pages
	NRFreeCMA                          // free CMA pages; known
	NRUnaccepted                       // memory that the guest has not accepted yet
	NUMAHit                            // requests served from the zone as intended; known
	NUMAMiss                           // served though another node was intended; known
	NUMAForeign                        // intended here but served elsewhere; known
	NUMAInterleave                     // hits of the interleave policy
	NUMALocal                          // served to a CPU of the node; known
	NUMAOther                          // served to a CPU of another node; known
	NumZoneStats
)

var zoneStatNames = [NumZoneStats]string{
	NRFreePages: "nr_free_pages", NRFreePagesBlocks: "nr_free_pages_blocks",
	NRZoneInactiveAnon: "nr_zone_inactive_anon", NRZoneActiveAnon: "nr_zone_active_anon",
	NRZoneInactiveFile: "nr_zone_inactive_file", NRZoneActiveFile: "nr_zone_active_file",
	NRZoneUnevictable: "nr_zone_unevictable", NRZoneWritePending: "nr_zone_write_pending",
	NRMlock: "nr_mlock", NRZonePageTables: "nr_page_table_pages", NRZoneKernelStack: "nr_kernel_stack",
	NRBounce: "nr_bounce", NRZspages: "nr_zspages", NRFreeCMA: "nr_free_cma", NRUnaccepted: "nr_unaccepted",
	NUMAHit: "numa_hit", NUMAMiss: "numa_miss", NUMAForeign: "numa_foreign",
	NUMAInterleave: "numa_interleave", NUMALocal: "numa_local", NUMAOther: "numa_other",
}

// String gives the name of the row in /proc/vmstat and zoneinfo.
func (s ZoneStat) String() string {
	if s < NumZoneStats {
		return zoneStatNames[s]
	}
	return "unknown"
}

// ParseZoneStat is the inverse of [ZoneStat.String].
func ParseZoneStat(name string) (s ZoneStat, ok bool) {
	for i, n := range zoneStatNames {
		if n == name {
			return ZoneStat(i), true
		}
	}
	return 0, false
}

// Known says whether the allocator counts this itself, so that what [MemStats]
// has for it is not used.
func (s ZoneStat) Known() bool {
	switch s {
	case NRFreePages, NRFreePagesBlocks, NRFreeCMA, NUMAHit, NUMAMiss, NUMAForeign, NUMALocal, NUMAOther:
		return true
	}
	return false
}

// MemStats are the numbers that the kernel's reports show and the page
// allocator does not know. The zero value, and a nil pointer, print zeros.
type MemStats struct {
	// Node has the counters of each node, by node number; missing nodes count
	// as zero.
	Node [][NumNodeStats]uint64
	// Zone has the counters of each zone, by the zone's index in
	// [Config.Zones].
	Zone [][NumZoneStats]uint64
	// Unreclaimable says for each node whether kswapd has given it up: it
	// failed 16 times in a row (MAX_RECLAIM_RETRIES).
	Unreclaimable []bool
	// AllocStall counts direct reclaims, PGSkip pages that reclaim passed over,
	// by the zone type of the request or page.
	AllocStall, PGSkip [NumZoneTypes]uint64

	// SwapFree and SwapTotal are in pages.
	SwapFree, SwapTotal uint64
	// Swap cache events that 5.4 prints.
	SwapCacheAdd, SwapCacheDelete, SwapCacheFound, SwapCacheLookups uint64
	// HugeTLB has the hugetlb page sizes that the kernel knows, in the order it
	// knows them; most print the largest first.
	HugeTLB []HugeTLBSize
	// HWPoisoned is the number of pages taken out after memory failures.
	HWPoisoned uint64
}

// HugeTLBSize is a size of hugetlb pages: struct hstate.
type HugeTLBSize struct {
	// KiB is the size of a huge page.
	KiB uint64
	// Node has the counters of each node, by node number.
	Node []HugeTLBCount
}

// HugeTLBCount counts huge pages of a size and node.
type HugeTLBCount struct {
	Total, Free, Surplus uint32
}

func (s *MemStats) node(n NodeID, stat NodeStat) uint64 {
	if s == nil || int(n) >= len(s.Node) {
		return 0
	}
	return s.Node[n][stat]
}

// nodes sums a counter over all nodes.
func (s *MemStats) nodes(stat NodeStat) uint64 {
	if s == nil {
		return 0
	}
	sum := uint64(0)
	for i := range s.Node {
		sum += s.Node[i][stat]
	}
	return sum
}

func (s *MemStats) unreclaimable(n NodeID) bool {
	return s != nil && int(n) < len(s.Unreclaimable) && s.Unreclaimable[n]
}

// zoneStat is zone_page_state and zone_numa_event_state.
func (a *Allocator) zoneStat(z *Zone, stat ZoneStat, s *MemStats) uint64 {
	switch stat {
	case NRFreePages:
		return uint64(max(z.freePages, 0))
	case NRFreePagesBlocks:
		return a.freePagesBlocks(z)
	case NRFreeCMA:
		return uint64(max(z.freeCMA, 0))
	}
	if stat.Known() {
		return numaStat(z.Stats(), stat)
	}
	if s == nil || int(z.index) >= len(s.Zone) {
		return 0
	}
	return s.Zone[z.index][stat]
}

func numaStat(s ZoneStats, stat ZoneStat) uint64 {
	switch stat {
	case NUMAHit:
		return s.NUMAHit
	case NUMAMiss:
		return s.NUMAMiss
	case NUMAForeign:
		return s.NUMAForeign
	case NUMALocal:
		return s.NUMALocal
	}
	return s.NUMAOther
}

// freePagesBlocks counts the pages in free blocks of at least a pageblock.
// Isolated ones don't count as free.
func (a *Allocator) freePagesBlocks(z *Zone) uint64 {
	n := uint64(0)
	for o := a.pageblockOrder; o < a.maxOrder; o++ {
		for t := range z.free[o].lists {
			if MigrateType(t) != Isolate {
				n += uint64(z.free[o].lists[t].n) << o
			}
		}
	}
	return n
}

// zoneStats sums a counter over all zones: global_zone_page_state and
// global_numa_event_state. A zone's counter may be below zero while CPUs have
// not folded their differences; the sum is cut off at zero, not each part.
func (a *Allocator) zoneStats(stat ZoneStat, s *MemStats) uint64 {
	var sum int64
	for i := range a.zones {
		z := &a.zones[i]
		switch stat {
		case NRFreePages:
			sum += z.freePages
		case NRFreeCMA:
			sum += z.freeCMA
		default:
			sum += int64(a.zoneStat(z, stat, s))
		}
	}
	return uint64(max(sum, 0))
}
