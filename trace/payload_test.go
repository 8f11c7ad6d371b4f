package trace

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// samples has, for each kind with a payload, texts in the layout of a kernel's
// print format and what they say.
var samples = []struct {
	kind Kind
	text string
	want Event // payloads only
}{
	{KindMMPageAlloc, "page=fffffc00000795c0 pfn=0x1e57 order=0 migratetype=1 gfp_flags=GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO",
		Event{Page: Page{PFN: 0x1e57, HasPFN: true, Address: 0xfffffc00000795c0, MigrateType: 1, GFPFlags: "GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO"}}},
	{KindMMPageAlloc, "page=0000000000000000 pfn=0x0 order=9 migratetype=1 gfp_flags=GFP_TRANSHUGE_LIGHT",
		Event{Page: Page{HasPFN: true, Order: 9, MigrateType: 1, GFPFlags: "GFP_TRANSHUGE_LIGHT"}}},
	{KindMMPageFree, "page=ffd4000000259f80 pfn=0x967e order=3", Event{Page: Page{PFN: 0x967e, HasPFN: true, Address: 0xffd4000000259f80, Order: 3}}},
	{KindMMPageFreeBatched, "page=ffd4000000259f80 pfn=0x967e order=0", Event{Page: Page{PFN: 0x967e, HasPFN: true, Address: 0xffd4000000259f80}}},
	{KindMMPageAllocZoneLocked, "page=ffd4000000829a00 pfn=0x20a68 order=3 migratetype=0 percpu_refill=1",
		Event{Page: Page{PFN: 0x20a68, HasPFN: true, Address: 0xffd4000000829a00, Order: 3, PerCPURefill: 1}}},
	{KindMMPagePCPUDrain, "page=ffd4000000894a40 pfn=0x22529 order=0 migratetype=2",
		Event{Page: Page{PFN: 0x22529, HasPFN: true, Address: 0xffd4000000894a40, MigrateType: 2}}},
	{KindMMPageAllocExtfrag, "page=fffffc00002a0000 pfn=0xa800 alloc_order=7 fallback_order=10 pageblock_order=9 alloc_migratetype=2 fallback_migratetype=1 fragmenting=0 change_ownership=1",
		Event{Page: Page{PFN: 0xa800, HasPFN: true, Address: 0xfffffc00002a0000}, Extfrag: Extfrag{AllocOrder: 7, FallbackOrder: 10, PageblockOrder: 9, AllocMigrateType: 2, FallbackMigrateType: 1, ChangeOwnership: true}}},
	{KindKmalloc, "call_site=debugfs_file_get+0xc0/0x1cc ptr=ffff00000546b680 bytes_req=48 bytes_alloc=128 gfp_flags=GFP_KERNEL node=-1 accounted=false",
		Event{Object: Object{CallSite: "debugfs_file_get+0xc0/0x1cc", Ptr: 0xffff00000546b680, BytesReq: 48, BytesAlloc: 128, GFPFlags: "GFP_KERNEL", Node: -1}}},
	{KindKmallocNode, "call_site=kload_write+0xd4/0x1cc [kload] ptr=ffff00000546b680 bytes_req=48 bytes_alloc=128 gfp_flags=GFP_KERNEL_ACCOUNT|__GFP_ZERO node=1 accounted=true",
		Event{Object: Object{CallSite: "kload_write+0xd4/0x1cc [kload]", Ptr: 0xffff00000546b680, BytesReq: 48, BytesAlloc: 128, GFPFlags: "GFP_KERNEL_ACCOUNT|__GFP_ZERO", Node: 1, Accounted: true}}},
	{KindKmemCacheAlloc, "call_site=getname_flags.part.0+0x24/0x1f0 ptr=ffff888100dd2000 name=names_cache bytes_req=4096 bytes_alloc=4096 gfp_flags=GFP_KERNEL node=-1 accounted=false",
		Event{Object: Object{CallSite: "getname_flags.part.0+0x24/0x1f0", Ptr: 0xffff888100dd2000, Name: "names_cache", BytesReq: 4096, BytesAlloc: 4096, GFPFlags: "GFP_KERNEL", Node: -1}}},
	{KindKmemCacheAllocNode, "call_site=a+0x1/0x2 ptr=ffff888100dd2000 bytes_req=1 bytes_alloc=8 gfp_flags=none node=0 accounted=false",
		Event{Object: Object{CallSite: "a+0x1/0x2", Ptr: 0xffff888100dd2000, BytesReq: 1, BytesAlloc: 8, GFPFlags: "none"}}},
	{KindKfree, "call_site=security_cred_free+0x3c/0x50 ptr=ff11000004a00870",
		Event{Object: Object{CallSite: "security_cred_free+0x3c/0x50", Ptr: 0xff11000004a00870}}},
	{KindKmemCacheFree, "call_site=__fput+0x141/0x2a0 ptr=ffff8881f1682768 name=lsm file cache",
		Event{Object: Object{CallSite: "__fput+0x141/0x2a0", Ptr: 0xffff8881f1682768, Name: "lsm file cache"}}},
	{KindRSSStat, "mm_id=4012352563 curr=1 type=MM_ANONPAGES size=-4096B", Event{RSS: RSSStat{MMID: 4012352563, Curr: 1, Type: "MM_ANONPAGES", Size: -4096}}},

	{KindKsnapMark, "(ksnap_mark+0x0/0x1c [ksnap]) seq=2147483649", Event{Probe: Probe{Where: "(ksnap_mark+0x0/0x1c [ksnap])", Seq: 1<<31 | 1}}},
	{KindAllocBulk, "(__alloc_pages_bulk+0x0/0x6c0) gfp=0x2dc2 nr=4", Event{Probe: Probe{Where: "(__alloc_pages_bulk+0x0/0x6c0)", GFP: 0x2dc2, Nr: 4}}},
	{KindAllocBulkRet, "(alloc_pages_bulk_array_mempolicy+0xac/0x22c <- __alloc_pages_bulk) ret=4",
		Event{Probe: Probe{Where: "(alloc_pages_bulk_array_mempolicy+0xac/0x22c <- __alloc_pages_bulk)", Ret: 4}}},
	{KindPageBulk, "pfn=0x65d5 i=0 nr=4", Event{Probe: Probe{Nr: 4}, Page: Page{PFN: 0x65d5, HasPFN: true}}},
	{KindFreeOnePage, "(free_one_page.constprop.0+0x0/0x160) pfn=0x5d59 order=1 mt=2",
		Event{Probe: Probe{Where: "(free_one_page.constprop.0+0x0/0x160)"}, Page: Page{PFN: 0x5d59, HasPFN: true, Order: 1, MigrateType: 2}}},
	{KindIsolateFreePage, "(__isolate_free_page+0x0/0x160) page=0xfffffc0000158740 order=3",
		Event{Probe: Probe{Where: "(__isolate_free_page+0x0/0x160)"}, Page: Page{Address: 0xfffffc0000158740, Order: 3}}},
	{KindMoveFreepages, "(move_freepages_block+0x0/0x160) page=0xfffffc0000158740 mt=4",
		Event{Probe: Probe{Where: "(move_freepages_block+0x0/0x160)"}, Page: Page{Address: 0xfffffc0000158740, MigrateType: 4}}},
	{KindSlabCacheAlloc, "(kmem_cache_alloc+0x0/0x300) cache=0xff110000049b9a00", Event{Probe: Probe{Where: "(kmem_cache_alloc+0x0/0x300)", Cache: 0xff110000049b9a00}}},
	{KindSlabCacheAllocLRU, "(kmem_cache_alloc_lru+0x0/0x400) cache=0xff110000049b9300", Event{Probe: Probe{Where: "(kmem_cache_alloc_lru+0x0/0x400)", Cache: 0xff110000049b9300}}},
	{KindSlabCacheAllocNode, "(kmem_cache_alloc_node+0x0/0x310) cache=0xff1", Event{Probe: Probe{Where: "(kmem_cache_alloc_node+0x0/0x310)", Cache: 0xff1}}},
	{KindCacheAllocBulk, "(kmem_cache_alloc_bulk+0x0/0x330) cache=0xff11000004836a00 n=5 vec=0xff1100000615d310",
		Event{Probe: Probe{Where: "(kmem_cache_alloc_bulk+0x0/0x330)", Cache: 0xff11000004836a00, N: 5, Vec: 0xff1100000615d310}}},
	{KindCacheAllocBulkVec, "cache=0xff11000004836a00 ret=2 p={0xff1100007ff64300,0xff1100007ff64900}",
		Event{Probe: Probe{Cache: 0xff11000004836a00, Ret: 2, P: []uint64{0xff1100007ff64300, 0xff1100007ff64900}}}},
	{KindCacheFreeBulk, "(kmem_cache_free_bulk+0x0/0x20) cache=0xff11000004836a00 n=1 p={0xff1100000615de00,0x0}",
		Event{Probe: Probe{Where: "(kmem_cache_free_bulk+0x0/0x20)", Cache: 0xff11000004836a00, N: 1, P: []uint64{0xff1100000615de00, 0}}}},
	{KindSlabBulkAlloc, "ptr=ffff000003140e00 name=maple_node i=0 nr=5", Event{Object: Object{Ptr: 0xffff000003140e00, Name: "maple_node"}, Probe: Probe{Nr: 5}}},
	{KindSlabBulkFree, "ptr=ffff000003140000 name=maple_node i=2 nr=3", Event{Object: Object{Ptr: 0xffff000003140000, Name: "maple_node"}, Probe: Probe{I: 2, Nr: 3}}},

	{KindAllocVmapArea, "va_start: 18446612682072399872 size=20480 align=1 vstart=0xffffc90000000000 vend=0xffffe8ffffffffff failed=0",
		Event{Vmap: Vmap{Addr: 18446612682072399872, HasAddr: true, Size: 20480, Align: 1, VStart: 0xffffc90000000000, VEnd: 0xffffe8ffffffffff}}},
	{KindAllocVmapArea, "size=20480", Event{Vmap: Vmap{Size: 20480}}},
	{KindWorkqueueExecuteStart, "work struct ff1100007dc2d310: function vmstat_update", Event{Work: Work{Struct: 0xff1100007dc2d310, HasStruct: true, Function: "vmstat_update"}}},
	{KindWorkqueueExecuteStart, "function vmstat_update", Event{Work: Work{Function: "vmstat_update"}}},
	{KindWorkqueueExecuteEnd, "work struct ff1100007dc2d310: function ext4_x [ext4]", Event{Work: Work{Struct: 0xff1100007dc2d310, HasStruct: true, Function: "ext4_x [ext4]"}}},

	{KindVmscanKswapdSleep, "nid=1", Event{Reclaim: Reclaim{NID: 1}}},
	{KindVmscanKswapdWake, "nid=0 order=3", Event{Reclaim: Reclaim{Order: 3}}},
	{KindVmscanWakeupKswapd, "nid=0 order=2 gfp_flags=none", Event{Reclaim: Reclaim{Order: 2, GFPFlags: "none"}}},
	{KindVmscanDirectReclaimBegin, "order=0 gfp_flags=GFP_KERNEL", Event{Reclaim: Reclaim{GFPFlags: "GFP_KERNEL"}}},
	{KindVmscanDirectReclaimEnd, "nr_reclaimed=50", Event{Reclaim: Reclaim{NrReclaimed: 50}}},
	{KindVmscanMemcgReclaimBegin, "order=1 gfp_flags=GFP_KERNEL", Event{Reclaim: Reclaim{Order: 1, GFPFlags: "GFP_KERNEL"}}},
	{KindVmscanMemcgReclaimEnd, "nr_reclaimed=50", Event{Reclaim: Reclaim{NrReclaimed: 50}}},
	{KindVmscanMemcgSoftlimitReclaimBegin, "order=1 gfp_flags=GFP_KERNEL", Event{Reclaim: Reclaim{Order: 1, GFPFlags: "GFP_KERNEL"}}},
	{KindVmscanMemcgSoftlimitReclaimEnd, "nr_reclaimed=50", Event{Reclaim: Reclaim{NrReclaimed: 50}}},
	{KindVmscanNodeReclaimBegin, "nid=1 order=1 gfp_flags=GFP_KERNEL", Event{Reclaim: Reclaim{NID: 1, Order: 1, GFPFlags: "GFP_KERNEL"}}},
	{KindVmscanNodeReclaimEnd, "nr_reclaimed=50", Event{Reclaim: Reclaim{NrReclaimed: 50}}},
	{KindVmscanLRUIsolate, "isolate_mode=0 classzone=3 order=0 nr_requested=32 nr_scanned=33 nr_skipped=1 nr_taken=31 lru=inactive_file",
		Event{Reclaim: Reclaim{HasIsolateMode: true, Classzone: 3, NrRequested: 32, NrScanned: 33, NrSkipped: 1, NrTaken: 31, LRU: "inactive_file"}}},
	{KindVmscanLRUIsolate, "classzone=3 order=0 nr_requested=32 nr_scanned=33 nr_skipped=1 nr_taken=31 lru=active_anon",
		Event{Reclaim: Reclaim{Classzone: 3, NrRequested: 32, NrScanned: 33, NrSkipped: 1, NrTaken: 31, LRU: "active_anon"}}},
	{KindVmscanLRUShrinkInactive, "nid=0 nr_scanned=13159 nr_reclaimed=1 nr_dirty=2 nr_writeback=3 nr_congested=4 nr_immediate=5 nr_activate_anon=6 nr_activate_file=7 nr_ref_keep=8 nr_unmap_fail=9 priority=11 flags=RECLAIM_WB_ANON|RECLAIM_WB_ASYNC",
		Event{Reclaim: Reclaim{NrScanned: 13159, NrReclaimed: 1, NrDirty: 2, NrWriteback: 3, NrCongested: 4, NrImmediate: 5, NrActivateAnon: 6, NrActivateFile: 7, NrRefKeep: 8, NrUnmapFail: 9, Priority: 11, Flags: "RECLAIM_WB_ANON|RECLAIM_WB_ASYNC"}}},
	{KindVmscanLRUShrinkActive, "nid=0 nr_taken=32 nr_active=1 nr_deactivated=31 nr_referenced=2 priority=12 flags=RECLAIM_WB_FILE|RECLAIM_WB_ASYNC",
		Event{Reclaim: Reclaim{NrTaken: 32, NrActive: 1, NrDeactivated: 31, NrReferenced: 2, Priority: 12, Flags: "RECLAIM_WB_FILE|RECLAIM_WB_ASYNC"}}},
	{KindVmscanWriteFolio, "page=ffd4000000829a00 pfn=0x20a68 flags=RECLAIM_WB_ANON|RECLAIM_WB_ASYNC",
		Event{Page: Page{PFN: 0x20a68, HasPFN: true, Address: 0xffd4000000829a00}, Reclaim: Reclaim{Flags: "RECLAIM_WB_ANON|RECLAIM_WB_ASYNC"}}},
	{KindVmscanThrottled, "nid=0 usec_timeout=100000 usect_delayed=4000 reason=VMSCAN_THROTTLE_WRITEBACK",
		Event{Reclaim: Reclaim{UsecTimeout: 100000, UsecDelayed: 4000, Flags: "VMSCAN_THROTTLE_WRITEBACK"}}},
	{KindShrinkSlabStart, "super_cache_scan+0x0/0x1a0 ff1100000484e458: nid: 0 objects to shrink 5 gfp_flags GFP_KERNEL cache items 1200 delta 12 total_scan 17 priority 12",
		Event{Reclaim: Reclaim{Shrinker: "super_cache_scan+0x0/0x1a0", ShrinkerPtr: 0xff1100000484e458, Objects: 5, GFPFlags: "GFP_KERNEL", CacheItems: 1200, Delta: 12, TotalScan: 17, Priority: 12}}},
	{KindShrinkSlabEnd, "zswap_shrink [zswap] ff1100000484e458: nid: 1 unused scan count 5 new scan count 6 total_scan -7 last shrinker return val 3",
		Event{Reclaim: Reclaim{Shrinker: "zswap_shrink [zswap]", ShrinkerPtr: 0xff1100000484e458, NID: 1, UnusedScan: 5, NewScan: 6, TotalScan: -7, Ret: 3}}},

	{KindCompactionBegin, "zone_start=0x1000 migrate_pfn=0x1000 free_pfn=0xdfe00 zone_end=0xe0000, mode=sync",
		Event{Compact: Compact{ZoneStart: 0x1000, MigratePFN: 0x1000, FreePFN: 0xdfe00, ZoneEnd: 0xe0000, Mode: "sync"}}},
	{KindCompactionEnd, "zone_start=0x1000 migrate_pfn=0x1200 free_pfn=0xdfe00 zone_end=0xe0000, mode=async status=contended",
		Event{Compact: Compact{ZoneStart: 0x1000, MigratePFN: 0x1200, FreePFN: 0xdfe00, ZoneEnd: 0xe0000, Mode: "async", Status: "contended"}}},
	{KindCompactionIsolateMigratepages, "range=(0x1000 ~ 0x1200) nr_scanned=512 nr_taken=32",
		Event{Compact: Compact{StartPFN: 0x1000, EndPFN: 0x1200, NrScanned: 512, NrTaken: 32}}},
	{KindCompactionIsolateFreepages, "range=(0xdfe00 ~ 0xe0000) nr_scanned=512 nr_taken=32",
		Event{Compact: Compact{StartPFN: 0xdfe00, EndPFN: 0xe0000, NrScanned: 512, NrTaken: 32}}},
	{KindCompactionFastIsolateFreepages, "range=(0xdfe00 ~ 0xe0000) nr_scanned=1 nr_taken=2",
		Event{Compact: Compact{StartPFN: 0xdfe00, EndPFN: 0xe0000, NrScanned: 1, NrTaken: 2}}},
	{KindCompactionMigratepages, "nr_migrated=32 nr_failed=1", Event{Compact: Compact{NrMigrated: 32, NrFailed: 1}}},
	{KindCompactionTryToCompactPages, "order=9 gfp_mask=GFP_TRANSHUGE priority=1", Event{Compact: Compact{Order: 9, GFPMask: "GFP_TRANSHUGE", Priority: 1}}},
	{KindCompactionFinished, "node=0 zone=Normal   order=9 ret=partial", Event{Compact: Compact{Zone: "Normal", Order: 9, Status: "partial"}}},
	{KindCompactionSuitable, "node=1 zone=DMA32    order=9 ret=continue", Event{Compact: Compact{Node: 1, Zone: "DMA32", Order: 9, Status: "continue"}}},
	{KindCompactionDeferred, "node=0 zone=Normal   order=9 order_failed=9 consider=3 limit=64",
		Event{Compact: Compact{Zone: "Normal", Order: 9, OrderFailed: 9, Considered: 3, Limit: 64}}},
	{KindCompactionDeferCompaction, "node=0 zone=Normal   order=9 order_failed=9 consider=0 limit=2",
		Event{Compact: Compact{Zone: "Normal", Order: 9, OrderFailed: 9, Limit: 2}}},
	{KindCompactionDeferReset, "node=0 zone=Movable  order=9 order_failed=10 consider=0 limit=1",
		Event{Compact: Compact{Zone: "Movable", Order: 9, OrderFailed: 10, Limit: 1}}},
	{KindCompactionKcompactdSleep, "nid=1", Event{Compact: Compact{Node: 1}}},
	{KindCompactionKcompactdWake, "nid=0 order=9 classzone_idx=Normal  ", Event{Compact: Compact{Order: 9, Zone: "Normal"}}},
	{KindCompactionWakeupKcompactd, "nid=0 order=9 classzone_idx=Movable ", Event{Compact: Compact{Order: 9, Zone: "Movable"}}},

	{KindSchedSwitch, "prev_comm=sh prev_pid=98 prev_prio=120 prev_state=R+ ==> next_comm=a b=c next_pid=220 next_prio=-1",
		Event{Switch: Switch{PrevComm: "sh", PrevPID: 98, PrevPrio: 120, PrevState: "R+", NextComm: "a b=c", NextPID: 220, NextPrio: -1}}},
	{KindSchedSwitch, "prev_comm=wl prev_pid=wl-1 prev_prio=120 prev_state=D ==> next_comm=other next_pid=other-1 next_prio=130",
		Event{Switch: Switch{PrevComm: "wl", PrevLabel: "wl", PrevPID: 1, PrevPrio: 120, PrevState: "D", NextComm: "other", NextLabel: "other", NextPID: 1, NextPrio: 130}}},
	{KindSchedSwitch, "prev_comm=x prev_pid=1 prev_pid=98 prev_prio=120 prev_state=S ==> next_comm=ls next_pid=220 next_prio=0",
		Event{Switch: Switch{PrevComm: "x prev_pid=1", PrevPID: 98, PrevPrio: 120, PrevState: "S", NextComm: "ls", NextPID: 220}}},
	{KindSchedWakeup, "comm=rcu_preempt pid=15 prio=120 target_cpu=003", Event{Sched: Sched{Comm: "rcu_preempt", PID: 15, Prio: 120, TargetCPU: 3}}},
	{KindSchedWaking, "comm=a pid=1 pid=15 prio=120 target_cpu=128", Event{Sched: Sched{Comm: "a pid=1", PID: 15, Prio: 120, TargetCPU: 128}}},
	{KindSchedWakeupNew, "comm=wl pid=wl-2 prio=120 target_cpu=010", Event{Sched: Sched{Comm: "wl", Label: "wl", PID: 2, Prio: 120, TargetCPU: 10}}},
	{KindSchedMigrateTask, "comm=rcu_preempt pid=15 prio=120 orig_cpu=1 dest_cpu=2", Event{Sched: Sched{Comm: "rcu_preempt", PID: 15, Prio: 120, OrigCPU: 1, DestCPU: 2}}},
	{KindSchedStatRuntime, "comm=sh pid=98 runtime=749424 [ns] vruntime=8156439656 [ns]",
		Event{Sched: Sched{Comm: "sh", PID: 98, Runtime: 749424, VRuntime: 8156439656, HasVRuntime: true}}},
	{KindSchedStatRuntime, "comm=sh pid=98 runtime=749424 [ns]", Event{Sched: Sched{Comm: "sh", PID: 98, Runtime: 749424}}},
	{KindSchedStatWait, "comm=sh pid=220 delay=226548 [ns]", Event{Sched: Sched{Comm: "sh", PID: 220, Delay: 226548}}},
	{KindSchedStatSleep, "comm=ksoftirqd/0 pid=14 delay=11993724 [ns]", Event{Sched: Sched{Comm: "ksoftirqd/0", PID: 14, Delay: 11993724}}},
	{KindSchedStatIowait, "comm=sh pid=220 delay=1 [ns]", Event{Sched: Sched{Comm: "sh", PID: 220, Delay: 1}}},
	{KindSchedStatBlocked, "comm=rcu_preempt pid=15 delay=3844472 [ns]", Event{Sched: Sched{Comm: "rcu_preempt", PID: 15, Delay: 3844472}}},
	{KindSchedProcessFork, "comm=sh pid=98 child_comm=sh child_pid=219", Event{Sched: Sched{Comm: "sh", PID: 98, ChildComm: "sh", ChildPID: 219}}},
	{KindSchedProcessFork, "comm=wl pid=wl-1 child_comm=wl child_pid=wl-2", Event{Sched: Sched{Comm: "wl", Label: "wl", PID: 1, ChildComm: "wl", ChildLabel: "wl", ChildPID: 2}}},
	{KindSchedProcessExec, "filename=/opt/a b pid=1 old_pid=2/x=y pid=220 old_pid=219", Event{Sched: Sched{Filename: "/opt/a b pid=1 old_pid=2/x=y", PID: 220, OldPID: 219}}},
	{KindSchedProcessExit, "comm=sleep pid=220 prio=120", Event{Sched: Sched{Comm: "sleep", PID: 220, Prio: 120}}},
	{KindSchedProcessExit, "comm=sleep pid=220 prio=120 group_dead=true", Event{Sched: Sched{Comm: "sleep", PID: 220, Prio: 120, GroupDead: true, HasGroupDead: true}}},
	{KindSchedProcessExit, "comm=sleep pid=220 prio=120 group_dead=false", Event{Sched: Sched{Comm: "sleep", PID: 220, Prio: 120, HasGroupDead: true}}},
	{KindSchedProcessFree, "comm=sleep pid=220 prio=120", Event{Sched: Sched{Comm: "sleep", PID: 220, Prio: 120}}},
	{KindSchedProcessWait, "comm=sleep pid=0 prio=120", Event{Sched: Sched{Comm: "sleep", Prio: 120}}},
	{KindSchedWaitTask, "comm=sleep pid=220 prio=120", Event{Sched: Sched{Comm: "sleep", PID: 220, Prio: 120}}},
	{KindSchedPISetprio, "comm=pi_lo pid=206 oldprio=120 newprio=39", Event{Sched: Sched{Comm: "pi_lo", PID: 206, OldPrio: 120, NewPrio: 39}}},
}

