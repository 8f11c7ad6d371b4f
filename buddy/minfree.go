package buddy

import "math"

// FreePages counts the pages of the zones up to a type that lie above the high
// watermarks, the kernel's nr_free_zone_pages. Before the watermarks are set it
// counts all managed pages.
func FreePages(zones []ZoneConfig, highest ZoneType) uint64 {
	sum := uint64(0)
	for i := range zones {
		if z := &zones[i]; z.Type <= highest && z.Managed > z.Watermark.High {
			sum += z.Managed - z.Watermark.High
		}
	}
	return sum
}

// FreeBufferPages is [FreePages] of the zones that the kernel can address, the
// kernel's nr_free_buffer_pages.
func FreeBufferPages(zones []ZoneConfig) uint64 { return FreePages(zones, ZoneNormal) }

// minMinFreeKbytes is the least min_free_kbytes that is computed.
const minMinFreeKbytes = 128

// MinFreeKbytes computes min_free_kbytes from the memory that the kernel can
// address: the square root of sixteen times its KiB, within bounds. It is the
// kernel's calculate_min_free_kbytes.
func (p *ZoneParams) MinFreeKbytes(zones []ZoneConfig) int {
	lowmemKbytes := FreeBufferPages(zones) << (p.PageShift - 10)
	root := intSqrt(lowmemKbytes * 16)
	return int(min(max(root, minMinFreeKbytes), uint64(p.Policy.MaxMinFreeKbytes)))
}

// intSqrt is the integer part of the square root. Rounding in floating point
// can only make it too large.
func intSqrt(x uint64) uint64 {
	root := uint64(math.Sqrt(float64(x)))
	for root > math.MaxUint32 || root*root > x {
		root--
	}
	return root
}

// THPMinFreeKbytes is min_free_kbytes after the set-up of transparent huge
// pages, the kernel's set_recommended_min_free_kbytes: raised so that two free
// pageblocks a zone and two more for each pair of migrate types stay, but to no
// more than 5% of the addressable memory. The watermarks for now must be set.
func (p *ZoneParams) THPMinFreeKbytes(zones []ZoneConfig, now int) int {
	if p.THP != THPEnabled {
		if p.Policy.RecomputeWithoutTHP {
			return p.MinFreeKbytes(zones)
		}
		return now
	}
	blocks := uint64(0)
	for i := range zones {
		if zones[i].Type <= ZoneNormal {
			blocks += 2 + NumPCPTypes*NumPCPTypes
		}
	}
	recommended := min(blocks<<p.PageblockOrder, FreeBufferPages(zones)/20) << (p.PageShift - 10)
	return max(now, int(recommended))
}
