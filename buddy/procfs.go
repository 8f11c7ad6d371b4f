package buddy

import "fmt"

// Buddyinfo gives the text of /proc/buddyinfo: the free blocks of each zone by
// order.
func (a *Allocator) Buddyinfo() string {
	return a.eachPopulated(func(b []byte, z *Zone) []byte {
		b = fmt.Appendf(b, "Node %d, zone %8s ", z.node, z.typ)
		for o := range a.maxOrder {
			b = fmt.Appendf(b, "%6d ", z.free[o].nrFree)
		}
		return append(b, '\n')
	})
}

// maxListed is where /proc/pagetypeinfo stops counting a list.
const maxListed = 100000

// Pagetypeinfo gives the text of /proc/pagetypeinfo: each zone's free blocks by
// migrate type and order, and its pageblocks by migrate type. (A kernel with
// page_owner has a third part, the mixed blocks, which is not printed here.)
func (a *Allocator) Pagetypeinfo() string {
	var b []byte
	for n := range NodeID(a.nodes) {
		if a.nodePresent(n) == 0 {
			continue
		}
		b = fmt.Appendf(b, "Page block order: %d\nPages per block:  %d\n\n", a.pageblockOrder, 1<<a.pageblockOrder)
		b = a.freeByType(b, n)
		b = a.blocksByType(b, n)
	}
	return string(b)
}

// nodePresent is how many pages of memory a node has.
func (a *Allocator) nodePresent(n NodeID) uint64 {
	sum := uint64(0)
	for i := range a.zones {
		if a.zones[i].node == n {
			sum += a.zones[i].present
		}
	}
	return sum
}

// migrateTypes are the types that the kernel has, in its order.
func (a *Allocator) migrateTypes() []MigrateType {
	if a.cma {
		return []MigrateType{Unmovable, Movable, Reclaimable, HighAtomic, CMA, Isolate}
	}
	return []MigrateType{Unmovable, Movable, Reclaimable, HighAtomic, Isolate}
}

// freeByType is pagetypeinfo_showfree.
func (a *Allocator) freeByType(b []byte, n NodeID) []byte {
	b = fmt.Appendf(b, "%-43s ", "Free pages count per migrate type at order")
	for o := range a.maxOrder {
		b = fmt.Appendf(b, "%6d ", o)
	}
	b = append(b, '\n')
	return a.nodeZones(b, n, func(b []byte, z *Zone) []byte {
		for _, mt := range a.migrateTypes() {
			b = fmt.Appendf(b, "Node %4d, zone %8s, type %12s ", n, z.typ, mt)
			for o := range a.maxOrder {
				blocks := z.FreeBlocksOf(Order(o), mt)
				if blocks >= maxListed {
					blocks, b = maxListed, append(b, '>')
				}
				b = fmt.Appendf(b, "%6d ", blocks)
			}
			b = append(b, '\n')
		}
		return b
	})
}

// blocksByType is pagetypeinfo_showblockcount.
func (a *Allocator) blocksByType(b []byte, n NodeID) []byte {
	b = fmt.Appendf(b, "\n%-23s", "Number of blocks type ")
	for _, mt := range a.migrateTypes() {
		b = fmt.Appendf(b, "%12s ", mt)
	}
	b = append(b, '\n')
	return a.nodeZones(b, n, func(b []byte, z *Zone) []byte {
		count := a.countBlocks(z)
		b = fmt.Appendf(b, "Node %d, zone %8s ", n, z.typ)
		for _, mt := range a.migrateTypes() {
			b = fmt.Appendf(b, "%12d ", count[mt])
		}
		return append(b, '\n')
	})
}

// countBlocks counts a zone's pageblocks by type. The kernel looks at every
// pageblock's worth of pages from the zone's first page on, which need not be
// the first of its pageblock.
func (a *Allocator) countBlocks(z *Zone) (count [NumMigrateTypes]uint64) {
	for pfn := uint64(z.start); pfn < uint64(z.end); pfn += 1 << a.pageblockOrder {
		if a.zoneOf(pfn) == z {
			count[a.blockTypes[pfn>>a.pageblockOrder]]++
		}
	}
	return count
}

// nodeZones prints the zones of a node that have memory.
func (a *Allocator) nodeZones(b []byte, n NodeID, row func(b []byte, z *Zone) []byte) []byte {
	for i := range a.zones {
		if z := &a.zones[i]; z.node == n && z.present > 0 {
			b = row(b, z)
		}
	}
	return b
}

