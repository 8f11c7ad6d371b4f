package buddy

import (
	"fmt"
	"slices"
)

// Allocator is the page allocator of a simulated machine. It is a plain value
// without goroutines; it must not be used from several goroutines at once.
type Allocator struct {
	profile Profile
	config  Config

	// Limits that hot paths read, copied from config.
	maxOrder, pageblockOrder int
	// pcpOrders has bit o set if order o goes through per-CPU lists.
	pcpOrders uint32
	cma       bool
	// groupingDisabled: too little memory for grouping by mobility
	// (page_group_by_mobility_disabled).
	groupingDisabled bool
	// boostFactor is the sysctl watermark_boost_factor.
	boostFactor uint64
	nodes       int

	// reserveFlags may use the highatomic reserve's pages by the watermark;
	// highAtomicUsers count highatomic blocks as usable, highAtomicFirst take
	// them first, highAtomicLast when nothing else is left.
	reserveFlags, highAtomicUsers, highAtomicFirst, highAtomicLast allocFlags

	// movableIndex is the place of ZONE_MOVABLE among the zone types, or the
	// last.
	movableIndex int

	zones []Zone
	// fast has each CPU's short cut for its last kind of request.
	fast      []fastPath
	zoneTypes []ZoneType
	cpuNode   []NodeID
	// gfpZone maps the zone bits of a GFP to the index of the highest zone
	// type, -1 for bad combinations.
	gfpZone   [GFPZoneMask + 1]int8
	zonelists []nodeZonelists
	// noFragment says by zone whether a first try there avoids fragmentation.
	noFragment []bool

	sections []*section
	// top has the free blocks of the highest order, topOrder, by
	// PFN >> topOrder.
	top      []page
	topOrder int
	// blockTypes and blockZone have the migrate type and the zone of each
	// pageblock, by PFN >> pageblockOrder.
	blockTypes, blockZone []uint8

	// adopt: pages that the model has not seen allocated may be freed.
	adopt bool

	hook      func(Event)
	claimHook func(block PFN, free, movable int) (claim, known bool)
	// amountHook may change how many blocks a refill takes
	// (EventZoneLocked) or pages a drain gives back (EventPCPDrain).
	amountHook func(kind EventKind, n int) int
	pressure   Pressure
	capture    capture
}

// nodeZonelists are a node's zonelists: struct zonelist of ZONELIST_FALLBACK
// and ZONELIST_NOFALLBACK, cut for each highest zone type.
type nodeZonelists struct {
	fallback, thisNode [NumZoneTypes][]uint8
}

// maxBlocks and maxTop bound the pageblocks and the blocks of the highest order
// of a machine, so that a broken configuration cannot ask for unlimited memory.
const (
	maxBlocks = 1 << 24
	maxTop    = 1 << 23
	// maxPCPs bounds zones times CPUs.
	maxPCPs = 1 << 18
)

// New makes the allocator of a machine whose pages are all still reserved; hand
// them over with [Allocator.Release] or [Allocator.Restore]. The error unwraps
// to [*ConfigError]s.
func New(c Config, p Profile) (*Allocator, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	a := &Allocator{
		profile: p, config: c,
		maxOrder: int(c.MaxOrder), pageblockOrder: int(c.PageblockOrder),
		cma: c.CMA, boostFactor: uint64(DefaultSysctl.WatermarkBoostFactor), zoneTypes: c.ZoneTypes, nodes: c.Nodes(),
	}
	a.movableIndex = a.typeIndex(ZoneMovable)
	a.setFlags()
	a.cpuNode = make([]NodeID, c.CPUs)
	copy(a.cpuNode, c.CPUNode)
	if err := a.makeZones(); err != nil {
		return nil, err
	}
	a.makeZonelists()
	a.fast = slices.Repeat([]fastPath{noFast()}, c.CPUs)
	return a, nil
}

func (a *Allocator) setFlags() {
	a.pcpOrders = 1
	if a.profile.PCPHighOrders {
		a.pcpOrders = 1<<(costlyOrder+1) - 1
		if a.pageblockOrder > costlyOrder {
			a.pcpOrders |= 1 << a.pageblockOrder
		}
	}
	a.pcpOrders &= 1<<a.maxOrder - 1
	if a.profile.HarderReserve {
		a.reserveFlags = allocNonBlock | allocOOM
		a.highAtomicUsers = allocNonBlock | allocOOM
		a.highAtomicFirst = allocNonBlock
		return
	}
	a.reserveFlags = allocReserves
	a.highAtomicUsers = allocHighAtomic | allocOOM
	a.highAtomicFirst = allocHighAtomic
	a.highAtomicLast = allocOOM | allocNonBlock
}

