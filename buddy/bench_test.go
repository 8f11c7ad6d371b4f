package buddy

import "testing"

// benchMachine is a machine of one Normal zone of 1 GiB with one CPU.
func benchMachine(b testing.TB, p Profile) *Allocator {
	a, err := New(benchConfig(), p)
	if err != nil {
		b.Fatal(err)
	}
	if err := a.Release(0, benchPages); err != nil {
		b.Fatal(err)
	}
	return a
}

const benchPages = 1 << 18

func benchConfig() Config {
	const pages = benchPages
	return Config{PageShift: 12, PageblockOrder: 9, MaxOrder: 11, CPUs: 1,
		ZoneTypes: []ZoneType{ZoneDMA, ZoneDMA32, ZoneNormal, ZoneMovable},
		Zones: []ZoneConfig{{Type: ZoneNormal, Spanned: pages, Present: pages, Managed: pages,
			Watermark:     Watermarks{Min: 1024, Low: 1280, High: 1536, Promo: 1792},
			LowmemReserve: make([]uint64, 4), PCP: PCPConfig{Batch: 63, High: 630, HighMin: 630, HighMax: 630}, StatThreshold: 24}}}
}

// benchTwin is the same machine in the naive twin, which gives the same answers
// with maps and slices: the rival that the figures are compared with.
func benchTwin() *twin {
	c := benchConfig()
	w := newTwin(&c)
	w.give(w.zones[0], 0, benchPages)
	return w
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

// BenchmarkAllocFreeTwin is the same by the naive twin.
func BenchmarkAllocFreeTwin(b *testing.B) {
	w := benchTwin()
	for b.Loop() {
		pfn, ok := w.alloc(0, GFPKernel, 0)
		if !ok {
			b.Fatal("no page")
		}
		w.release(0, pfn)
	}
}

// mix drives a mix of orders 0 to 10, a call an iteration, with up to 512 live
// blocks.
func mix(b *testing.B, alloc func(order int) (int, bool), free func(pfn, order int)) {
	const live = 512
	var pfns, orders [live]int
	for i := range pfns {
		pfns[i] = -1
	}
	rng := uint64(1)
	b.ReportAllocs()
	for b.Loop() {
		rng ^= rng << 13
		rng ^= rng >> 7
		rng ^= rng << 17
		i := rng % live
		if pfns[i] >= 0 {
			free(pfns[i], orders[i])
			pfns[i] = -1
			continue
		}
		o := int(rng >> 32 % 11)
		if pfn, ok := alloc(o); ok {
			pfns[i], orders[i] = pfn, o
		}
	}
}

// BenchmarkZoneMix is a mix of orders 0 to 10 through the zone's free lists:
// per-CPU lists are off.
func BenchmarkZoneMix(b *testing.B) {
	for _, p := range Profiles() {
		b.Run(p.Name, func(b *testing.B) {
			a := benchMachine(b, p)
			a.pcpOrders = 0
			mix(b, func(order int) (int, bool) {
				pfn, err := a.AllocPages(0, GFPKernel, Order(order))
				return int(pfn), err == nil
			}, func(pfn, order int) {
				if err := a.Free(0, PFN(pfn), Order(order)); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkMix is the same mix with per-CPU lists, as a kernel would serve it.
func BenchmarkMix(b *testing.B) {
	a := benchMachine(b, Linux6_1)
	mix(b, func(order int) (int, bool) {
		pfn, err := a.AllocPages(0, GFPKernel, Order(order))
		return int(pfn), err == nil
	}, func(pfn, order int) {
		if err := a.Free(0, PFN(pfn), Order(order)); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkMixTwin is that mix by the naive twin.
func BenchmarkMixTwin(b *testing.B) {
	w := benchTwin()
	mix(b, func(order int) (int, bool) { return w.alloc(0, GFPKernel, order) }, func(pfn, _ int) { w.release(0, pfn) })
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