// Zoneinfo gives the text of /proc/zoneinfo as the allocator's kernel version
// prints it (see [Allocator.ProcFormat]). s has what the allocator does not
// know; nil prints zeros.
func (a *Allocator) Zoneinfo(s *MemStats) string {
	f := a.ProcFormat()
	return f.Zoneinfo(a, s)
}

// Zoneinfo gives the text of /proc/zoneinfo in this format. Zones without
// memory are shown, too, as the kernel does.
func (f *ProcFormat) Zoneinfo(a *Allocator, s *MemStats) string {
	var b []byte
	for n := range NodeID(a.nodes) {
		if !a.online(n) {
			continue
		}
		first := true
		for _, t := range a.zoneTypes {
			z := a.nodeZone(n, t)
			if z == nil {
				z = a.emptyZone(n, t)
			}
			b = fmt.Appendf(b, "Node %d, zone %8s", n, t)
			if first && z.present > 0 {
				b = f.nodeStats(b, a, n, s)
				first = false
			}
			b = f.zonePages(b, z)
			if z.present > 0 {
				b = f.zoneDetails(b, a, z, s)
			}
			b = append(b, '\n')
		}
	}
	return string(b)
}

// online says whether the machine has the node: it has a zone or a CPU.
func (a *Allocator) online(n NodeID) bool {
	for i := range a.zones {
		if a.zones[i].node == n {
			return true
		}
	}
	for _, c := range a.cpuNode {
		if c == n {
			return true
		}
	}
	return false
}

// nodeZone finds a node's zone of a type, or nil.
func (a *Allocator) nodeZone(n NodeID, t ZoneType) *Zone {
	for i := range a.zones {
		if a.zones[i].node == n && a.zones[i].typ == t {
			return &a.zones[i]
		}
	}
	return nil
}

// emptyZone is a zone type that a node has no memory of, with the limits that
// the kernel still computes for it, given its default settings.
func (a *Allocator) emptyZone(n NodeID, t ZoneType) *Zone {
	policy := &a.profile.Boot
	z := &Zone{node: n, typ: t, lowmemReserve: make([]uint64, len(a.zoneTypes))}
	if a.isHighMem(t) || t == ZoneMovable && policy.CapMovableMin {
		z.watermark = Watermarks{Min: minHighMemMin, Low: minHighMemMin, High: minHighMemMin, Promo: minHighMemMin}
	}
	ratio := uint64(DefaultSysctl.LowmemReserveRatio[t])
	if policy.ClearEmptyReserve || ratio == 0 {
		return z
	}
	above := uint64(0)
	for i, other := range a.zoneTypes {
		if o := a.nodeZone(n, other); o != nil && other > t {
			above += o.managed
		}
		z.lowmemReserve[i] = above / ratio
	}
	return z
}

// isHighMem is is_highmem_idx: memory that the kernel has not mapped. Movable
// memory is cut from the highest zone, which may be HighMem.
func (a *Allocator) isHighMem(t ZoneType) bool {
	if t != ZoneMovable {
		return t == ZoneHighMem
	}
	for i := range a.zones {
		if a.zones[i].typ == ZoneHighMem {
			return true
		}
	}
	return false
}

func (f *ProcFormat) nodeStats(b []byte, a *Allocator, n NodeID, s *MemStats) []byte {
	b = append(b, "\n  per-node stats"...)
	for _, row := range f.NodeRows {
		b = fmt.Appendf(b, "\n      %-12s %d", row, f.nodeRow(a, row, s.node(n, row)))
	}
	return b
}

// nodeRow gives a node counter in the unit of its row: huge pages for what
// counts them (vmstat_item_print_in_thp).
func (f *ProcFormat) nodeRow(a *Allocator, row NodeStat, v uint64) uint64 {
	switch row {
	case NRAnonHugePages, NRFileHugePages, NRFilePMDMapped, NRShmemHugePages, NRShmemPMDMapped:
		if !f.Options.NoTHP {
			// A page table of 8-byte entries maps a huge page.
			return v >> (a.config.PageShift - 3)
		}
	}
	return v
}

