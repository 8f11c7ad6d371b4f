package buddy

import "testing"

// benchMachine is a machine of one Normal zone of 1 GiB with one CPU.
func benchMachine(b testing.TB, p Profile) *Allocator {
	const pages = 1 << 18
	c := Config{PageShift: 12, PageblockOrder: 9, MaxOrder: 11, CPUs: 1,
		ZoneTypes: []ZoneType{ZoneDMA, ZoneDMA32, ZoneNormal, ZoneMovable},
		Zones: []ZoneConfig{{Type: ZoneNormal, Spanned: pages, Present: pages, Managed: pages,
			Watermark:     Watermarks{Min: 1024, Low: 1280, High: 1536, Promo: 1792},
			LowmemReserve: make([]uint64, 4), PCP: PCPConfig{Batch: 63, High: 630, HighMin: 630, HighMax: 630}, StatThreshold: 24}}}
	a, err := New(c, p)
	if err != nil {
		b.Fatal(err)
	}
	if err := a.Release(0, pages); err != nil {
		b.Fatal(err)
	}
	return a
}

// BenchmarkAllocFreePCP is an order-0 allocation and free through the per-CPU
// list.
func BenchmarkAllocFreePCP(b *testing.B) {
	for _, p := range Profiles() {
		b.Run(p.Name, func(b *testing.B) {
			a := benchMachine(b, p)
			b.ReportAllocs()
			for b.Loop() {
				pfn, err := a.AllocPages(0, GFPKernel, 0)
				if err != nil {
					b.Fatal(err)
				}
				if err := a.Free(0, pfn, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkZoneMix is a mix of orders 0 to 10 through the zone's free lists, a
// call an iteration: per-CPU lists are off.
func BenchmarkZoneMix(b *testing.B) {
	for _, p := range Profiles() {
		b.Run(p.Name, func(b *testing.B) {
			a := benchMachine(b, p)
			a.pcpOrders = 0
			const live = 512
			var pfns [live]PFN
			var orders [live]Order
			for i := range pfns {
				pfns[i] = NoPFN
			}
			rng := uint64(1)
			b.ReportAllocs()
			for b.Loop() {
				rng ^= rng << 13
				rng ^= rng >> 7
				rng ^= rng << 17
				i := rng % live
				if pfns[i] != NoPFN {
					if err := a.Free(0, pfns[i], orders[i]); err != nil {
						b.Fatal(err)
					}
					pfns[i] = NoPFN
					continue
				}
				o := Order(rng >> 32 % 11)
				if pfn, err := a.AllocPages(0, GFPKernel, o); err == nil {
					pfns[i], orders[i] = pfn, o
				}
			}
		})
	}
}

// BenchmarkBoot1TiB boots a machine of 1 TiB of 4 KiB pages.
func BenchmarkBoot1TiB(b *testing.B) {
	const pages = 1 << 28
	b.ReportAllocs()
	for b.Loop() {
		c := Config{PageShift: 12, PageblockOrder: 9, MaxOrder: 11, CPUs: 64,
			ZoneTypes: []ZoneType{ZoneDMA, ZoneDMA32, ZoneNormal, ZoneMovable},
			Zones: []ZoneConfig{{Type: ZoneNormal, Spanned: pages, Present: pages, Managed: pages,
				LowmemReserve: make([]uint64, 4), PCP: PCPConfig{Batch: 63, High: 630}, StatThreshold: 125}}}
		a, err := New(c, Linux6_1)
		if err != nil {
			b.Fatal(err)
		}
		if err := a.Release(0, pages); err != nil {
			b.Fatal(err)
		}
	}
}
