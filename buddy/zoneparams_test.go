package buddy

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// params6_1 is a one-CPU x86_64 machine with 6.1.
func params6_1() ZoneParams {
	return ZoneParams{
		Policy: BootPolicy6_1, Sysctl: DefaultSysctl, PageShift: 12, PageblockOrder: 9, CPUs: 1,
		ZoneTypes: []ZoneType{ZoneDMA, ZoneDMA32, ZoneNormal, ZoneMovable, ZoneDevice},
	}
}

// TestMinFreeKbytesTable is the table of memory sizes in the kernel's
// documentation of the rule.
func TestMinFreeKbytesTable(t *testing.T) {
	p := params6_1()
	for _, test := range []struct{ mib, want int }{
		{16, 512}, {32, 724}, {64, 1024}, {128, 1448}, {256, 2048}, {512, 2896}, {1024, 4096}, {2048, 5792},
		{4096, 8192}, {8192, 11585}, {16384, 16384}, {1 << 20, 131072}, {1 << 23, 262144}, {0, 128}, {1, 128},
	} {
		zones := []ZoneConfig{{Type: ZoneNormal, Managed: uint64(test.mib) << 8}}
		assert.Equal(t, test.want, p.MinFreeKbytes(zones), "%d MiB", test.mib)
	}
	p.Policy = BootPolicy5_4
	assert.Equal(t, 65536, p.MinFreeKbytes([]ZoneConfig{{Type: ZoneNormal, Managed: 1 << 28}}))
}

// TestMinFreeKbytesCountsLowMemory: HighMem and Movable do not count, nor what
// lies below the high watermark.
func TestMinFreeKbytesCountsLowMemory(t *testing.T) {
	zones := []ZoneConfig{
		{Type: ZoneNormal, Managed: 65536 + 100, Watermark: Watermarks{High: 100}},
		{Type: ZoneHighMem, Managed: 1 << 20}, {Type: ZoneMovable, Managed: 1 << 20},
		{Type: ZoneDMA, Managed: 50, Watermark: Watermarks{High: 100}},
	}
	assert.Equal(t, uint64(65536), FreeBufferPages(zones))
	assert.Equal(t, uint64(65536+2<<20), FreePages(zones, ZoneMovable))
	p := params6_1()
	assert.Equal(t, 2048, p.MinFreeKbytes(zones))
}

func TestIntSqrt(t *testing.T) {
	for _, x := range []uint64{0, 1, 2, 3, 4, 1<<32 - 1, 1 << 32, math.MaxUint64, math.MaxUint64 - 1<<33, 1 << 63} {
		checkSqrt(t, x)
	}
	rapid.Check(t, func(t *rapid.T) {
		checkSqrt(t, rapid.Uint64().Draw(t, "x"))
		root := rapid.Uint64Range(1, math.MaxUint32).Draw(t, "root")
		checkSqrt(t, root*root)
		checkSqrt(t, root*root-1)
	})
}

func checkSqrt(t interface{ Fatalf(string, ...any) }, x uint64) {
	root := intSqrt(x)
	if root > math.MaxUint32 || root*root > x || root < math.MaxUint32 && (root+1)*(root+1) <= x {
		t.Fatalf("intSqrt(%d) = %d", x, root)
	}
}

func TestTHPMinFreeKbytes(t *testing.T) {
	p := params6_1()
	zones := []ZoneConfig{
		{Type: ZoneDMA, Managed: 4000}, {Type: ZoneNormal, Managed: 1 << 20}, {Type: ZoneMovable, Managed: 1 << 20},
	}
	computed := p.MinFreeKbytes(zones)
	assert.Equal(t, computed, p.Init(zones), "absent")
	for i := range zones {
		zones[i].Watermark = Watermarks{}
	}
	p.THP = THPEnabled
	assert.Equal(t, 2*11*512*4, p.THPMinFreeKbytes(zones, 1000), "two zones of eleven pageblocks")
	assert.Equal(t, 1<<20, p.THPMinFreeKbytes(zones, 1<<20), "never lowered")
	zones[1].Managed = 200000
	assert.Equal(t, 204000/20*4, p.THPMinFreeKbytes(zones, 1000), "at most 5% of low memory")
	p.THP = THPNever
	assert.Equal(t, p.MinFreeKbytes(zones), p.THPMinFreeKbytes(zones, 1))
	p.Policy = BootPolicy5_4
	assert.Equal(t, 1, p.THPMinFreeKbytes(zones, 1))
}