// zonePages prints the sizes and limits that every zone has.
func (f *ProcFormat) zonePages(b []byte, z *Zone) []byte {
	line := func(show bool, name string, v uint64) {
		if show {
			b = fmt.Appendf(b, "\n        %-8s %d", name, v)
		}
	}
	b = fmt.Appendf(b, "\n  pages free     %d", max(z.freePages, 0))
	line(f.Boost, "boost", z.boost)
	line(true, "min", z.watermark.Min+z.boost)
	line(true, "low", z.watermark.Low+z.boost)
	line(true, "high", z.watermark.High+z.boost)
	line(f.Promo, "promo", z.watermark.Promo+z.boost)
	line(true, "spanned", z.spanned)
	line(true, "present", z.present)
	line(true, "managed", z.managed)
	line(f.CMA, "cma", z.cmaPages)
	b = append(b, "\n        protection: ("...)
	for i, v := range z.lowmemReserve {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = fmt.Append(b, v)
	}
	return append(b, ')')
}

// zoneDetails prints the counters and per-CPU lists of a zone with memory.
func (f *ProcFormat) zoneDetails(b []byte, a *Allocator, z *Zone, s *MemStats) []byte {
	for _, row := range f.ZoneRows {
		b = fmt.Appendf(b, "\n      %-12s %d", row, a.zoneStat(z, row, s))
	}
	b = append(b, "\n  pagesets"...)
	for cpu := range z.pcp {
		b = fmt.Appendf(b, "\n    cpu: %d", cpu)
		b = f.pageset(b, &z.pcp[cpu])
		if !f.Options.NoSMP {
			b = fmt.Appendf(b, "\n  vm stats threshold: %d", z.statThreshold)
		}
	}
	unreclaimable := 0
	if s.unreclaimable(z.node) {
		unreclaimable = 1
	}
	return fmt.Appendf(b, "\n  node_unreclaimable:  %d\n  start_pfn:           %d", unreclaimable, z.start)
}

func (f *ProcFormat) pageset(b []byte, c *pcp) []byte {
	const line = "\n              "
	if !f.PCPBounds {
		return fmt.Appendf(b, line+"count: %d"+line+"high:  %d"+line+"batch: %d", c.count, c.high, c.batch)
	}
	return fmt.Appendf(b, line+"count:    %d"+line+"high:     %d"+line+"batch:    %d"+line+"high_min: %d"+line+"high_max: %d",
		c.count, c.high, c.batch, c.highMin, c.highMax)
}

// VMStat gives the rows of /proc/vmstat that are about pages, as the
// allocator's kernel version prints them, see [ProcFormat.VMStat].
func (a *Allocator) VMStat(s *MemStats) string {
	f := a.ProcFormat()
	return f.VMStat(a, s)
}

// VMStat gives the rows of /proc/vmstat that are about pages, in the file's
// order: the counters of zones, of requests (numa_) and of nodes, and the
// events pgalloc_, allocstall_, pgskip_ and pgfree. The rest of the file belongs
// to other parts of the kernel.
func (f *ProcFormat) VMStat(a *Allocator, s *MemStats) string {
	var b []byte
	for _, row := range f.ZoneRows {
		b = fmt.Appendf(b, "%s %d\n", row, a.zoneStats(row, s))
	}
	for _, row := range f.NodeRows {
		b = fmt.Appendf(b, "%s %d\n", row, f.nodeRow(a, row, s.nodes(row)))
	}
	var alloc [NumZoneTypes]uint64
	free := uint64(0)
	for i := range a.zones {
		z := a.zones[i].Stats()
		alloc[a.zones[i].typ] += z.Alloc
		free += z.Free
	}
	if s == nil {
		s = &MemStats{}
	}
	b = f.zoneEvents(b, a, "pgalloc", &alloc)
	b = f.zoneEvents(b, a, "allocstall", &s.AllocStall)
	b = f.zoneEvents(b, a, "pgskip", &s.PGSkip)
	return string(fmt.Appendf(b, "pgfree %d\n", free))
}

var zoneEventNames = [NumZoneTypes]string{"dma", "dma32", "normal", "high", "movable", "device"}

// zoneEvents prints an event that is counted by zone type.
func (f *ProcFormat) zoneEvents(b []byte, a *Allocator, event string, counts *[NumZoneTypes]uint64) []byte {
	for _, t := range a.zoneTypes {
		if t != ZoneDevice || f.DeviceEvents {
			b = fmt.Appendf(b, "%s_%s %d\n", event, zoneEventNames[t], counts[t])
		}
	}
	return b
}
