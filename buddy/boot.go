package buddy

import (
	"fmt"
	"iter"
	"math/bits"
)

// What a boot decides, in the kernel's order:
//
//  1. Where zones of each type can lie, from the architecture and the memory's
//     first and last page ([Machine.limits], zones.go), and where ZONE_MOVABLE
//     begins on each node (movable.go). A zone spans from limit to limit of its
//     node's memory, holes included; what is present is counted without them.
//  2. Whether pages are grouped by mobility, from the present pages.
//  3. The free pages: memory that nothing reserves, then CMA. With them the
//     zones' managed pages are known.
//  4. min_free_kbytes, watermarks, thresholds and lowmem reserves from the
//     managed pages ([ZoneParams.Init]; minfree.go, zonewmark.go,
//     statthreshold.go, lowmem.go).
//  5. min_free_kbytes and watermarks again if there are transparent huge pages,
//     and the per-CPU lists' bounds from the low watermarks (pcpsize.go).
//  6. Init sections and the initial RAM disk become free. The zones grow, but
//     their watermarks stay; the lowmem reserves follow only since 6.16. That
//     is why the watermarks of a running machine seldom are what its managed
//     pages would give.
//  7. An administrator's min_free_kbytes sets watermarks by the grown zones.

// thpMinBytes is the least memory with which transparent huge pages are on by
// default.
const thpMinBytes = 512 << 20

// FreePhase says when in a boot pages come to the allocator.
type FreePhase uint8

const (
	// FreeMemblock are the pages that nothing reserved (memblock_free_all and
	// deferred initialisation), freed in the largest aligned blocks. On nodes
	// with several CPUs the kernel's threads share the deferred part, so that
	// the order of the lists is chance; here one thread does all.
	FreeMemblock FreePhase = iota
	// FreeHighMem are the pages of memory that the kernel does not map, freed
	// one by one like pages that were in use, not to the lists' tails.
	FreeHighMem
	// FreeCMA are the CMA areas, freed as pageblocks of type CMA before the
	// zones' limits are computed (cma_init_reserved_areas).
	FreeCMA
	// FreeInit are the init sections and the initial RAM disk, freed page by
	// page when the kernel has booted, after the limits are computed
	// (free_initmem).
	FreeInit
)

// FreeRange is a range of page frames that is given to the allocator.
type FreeRange struct {
	Start, End PFN
	// Zone is the index of the zone in [Config.Zones].
	Zone  int
	Phase FreePhase
}

// Blocks gives the blocks as which the kernel frees the range, in its order:
// (first page frame, order). largest is the order of the largest block that
// exists (MaxOrder-1); CMA is freed in pageblocks, which begin and end the
// range.
func (r FreeRange) Blocks(largest, pageblock Order) iter.Seq2[PFN, Order] {
	switch r.Phase {
	case FreeCMA:
		largest = min(largest, pageblock)
	case FreeHighMem, FreeInit:
		largest = 0
	}
	return func(yield func(PFN, Order) bool) {
		for pfn := r.Start; pfn < r.End; {
			order := min(largest, Order(bits.Len64(uint64(r.End-pfn))-1))
			if pfn != 0 {
				order = min(order, Order(bits.TrailingZeros64(uint64(pfn))))
			}
			if !yield(pfn, order) {
				return
			}
			pfn += 1 << order
		}
	}
}

// Boot is a booted machine: what [Machine.Boot] computes.
type Boot struct {
	// Config describes the machine to the allocator; its zones have all limits
	// set. Managed counts also the pages freed last ([FreeInit]), with which
	// the limits were not computed.
	Config Config
	// Free is what is given to the allocator, in the kernel's order.
	Free []FreeRange
	// Params are what the limits were computed from.
	Params ZoneParams
	// MinFreeKbytes is the final min_free_kbytes.
	MinFreeKbytes int
	// MobilityGrouping says whether pages are grouped by migrate type; in tiny
	// machines they are not, and all requests count as Unmovable. VMTotalPages
	// is what this was decided from ("Total pages" in the boot log).
	MobilityGrouping bool
	VMTotalPages     uint64
}