// bare gives ev's payloads alone.
func bare(ev Event) Event {
	return Event{Page: ev.Page, Extfrag: ev.Extfrag, Object: ev.Object, RSS: ev.RSS, Probe: ev.Probe, Sched: ev.Sched,
		Switch: ev.Switch, Reclaim: ev.Reclaim, Compact: ev.Compact, Vmap: ev.Vmap, Work: ev.Work}
}

// TestSamples decodes each sample and formats it again.
func TestSamples(t *testing.T) {
	for _, s := range samples {
		ev := readOne(t, "sh-149 [002] d..1. 43.996563: "+s.kind.String()+": "+s.text)
		require.Equal(t, s.kind, ev.Kind)
		require.Empty(t, cmp.Diff(s.want, bare(ev)), s.text)
		require.Equal(t, s.text, string(ev.AppendArgs(nil)))
	}
}

// TestSamplesCoverAllKinds says that no kind with a payload is untested.
func TestSamplesCoverAllKinds(t *testing.T) {
	have := map[Kind]bool{}
	for _, s := range samples {
		have[s.kind] = true
	}
	for k := KindUnknown; k < numKinds; k++ {
		require.Equal(t, payloadOf(k).decode != nil, have[k], "kind %s", k)
	}
}

// TestMissingFields takes each sample's fields away one by one: the payload
// says that a field is missing, or does without it as older kernels do.
func TestMissingFields(t *testing.T) {
	for _, s := range samples {
		p := payloadOf(s.kind)
		var needed int
		for i := range p.names {
			if p.need&(1<<i) != 0 {
				needed++
			}
		}
		require.Positive(t, needed, "kind %s needs no field", s.kind)
		_, err := tryEvents("sh-149 [002] d..1. 43.996563: " + s.kind.String() + ": \n")
		var parse *ParseError
		require.ErrorAs(t, err, &parse, "kind %s", s.kind)
	}
}