func (a *Allocator) makeZones() error {
	c := &a.config
	if len(c.Zones) >= int(noZone) {
		return &ConfigError{Field: "Zones", Found: fmt.Sprint(len(c.Zones)), Expected: "fewer than 255"}
	}
	if n := len(c.Zones) * c.CPUs; n > maxPCPs {
		return &ConfigError{Field: "CPUs", Found: fmt.Sprintf("%d per-CPU lists", n), Expected: fmt.Sprintf("at most %d", maxPCPs)}
	}
	var end PFN
	var managed uint64
	for i := range c.Zones {
		end = max(end, c.Zones[i].StartPFN+PFN(c.Zones[i].Spanned))
		managed += c.Zones[i].Managed
	}
	blocks := (uint64(end) + 1<<a.pageblockOrder - 1) >> a.pageblockOrder
	if blocks > maxBlocks {
		return &ConfigError{Field: "Zones", Found: fmt.Sprintf("%d pageblocks", blocks), Expected: fmt.Sprintf("at most %d", maxBlocks)}
	}
	types := uint64(NumMigrateTypes)
	if !c.CMA {
		types--
	}
	a.groupingDisabled = managed < types<<a.pageblockOrder
	a.blockTypes = make([]uint8, blocks)
	a.blockZone = make([]uint8, blocks)
	for i := range a.blockZone {
		a.blockZone[i] = noZone
		a.blockTypes[i] = uint8(Movable)
	}
	a.topOrder = a.maxOrder - 1
	top := (blocks<<a.pageblockOrder + 1<<a.topOrder - 1) >> a.topOrder
	if top > maxTop {
		return &ConfigError{Field: "Zones", Found: fmt.Sprintf("%d blocks of the highest order", top), Expected: fmt.Sprintf("at most %d", maxTop)}
	}
	a.top = make([]page, top)
	a.sections = make([]*section, (blocks<<a.pageblockOrder+sectionMask)>>sectionShift)
	a.zones = make([]Zone, len(c.Zones))
	for i := range c.Zones {
		a.makeZone(i)
		a.claimBlocks(&a.zones[i], a.zones[i].start, a.zones[i].end)
	}
	// Spans of interleaved nodes overlap; their memory does not.
	for _, r := range c.Present {
		a.claimBlocks(&a.zones[r.Zone], r.Start, r.End)
	}
	return nil
}

func (a *Allocator) makeZone(i int) {
	c := &a.config.Zones[i]
	z := &a.zones[i]
	*z = Zone{
		index: uint8(i), node: c.Node, typ: c.Type, start: c.StartPFN, end: c.StartPFN + PFN(c.Spanned),
		spanned: c.Spanned, present: c.Present, managed: c.Managed, cmaPages: c.CMAPages,
		watermark: c.Watermark, boost: c.Boost, statThreshold: int64(c.StatThreshold), normalThreshold: int64(c.StatThreshold),
		lowmemReserve: append([]uint64(nil), c.LowmemReserve...),
	}
	for o := range z.free {
		for t := range z.free[o].lists {
			z.free[o].lists[t].init()
		}
	}
	z.pcp = make([]pcp, a.config.CPUs)
	for cpu := range z.pcp {
		p := &z.pcp[cpu]
		p.batch, p.high, p.highMin, p.highMax = c.PCP.Batch, c.PCP.High, c.PCP.HighMin, c.PCP.HighMax
		if p.highMax == 0 {
			p.highMin, p.highMax = p.high, p.high
		}
	}
}

// claimBlocks notes which zone each pageblock of a range belongs to.
func (a *Allocator) claimBlocks(z *Zone, start, end PFN) {
	first := uint64(start) >> a.pageblockOrder
	last := uint64(end-1) >> a.pageblockOrder
	for b := first; b <= last; b++ {
		a.blockZone[b] = z.index
	}
}

// makeZonelists builds each node's zonelists for each highest zone type.
func (a *Allocator) makeZonelists() {
	lists := BuildZonelists(&a.config, ZonelistOptions{Policy: a.profile.Boot})
	a.zonelists = make([]nodeZonelists, a.nodes)
	for n := range a.zonelists {
		for h, t := range a.zoneTypes {
			for _, zi := range lists[n].Fallback {
				z := &a.zones[zi]
				if z.typ > t || z.managed == 0 {
					continue
				}
				nz := &a.zonelists[n]
				nz.fallback[h] = append(nz.fallback[h], uint8(zi))
				if int(z.node) == n {
					nz.thisNode[h] = append(nz.thisNode[h], uint8(zi))
				}
			}
		}
	}
	for bits := range a.gfpZone {
		a.gfpZone[bits] = a.highestZone(GFP(bits))
	}
	a.noFragment = make([]bool, len(a.zones))
	for i := range a.zones {
		a.noFragment[i] = a.avoidsFragments(&a.zones[i])
	}
}

