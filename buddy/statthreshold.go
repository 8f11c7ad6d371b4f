package buddy

import "math/bits"

// maxStatThreshold is the largest threshold: a CPU's counter is a signed byte.
const maxStatThreshold = 125

// NormalStatThreshold is how far a CPU's counter of a zone may run before it is
// folded into the zone's, with so many managed pages and online CPUs: it grows
// with the logarithms of both. It is the kernel's calculate_normal_threshold.
func NormalStatThreshold(managed uint64, pageShift, cpus int) int {
	units := managed >> (27 - pageShift) // of 128 MiB
	return min(2*bits.Len(uint(cpus))*(1+bits.Len64(units)), maxStatThreshold)
}

// PressureStatThreshold is the threshold while kswapd is awake: so small that
// all CPUs' counters together cannot hide that the min watermark was passed.
// It is the kernel's calculate_pressure_threshold.
func PressureStatThreshold(w Watermarks, cpus int) int {
	return int(min(max((w.Low-w.Min)/uint64(max(cpus, 1)), 1), maxStatThreshold))
}

// SetStatThresholds sets StatThreshold of all zones, the kernel's
// refresh_zone_stat_thresholds.
func (p *ZoneParams) SetStatThresholds(zones []ZoneConfig) {
	for i := range zones {
		zones[i].StatThreshold = NormalStatThreshold(zones[i].Managed, p.PageShift, p.CPUs)
	}
}

// PercpuDriftMark is below how many free pages a zone's counter alone is not
// trusted, because the CPUs' unfolded parts could hide that the min watermark
// was passed; 0 if they cannot. The kernel's zone->percpu_drift_mark.
func PercpuDriftMark(z *ZoneConfig, cpus int) uint64 {
	maxDrift := uint64(cpus * z.StatThreshold)
	if maxDrift > z.Watermark.Low-z.Watermark.Min {
		return z.Watermark.High + maxDrift
	}
	return 0
}
