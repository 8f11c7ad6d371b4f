package trace

// Event is one line of a trace. A caller gives the same Event to
// [Reader.Read] again and again; the reader fills it without allocating.
//
// The payloads Page to Work are shared by similar events: each field's comment
// says which Kinds fill it. Payloads that the Kind does not have are zero.
// Strings are interned by the reader and may be kept. Args and Probe.P are
// valid only until the next Read with the same Event.
type Event struct {
	Line int    // line number in the file, from 1
	Time uint64 // nanoseconds of the trace clock; ticks if Stamp is StampTicks
	CPU  int32  // CPU that wrote the event; -1 if the line has none
	PID  int32  // the task that ran (the kernel's name for a thread id); -1 if the line has none
	TGID int32  // its process (thread group); -1 if the line has none
	Lost uint64 // KindLost: events lost before this place; 0 if the kernel does not say how many

	Comm  string // the task's name
	Flags Flags  // the latency columns, empty if the line has none
	Stamp Stamp  // how the time was written
	Form  Form   // how the line was laid out
	Kind  Kind   // which known event it is, else KindUnknown

	System string // subsystem as perf writes it ("kmem"); else empty
	Name   string // the event's name as written
	Args   []byte // the text after "name: ", whole

	Page    Page
	Extfrag Extfrag
	Object  Object
	RSS     RSSStat
	Probe   Probe
	Sched   Sched
	Switch  Switch
	Reclaim Reclaim
	Compact Compact
	Vmap    Vmap
	Work    Work
}

// Form is the layout of a trace line.
type Form uint8

// The layouts that the reader knows.
const (
	FormTracefs Form = iota // "comm-pid [cpu] flags time: event: ...", also trace-cmd report
	FormLatency             // "comm-pid CPUflags time us : event: ...", latency tracers and ftrace dumps
	FormPerf                // "comm pid [cpu] time: system:event: ...", perf script
	FormPlain               // "time [cpu] event: ...", no task: converted LTTng and CTF traces
)

var formNames = [...]string{"tracefs", "latency", "perf", "plain"}

// String names the layout.
func (f Form) String() string {
	if int(f) < len(formNames) {
		return formNames[f]
	}
	return "unknown"
}

// Stamp is how a line writes its time.
type Stamp uint8

// The ways to write a time.
const (
	StampMicro Stamp = iota // seconds with six decimals
	StampNano               // seconds with nine decimals
	StampUsecs              // whole microseconds, "10607789211us"
	StampTicks              // a bare number: trace_clock counter, x86-tsc and the like
)

// Flags are the latency columns between CPU and time, as written: five
// characters since 5.18, four before, none in some files. Unused bytes are 0.
//
//	1 irqs-off   2 need-resched   3 hardirq/softirq   4 preempt-depth   5 migrate-disable
//
// PREEMPT_RT's patches up to 6.6 write seven: need-resched-lazy comes third and
// preempt-lazy-depth sixth; the methods know that.
type Flags [8]byte

// maxFlags is the number of latency columns that Flags can hold.
const maxFlags = len(Flags{})

// FlagsOf gives the Flags of a text like "d..1."; it keeps the first eight
// characters.
func FlagsOf(text string) Flags {
	var f Flags
	copy(f[:], text)
	return f
}

// Len is the number of columns, 0 to 8.
func (f Flags) Len() int {
	n := 0
	for n < len(f) && f[n] != 0 {
		n++
	}
	return n
}

// String gives the columns as written.
func (f Flags) String() string { return string(f[:f.Len()]) }

// rt says whether the columns are those of the old PREEMPT_RT trees.
func (f Flags) rt() bool { return f[6] != 0 }

// column gives column i of the five-column form, '.' where there is none.
func (f Flags) column(i int) byte {
	if f.rt() {
		i = [...]int{0, 1, 3, 4, 6}[i]
	}
	if f[i] == 0 {
		return '.'
	}
	return f[i]
}