// highestZone gives the index of the zone type that zone bits ask for
// (gfp_zone), or -1.
func (a *Allocator) highestZone(bits GFP) int8 {
	want := ZoneNormal
	switch bits {
	case 0, GFPMovable:
	case GFPDMA, GFPDMA | GFPMovable:
		if a.hasType(ZoneDMA) {
			want = ZoneDMA
		}
	case GFPDMA32, GFPDMA32 | GFPMovable:
		if a.hasType(ZoneDMA32) {
			want = ZoneDMA32
		}
	case GFPHighMem:
		if a.hasType(ZoneHighMem) {
			want = ZoneHighMem
		}
	case GFPHighMem | GFPMovable:
		want = ZoneMovable
	default:
		return -1
	}
	best := int8(0)
	for i, t := range a.zoneTypes {
		if t <= want {
			best = int8(i)
		}
	}
	return best
}

// typeIndex is the place of a zone type among the machine's, or the last.
func (a *Allocator) typeIndex(t ZoneType) int {
	for i, have := range a.zoneTypes {
		if have == t {
			return i
		}
	}
	return len(a.zoneTypes) - 1
}

func (a *Allocator) hasType(t ZoneType) bool {
	for _, have := range a.zoneTypes {
		if have == t {
			return true
		}
	}
	return false
}

// avoidsFragments: a Normal zone with DMA32 to spread to (on its node, if there
// are several) is kept from fragmenting on the first try.
func (a *Allocator) avoidsFragments(z *Zone) bool {
	if z.typ != ZoneNormal || !a.hasType(ZoneDMA32) {
		return false
	}
	if a.nodes == 1 {
		return true
	}
	for i := range a.zones {
		if a.zones[i].node == z.node && a.zones[i].typ == ZoneDMA32 && a.zones[i].present > 0 {
			return true
		}
	}
	return false
}

// SetHook installs the function that sees the kernel's tracepoints in the order
// in which the kernel would print them; nil removes it. The function must not
// call the allocator.
func (a *Allocator) SetHook(f func(Event)) { a.hook = f }

// SetClaimHook installs a function that knows, for a pageblock which a request
// of another type takes pages from, whether the kernel found enough alike pages
// in it to claim it whole. (The number of pages that the kernel could migrate
// depends on what their users did with them.) known = false leaves the decision
// to the model. A replay uses it; nil removes it.
func (a *Allocator) SetClaimHook(f func(block PFN, free, movable int) (claim, known bool)) {
	a.claimHook = f
}

// SetAmountHook installs a function that may change how many blocks a refill of
// a per-CPU list takes (kind EventZoneLocked) or how many pages a drain gives
// back (EventPCPDrain). A replay uses it to follow the kernel after a
// difference; nil removes it.
func (a *Allocator) SetAmountHook(f func(kind EventKind, n int) int) { a.amountHook = f }

// SetBoostFactor sets the sysctl watermark_boost_factor; 0 turns boosting off.
func (a *Allocator) SetBoostFactor(f uint64) { a.boostFactor = f }

// SetAdopt says whether pages that the model did not give out may be freed: a
// replay starts in the middle of a kernel's life.
func (a *Allocator) SetAdopt(on bool) { a.adopt = on }

// Profile gives the kernel version's policy.
func (a *Allocator) Profile() Profile { return a.profile }

// Config gives the machine's description as it was passed to [New].
func (a *Allocator) Config() Config { return a.config }

// NumZones is the number of zones that have memory.
func (a *Allocator) NumZones() int { return len(a.zones) }

// Zone gives the i-th zone, by node and then by type.
func (a *Allocator) Zone(i int) *Zone { return &a.zones[i] }

// BlockType gives the migrate type of the pageblock a page frame is in; ok is
// false outside of the machine.
func (a *Allocator) BlockType(pfn PFN) (mt MigrateType, ok bool) {
	if a.zoneOf(uint64(pfn)) == nil {
		return 0, false
	}
	return a.blockType(uint32(pfn)), true
}

// SetBlockType sets the migrate type of the pageblock a page frame is in
// without moving its free pages: set_pageblock_migratetype, as boot and hotplug
// use it. Isolation is [Allocator.IsolateBlock]'s matter.
func (a *Allocator) SetBlockType(pfn PFN, mt MigrateType) error {
	if a.zoneOf(uint64(pfn)) == nil {
		return a.pageError(pfn, 0, ErrOutside)
	}
	if mt >= Isolate || mt == CMA && !a.cma {
		return &RangeError{Start: pfn, End: pfn + 1, PFN: pfn, Reason: fmt.Sprintf("cannot get the type %v", mt), Err: ErrNoList}
	}
	a.setBlockType(uint32(pfn), mt)
	return nil
}