// TestOlderLayouts decodes what other kernels and tools print.
func TestOlderLayouts(t *testing.T) {
	tests := []struct {
		kind Kind
		text string
		want Event
	}{
		{KindMMPageAlloc, "page=ffffea0000158740 pfn=21981 order=2 migratetype=0 gfp_flags=GFP_KERNEL", // to 5.14
			Event{Page: Page{PFN: 21981, HasPFN: true, Address: 0xffffea0000158740, Order: 2, GFPFlags: "GFP_KERNEL"}}},
		{KindMMPageAlloc, "page=(nil) pfn=0 order=9 migratetype=1 gfp_flags=GFP_TRANSHUGE",
			Event{Page: Page{HasPFN: true, Order: 9, MigrateType: 1, GFPFlags: "GFP_TRANSHUGE"}}},
		{KindMMPageAlloc, "[FAILED TO PARSE] pfn=0x3d6e order=0 gfp_flags=0x140cca migratetype=1", // trace-cmd
			Event{Page: Page{PFN: 0x3d6e, HasPFN: true, MigrateType: 1, GFPFlags: "0x140cca"}}},
		{KindMMPageAlloc, "page=0xC10AEA00 order=0 gfp_flags=32976 migratetype=0", // LTTng
			Event{Page: Page{Address: 0xc10aea00, GFPFlags: "32976"}}},
		{KindMMPageFreeBatched, "page=(____ptrval____) pfn=21981 cold=0", Event{Page: Page{PFN: 21981, HasPFN: true}}},
		{KindKmalloc, "(__alloc_skb+0x1b) call_site=ffffffff81 ptr=0xffff8801 bytes_req=640 bytes_alloc=1024 gfp_flags=GFP_KERNEL", // trace-cmd
			Event{Object: Object{CallSite: "ffffffff81", Ptr: 0xffff8801, BytesReq: 640, BytesAlloc: 1024, GFPFlags: "GFP_KERNEL"}}},
		{KindKmemCacheFree, "call_site=ffffffff81 ptr=0xffff8801", Event{Object: Object{CallSite: "ffffffff81", Ptr: 0xffff8801}}},
		{KindRSSStat, "mm_id=1 curr=0 member=1 size=4096B", Event{RSS: RSSStat{MMID: 1, Type: "1", Size: 4096}}},
		{KindSchedSwitch, "        trace-cmd:7215 [120] S ==> tmux: server:1010 [120]", // trace-cmd
			Event{Switch: Switch{PrevComm: "trace-cmd", PrevPID: 7215, PrevPrio: 120, PrevState: "S", NextComm: "tmux: server", NextPID: 1010, NextPrio: 120}}},
		{KindSchedSwitch, `prev_comm="swapper/0" prev_pid=0 prev_prio=120 prev_state=0 next_comm="a b" next_pid=1834 next_prio=120`,
			Event{Switch: Switch{PrevComm: "swapper/0", PrevPrio: 120, PrevState: "0", NextComm: "a b", NextPID: 1834, NextPrio: 120}}},
		{KindSchedSwitch, "prev_comm=a prev_pid=1 prev_prio=120 prev_state=S|W ==> next_comm=b next_pid=2 next_prio=120",
			Event{Switch: Switch{PrevComm: "a", PrevPID: 1, PrevPrio: 120, PrevState: "S|W", NextComm: "b", NextPID: 2, NextPrio: 120}}},
		{KindSchedWakeup, "        tmux: server:1010 [120] success=1 CPU:001", Event{Sched: Sched{Comm: "tmux: server", PID: 1010, Prio: 120, TargetCPU: 1}}},
		{KindSchedWakeup, "bash:1010 [120] CPU:012", Event{Sched: Sched{Comm: "bash", PID: 1010, Prio: 120, TargetCPU: 12}}},
		{KindSchedWakeup, "comm=perf pid=1834 prio=120 success=1 target_cpu=000", Event{Sched: Sched{Comm: "perf", PID: 1834, Prio: 120}}},
		{KindSchedWakeup, `comm="lttng-consumerd" tid=496 prio=120 success=1 target_cpu=2`, Event{Sched: Sched{Comm: "lttng-consumerd", PID: 496, Prio: 120, TargetCPU: 2}}},
		{KindSchedProcessFork, `parent_comm="sh" parent_tid=408 parent_pid=407 child_comm="sh" child_tid=525 vtids=[ [0]=525 ] child_pid=524`,
			Event{Sched: Sched{Comm: "sh", PID: 408, ChildComm: "sh", ChildPID: 525}}},
		{KindSchedProcessExec, `filename="/bin/ls" tid=525 old_tid=524`, Event{Sched: Sched{Filename: "/bin/ls", PID: 525, OldPID: 524}}},
		{KindSchedStatRuntime, "comm=Thread-103 pid=3979 runtime=5014167 [ns] vruntime=244334517704 [ns] new=field",
			Event{Sched: Sched{Comm: "Thread-103", PID: 3979, Runtime: 5014167, VRuntime: 244334517704, HasVRuntime: true}}},
	}
	for _, test := range tests {
		ev := readOne(t, "sh-149 [002] 43.996563: "+test.kind.String()+": "+test.text)
		require.Empty(t, cmp.Diff(test.want, bare(ev)), test.text)
		require.Equal(t, test.text, string(ev.Args), "the text stays whole")
	}
}

