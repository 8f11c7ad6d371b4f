package buddy

// SetLowmemReserve sets LowmemReserve of all zones, the kernel's
// setup_per_zone_lowmem_reserve: against a request that could have used higher
// zones of the node, a zone keeps back their managed pages divided by its
// ratio.
func (p *ZoneParams) SetLowmemReserve(zones []ZoneConfig) {
	for i := range zones {
		z := &zones[i]
		ratio := uint64(p.Sysctl.LowmemReserveRatio[z.Type])
		z.LowmemReserve = make([]uint64, len(p.ZoneTypes))
		if ratio == 0 || z.Managed == 0 && p.Policy.ClearEmptyReserve {
			continue
		}
		above := uint64(0)
		for j, t := range p.ZoneTypes {
			if t > z.Type {
				above += managedOf(zones, z.Node, t)
				z.LowmemReserve[j] = above / ratio
			}
		}
	}
}

// managedOf is how many pages a node's zone of a type manages, 0 if the node
// has none.
func managedOf(zones []ZoneConfig, node NodeID, t ZoneType) uint64 {
	for i := range zones {
		if zones[i].Node == node && zones[i].Type == t {
			return zones[i].Managed
		}
	}
	return 0
}

// TotalReservePages is what is never counted as available to user space: of
// each zone its high watermark and its largest lowmem reserve. It is the
// kernel's calculate_totalreserve_pages when the watermarks are set, which ends
// all boosts; later boosts do not count.
func TotalReservePages(zones []ZoneConfig) uint64 {
	sum := uint64(0)
	for i := range zones {
		z := &zones[i]
		most := uint64(0)
		for _, reserve := range z.LowmemReserve {
			most = max(most, reserve)
		}
		sum += min(most+z.Watermark.High, z.Managed)
	}
	return sum
}
