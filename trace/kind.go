package trace

// Kind is the number of an event that this package knows; its String is the
// kernel's name of the event. Numbers may change between versions of this
// package: store names, not numbers.
type Kind uint8

// The known events. KindUnknown events are kept whole: Name and Args.
const (
	KindUnknown Kind = iota

	// Not tracepoints: what the reader says about the trace itself.

	KindLost       // "CPU:3 [LOST 12 EVENTS]": Event.Lost, Event.CPU
	KindFunction   // a line of the function tracer: Args is "func <-parent"
	KindStackTrace // "<stack trace>", whose frames follow
	KindStackFrame // " => symbol": Args is the symbol; all else is as in the event before

	// System calls, which the kernel prints without a colon behind the name.

	KindSyscallEnter // "sys_read(fd: 3)": Args starts with the bracket
	KindSyscallExit  // "sys_read -> 0x1": Args is "-> 0x1"

	// kmem: pages. Payload Event.Page, see [Page].

	KindMMPageAlloc
	KindMMPageFree
	KindMMPageFreeBatched
	KindMMPageAllocZoneLocked
	KindMMPagePCPUDrain
	KindMMPageAllocExtfrag // and Event.Extfrag

	// kmem: slab objects. Payload Event.Object, see [Object].

	KindKmalloc
	KindKmallocNode
	KindKmemCacheAlloc
	KindKmemCacheAllocNode
	KindKfree
	KindKmemCacheFree

	// kmem: KindRSSStat has Event.RSS.

	KindRSSStat

	// The captures' own probes. Payload Event.Probe, see [Probe], and for
	// pages Event.Page, for objects Event.Object.

	KindKsnapMark
	KindAllocBulk
	KindAllocBulkRet
	KindPageBulk        // and Event.Page
	KindFreeOnePage     // and Event.Page
	KindIsolateFreePage // and Event.Page
	KindMoveFreepages   // and Event.Page
	KindSlabCacheAlloc
	KindSlabCacheAllocLRU
	KindSlabCacheAllocNode
	KindCacheAllocBulk
	KindCacheAllocBulkVec
	KindCacheFreeBulk
	KindSlabBulkAlloc // and Event.Object
	KindSlabBulkFree  // and Event.Object

	// vmalloc: KindAllocVmapArea has Event.Vmap. workqueue:
	// KindWorkqueueExecuteStart and End have Event.Work.

	KindAllocVmapArea
	KindWorkqueueExecuteStart
	KindWorkqueueExecuteEnd

	// vmscan. Payload Event.Reclaim, see [Reclaim].

	KindVmscanKswapdSleep
	KindVmscanKswapdWake
	KindVmscanWakeupKswapd
	KindVmscanDirectReclaimBegin
	KindVmscanDirectReclaimEnd
	KindVmscanMemcgReclaimBegin
	KindVmscanMemcgReclaimEnd
	KindVmscanMemcgSoftlimitReclaimBegin
	KindVmscanMemcgSoftlimitReclaimEnd
	KindVmscanNodeReclaimBegin
	KindVmscanNodeReclaimEnd
	KindVmscanLRUIsolate
	KindVmscanLRUShrinkInactive
	KindVmscanLRUShrinkActive
	KindVmscanWriteFolio // and Event.Page
	KindVmscanThrottled
	KindShrinkSlabStart
	KindShrinkSlabEnd

	// compaction. Payload Event.Compact, see [Compact].

	KindCompactionBegin
	KindCompactionEnd
	KindCompactionIsolateMigratepages
	KindCompactionIsolateFreepages
	KindCompactionFastIsolateFreepages
	KindCompactionMigratepages
	KindCompactionTryToCompactPages
	KindCompactionFinished
	KindCompactionSuitable
	KindCompactionDeferred
	KindCompactionDeferCompaction
	KindCompactionDeferReset
	KindCompactionKcompactdSleep
	KindCompactionKcompactdWake
	KindCompactionWakeupKcompactd

	// sched. KindSchedSwitch has Event.Switch, the others Event.Sched.

	KindSchedSwitch
	KindSchedWakeup
	KindSchedWaking
	KindSchedWakeupNew
	KindSchedMigrateTask
	KindSchedStatRuntime
	KindSchedStatWait
	KindSchedStatSleep
	KindSchedStatIowait
	KindSchedStatBlocked
	KindSchedProcessFork
	KindSchedProcessExec
	KindSchedProcessExit
	KindSchedProcessFree
	KindSchedProcessWait
	KindSchedWaitTask
	KindSchedPISetprio

	numKinds
)

