package buddy

// HighMem zones get a min watermark of 1/1024 of the zone within these bounds,
// because requests that may dip into reserves seldom want them.
const (
	minHighMemMin = 32 // SWAP_CLUSTER_MAX
	maxHighMemMin = 128
)

// SetWatermarks sets min, low, high and promo of all zones, the kernel's
// setup_per_zone_wmarks, and ends their boosts. min_free_kbytes is shared out by
// managed pages among the zones that the kernel can address.
func (p *ZoneParams) SetWatermarks(zones []ZoneConfig, minFreeKbytes int) {
	pagesMin := uint64(minFreeKbytes) >> (p.PageShift - 10)
	lowmem := uint64(0)
	for i := range zones {
		if !p.hasSmallMin(zones[i].Type) {
			lowmem += zones[i].Managed
		}
	}
	for i := range zones {
		z := &zones[i]
		share := uint64(0)
		if lowmem > 0 {
			share = pagesMin * z.Managed / lowmem
		}
		z.Watermark = p.watermarks(z, share)
		z.Boost = 0
	}
}

// hasSmallMin says whether zones of the type get a small min watermark instead
// of a share of min_free_kbytes.
func (p *ZoneParams) hasSmallMin(t ZoneType) bool {
	return p.isHighMem(t) || t == ZoneMovable && p.Policy.CapMovableMin
}

// watermarks computes a zone's watermarks from its share of min_free_kbytes in
// pages. Also where min is small the distances follow the share.
func (p *ZoneParams) watermarks(z *ZoneConfig, share uint64) Watermarks {
	w := Watermarks{Min: share}
	if p.hasSmallMin(z.Type) {
		w.Min = min(max(z.Managed/1024, minHighMemMin), maxHighMemMin)
	}
	if !p.Policy.ScaledGaps {
		w.Low = w.Min + share/4
		w.High = w.Min + share/2
		return w
	}
	gap := max(share/4, multFrac(z.Managed, uint64(p.Sysctl.WatermarkScaleFactor), 10000))
	w.Low = w.Min + gap
	w.High = w.Low + gap
	if p.Policy.Promo {
		w.Promo = w.High + gap
	}
	return w
}

// multFrac is x*n/d without overflow for small n, rounded as the kernel's
// mult_frac rounds.
func multFrac(x, n, d uint64) uint64 { return x/d*n + x%d*n/d }