// TestCuttingsFormat says that the payloads of traces in tracefs' layout have
// all that their text has: formatted, it is the same to the byte.
func TestCuttingsFormat(t *testing.T) {
	n := 0
	for _, name := range cuttings(t) {
		if !strings.HasPrefix(filepath.Base(name), "tracefs-") && !strings.HasPrefix(filepath.Base(name), "ftrace-") {
			continue
		}
		for _, ev := range readEvents(t, string(readFile(t, name))) {
			if payloadOf(ev.Kind).append != nil {
				require.Equal(t, string(ev.Args), string(ev.AppendArgs(nil)), "line %d of %s", ev.Line, name)
				n++
			}
		}
	}
	require.Equal(t, 770, n)
}

// TestFastAndSlowAgree decodes texts the usual way and field by field.
func TestFastAndSlowAgree(t *testing.T) {
	check := func(ev *Event) {
		if payloadOf(ev.Kind).fast == nil {
			return
		}
		fast, slow, ok := bothWays(ev.Kind, ev.Args)
		if ok {
			require.Empty(t, cmp.Diff(slow, fast), "%s: %s", ev.Kind, ev.Args)
		}
	}
	for _, name := range cuttings(t) {
		for _, ev := range readEvents(t, string(readFile(t, name))) {
			check(&ev)
		}
	}
	for _, s := range samples {
		check(&Event{Kind: s.kind, Args: []byte(s.text)})
	}
}

