package slab

import "strings"

// Flags are a cache's properties, the kernel's slab_flags_t. The numbers are
// those of Linux 6.1; later kernels number the same flags differently, see
// [FlagTable].
type Flags uint32

// Flags in the numbering of Linux 6.1. Those marked D need SLUB debugging.
const (
	// ConsistencyChecks is SLAB_CONSISTENCY_CHECKS (D, option F): check
	// pointers, free lists and slabs on each allocation and free.
	ConsistencyChecks Flags = 0x100
	// RedZone is SLAB_RED_ZONE (D, option Z): guard bytes around objects.
	RedZone Flags = 0x400
	// Poison is SLAB_POISON (D, option P): fill free objects with a pattern.
	Poison Flags = 0x800
	// Kmalloc is SLAB_KMALLOC: one of the kmalloc caches.
	Kmalloc Flags = 0x1000
	// HWCacheAlign is SLAB_HWCACHE_ALIGN: align objects to cache lines.
	HWCacheAlign Flags = 0x2000
	// CacheDMA is SLAB_CACHE_DMA: slabs come from ZONE_DMA.
	CacheDMA Flags = 0x4000
	// CacheDMA32 is SLAB_CACHE_DMA32: slabs come from ZONE_DMA32.
	CacheDMA32 Flags = 0x8000
	// StoreUser is SLAB_STORE_USER (D, option U): record who allocated and
	// freed each object.
	StoreUser Flags = 0x10000
	// ReclaimAccount is SLAB_RECLAIM_ACCOUNT: objects can be reclaimed.
	ReclaimAccount Flags = 0x20000
	// Panic is SLAB_PANIC: the kernel panics if the cache cannot be made.
	Panic Flags = 0x40000
	// TypesafeByRCU is SLAB_TYPESAFE_BY_RCU: slabs are freed after a grace
	// period, so readers may touch freed objects.
	TypesafeByRCU Flags = 0x80000
	// MemSpread is SLAB_MEM_SPREAD (until 6.8).
	MemSpread Flags = 0x100000
	// Trace is SLAB_TRACE (D, option T): print each allocation and free.
	Trace Flags = 0x200000
	// DebugObjects is SLAB_DEBUG_OBJECTS.
	DebugObjects Flags = 0x400000
	// NoLeakTrace is SLAB_NOLEAKTRACE: kmemleak's own caches.
	NoLeakTrace Flags = 0x800000
	// NoMerge is SLAB_NO_MERGE (since 6.5): never share slabs with a like cache.
	NoMerge Flags = 0x1000000
	// FailSlab is SLAB_FAILSLAB (option A): subject to fault injection.
	FailSlab Flags = 0x2000000
	// Account is SLAB_ACCOUNT: all objects are charged to memory cgroups.
	Account Flags = 0x4000000
	// KASAN is SLAB_KASAN.
	KASAN Flags = 0x8000000
	// NoUserFlags is SLAB_NO_USER_FLAGS: the command line adds no flags.
	NoUserFlags Flags = 0x10000000
	// SkipKFENCE is SLAB_SKIP_KFENCE.
	SkipKFENCE Flags = 0x20000000
	// CmpxchgDouble is __CMPXCHG_DOUBLE, set by the allocator: slabs are
	// updated with a double-word compare-and-exchange.
	CmpxchgDouble Flags = 0x40000000
	// ObjectPoison is __OBJECT_POISON, set by the allocator: the object itself
	// is poisoned, not only its padding.
	ObjectPoison Flags = 0x80000000
	// NoObjExt is SLAB_NO_OBJ_EXT (since 6.10), which 6.1 has no number for.
	NoObjExt Flags = 0x80
)

// Groups of flags.
const (
	// DebugFlags is SLAB_DEBUG_FLAGS: a cache with any of them takes the
	// debugging paths.
	DebugFlags = RedZone | Poison | StoreUser | Trace | ConsistencyChecks
	// DefaultDebugFlags is what slub_debug without options turns on.
	DefaultDebugFlags = ConsistencyChecks | RedZone | Poison | StoreUser
	// metadataFlags are those that option O drops where they raise the order.
	metadataFlags = RedZone | Poison | StoreUser
	// neverMerge is SLAB_NEVER_MERGE: a cache with any of them stays alone.
	neverMerge = RedZone | Poison | StoreUser | Trace | TypesafeByRCU | NoLeakTrace | FailSlab | NoMerge
	// mergeSame is SLAB_MERGE_SAME: caches that merge agree in these.
	mergeSame = ReclaimAccount | CacheDMA | CacheDMA32 | Account
	// noCmpxchg is SLAB_NO_CMPXCHG.
	noCmpxchg = ConsistencyChecks | StoreUser | Trace
	// permitted is SLAB_FLAGS_PERMITTED: what a creator may ask for.
	permitted = HWCacheAlign | CacheDMA | CacheDMA32 | Panic | TypesafeByRCU | DebugObjects | DebugFlags |
		MemSpread | NoLeakTrace | ReclaimAccount | Account | NoUserFlags | NoMerge | KASAN | NoObjExt
	// ignoredAtCreation are permitted for other allocators only; SLUB's
	// CACHE_CREATE_MASK drops them.
	ignoredAtCreation = MemSpread
)