// IRQsOff reports whether interrupts were disabled ('d'; 'D' with bottom
// halves off too).
func (f Flags) IRQsOff() bool { c := f.column(0); return c == 'd' || c == 'D' }

// BHOff reports whether bottom halves were disabled ('b', or 'D' with
// interrupts off too).
func (f Flags) BHOff() bool { c := f.column(0); return c == 'b' || c == 'D' }

// NeedResched reports whether TIF_NEED_RESCHED was set: 'N', 'n', or with the
// lazy flag of 6.13 'B' and 'b'.
func (f Flags) NeedResched() bool {
	switch f.column(1) {
	case 'N', 'n', 'B', 'b':
		return true
	}
	return false
}

// NeedReschedLazy reports whether TIF_NEED_RESCHED_LAZY was set: 'L', 'l',
// 'B', 'b'.
func (f Flags) NeedReschedLazy() bool {
	if f.rt() {
		return f[2] != '.'
	}
	switch f.column(1) {
	case 'L', 'l', 'B', 'b':
		return true
	}
	return false
}

// PreemptResched reports whether PREEMPT_NEED_RESCHED was set: 'N', 'p', 'L',
// 'B'.
func (f Flags) PreemptResched() bool {
	switch f.column(1) {
	case 'N', 'p', 'L', 'B':
		return true
	}
	return false
}

// NMI reports whether a non-maskable interrupt ran ('z', 'Z').
func (f Flags) NMI() bool { c := f.column(2); return c == 'z' || c == 'Z' }

// HardIRQ reports whether a hard interrupt ran: 'h', 'H' on top of a soft one,
// 'Z' below an NMI.
func (f Flags) HardIRQ() bool { c := f.column(2); return c == 'h' || c == 'H' || c == 'Z' }

// SoftIRQ reports whether a soft interrupt was being served: 's', 'H' with a
// hard one on top.
func (f Flags) SoftIRQ() bool { c := f.column(2); return c == 's' || c == 'H' }

// InInterrupt reports whether the event came from a hard or soft interrupt or
// an NMI.
func (f Flags) InInterrupt() bool { return f.column(2) != '.' }

// PreemptDepth is the preemption nesting, 0 to 15.
func (f Flags) PreemptDepth() int { return hexDigit(f.column(3)) }

// MigrateDisable is the migrate_disable nesting, 0 to 15; 0 where the kernel
// does not print it.
func (f Flags) MigrateDisable() int { return hexDigit(f.column(4)) }

// hexDigit gives a hexadecimal digit's value; 0 for '.' and anything else.
func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return 0
}

// Page is the payload of the events about page frames.
type Page struct {
	// PFN is the page frame number of every page event; 0 if an allocation
	// failed or the line has none (then HasPFN is false).
	PFN uint64
	// Address is the printed struct page address ("page="), in mm_page_*,
	// isolate_free_page, move_freepages and mm_vmscan_write_folio; 0 where it
	// is not printed, hidden ("(____ptrval____)") or null.
	Address uint64
	// GFPFlags are the flags of mm_page_alloc as printed, "GFP_KERNEL|__GFP_ZERO".
	GFPFlags string
	// Order of the block: all but extfrag and move_freepages. In
	// mm_page_free_batched the kernel always prints 0.
	Order int32
	// MigrateType, the kernel's number: mm_page_alloc,
	// mm_page_alloc_zone_locked, mm_page_pcpu_drain, free_one_page and
	// move_freepages.
	MigrateType int32
	// PerCPURefill is percpu_refill= of mm_page_alloc_zone_locked: 1 if the
	// page went to a per-CPU list.
	PerCPURefill int32
	// HasPFN says that the line had a pfn; old kernels printed only the
	// struct page address.
	HasPFN bool
}

// Extfrag has the further fields of mm_page_alloc_extfrag; PFN and page are in
// [Page]. Orders and migrate types are the kernel's numbers.
type Extfrag struct {
	AllocOrder          int32
	FallbackOrder       int32
	PageblockOrder      int32
	AllocMigrateType    int32
	FallbackMigrateType int32
	Fragmenting         bool
	ChangeOwnership     bool
}

