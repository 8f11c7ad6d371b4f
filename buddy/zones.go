package buddy

// Addresses that bound zones.
const (
	dmaLimitX86   = 16 << 20
	dma32Limit    = 4 << 30
	pmdSizeARM    = 2 << 20
	lowmemSizeARM = 768 << 20 // 1 GiB without 240 MiB of vmalloc space and two gaps of 8 MiB
	lowmemX86     = 0x377fe000
)

// zoneLimits are between which page frames zones of a type can lie: the
// kernel's arch_zone_lowest_possible_pfn and arch_zone_highest_possible_pfn.
type zoneLimits struct {
	low, high [NumZoneTypes]PFN
	// movable is the zone type that ZONE_MOVABLE is cut from.
	movable ZoneType
}

// limits computes where zones of each type can lie from the first and last
// page frame of memory, as the architecture's zone_sizes_init and then
// free_area_init do.
func (m *Machine) limits(mem []pfnRange) zoneLimits {
	first, end := mem[0].start, mem[len(mem)-1].end
	highest := m.highestByType(mem, first, end)
	var l zoneLimits
	start := first
	for _, t := range m.zoneTypes() {
		if t == ZoneMovable || t == ZoneDevice {
			continue
		}
		l.low[t] = start
		l.high[t] = max(highest[t], start)
		if l.high[t] > l.low[t] {
			l.movable = t
		}
		start = l.high[t]
	}
	return l
}

// highestByType is where each zone type ends on the architecture, if memory
// lies between first and end.
func (m *Machine) highestByType(mem []pfnRange, first, end PFN) [NumZoneTypes]PFN {
	shift := m.pageShift()
	low := m.maxLowPFN(mem, end)
	var highest [NumZoneTypes]PFN
	switch m.Arch {
	case ARM64:
		highest[ZoneDMA] = dmaEndARM64(m.DMALimit, first, end, shift)
		highest[ZoneDMA32] = dmaEndARM64(dma32Limit, first, end, shift)
	case ARM:
		highest[ZoneDMA] = low
		if m.DMALimit != 0 {
			highest[ZoneDMA] = min(PFN(m.DMALimit>>shift), low)
		}
	default:
		highest[ZoneDMA] = min(dmaLimitX86>>shift, low)
		highest[ZoneDMA32] = min(dma32Limit>>shift, low)
	}
	highest[ZoneNormal] = low
	highest[ZoneHighMem] = end
	return highest
}

// dmaEndARM64 is the end of a zone that devices with few address bits can
// reach. Where all memory lies above the limit, the zone reaches to 4 GiB, or
// where it lies above that, to the end.
func dmaEndARM64(limit uint64, first, end PFN, shift int) PFN {
	if limit == 0 || limit > dma32Limit {
		limit = dma32Limit
	}
	start := uint64(first) << shift
	switch {
	case start >= dma32Limit:
		return end
	case start >= limit:
		limit = dma32Limit
	}
	return min(PFN(limit>>shift), end)
}

// maxLowPFN is the end of the memory that the kernel maps for good, its
// max_low_pfn: all of it on 64-bit machines.
func (m *Machine) maxLowPFN(mem []pfnRange, end PFN) PFN {
	shift := m.pageShift()
	switch {
	case m.Arch == ARM:
		return m.maxLowARM(mem)
	case m.Arch == X86_32 && m.LowmemLimit != 0:
		return min(PFN(m.LowmemLimit>>shift), end)
	case m.Arch == X86_32:
		return min(lowmemX86>>shift, end)
	}
	return end
}

// maxLowARM finds the end of low memory on 32-bit ARM (adjust_lowmem_bounds):
// the limit, or the end of the last memory below it, brought down to what page
// tables of 2 MiB can map where a range ends in between.
func (m *Machine) maxLowARM(mem []pfnRange) PFN {
	shift := m.pageShift()
	limit := PFN(m.LowmemLimit >> shift)
	if limit == 0 {
		limit = mem[0].start + lowmemSizeARM>>shift
	}
	const pmd = PFN(pmdSizeARM >> 12)
	low, bound := PFN(0), PFN(0)
	for _, r := range mem {
		if r.start >= limit {
			break
		}
		low = min(limit, r.end)
		if bound == 0 && r.start%pmd != 0 && r.start != mem[0].start {
			bound = r.start
		} else if bound == 0 && r.end%pmd != 0 {
			bound = low
		}
	}
	if bound == 0 {
		bound = low
	}
	return bound &^ (pmd - 1)
}

// zoneSpan is where a zone of a type lies on a node: the kernel's
// zone_spanned_pages_in_node. It is empty if the node has no such zone.
func (l *zoneLimits) zoneSpan(t ZoneType, nodeStart, nodeEnd, movable PFN) (start, end PFN) {
	if t == ZoneDevice || t == ZoneMovable && movable == 0 {
		return 0, 0
	}
	start = min(max(nodeStart, l.low[t]), l.high[t])
	end = min(max(nodeEnd, l.low[t]), l.high[t])
	switch {
	case movable == 0:
	case t == ZoneMovable:
		start, end = movable, min(nodeEnd, l.high[l.movable])
	case start < movable && end > movable:
		end = movable
	case start >= movable:
		start = end
	}
	start, end = max(start, nodeStart), min(end, nodeEnd)
	if start >= end {
		return 0, 0
	}
	return start, end
}

// PresentRange is a range of page frames with memory that belongs to one zone.
type PresentRange struct {
	Start, End PFN
	// Zone is the index of the zone in [Config.Zones].
	Zone int
}

// cutZones fills in all populated zones, by node and type, with their spans and
// present pages, and the ranges of memory of each. It returns the type of the
// zones that ZONE_MOVABLE is cut from.
func (m *Machine) cutZones(b *Boot, mem []pfnRange) (movable ZoneType) {
	limits := m.limits(mem)
	starts := m.planMovable(mem, limits.low[limits.movable])
	for _, node := range memoryNodes(mem) {
		nodeStart, nodeEnd := nodeSpan(mem, node)
		for _, t := range m.zoneTypes() {
			start, end := limits.zoneSpan(t, nodeStart, nodeEnd, starts[node])
			ranges := clip(mem, node, start, end, len(b.Config.Zones))
			if len(ranges) == 0 {
				continue
			}
			b.Config.Zones = append(b.Config.Zones, ZoneConfig{
				Node: node, Type: t, StartPFN: start,
				Spanned: uint64(end - start), Present: countPresent(ranges),
			})
			b.Config.Present = append(b.Config.Present, ranges...)
		}
	}
	return limits.movable
}

// clip gives a node's memory between two page frames as ranges of a zone.
func clip(mem []pfnRange, node NodeID, start, end PFN, zone int) []PresentRange {
	var ranges []PresentRange
	for _, r := range mem {
		s, e := max(r.start, start), min(r.end, end)
		if r.node == node && s < e {
			ranges = append(ranges, PresentRange{s, e, zone})
		}
	}
	return ranges
}

func countPresent(ranges []PresentRange) uint64 {
	sum := uint64(0)
	for _, r := range ranges {
		sum += uint64(r.End - r.Start)
	}
	return sum
}