type flagName struct {
	flag Flags
	name string
}

var flagNames = []flagName{
	{ConsistencyChecks, "SLAB_CONSISTENCY_CHECKS"}, {RedZone, "SLAB_RED_ZONE"}, {Poison, "SLAB_POISON"},
	{Kmalloc, "SLAB_KMALLOC"}, {HWCacheAlign, "SLAB_HWCACHE_ALIGN"}, {CacheDMA, "SLAB_CACHE_DMA"},
	{CacheDMA32, "SLAB_CACHE_DMA32"}, {StoreUser, "SLAB_STORE_USER"}, {ReclaimAccount, "SLAB_RECLAIM_ACCOUNT"},
	{Panic, "SLAB_PANIC"}, {TypesafeByRCU, "SLAB_TYPESAFE_BY_RCU"}, {MemSpread, "SLAB_MEM_SPREAD"},
	{Trace, "SLAB_TRACE"}, {DebugObjects, "SLAB_DEBUG_OBJECTS"}, {NoLeakTrace, "SLAB_NOLEAKTRACE"},
	{NoMerge, "SLAB_NO_MERGE"}, {FailSlab, "SLAB_FAILSLAB"}, {Account, "SLAB_ACCOUNT"}, {KASAN, "SLAB_KASAN"},
	{NoUserFlags, "SLAB_NO_USER_FLAGS"}, {SkipKFENCE, "SLAB_SKIP_KFENCE"},
	{CmpxchgDouble, "__CMPXCHG_DOUBLE"}, {ObjectPoison, "__OBJECT_POISON"}, {NoObjExt, "SLAB_NO_OBJ_EXT"},
}

// String names the flags as the kernel's source does, "SLAB_POISON|SLAB_PANIC";
// no flags are "0".
func (f Flags) String() string {
	var parts []string
	for _, n := range flagNames {
		if f&n.flag != 0 {
			parts = append(parts, n.name)
		}
	}
	if parts == nil {
		return "0"
	}
	return strings.Join(parts, "|")
}

// FlagTable translates a kernel's flag numbers. Since 6.9 the numbers are
// consecutive bits and depend on the kernel's configuration; before they were
// fixed.
type FlagTable struct {
	// bits[i] is the flag of bit i, 0 if it is none that is known.
	bits [32]Flags
}

// FlagConfig are the configuration options that decide about flag numbers
// since 6.9.
type FlagConfig struct {
	DebugObjects, FailSlab, Memcg, KASANGeneric, KFENCE, Tiny, ObjExt bool
}

// FlagsFixed is the table of kernels before 6.9, in which flags are numbered
// as here.
var FlagsFixed = fixedTable()

func fixedTable() *FlagTable {
	t := &FlagTable{}
	for i := range t.bits {
		if f := Flags(1) << i; f != NoObjExt {
			t.bits[i] = f
		}
	}
	return t
}

// NewFlagTable makes the table of a kernel since 6.9.
func NewFlagTable(c FlagConfig) *FlagTable {
	t := &FlagTable{}
	n := 0
	add := func(has bool, f Flags) {
		if has {
			t.bits[n] = f
			n++
		}
	}
	for _, f := range []Flags{ConsistencyChecks, RedZone, Poison, Kmalloc, HWCacheAlign, CacheDMA, CacheDMA32,
		StoreUser, Panic, TypesafeByRCU, Trace} {
		add(true, f)
	}
	add(c.DebugObjects, DebugObjects)
	add(true, NoLeakTrace)
	add(true, NoMerge)
	add(c.FailSlab, FailSlab)
	add(c.Memcg, Account)
	add(c.KASANGeneric, KASAN)
	add(true, NoUserFlags)
	add(c.KFENCE, SkipKFENCE)
	add(!c.Tiny, ReclaimAccount)
	add(true, ObjectPoison)
	add(true, CmpxchgDouble)
	add(c.ObjExt, NoObjExt)
	return t
}

// Flags translates a kernel's number. rest are bits that the table has no flag
// for.
func (t *FlagTable) Flags(number uint64) (f Flags, rest uint64) {
	for i, known := range t.bits {
		bit := uint64(1) << i
		if number&bit == 0 {
			continue
		}
		if known == 0 {
			rest |= bit
			continue
		}
		f |= known
	}
	return f, rest | number>>32<<32
}

// Number is the inverse of [FlagTable.Flags]; flags that the kernel does not
// have are left out.
func (t *FlagTable) Number(f Flags) uint64 {
	var n uint64
	for i, known := range t.bits {
		if known&f != 0 {
			n |= 1 << i
		}
	}
	return n
}
