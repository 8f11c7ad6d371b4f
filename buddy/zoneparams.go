package buddy

import "fmt"

// Sysctl are the settings under /proc/sys/vm that bound zones.
type Sysctl struct {
	// MinFreeKbytes is min_free_kbytes as an administrator set it after boot,
	// in KiB; 0 leaves the computed value.
	MinFreeKbytes int
	// WatermarkScaleFactor is the least distance between a zone's watermarks in
	// units of 1/10000 of the zone, 1 to 3000.
	WatermarkScaleFactor int
	// WatermarkBoostFactor bounds the boost of a zone's watermarks after a
	// fallback in units of 1/10000 of the high watermark; 0 turns it off.
	WatermarkBoostFactor int
	// LowmemReserveRatio has for each zone type the divisor of the memory in
	// higher zones that gives the zone's reserve against requests that could
	// use those; 0 means no reserve. Indexed by [ZoneType], not by the
	// machine's zone types.
	LowmemReserveRatio [NumZoneTypes]int
	// PCPHighFraction is percpu_pagelist_high_fraction (percpu_pagelist_fraction
	// before 5.14): the part of a zone, 1/n, that its per-CPU lists may hold
	// together; 0 leaves the computed bound, else at least 8.
	PCPHighFraction int
}

// DefaultSysctl are the kernel's settings.
var DefaultSysctl = Sysctl{
	WatermarkScaleFactor: 10,
	WatermarkBoostFactor: 15000,
	LowmemReserveRatio:   [NumZoneTypes]int{ZoneDMA: 256, ZoneDMA32: 256, ZoneNormal: 32},
}

func (s *Sysctl) validate(f *faults) {
	f.want(s.MinFreeKbytes >= 0, "Sysctl.MinFreeKbytes", s.MinFreeKbytes, "at least 0")
	f.want(s.WatermarkScaleFactor >= 1 && s.WatermarkScaleFactor <= 3000,
		"Sysctl.WatermarkScaleFactor", s.WatermarkScaleFactor, "1 to 3000")
	f.want(s.WatermarkBoostFactor >= 0, "Sysctl.WatermarkBoostFactor", s.WatermarkBoostFactor, "at least 0")
	f.want(s.PCPHighFraction == 0 || s.PCPHighFraction >= minPCPHighFraction,
		"Sysctl.PCPHighFraction", s.PCPHighFraction, "0 or at least %d", minPCPHighFraction)
	for i, ratio := range s.LowmemReserveRatio {
		f.want(ratio >= 0, fmt.Sprintf("Sysctl.LowmemReserveRatio[%v]", ZoneType(i)), ratio, "at least 0")
	}
}

// THPState is what transparent huge pages do to min_free_kbytes at boot.
type THPState uint8

const (
	// THPAbsent is a kernel or machine without them: not built in, no huge
	// pages in hardware, or less than 512 MiB of memory.
	THPAbsent THPState = iota
	// THPNever is support that is turned off on the command line.
	THPNever
	// THPEnabled is "always" or "madvise": khugepaged runs.
	THPEnabled
)

// ZoneParams is everything but the zones that the kernel computes a zone's
// limits from. Its methods are the kernel's functions; each can be called alone
// on zones whose Node, Type and Managed are filled in. [ZoneParams.Init] calls
// them in the kernel's order.
type ZoneParams struct {
	Policy BootPolicy
	Sysctl Sysctl
	// PageShift, PageblockOrder, ZoneTypes, CPUs and CPUNode are as in
	// [Config].
	PageShift      int
	PageblockOrder Order
	ZoneTypes      []ZoneType
	CPUs           int
	CPUNode        []NodeID
	// THP is the state of transparent huge pages.
	THP THPState
	// MovableIsHighMem says that ZONE_MOVABLE was cut from HighMem and counts
	// as such.
	MovableIsHighMem bool
}

// ParamsOf gives the parameters of a machine with the kernel's default
// settings and without huge pages. A machine with HighMem is taken to have its
// ZONE_MOVABLE there.
func ParamsOf(c *Config, policy BootPolicy) ZoneParams {
	p := ZoneParams{
		Policy: policy, Sysctl: DefaultSysctl,
		PageShift: c.PageShift, PageblockOrder: c.PageblockOrder,
		ZoneTypes: c.ZoneTypes, CPUs: c.CPUs, CPUNode: c.CPUNode,
	}
	for i := range c.Zones {
		p.MovableIsHighMem = p.MovableIsHighMem || c.Zones[i].Type == ZoneHighMem
	}
	return p
}

// isHighMem is the kernel's is_highmem.
func (p *ZoneParams) isHighMem(t ZoneType) bool {
	return t == ZoneHighMem || t == ZoneMovable && p.MovableIsHighMem
}

// Init sets all limits of the zones as the kernel does while it boots
// (init_per_zone_wmark_min, then hugepage_init) and returns min_free_kbytes.
func (p *ZoneParams) Init(zones []ZoneConfig) (minFreeKbytes int) {
	for i := range zones {
		zones[i].Watermark = Watermarks{}
		zones[i].Boost = 0
	}
	minFreeKbytes = p.MinFreeKbytes(zones)
	p.SetWatermarks(zones, minFreeKbytes)
	p.SetStatThresholds(zones)
	p.SetLowmemReserve(zones)
	if p.THP != THPAbsent {
		minFreeKbytes = p.THPMinFreeKbytes(zones, minFreeKbytes)
		p.SetWatermarks(zones, minFreeKbytes)
	}
	p.SetPCP(zones)
	return minFreeKbytes
}

// WriteMinFreeKbytes sets what depends on min_free_kbytes after an
// administrator wrote it, the kernel's min_free_kbytes_sysctl_handler. It uses
// the pages that the zones manage now.
func (p *ZoneParams) WriteMinFreeKbytes(zones []ZoneConfig, minFreeKbytes int) {
	p.SetWatermarks(zones, minFreeKbytes)
	if p.Policy.PCPHigh != PCPHighSixBatches {
		p.SetPCP(zones)
	}
}