// kindNames has the kernel's name of each Kind.
var kindNames = [numKinds]string{
	KindUnknown:    "unknown",
	KindLost:       "LOST EVENTS",
	KindFunction:   "function",
	KindStackTrace: "<stack trace>",
	KindStackFrame: "=>",

	KindSyscallEnter: "sys_enter",
	KindSyscallExit:  "sys_exit",

	KindMMPageAlloc:           "mm_page_alloc",
	KindMMPageFree:            "mm_page_free",
	KindMMPageFreeBatched:     "mm_page_free_batched",
	KindMMPageAllocZoneLocked: "mm_page_alloc_zone_locked",
	KindMMPagePCPUDrain:       "mm_page_pcpu_drain",
	KindMMPageAllocExtfrag:    "mm_page_alloc_extfrag",

	KindKmalloc:            "kmalloc",
	KindKmallocNode:        "kmalloc_node",
	KindKmemCacheAlloc:     "kmem_cache_alloc",
	KindKmemCacheAllocNode: "kmem_cache_alloc_node",
	KindKfree:              "kfree",
	KindKmemCacheFree:      "kmem_cache_free",

	KindRSSStat: "rss_stat",

	KindKsnapMark:          "ksnap_mark",
	KindAllocBulk:          "alloc_bulk",
	KindAllocBulkRet:       "alloc_bulk_ret",
	KindPageBulk:           "page_bulk",
	KindFreeOnePage:        "free_one_page",
	KindIsolateFreePage:    "isolate_free_page",
	KindMoveFreepages:      "move_freepages",
	KindSlabCacheAlloc:     "slab_cache_kmem_cache_alloc",
	KindSlabCacheAllocLRU:  "slab_cache_kmem_cache_alloc_lru",
	KindSlabCacheAllocNode: "slab_cache_kmem_cache_alloc_node",
	KindCacheAllocBulk:     "cache_alloc_bulk",
	KindCacheAllocBulkVec:  "cache_alloc_bulk_vec",
	KindCacheFreeBulk:      "cache_free_bulk",
	KindSlabBulkAlloc:      "slab_bulk_alloc",
	KindSlabBulkFree:       "slab_bulk_free",

	KindAllocVmapArea:         "alloc_vmap_area",
	KindWorkqueueExecuteStart: "workqueue_execute_start",
	KindWorkqueueExecuteEnd:   "workqueue_execute_end",

	KindVmscanKswapdSleep:                "mm_vmscan_kswapd_sleep",
	KindVmscanKswapdWake:                 "mm_vmscan_kswapd_wake",
	KindVmscanWakeupKswapd:               "mm_vmscan_wakeup_kswapd",
	KindVmscanDirectReclaimBegin:         "mm_vmscan_direct_reclaim_begin",
	KindVmscanDirectReclaimEnd:           "mm_vmscan_direct_reclaim_end",
	KindVmscanMemcgReclaimBegin:          "mm_vmscan_memcg_reclaim_begin",
	KindVmscanMemcgReclaimEnd:            "mm_vmscan_memcg_reclaim_end",
	KindVmscanMemcgSoftlimitReclaimBegin: "mm_vmscan_memcg_softlimit_reclaim_begin",
	KindVmscanMemcgSoftlimitReclaimEnd:   "mm_vmscan_memcg_softlimit_reclaim_end",
	KindVmscanNodeReclaimBegin:           "mm_vmscan_node_reclaim_begin",
	KindVmscanNodeReclaimEnd:             "mm_vmscan_node_reclaim_end",
	KindVmscanLRUIsolate:                 "mm_vmscan_lru_isolate",
	KindVmscanLRUShrinkInactive:          "mm_vmscan_lru_shrink_inactive",
	KindVmscanLRUShrinkActive:            "mm_vmscan_lru_shrink_active",
	KindVmscanWriteFolio:                 "mm_vmscan_write_folio",
	KindVmscanThrottled:                  "mm_vmscan_throttled",
	KindShrinkSlabStart:                  "mm_shrink_slab_start",
	KindShrinkSlabEnd:                    "mm_shrink_slab_end",

	KindCompactionBegin:                "mm_compaction_begin",
	KindCompactionEnd:                  "mm_compaction_end",
	KindCompactionIsolateMigratepages:  "mm_compaction_isolate_migratepages",
	KindCompactionIsolateFreepages:     "mm_compaction_isolate_freepages",
	KindCompactionFastIsolateFreepages: "mm_compaction_fast_isolate_freepages",
	KindCompactionMigratepages:         "mm_compaction_migratepages",
	KindCompactionTryToCompactPages:    "mm_compaction_try_to_compact_pages",
	KindCompactionFinished:             "mm_compaction_finished",
	KindCompactionSuitable:             "mm_compaction_suitable",
	KindCompactionDeferred:             "mm_compaction_deferred",
	KindCompactionDeferCompaction:      "mm_compaction_defer_compaction",
	KindCompactionDeferReset:           "mm_compaction_defer_reset",
	KindCompactionKcompactdSleep:       "mm_compaction_kcompactd_sleep",
	KindCompactionKcompactdWake:        "mm_compaction_kcompactd_wake",
	KindCompactionWakeupKcompactd:      "mm_compaction_wakeup_kcompactd",

	KindSchedSwitch:      "sched_switch",
	KindSchedWakeup:      "sched_wakeup",
	KindSchedWaking:      "sched_waking",
	KindSchedWakeupNew:   "sched_wakeup_new",
	KindSchedMigrateTask: "sched_migrate_task",
	KindSchedStatRuntime: "sched_stat_runtime",
	KindSchedStatWait:    "sched_stat_wait",
	KindSchedStatSleep:   "sched_stat_sleep",
	KindSchedStatIowait:  "sched_stat_iowait",
	KindSchedStatBlocked: "sched_stat_blocked",
	KindSchedProcessFork: "sched_process_fork",
	KindSchedProcessExec: "sched_process_exec",
	KindSchedProcessExit: "sched_process_exit",
	KindSchedProcessFree: "sched_process_free",
	KindSchedProcessWait: "sched_process_wait",
	KindSchedWaitTask:    "sched_wait_task",
	KindSchedPISetprio:   "sched_pi_setprio",
}