// bothWays decodes a text with the fast decoder of its kind and without; ok
// says that the fast one took it.
func bothWays(kind Kind, args []byte) (fast, slow Event, ok bool) {
	p := *payloadOf(kind)
	d := decoder{texts: new(interner)}
	fast = Event{Kind: kind, Args: args}
	d.b = args
	ok = p.fast(&d, &fast)
	p.fast = nil
	slow = Event{Kind: kind, Args: args}
	d.decode(&p, &slow)
	return fast, slow, ok
}

// TestPayloadsRoundTrip formats payloads with any values and decodes them.
func TestPayloadsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ev := drawEvent(t)
		text := ev.AppendArgs(nil)
		got, err := tryEvents(fmt.Sprintf("sh-149 [002] d..1. 43.996563: %s: %s\n", ev.Kind, text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(bare(ev), bare(got[0])); diff != "" {
			t.Fatalf("%s: %s", text, diff)
		}
	})
}

// drawEvent makes an event with a payload of any values that its kind has.
func drawEvent(t *rapid.T) Event {
	ev := Event{Kind: rapid.SampledFrom([]Kind{KindMMPageAlloc, KindMMPageAllocZoneLocked, KindMMPageAllocExtfrag,
		KindKmalloc, KindKmemCacheFree, KindSchedSwitch, KindSchedStatRuntime, KindSchedProcessFork, KindCacheFreeBulk}).Draw(t, "kind")}
	i32 := rapid.Int32()
	pid := rapid.Int32Range(0, 1<<22)
	u64 := rapid.Uint64()
	// decimal numbers go up to 18 digits in one pass, further in another
	word := rapid.StringMatching(`[A-Z_|]{1,60}`)
	comm := rapid.StringMatching(`[a-zA-Z0-9:/\[\]_<>.()-]([ a-zA-Z0-9=:/\[\]_<>.()-]{0,13}[a-z0-9)\]>])?`)
	page := Page{PFN: u64.Draw(t, "pfn"), HasPFN: true, Address: u64.Draw(t, "page")}
	switch ev.Kind {
	case KindMMPageAlloc:
		ev.Page = page
		ev.Page.Order, ev.Page.MigrateType, ev.Page.GFPFlags = i32.Draw(t, "order"), i32.Draw(t, "mt"), word.Draw(t, "gfp")
	case KindMMPageAllocZoneLocked:
		ev.Page = page
		ev.Page.Order, ev.Page.MigrateType, ev.Page.PerCPURefill = i32.Draw(t, "order"), i32.Draw(t, "mt"), i32.Draw(t, "refill")
	case KindMMPageAllocExtfrag:
		ev.Page = page
		ev.Extfrag = Extfrag{i32.Draw(t, "ao"), i32.Draw(t, "fo"), i32.Draw(t, "po"), i32.Draw(t, "am"), i32.Draw(t, "fm"), rapid.Bool().Draw(t, "fr"), rapid.Bool().Draw(t, "co")}
	case KindKmalloc:
		ev.Object = Object{CallSite: word.Draw(t, "site"), Ptr: u64.Draw(t, "ptr"), BytesReq: u64.Draw(t, "req"), BytesAlloc: u64.Draw(t, "alloc"),
			GFPFlags: word.Draw(t, "gfp"), Node: i32.Draw(t, "node"), Accounted: rapid.Bool().Draw(t, "accounted")}
	case KindKmemCacheFree:
		ev.Object = Object{CallSite: word.Draw(t, "site"), Ptr: u64.Draw(t, "ptr"), Name: rapid.StringMatching(`[a-zA-Z0-9:-]{1,20}( [a-z]{1,4})?`).Draw(t, "name")}
	case KindSchedSwitch:
		ev.Switch = Switch{comm.Draw(t, "prev"), pid.Draw(t, "ppid"), i32.Draw(t, "pprio"), word.Draw(t, "state"), comm.Draw(t, "next"), pid.Draw(t, "npid"), i32.Draw(t, "nprio"), "", ""}
	case KindSchedStatRuntime:
		ev.Sched = Sched{Comm: comm.Draw(t, "comm"), PID: pid.Draw(t, "pid"), Runtime: u64.Draw(t, "runtime"), HasVRuntime: rapid.Bool().Draw(t, "v")}
		if ev.Sched.HasVRuntime {
			ev.Sched.VRuntime = u64.Draw(t, "vruntime")
		}
	case KindSchedProcessFork:
		ev.Sched = Sched{Comm: comm.Draw(t, "comm"), PID: pid.Draw(t, "pid"), ChildComm: comm.Draw(t, "child"), ChildPID: pid.Draw(t, "cpid")}
	case KindCacheFreeBulk:
		ev.Probe = Probe{Where: "(f+0x0/0x1)", Cache: u64.Draw(t, "cache"), N: u64.Draw(t, "n"), P: rapid.SliceOfN(u64, 1, 40).Draw(t, "p")}
	}
	return ev
}
