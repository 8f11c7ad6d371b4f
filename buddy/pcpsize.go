package buddy

import "math/bits"

// minPCPHighFraction is the smallest percpu_pagelist_high_fraction that can be
// set, and the part of a zone that bounds the auto-tuned high
// (MIN_PERCPU_PAGELIST_HIGH_FRACTION).
const minPCPHighFraction = 8

// BatchSize is how many pages a per-CPU list of a zone with so many managed
// pages takes from the zone or gives back at once: about a quarter of 1/1024 of
// the zone, one less than a power of two, 0 in tiny zones (which use 1). It is
// the kernel's zone_batchsize.
func (p *ZoneParams) BatchSize(managed uint64) int {
	batch := min(managed>>10, p.Policy.BatchLimitBytes>>p.PageShift) / 4
	batch = max(batch, 1)
	return 1<<(bits.Len64(batch+batch/2)-1) - 1
}

// SetPCP bounds the per-CPU lists of all zones, the kernel's
// zone_set_pageset_high_and_batch. The watermarks must be set.
func (p *ZoneParams) SetPCP(zones []ZoneConfig) {
	for i := range zones {
		zones[i].PCP = p.PCP(&zones[i])
	}
}

// PCP computes the bounds of a zone's per-CPU lists from its managed pages, its
// low watermark and the CPUs of its node.
func (p *ZoneParams) PCP(z *ZoneConfig) PCPConfig {
	batch := p.BatchSize(z.Managed)
	fraction := p.Sysctl.PCPHighFraction
	switch p.Policy.PCPHigh {
	case PCPHighSixBatches:
		if fraction == 0 {
			return PCPConfig{Batch: max(batch, 1), High: 6 * batch}
		}
		high := int(z.Managed) / fraction
		return PCPConfig{Batch: min(max(high/4, 1), p.PageShift*8), High: high}
	case PCPHighLowWatermark:
		batch = max(batch, 1)
		return PCPConfig{Batch: batch, High: p.highSize(z, batch, fraction)}
	default:
		batch = max(batch, 1)
		c := PCPConfig{Batch: batch, HighMin: p.highSize(z, batch, fraction)}
		if fraction == 0 {
			fraction = minPCPHighFraction
		}
		c.HighMax = p.highSize(z, batch, fraction)
		return c
	}
}

// highSize divides a zone's low watermark, or 1/fraction of the zone, among the
// CPUs of its node, or all CPUs if the node has none; at least four batches. It
// is the kernel's zone_highsize.
func (p *ZoneParams) highSize(z *ZoneConfig, batch, fraction int) int {
	total := z.Watermark.Low + z.Boost
	if fraction != 0 {
		total = z.Managed / uint64(fraction)
	}
	return max(int(total/uint64(p.splitCPUs(z.Node))), 4*batch)
}

// splitCPUs is among how many CPUs a zone's lists are divided.
func (p *ZoneParams) splitCPUs(node NodeID) int {
	n := 0
	for cpu := range p.CPUs {
		if p.nodeOf(cpu) == node {
			n++
		}
	}
	if n == 0 {
		n = p.CPUs
	}
	return max(n, 1)
}

// nodeOf is the node of a CPU.
func (p *ZoneParams) nodeOf(cpu int) NodeID {
	if cpu < len(p.CPUNode) {
		return p.CPUNode[cpu]
	}
	return 0
}