func TestWatermarksOfHighMem(t *testing.T) {
	p := params6_1()
	p.MovableIsHighMem = true
	for _, test := range []struct{ managed, min uint64 }{{1000, 32}, {65536, 64}, {1 << 20, 128}} {
		zones := []ZoneConfig{{Type: ZoneNormal, Managed: 100000}, {Type: ZoneHighMem, Managed: test.managed}, {Type: ZoneMovable, Managed: test.managed}}
		p.SetWatermarks(zones, 4000)
		assert.Equal(t, Watermarks{1000, 1250, 1500, 1750}, zones[0].Watermark, "all of min_free_kbytes is low memory's")
		gap := max(1000*test.managed/100000/4, test.managed/1000)
		want := Watermarks{test.min, test.min + gap, test.min + 2*gap, test.min + 3*gap}
		assert.Equal(t, want, zones[1].Watermark)
		assert.Equal(t, want, zones[2].Watermark)
	}
}

// TestWatermarksOfMovable: until 6.1 it has its share, later a small min.
func TestWatermarksOfMovable(t *testing.T) {
	zones := []ZoneConfig{{Type: ZoneNormal, Managed: 100000}, {Type: ZoneMovable, Managed: 100000}}
	p := params6_1()
	p.SetWatermarks(zones, 4000)
	assert.Equal(t, Watermarks{500, 625, 750, 875}, zones[0].Watermark)
	assert.Equal(t, zones[0].Watermark, zones[1].Watermark)
	p.Policy = BootPolicy6_12
	p.SetWatermarks(zones, 4000)
	assert.Equal(t, Watermarks{1000, 1250, 1500, 1750}, zones[0].Watermark)
	assert.Equal(t, Watermarks{97, 347, 597, 847}, zones[1].Watermark)
}

func TestWatermarkRules(t *testing.T) {
	zones := []ZoneConfig{{Type: ZoneNormal, Managed: 1000000, Boost: 512}, {Type: ZoneNormal, Node: 1}}
	p := params6_1()
	p.Sysctl.WatermarkScaleFactor = 200
	p.SetWatermarks(zones, 40000)
	assert.Equal(t, Watermarks{10000, 30000, 50000, 70000}, zones[0].Watermark)
	assert.Zero(t, zones[0].Boost)
	assert.Zero(t, zones[1].Watermark)
	p.Policy = BootPolicy5_4
	p.SetWatermarks(zones, 40000)
	assert.Equal(t, Watermarks{10000, 30000, 50000, 0}, zones[0].Watermark)
	p.Policy.ScaledGaps = false
	p.SetWatermarks(zones, 40000)
	assert.Equal(t, Watermarks{10000, 12500, 15000, 0}, zones[0].Watermark)
	p.SetWatermarks(zones[1:], 40000)
	assert.Zero(t, zones[1].Watermark, "no memory at all")
}

func TestWatermarkProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := params6_1()
		p.Policy = rapid.SampledFrom(allPolicies).Draw(t, "policy")
		p.Sysctl.WatermarkScaleFactor = rapid.IntRange(1, 3000).Draw(t, "scale")
		kbytes := rapid.IntRange(0, 1<<20).Draw(t, "min_free_kbytes")
		zones := genZones(t)
		p.SetWatermarks(zones, kbytes)
		sum := uint64(0)
		for i := range zones {
			z := &zones[i]
			if z.Watermark.Low-z.Watermark.Min != z.Watermark.High-z.Watermark.Low {
				t.Fatalf("gaps of %v", z.Watermark)
			}
			// Worked out another way: the gap in floating point, rounded down.
			gap := math.Floor(float64(z.Managed) * float64(p.Sysctl.WatermarkScaleFactor) / 10000)
			if float64(z.Watermark.Low-z.Watermark.Min) < gap-1 {
				t.Fatalf("%v: gap below %v", z.Watermark, gap)
			}
			if !p.hasSmallMin(z.Type) {
				sum += z.Watermark.Min
			}
		}
		if pages := uint64(kbytes) / 4; sum > pages || sum != 0 && sum+uint64(len(zones)) < pages {
			t.Fatalf("min watermarks add up to %d of %d", sum, pages)
		}
	})
}

// genZones draws zones of up to four nodes.
func genZones(t *rapid.T) (zones []ZoneConfig) {
	for node := range rapid.IntRange(1, 4).Draw(t, "nodes") {
		for _, typ := range []ZoneType{ZoneDMA, ZoneDMA32, ZoneNormal, ZoneMovable} {
			if rapid.Bool().Draw(t, "has_zone") || typ == ZoneNormal && node == 0 {
				managed := rapid.Uint64Range(0, 1<<26).Draw(t, "managed")
				zones = append(zones, ZoneConfig{Node: NodeID(node), Type: typ, Present: managed + 1, Managed: managed})
			}
		}
	}
	return zones
}

// TestLowmemReserveProperties compares with the rule of 5.4, which walks from
// the zone that a request could use down to the one that keeps the reserve.
func TestLowmemReserveProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := params6_1()
		for i := range p.Sysctl.LowmemReserveRatio {
			p.Sysctl.LowmemReserveRatio[i] = rapid.SampledFrom([]int{0, 1, 32, 256}).Draw(t, "ratio")
		}
		zones := genZones(t)
		p.SetLowmemReserve(zones)
		for i := range zones {
			z := &zones[i]
			for j, top := range p.ZoneTypes {
				want := uint64(0)
				for k := len(p.ZoneTypes) - 1; k >= 0; k-- {
					if between := p.ZoneTypes[k]; between <= top && between > z.Type {
						want += managedOf(zones, z.Node, between)
					}
				}
				if ratio := uint64(p.Sysctl.LowmemReserveRatio[z.Type]); ratio == 0 || z.Managed == 0 {
					want = 0
				} else {
					want /= ratio
				}
				if z.LowmemReserve[j] != want {
					t.Fatalf("zone %d against %v: %d, want %d", i, top, z.LowmemReserve[j], want)
				}
			}
		}
	})
}

func TestLowmemReserveOfEmptyZone(t *testing.T) {
	zones := []ZoneConfig{{Type: ZoneDMA, Present: 1}, {Type: ZoneNormal, Managed: 25600}}
	p := params6_1()
	p.SetLowmemReserve(zones)
	assert.Equal(t, []uint64{0, 0, 0, 0, 0}, zones[0].LowmemReserve)
	p.Policy = BootPolicy5_4
	p.SetLowmemReserve(zones)
	assert.Equal(t, []uint64{0, 0, 100, 100, 100}, zones[0].LowmemReserve)
}

func TestBatchSize(t *testing.T) {
	p := params6_1()
	for managed, want := range map[uint64]int{
		0: 0, 3840: 0, 8191: 0, 8192: 1, 12288: 3, 40144: 7, 48339: 15, 112755: 31, 499189: 63, 1 << 30: 63,
	} {
		assert.Equal(t, want, p.BatchSize(managed), "%d pages", managed)
	}
	p.PageShift = 16
	assert.Equal(t, 3, p.BatchSize(1<<30), "16 pages of 64 KiB are 1 MiB")
}