// Object is the payload of the events about slab objects.
type Object struct {
	CallSite   string // call_site=: "symbol+offset/size", or an address
	Ptr        uint64 // ptr=: the object; 0 if null or hidden
	Name       string // the cache: kmem_cache_free, slab_bulk_*, and from 6.15 on kmem_cache_alloc
	BytesReq   uint64 // bytes asked for: allocations
	BytesAlloc uint64 // bytes given: allocations
	GFPFlags   string // flags as printed: allocations
	Node       int32  // node asked for, -1 any: allocations that print it
	Accounted  bool   // accounted=true: charged to a memory cgroup
}

// RSSStat is the payload of rss_stat.
type RSSStat struct {
	MMID uint32 // mm_id=, a hash of the mm
	Curr int32  // 1 if the mm is the running task's
	Type string // "MM_FILEPAGES", ...
	Size int64  // bytes
}

// Probe is the payload of the captures' own probes.
type Probe struct {
	Where string   // "(function+off/size)" or "(to <- function)" as kprobes print it, with the brackets
	Seq   uint32   // ksnap_mark: number of the snapshot; bit 31 set at its end
	GFP   uint32   // alloc_bulk: gfp flags as a number
	Nr    uint64   // alloc_bulk: pages wanted; page_bulk, slab_bulk_*: objects of the call
	I     uint64   // page_bulk, slab_bulk_*: which of Nr
	N     uint64   // cache_alloc_bulk, cache_free_bulk: objects
	Ret   uint64   // alloc_bulk_ret, cache_alloc_bulk_vec: pages or objects given
	Cache uint64   // slab_cache_*, cache_*: address of the kmem_cache
	Vec   uint64   // cache_alloc_bulk: address of the vector
	P     []uint64 // cache_alloc_bulk_vec, cache_free_bulk: objects; valid until the next Read
}

// Sched is the payload of the scheduler events but sched_switch.
type Sched struct {
	// Comm and PID are the task that the event is about; in
	// sched_process_fork the parent.
	Comm string
	PID  int32
	// Prio is the kernel's priority: 0-99 real time, 120 nice 0, below 0
	// SCHED_DEADLINE. LTTng subtracts 100 (see [FormPlain]).
	Prio int32
	// Label is what stands before the number where process ids were replaced
	// ("wl" of "pid=wl-3"); else empty.
	Label string

	TargetCPU   int32  // sched_wakeup, _waking, _wakeup_new
	OrigCPU     int32  // sched_migrate_task
	DestCPU     int32  // sched_migrate_task
	Runtime     uint64 // sched_stat_runtime: ns
	VRuntime    uint64 // sched_stat_runtime before 6.8: ns
	HasVRuntime bool   // the line had vruntime=
	Delay       uint64 // sched_stat_wait, _sleep, _iowait, _blocked: ns
	OldPrio     int32  // sched_pi_setprio
	NewPrio     int32  // sched_pi_setprio

	ChildComm    string // sched_process_fork
	ChildPID     int32  // sched_process_fork
	ChildLabel   string // sched_process_fork, as Label
	Filename     string // sched_process_exec
	OldPID       int32  // sched_process_exec
	GroupDead    bool   // sched_process_exit from 6.16 on: last thread of its process
	HasGroupDead bool   // the line had group_dead=
}

// Switch is the payload of sched_switch.
type Switch struct {
	PrevComm  string
	PrevPID   int32
	PrevPrio  int32
	PrevState string // "S", "D", "R", "R+" (preempted), ..., or a number as older tools print it
	NextComm  string
	NextPID   int32
	NextPrio  int32
	// PrevLabel and NextLabel stand before the number where process ids were
	// replaced, as Sched.Label.
	PrevLabel string
	NextLabel string
}