// Config computes the machine's zones and what is given to the allocator at
// boot. It is short for [Machine.Boot].
func (m *Machine) Config(policy BootPolicy) (Config, []FreeRange, error) {
	b, err := m.Boot(policy)
	if err != nil {
		return Config{}, nil, err
	}
	return b.Config, b.Free, nil
}

// Boot computes zones and their limits from the memory map, as a kernel does
// when it boots (free_area_init, memblock_free_all, init_per_zone_wmark_min,
// hugepage_init). The error lists all faults of the machine.
func (m *Machine) Boot(policy BootPolicy) (*Boot, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	mem := pagesOf(m.Memory, m.pageShift())
	if len(mem) == 0 {
		return nil, &ConfigError{Field: "Memory", Found: "less than a page", Expected: "at least one whole page"}
	}
	b := &Boot{Config: m.emptyConfig()}
	movable := m.cutZones(b, mem)
	b.Params = ParamsOf(&b.Config, policy)
	b.Params.Sysctl = *m.sysctl()
	b.Params.MovableIsHighMem = movable == ZoneHighMem
	if err := m.freeMemory(b); err != nil {
		return nil, err
	}
	b.VMTotalPages = m.vmTotalPages(b)
	b.MobilityGrouping = b.VMTotalPages >= uint64(m.migrateTypes())<<b.Config.PageblockOrder
	b.Params.THP = m.thpState(b.Config.Zones)
	b.MinFreeKbytes = b.Params.Init(b.Config.Zones)
	b.addInitMemory()
	if kbytes := b.Params.Sysctl.MinFreeKbytes; kbytes != 0 {
		b.MinFreeKbytes = kbytes
		b.Params.WriteMinFreeKbytes(b.Config.Zones, kbytes)
	}
	return b, b.Config.Validate()
}

// addInitMemory counts what is freed after the limits are computed.
func (b *Boot) addInitMemory() {
	for _, r := range b.Free {
		if r.Phase == FreeInit {
			b.Config.Zones[r.Zone].Managed += uint64(r.End - r.Start)
		}
	}
	if b.Params.Policy.ReserveFollowsManaged {
		b.Params.SetLowmemReserve(b.Config.Zones)
	}
}

// emptyConfig is the configuration without zones.
func (m *Machine) emptyConfig() Config {
	return Config{
		PageShift:      m.pageShift(),
		PageblockOrder: m.PageblockOrder(),
		MaxOrder:       m.maxOrder(),
		CMA:            m.CMABuiltIn || len(m.CMA) > 0,
		CPUs:           m.cpus(),
		CPUNode:        m.CPUNode,
		ZoneTypes:      m.zoneTypes(),
		Distances:      m.Distances,
	}
}

// migrateTypes is the kernel's MIGRATE_TYPES: page isolation is built in, CMA
// maybe.
func (m *Machine) migrateTypes() int {
	if m.CMABuiltIn || len(m.CMA) > 0 {
		return NumMigrateTypes
	}
	return NumMigrateTypes - 1
}

// thpState says what transparent huge pages do at boot on this machine.
func (m *Machine) thpState(zones []ZoneConfig) THPState {
	managed := uint64(0)
	for i := range zones {
		managed += zones[i].Managed
	}
	huge := m.hugePageOrder()
	switch {
	case m.NoTHP || huge == NoHugePages || huge >= m.maxOrder() || managed < thpMinBytes>>m.pageShift():
		return THPAbsent
	case m.THPNever:
		return THPNever
	}
	return THPEnabled
}

// vmTotalPages is how many pages the kernel thinks it will manage, early in the
// boot: those present, or without page structures and, in the lowest zone on
// x86, without what is reserved in the first 16 MiB.
func (m *Machine) vmTotalPages(b *Boot) uint64 {
	sum := uint64(0)
	for i := range b.Config.Zones {
		z := &b.Config.Zones[i]
		pages := z.Present
		if b.Params.Policy.MemmapTaken {
			memmap := MemmapPages(z.Spanned, z.Present, m.pageShift())
			if !b.Params.isHighMem(z.Type) && pages >= memmap {
				pages -= memmap
			}
			reserve := m.dmaReserve(b)
			if z.Type == b.Config.ZoneTypes[0] && pages > reserve {
				pages -= reserve
			}
		}
		sum += pages
	}
	return sum
}