func TestPCPRules(t *testing.T) {
	z := ZoneConfig{Node: 1, Type: ZoneNormal, Managed: 800000, Watermark: Watermarks{Low: 9000}}
	p := params6_1()
	p.CPUs, p.CPUNode = 4, []NodeID{0, 1, 1, 0}
	assert.Equal(t, PCPConfig{Batch: 63, High: 4500}, p.PCP(&z))
	p.Sysctl.PCPHighFraction = 8
	assert.Equal(t, PCPConfig{Batch: 63, High: 50000}, p.PCP(&z))
	z.Node = 7
	assert.Equal(t, PCPConfig{Batch: 63, High: 25000}, p.PCP(&z), "a node without CPUs divides among all")
	p.Sysctl.PCPHighFraction = 0
	z.Watermark.Low = 8
	assert.Equal(t, PCPConfig{Batch: 63, High: 252}, p.PCP(&z), "at least four batches")

	p.Policy = BootPolicy6_12
	z.Watermark.Low, z.Node = 9000, 0
	assert.Equal(t, PCPConfig{Batch: 63, HighMin: 4500, HighMax: 50000}, p.PCP(&z))
	p.Sysctl.PCPHighFraction = 100
	assert.Equal(t, PCPConfig{Batch: 63, HighMin: 4000, HighMax: 4000}, p.PCP(&z), "a set fraction ends tuning")

	p.Policy, p.Sysctl.PCPHighFraction = BootPolicy5_4, 0
	assert.Equal(t, PCPConfig{Batch: 63, High: 378}, p.PCP(&z))
	z.Managed = 3840
	assert.Equal(t, PCPConfig{Batch: 1, High: 0}, p.PCP(&z))
	p.Sysctl.PCPHighFraction = 10
	assert.Equal(t, PCPConfig{Batch: 96, High: 384}, p.PCP(&z))
	z.Managed = 10
	assert.Equal(t, PCPConfig{Batch: 1, High: 1}, p.PCP(&z))
}

// TestNormalStatThreshold has the examples of the kernel's documentation of the
// rule, where they agree with it, with zones in the middle of the range named.
func TestNormalStatThreshold(t *testing.T) {
	for _, test := range []struct{ want, cpus, mib int }{
		{8, 1, 950}, {16, 2, 950}, {20, 2, 1500}, {24, 2, 3000}, {28, 2, 6000}, {32, 2, 12000}, {4, 2, 100},
		{48, 4, 12000}, {32, 8, 950}, {10, 16, 100}, {40, 16, 900}, {125, 1024, 12000}, {125, 1024, 24000}, {2, 1, 0},
	} {
		assert.Equal(t, test.want, NormalStatThreshold(uint64(test.mib)<<8, 12, test.cpus), "%d CPUs, %d MiB", test.cpus, test.mib)
	}
	assert.Equal(t, 8, NormalStatThreshold(950<<20>>16, 16, 1), "64 KiB pages")
}

// TestPressureThresholdOfRealMachine: the Ubuntu machine of boot.tsv whose
// thresholds are no normal ones had kswapd awake.
func TestPressureThresholdOfRealMachine(t *testing.T) {
	zones, _ := parseZoneinfo(t, "testdata/zoneinfo/x86-ubuntu-5.4-sos-kubernetes.txt")
	for _, w := range populated(zones) {
		got := PressureStatThreshold(Watermarks{Min: uint64(w.min), Low: uint64(w.low)}, len(w.cpus))
		require.Len(t, w.cpus, 2)
		for _, cpu := range w.cpus {
			assert.Equal(t, cpu.threshold, got, w.String())
		}
	}
	assert.Equal(t, 1, PressureStatThreshold(Watermarks{Min: 5, Low: 6}, 4))
	assert.Equal(t, 1, PressureStatThreshold(Watermarks{}, 0))
}

