package trace

// Snapshot is what a "ksnap 1" text holds: the page allocator's lists, and in
// most captures the slab allocator's, at one moment. Lists keep the kernel's
// order, head first. Numbers are pages unless said otherwise.
type Snapshot struct {
	Seq            uint32 // 1 before the workload, 2 after it
	Kernel         string // release, "6.1.0-56-amd64"
	PageShift      int    // log2 of the page size
	PageblockOrder int    // log2 of the pages of a pageblock
	MaxOrder       int    // number of orders of the free areas: the highest order plus one
	NrPCPLists     int    // lists of a per-CPU page list
	PageOffset     uint64 // address of PFN 0 in the direct map; 0 if not given

	// The real 6.18 machine's snapshots are read inside an allocation of the
	// process that controls the capture; these say which. HasTrigger tells
	// them from the others.
	HasTrigger   bool
	By           string // "bpf"
	T0, T1       uint64 // ns of the trace clock: begin and end of the reading
	TriggerPFN   uint64 // the page of that allocation; it is out of the lists already
	TriggerOrder int
	TriggerMT    int
	CPU          int // CPU of that allocation

	Zones  []SnapshotZone
	Caches []SnapshotCache
	Slabs  []SnapshotSlab

	// SlabT0 and SlabT1 are begin and end of the reading of the slab lists in
	// ns, if HasSlabTime; it comes after that of the pages.
	HasSlabTime    bool
	SlabT0, SlabT1 uint64

	// Torn are disagreements between lists that were read while other CPUs
	// could change them: only in snapshots with HasTrigger, and there only of
	// what the triggering allocation's locks do not hold still, so not of
	// TriggerPFN's zone and the per-CPU list of CPU in it. In other snapshots
	// and lists a disagreement is an error.
	Torn []*ParseError

	// Unknown are the fields that this package does not know, in the order of
	// the text. They are kept so that nothing gets lost unseen.
	Unknown []UnknownField
}

// UnknownField is a field of a snapshot that this package does not know.
type UnknownField struct {
	Line   int    // line number, from 1
	Record string // first word of the line
	Key    string
	Value  string
}

// SnapshotZone is a zone of a node.
type SnapshotZone struct {
	Node          int
	Name          string // "DMA", "DMA32", "Normal", ...
	StartPFN      uint64 // zone_start_pfn
	Spanned       uint64
	Present       uint64
	Managed       uint64
	Min           uint64 // watermarks, without boost
	Low           uint64
	High          uint64
	Promo         uint64
	Boost         uint64   // watermark_boost
	LowmemReserve []uint64 // by zone type of the request
	HighAtomic    uint64   // nr_reserved_highatomic

	// AutoHigh says that the zone and its per-CPU lists are of a kernel that
	// tunes the lists' length (6.7 on); only then are these four given.
	AutoHigh    bool
	HighMin     uint64 // pageset_high_min
	HighMax     uint64 // pageset_high_max
	Batch       uint64 // pageset_batch
	NrFreePages uint64 // NR_FREE_PAGES, per-CPU differences not included

	Free       []FreeList     // only lists that are not empty, in the text's order
	NrFree     []uint64       // free_area[order].nr_free, by order
	PCPs       []SnapshotPCP  // by CPU
	Pageblocks []PageblockRun // by PFN
}

// FreeList is a free area's list of one migrate type.
type FreeList struct {
	Order       int
	MigrateType int // the kernel's number
	PFNs        []uint64
}

// PageblockRun is a run of pageblocks of one migrate type.
type PageblockRun struct {
	FirstPFN    uint64
	N           uint64 // pageblocks
	MigrateType int    // the kernel's number; -1 for a hole, which has no memory
}

// SnapshotPCP is a zone's per-CPU page list (struct per_cpu_pages).
type SnapshotPCP struct {
	CPU   int
	Count uint64
	High  uint64
	Batch uint64

	FreeFactor int // kernels before 6.7

	// Kernels from 6.7 on, see SnapshotZone.AutoHigh.
	HighMin     uint64
	HighMax     uint64
	Flags       uint64 // bit 0 PREV_FREE_HIGH_ORDER, bit 1 FREE_HIGH_BATCH
	AllocFactor int
	Expire      int
	FreeCount   int
	HasTimes    bool
	TS0, TS1    uint64 // ns: begin and end of the reading of this list, if HasTimes

	Lists []PCPList // only lists that are not empty
}

// PCPList is one list of a per-CPU page list.
type PCPList struct {
	PIndex int // as the kernel numbers them: order*3 + migrate type, then the THP lists
	PFNs   []uint64
}

// SnapshotCache is a slab cache (struct kmem_cache) with its per-CPU and node
// lists. Addresses are objects' or slabs' addresses in the direct map.
type SnapshotCache struct {
	Name            string
	Ptr             uint64 // address of the kmem_cache
	Size            uint32 // bytes from object to object
	ObjectSize      uint32 // bytes asked for
	Inuse           uint32 // bytes in use: object and, if outside, free pointer
	Align           uint32
	Offset          uint32 // of the free pointer
	RedLeftPad      uint32
	Order           int
	Objects         uint32 // objects of a slab
	MinOrder        int
	MinObjects      uint32
	Flags           uint64 // SLAB_* bits
	MinPartial      uint64
	CPUPartial      uint32 // objects
	CPUPartialSlabs uint32
	RefCount        int
	Ctor            uint64 // 0 if the cache has no constructor
	HasSheaves      bool   // the line has sheaf_capacity
	SheafCapacity   uint32 // objects of a sheaf, 0 without sheaves

	RandomSeq   []uint32 // order of the objects in a new slab, as indexes; nil if not shuffled
	CPUSlabs    []SnapshotCPUSlab
	NodePartial []SnapshotNodePartial
	Barns       []SnapshotBarn
}

// SnapshotCPUSlab is what a CPU holds of a cache (struct kmem_cache_cpu and,
// from 6.18 on, slub_percpu_sheaves).
type SnapshotCPUSlab struct {
	CPU        int
	HasSlab    bool
	Slab       uint64   // the CPU's slab, if HasSlab
	Freelist   []uint64 // its lockless free list, next first
	HasPartial bool
	Partial    []uint64 // the CPU's partial slabs, next first, if HasPartial
	Sheaves    []SnapshotSheaf
}

// SnapshotSheaf is an array of objects that a CPU holds.
type SnapshotSheaf struct {
	Kind    string   // "main", "spare", "rcu_free"
	Objects []uint64 // the last one is the top
}

// SnapshotNodePartial is a node's partial list.
type SnapshotNodePartial struct {
	Node  int
	Slabs []uint64
}

// SnapshotBarn is a node's store of sheaves.
type SnapshotBarn struct {
	Full    [][]uint64 // full sheaves, list order
	NrEmpty uint64     // empty sheaves
}

// SnapshotSlab is a slab.
type SnapshotSlab struct {
	PFN      uint64
	Order    int
	Cache    string
	Inuse    uint32
	Objects  uint32
	Frozen   bool
	Freelist []uint64 // addresses, next first
}

// Zone gives a zone of a node by name, nil if there is none.
func (s *Snapshot) Zone(node int, name string) *SnapshotZone {
	for i := range s.Zones {
		if z := &s.Zones[i]; z.Node == node && z.Name == name {
			return z
		}
	}
	return nil
}

// Cache gives a cache by name, nil if there is none.
func (s *Snapshot) Cache(name string) *SnapshotCache {
	for i := range s.Caches {
		if c := &s.Caches[i]; c.Name == name {
			return c
		}
	}
	return nil
}