// Preempted reports whether the task was switched out while it could have run
// on, the "+" of "R+".
func (s *Switch) Preempted() bool {
	n := len(s.PrevState)
	return n > 0 && s.PrevState[n-1] == '+'
}

// Reclaim is the payload of the vmscan events. Numbers of pages unless said.
type Reclaim struct {
	NID            int32 // node: all but direct_reclaim and lru_isolate
	Order          int32 // kswapd_wake, wakeup_kswapd, *_reclaim_begin, lru_isolate
	Priority       int32 // lru_shrink_*, shrink_slab_start
	Classzone      int32 // lru_isolate: highest zone index
	IsolateMode    int32 // lru_isolate before 6.9 (then HasIsolateMode is true)
	HasIsolateMode bool
	GFPFlags       string // wakeup_kswapd, *_reclaim_begin, shrink_slab_start
	LRU            string // lru_isolate
	Flags          string // lru_shrink_*, write_folio: RECLAIM_WB_*; throttled: VMSCAN_THROTTLE_*
	Shrinker       string // shrink_slab_*: function
	ShrinkerPtr    uint64 // shrink_slab_*: address

	NrRequested    uint64 // lru_isolate
	NrScanned      uint64 // lru_isolate, lru_shrink_inactive
	NrSkipped      uint64 // lru_isolate
	NrTaken        uint64 // lru_isolate, lru_shrink_active
	NrReclaimed    uint64 // *_reclaim_end, lru_shrink_inactive
	NrDirty        uint64 // lru_shrink_inactive, as the following to NrUnmapFail
	NrWriteback    uint64
	NrCongested    uint64
	NrImmediate    uint64
	NrActivateAnon uint64
	NrActivateFile uint64
	NrRefKeep      uint64
	NrUnmapFail    uint64
	NrActive       uint64 // lru_shrink_active
	NrDeactivated  uint64 // lru_shrink_active
	NrReferenced   uint64 // lru_shrink_active

	Objects     int64 // shrink_slab_start: objects to shrink
	CacheItems  int64 // shrink_slab_start
	Delta       int64 // shrink_slab_start
	TotalScan   int64 // shrink_slab_*
	UnusedScan  int64 // shrink_slab_end
	NewScan     int64 // shrink_slab_end
	Ret         int32 // shrink_slab_end
	UsecTimeout int32 // throttled
	UsecDelayed int32 // throttled
}

// Compact is the payload of the compaction events.
type Compact struct {
	ZoneStart   uint64 // begin, end: PFN
	MigratePFN  uint64 // begin, end
	FreePFN     uint64 // begin, end
	ZoneEnd     uint64 // begin, end: PFN
	StartPFN    uint64 // isolate_*
	EndPFN      uint64 // isolate_*
	NrScanned   uint64 // isolate_*
	NrTaken     uint64 // isolate_*
	NrMigrated  uint64 // migratepages
	NrFailed    uint64 // migratepages
	Limit       uint64 // defer*: attempts to skip
	Mode        string // begin, end: "sync" or "async"
	Status      string // end: status=; finished, suitable: ret=
	Zone        string // finished, suitable, defer*; kcompactd: classzone_idx=
	GFPMask     string // try_to_compact_pages
	Node        int32  // finished, suitable, defer*: node=; kcompactd_*: nid=
	Order       int32  // try_to_compact_pages, finished, suitable, defer*, kcompactd_wake, wakeup_kcompactd
	Priority    int32  // try_to_compact_pages
	OrderFailed int32  // defer*
	Considered  uint32 // defer*
}

// Vmap is the payload of alloc_vmap_area. The captures of the real 6.18
// machine print size= only.
type Vmap struct {
	Addr    uint64 // va_start
	Size    uint64 // bytes
	Align   uint64 // bytes
	VStart  uint64
	VEnd    uint64
	Failed  int32
	HasAddr bool // the line had va_start and the fields after size
}

// Work is the payload of workqueue_execute_start and _end.
type Work struct {
	Struct    uint64 // address of the work_struct
	HasStruct bool   // the line had it
	Function  string // its function
}