func TestPercpuDriftMark(t *testing.T) {
	z := ZoneConfig{Watermark: Watermarks{Min: 86, Low: 107, High: 128}, StatThreshold: 4}
	assert.Zero(t, PercpuDriftMark(&z, 2))
	assert.Equal(t, uint64(128+24), PercpuDriftMark(&z, 6))
}

func TestParamsOf(t *testing.T) {
	c := Config{PageShift: 14, PageblockOrder: 11, CPUs: 3, CPUNode: []NodeID{0, 0, 1}, ZoneTypes: []ZoneType{ZoneNormal, ZoneHighMem, ZoneMovable},
		Zones: []ZoneConfig{{Type: ZoneNormal}, {Type: ZoneHighMem}}}
	assert.Equal(t, ZoneParams{
		Policy: BootPolicy6_12, Sysctl: DefaultSysctl, PageShift: 14, PageblockOrder: 11, CPUs: 3,
		CPUNode: c.CPUNode, ZoneTypes: c.ZoneTypes, MovableIsHighMem: true,
	}, ParamsOf(&c, BootPolicy6_12))
}

// TestReportThatLacksAZone: a report about a request for DMA32 does not print
// zone Normal. Some size of it must explain all that is printed.
func TestReportThatLacksAZone(t *testing.T) {
	zones := parseMemInfo(t, "testdata/meminfo/x86-alloc-failure-6.16-rc2-steamdeck.txt", 12)[0]
	p := params6_1()
	p.Policy, p.THP, p.CPUs = BootPolicy6_18, THPEnabled, 8
	normal := newRecordedZone()
	normal.typ = ZoneNormal
	// The reserve of DMA32 leaves 256 sizes, that of DMA against both some of them.
	for normal.managed = int64(zones[1].reserve[2]) * 256; uint64(zones[1].managed+normal.managed)/256 != zones[0].reserve[2]; {
		normal.managed++
	}
	normal.present = normal.managed
	row := bootRow{name: "steamdeck", params: p, recorded: append(zones[:2:2], normal),
		keys: []string{"0/DMA", "0/DMA32", "0/Normal"}, grown: []int{1}, reserveNow: true}
	solutions, c := row.solve()
	assert.NotEmpty(t, solutions)
	assert.Equal(t, comparison{facts: 16}, c)
}

// TestReportOfOneZone: a report about a cpuset prints one zone of many, so only
// the distances can be compared.
func TestReportOfOneZone(t *testing.T) {
	z := parseMemInfo(t, "testdata/meminfo/x86-oom-5.8.2-dell-r640-cpuset-movable.txt", 12)[0][0]
	gap := int64(multFrac(uint64(z.managed), 10, 10000))
	assert.Equal(t, []int64{gap, gap}, []int64{z.low - z.min, z.high - z.low})
}

