package buddy

// Balanced says whether a node has, in a zone of at most the highest type, a free
// block of an order above the high watermark, so that kswapd has nothing to do:
// pgdat_balanced. A node without such zones is balanced.
func (a *Allocator) Balanced(node NodeID, order Order, highest ZoneType) bool {
	reserve, any := a.reserveOf(highest), false
	for i := range a.zones {
		z := &a.zones[i]
		if z.node != node || z.typ > highest || z.managed == 0 {
			continue
		}
		any = true
		if a.watermarkOK(z, int(order), z.mark(allocWmarkHigh), reserve, 0, z.safeFree()) {
			return true
		}
	}
	return !any
}

// safeFree is the zone's counter, or, where the CPUs' unfolded parts could hide
// that the min watermark was passed, the exact number of free pages:
// zone_watermark_ok_safe.
func (z *Zone) safeFree() int64 {
	if free := z.seenFree(); free >= z.driftMark() {
		return free
	}
	return int64(z.FreePages())
}

// driftMark is percpu_drift_mark, which goes by the normal thresholds.
func (z *Zone) driftMark() int64 {
	drift := int64(len(z.pcp)) * z.normalThreshold
	if drift > int64(z.watermark.Low-z.watermark.Min) {
		return int64(z.watermark.High) + drift
	}
	return 0
}

// SetPressureThresholds makes the CPUs fold their counters of a node's zones sooner
// while kswapd is up, or as usual while it sleeps: set_pgdat_percpu_threshold. Zones
// whose counters cannot hide much are left alone.
func (a *Allocator) SetPressureThresholds(node NodeID, on bool) {
	for i := range a.zones {
		z := &a.zones[i]
		if z.node != node || z.driftMark() == 0 {
			continue
		}
		z.statThreshold = z.normalThreshold
		if on {
			z.statThreshold = int64(PressureStatThreshold(z.watermark, len(z.pcp)))
		}
	}
}

// Boosted says whether a node has a zone of at most the highest type whose watermark
// is boosted: pgdat_watermark_boosted.
func (a *Allocator) Boosted(node NodeID, highest ZoneType) bool {
	for i := range a.zones {
		z := &a.zones[i]
		if z.node == node && z.typ <= highest && z.managed > 0 && z.boost > 0 {
			return true
		}
	}
	return false
}

// FirstZone gives the index of the zone whose low watermark lets a request through
// at the first try, or -1: then it enters the slow path and wakes kswapd. It changes
// nothing and does not look whether the zone has a block.
func (a *Allocator) FirstZone(r Request) int {
	var ac allocContext
	if a.prepare(&r, &ac) != nil {
		return -1
	}
	return a.passes(&r, &ac, a.fastFlags(&r, &ac))
}

// WakesKswapd says whether a request wakes a node's kswapd, if that sleeps: no zone
// lets it through at first, and the node is not balanced or a watermark is boosted
// (wake_all_kswapds, wakeup_kswapd).
func (a *Allocator) WakesKswapd(r Request, node NodeID) bool {
	var ac allocContext
	if r.GFP&GFPKswapdReclaim == 0 || a.prepare(&r, &ac) != nil || a.passes(&r, &ac, a.fastFlags(&r, &ac)) >= 0 {
		return false
	}
	highest := a.zoneTypes[ac.highest]
	return !a.Balanced(node, r.Order, highest) || a.Boosted(node, highest)
}

// passes gives the first zone whose watermark, by flags, lets a request through.
func (a *Allocator) passes(r *Request, ac *allocContext, flags allocFlags) int {
	for i := ac.preferred; i < len(ac.zones); i = a.firstAllowed(ac, i+1) {
		z := &a.zones[ac.zones[i]]
		if a.watermarkFast(z, int(r.Order), z.mark(flags), ac.reserve, flags, r.GFP) {
			return int(z.index)
		}
	}
	return -1
}

// HiddenFree gives, for each CPU, by how many pages it has changed a zone's free
// pages without having folded that into the counter which watermarks read
// (vm_stat_diff).
func (a *Allocator) HiddenFree(zone int) []int64 {
	z := &a.zones[zone]
	out := make([]int64, len(z.pcp))
	for i := range z.pcp {
		out[i] = z.pcp[i].freeDiff
	}
	return out
}

// SetHiddenFree sets what HiddenFree gives, one number for each CPU; the number of
// free pages stays. For replays: a snapshot may not tell. StatThreshold is the most that a
// CPU hides; larger ones are folded at the CPU's next change.
func (a *Allocator) SetHiddenFree(zone int, pages []int64) {
	z := &a.zones[zone]
	for i := range min(len(pages), len(z.pcp)) {
		z.freePages += z.pcp[i].freeDiff - pages[i]
		z.pcp[i].freeDiff = pages[i]
	}
	z.epoch++
}

// StatThreshold is how many pages each CPU may hide from a zone's counters now.
func (z *Zone) StatThreshold() int64 { return z.statThreshold }

// ZoneOK says whether a zone has a block of an order above a mark that is given in
// pages, for requests up to a type of zone: zone_watermark_ok.
func (a *Allocator) ZoneOK(zone int, order Order, mark uint64, highest ZoneType) bool {
	z := &a.zones[zone]
	return a.watermarkOK(z, int(order), mark, a.reserveOf(highest), 0, z.seenFree())
}

// reserveOf is the index of a type in lowmem reserves.
func (a *Allocator) reserveOf(highest ZoneType) int {
	for i, t := range a.zoneTypes {
		if t == highest {
			return i
		}
	}
	return len(a.zoneTypes) - 1
}