// dmaReserve is how many pages of the first 16 MiB are reserved on x86.
func (m *Machine) dmaReserve(b *Boot) uint64 {
	if m.Arch == ARM || m.Arch == ARM64 {
		return 0
	}
	reserved := uint64(0)
	for _, r := range b.Config.Present {
		reserved += pagesBelow(r.Start, r.End, dmaLimitX86>>12)
	}
	for _, r := range b.Free {
		if r.Phase == FreeMemblock {
			reserved -= pagesBelow(r.Start, r.End, dmaLimitX86>>12)
		}
	}
	return reserved
}

// pagesBelow counts the page frames of a range below a limit.
func pagesBelow(start, end, limit PFN) uint64 {
	return uint64(max(min(end, limit), start) - start)
}

// freePhys is memory that nothing reserves, ascending.
func (m *Machine) freePhys() []PhysRange {
	var memory []PhysRange
	for _, r := range mergeMemory(m.Memory) {
		memory = append(memory, r.PhysRange)
	}
	return subtract(memory, union(m.Reserved, m.InitMemory, m.CMA))
}

// freeMemory fills in Free, and Managed as it is when the limits are computed.
func (m *Machine) freeMemory(b *Boot) error {
	free := toZones(m.freePhys(), b.Config.Present, m.pageShift(), FreeMemblock)
	for i := range free {
		if b.Params.isHighMem(b.Config.Zones[free[i].Zone].Type) {
			free[i].Phase = FreeHighMem
		}
	}
	free, err := takePages(free, b.Config.Zones, "ReservedPages", m.ReservedPages, nil)
	if err != nil {
		return err
	}
	var late []FreeRange
	free, err = takePages(free, b.Config.Zones, "InitPages", m.InitPages, &late)
	if err != nil {
		return err
	}
	cma := toZones(union(m.CMA), b.Config.Present, m.pageShift(), FreeCMA)
	init := toZones(union(m.InitMemory), b.Config.Present, m.pageShift(), FreeInit)
	for _, r := range free {
		b.Config.Zones[r.Zone].Managed += uint64(r.End - r.Start)
	}
	for _, r := range cma {
		b.Config.Zones[r.Zone].Managed += uint64(r.End - r.Start)
		b.Config.Zones[r.Zone].CMAPages += uint64(r.End - r.Start)
	}
	b.Free = append(append(append(free, cma...), init...), late...)
	return nil
}

// toZones gives the whole pages of physical ranges that belong to zones.
func toZones(ranges []PhysRange, present []PresentRange, pageShift int, phase FreePhase) []FreeRange {
	var free []FreeRange
	for _, r := range ranges {
		start, end := wholePages(r, pageShift)
		for _, p := range present {
			if s, e := max(start, p.Start), min(end, p.End); s < e {
				free = append(free, FreeRange{s, e, p.Zone, phase})
			}
		}
	}
	return free
}

// takePages takes numbers of pages out of the free ranges, from the lowest
// page of the zone on. What is taken is appended to late, if that is given.
func takePages(free []FreeRange, zones []ZoneConfig, field string, amounts []ZonePages, late *[]FreeRange) ([]FreeRange, error) {
	for i, a := range amounts {
		left := a.Pages
		for j := range free {
			r := &free[j]
			if z := &zones[r.Zone]; z.Node != a.Node || z.Type != a.Type {
				continue
			}
			n := PFN(min(left, uint64(r.End-r.Start)))
			if late != nil && n > 0 {
				*late = append(*late, FreeRange{r.Start, r.Start + n, r.Zone, FreeInit})
			}
			r.Start += n
			left -= uint64(n)
		}
		if left > 0 {
			return nil, &ConfigError{Field: fmt.Sprintf("%s[%d].Pages", field, i),
				Found: fmt.Sprint(a.Pages), Expected: fmt.Sprintf("at most the %d free pages of the zone", a.Pages-left)}
		}
	}
	kept := free[:0]
	for _, r := range free {
		if r.Start < r.End {
			kept = append(kept, r)
		}
	}
	return kept, nil
}