// TestBootOfPi4With32Bit boots the Raspberry Pi 4 of raspberrypi/linux issues
// 5297 (8 GB) and 3872 (4 GB) with 32-bit kernels and compares the reports'
// numbers, in KiB.
func TestBootOfPi4With32Bit(t *testing.T) {
	memory := []MemRange{{PhysRange: PhysRange{0, 948 * mib}}, {PhysRange: PhysRange{gib, 4032 * mib}}, {PhysRange: PhysRange{4 * gib, 8 * gib}}}
	sysctl := DefaultSysctl
	sysctl.MinFreeKbytes = 65536
	big := Machine{Arch: ARM, CPUs: 4, Memory: memory, Sysctl: &sysctl,
		ReservedPages: []ZonePages{{0, ZoneDMA, (786432 - 627004) / 4}}}
	b, err := big.Boot(BootPolicy6_1)
	require.NoError(t, err)
	require.NoError(t, checkBoot(&big, b))
	dma, highMem := &b.Config.Zones[0], &b.Config.Zones[1]
	assert.Equal(t, uint64(2061312), dma.Present+highMem.Present, "pages RAM")
	assert.Equal(t, uint64(1864704), highMem.Present, "pages HighMem/MovableOnly")
	assert.Equal(t, []uint64{786432, 627004, 65536, 81920, 98304},
		kib(dma.Present, dma.Managed, dma.Watermark.Min, dma.Watermark.Low, dma.Watermark.High))
	assert.Equal(t, []uint64{0, 0, 7284, 7284}, dma.LowmemReserve)

	// The 4 GB board: 18 MiB of initial RAM disk freed after boot, and a boost of
	// 7216 KiB, the largest that the high watermark allows, at the time of the
	// report.
	small := Machine{Arch: ARM, CPUs: 4, Memory: memory[:2],
		ReservedPages: []ZonePages{{0, ZoneDMA, (786432 - 663836) / 4}}, InitPages: []ZonePages{{0, ZoneDMA, 4700}}}
	b, err = small.Boot(BootPolicy5_4)
	require.NoError(t, err)
	dma, highMem = &b.Config.Zones[0], &b.Config.Zones[1]
	assert.Equal(t, uint64(1012736), dma.Present+highMem.Present, "pages RAM")
	assert.Equal(t, uint64(816128), highMem.Present, "pages HighMem/MovableOnly")
	boost := multFrac(dma.Watermark.High, 15000, 10000)
	assert.Equal(t, []uint64{663836, 7216, 10428, 11228, 12028},
		kib(dma.Managed, boost, dma.Watermark.Min+boost, dma.Watermark.Low+boost, dma.Watermark.High+boost))
	assert.Equal(t, []uint64{0, 0, 3188, 3188}, dma.LowmemReserve)
}

func kib(pages ...uint64) (kib []uint64) {
	for _, n := range pages {
		kib = append(kib, n*4)
	}
	return kib
}

// TestBootOfPi3With32Bit is issue 2909: 1 GiB, no HighMem in the kernel.
func TestBootOfPi3With32Bit(t *testing.T) {
	sysctl := DefaultSysctl
	sysctl.MinFreeKbytes = 16384
	m := Machine{Arch: ARM, CPUs: 4, Memory: []MemRange{{PhysRange: PhysRange{0, 948 * mib}}}, Sysctl: &sysctl,
		ZoneTypes: []ZoneType{ZoneNormal, ZoneMovable}, LowmemLimit: 2 * gib, ReservedPages: []ZonePages{{0, ZoneNormal, (970752 - 949448) / 4}}}
	b, err := m.Boot(bootPolicies()["4.18"])
	require.NoError(t, err)
	require.Len(t, b.Config.Zones, 1)
	z := &b.Config.Zones[0]
	assert.Equal(t, []uint64{970752, 949448, 16384, 20480, 24576}, kib(z.Present, z.Managed, z.Watermark.Min, z.Watermark.Low, z.Watermark.High))
	assert.Equal(t, []uint64{0, 0}, z.LowmemReserve)
}

func ExampleZoneParams_SetWatermarks() {
	zones := []ZoneConfig{{Type: ZoneDMA, Managed: 3840}, {Type: ZoneDMA32, Managed: 48339}}
	p := ZoneParams{
		Policy: BootPolicy6_1, Sysctl: DefaultSysctl, PageShift: 12, PageblockOrder: 9, CPUs: 1,
		ZoneTypes: []ZoneType{ZoneDMA, ZoneDMA32, ZoneNormal, ZoneMovable},
	}
	p.SetWatermarks(zones, p.MinFreeKbytes(zones))
	p.SetLowmemReserve(zones)
	for _, z := range zones {
		fmt.Println(z.Type, z.Watermark, z.LowmemReserve)
	}
	// Output:
	// DMA {33 41 49 57} [0 188 188 188]
	// DMA32 {422 527 632 737} [0 0 0 0]
}