// kindAliases are other tools' names of the same events: LTTng puts the
// subsystem in front of some, and the kernel renamed one.
var kindAliases = []struct {
	name string
	kind Kind
}{
	{"kmem_kmalloc", KindKmalloc},
	{"kmem_kmalloc_node", KindKmallocNode},
	{"kmem_kfree", KindKfree},
	{"kmem_mm_page_alloc", KindMMPageAlloc},
	{"kmem_mm_page_free", KindMMPageFree},
	{"kmem_mm_page_free_batched", KindMMPageFreeBatched},
	{"kmem_mm_page_alloc_zone_locked", KindMMPageAllocZoneLocked},
	{"kmem_mm_page_pcpu_drain", KindMMPagePCPUDrain},
	{"kmem_mm_page_alloc_extfrag", KindMMPageAllocExtfrag},
	{"mm_vmscan_writepage", KindVmscanWriteFolio},
}

// String gives the kernel's name of the event.
func (k Kind) String() string {
	if k < numKinds {
		return kindNames[k]
	}
	return kindNames[KindUnknown]
}

// System gives the kernel's subsystem of a tracepoint ("kmem"), as perf prints
// it before the name; "kprobes" for the captures' probes, empty where there is
// none.
func (k Kind) System() string {
	switch {
	case k < KindMMPageAlloc || k >= numKinds:
		return ""
	case k <= KindRSSStat:
		return "kmem"
	case k <= KindSlabBulkFree:
		return "kprobes"
	case k == KindAllocVmapArea:
		return "vmalloc"
	case k <= KindWorkqueueExecuteEnd:
		return "workqueue"
	case k <= KindShrinkSlabEnd:
		return "vmscan"
	case k <= KindCompactionWakeupKcompactd:
		return "compaction"
	}
	return "sched"
}

// KindByName gives the Kind of an event's name as the kernel (or LTTng)
// writes it, without subsystem; KindUnknown if the name is not known.
func KindByName(name string) Kind {
	for k := KindMMPageAlloc; k < numKinds; k++ {
		if kindNames[k] == name {
			return k
		}
	}
	for _, a := range kindAliases {
		if a.name == name {
			return a.kind
		}
	}
	return KindUnknown
}

// KindSet is a set of kinds. The zero value is empty.
type KindSet [2]uint64

// Kinds gives the set of the kinds given.
func Kinds(kinds ...Kind) KindSet {
	var s KindSet
	for _, k := range kinds {
		s[(k>>6)&1] |= 1 << (k & 63)
	}
	return s
}

// AllKinds gives the set that has every kind, KindUnknown too.
func AllKinds() KindSet { return KindSet{^uint64(0), ^uint64(0)} }

// Has reports whether k is in the set.
func (s KindSet) Has(k Kind) bool { return s[(k>>6)&1]&(1<<(k&63)) != 0 }

// Union gives the kinds that are in s or in t.
func (s KindSet) Union(t KindSet) KindSet {
	return KindSet{s[0] | t[0], s[1] | t[1]}
}
