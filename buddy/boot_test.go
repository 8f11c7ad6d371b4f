package buddy

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// checkBoot proves what must hold for every booted machine.
func checkBoot(m *Machine, b *Boot) error {
	return errors.Join(checkPresent(m, b), checkFree(b), checkLimits(b))
}

// checkPresent: the zones' ranges are disjoint, lie in their zones, add up to
// the present pages, and hold all memory that the kernel can use.
func checkPresent(m *Machine, b *Boot) error {
	present := make([]uint64, len(b.Config.Zones))
	for i, r := range b.Config.Present {
		z := &b.Config.Zones[r.Zone]
		if r.Start < z.StartPFN || r.End > z.StartPFN+PFN(z.Spanned) || r.Start >= r.End {
			return fmt.Errorf("range %v lies outside of its zone", r)
		}
		for _, o := range b.Config.Present[:i] {
			if r.Start < o.End && o.Start < r.End {
				return fmt.Errorf("ranges %v and %v overlap", o, r)
			}
		}
		present[r.Zone] += uint64(r.End - r.Start)
	}
	all := uint64(0)
	for i := range present {
		if present[i] != b.Config.Zones[i].Present {
			return fmt.Errorf("zone %d has %d pages, not %d", i, present[i], b.Config.Zones[i].Present)
		}
		all += present[i]
	}
	if memory := totalPages(pagesOf(m.Memory, m.pageShift())); all != memory && !m.is32Bit() {
		return fmt.Errorf("zones have %d pages of %d", all, memory)
	}
	return nil
}

// checkFree: what is freed is memory of its zone, once, and adds up to what
// the zones manage.
func checkFree(b *Boot) error {
	managed := make([]uint64, len(b.Config.Zones))
	cma := make([]uint64, len(b.Config.Zones))
	for i, r := range b.Free {
		inside := false
		for _, p := range b.Config.Present {
			inside = inside || p.Zone == r.Zone && p.Start <= r.Start && r.End <= p.End
		}
		if !inside || r.Start >= r.End {
			return fmt.Errorf("free range %v is no memory of its zone", r)
		}
		for _, o := range b.Free[:i] {
			if r.Start < o.End && o.Start < r.End {
				return fmt.Errorf("free ranges %v and %v overlap", o, r)
			}
		}
		managed[r.Zone] += uint64(r.End - r.Start)
		if r.Phase == FreeCMA {
			cma[r.Zone] += uint64(r.End - r.Start)
		}
		next := r.Start
		for pfn, order := range r.Blocks(b.Config.MaxOrder-1, b.Config.PageblockOrder) {
			if pfn != next || pfn&(1<<order-1) != 0 || order >= b.Config.MaxOrder {
				return fmt.Errorf("block %d of order %d of %v", pfn, order, r)
			}
			next += 1 << order
		}
		if next != r.End {
			return fmt.Errorf("blocks of %v end at %d", r, next)
		}
	}
	for i := range b.Config.Zones {
		if z := &b.Config.Zones[i]; z.Managed != managed[i] || z.CMAPages != cma[i] {
			return fmt.Errorf("zone %d manages %d pages, %d of CMA; given %d and %d", i, z.Managed, z.CMAPages, managed[i], cma[i])
		}
	}
	return nil
}

// checkLimits: watermarks rise, reserves rise with the zone that a request
// could use and are none against lower zones, thresholds are in range, and the
// total reserve is no more than there is.
func checkLimits(b *Boot) error {
	managed := uint64(0)
	for i := range b.Config.Zones {
		z := &b.Config.Zones[i]
		managed += z.Managed
		w := z.Watermark
		if w.Min > w.Low || w.Low > w.High || w.Promo != 0 && w.High > w.Promo {
			return fmt.Errorf("zone %d: watermarks %v", i, w)
		}
		for j, t := range b.Config.ZoneTypes {
			if t <= z.Type && z.LowmemReserve[j] != 0 || j > 0 && z.LowmemReserve[j] < z.LowmemReserve[j-1] {
				return fmt.Errorf("zone %d: reserves %v", i, z.LowmemReserve)
			}
		}
		if z.StatThreshold < 2 || z.StatThreshold > 125 || z.PCP.Batch < 1 {
			return fmt.Errorf("zone %d: threshold %d, batch %d", i, z.StatThreshold, z.PCP.Batch)
		}
	}
	if reserve := TotalReservePages(b.Config.Zones); reserve > managed {
		return fmt.Errorf("total reserve %d of %d pages", reserve, managed)
	}
	return b.Config.Validate()
}

// genMachine draws machines with holes, several nodes, reserved memory and
// ZONE_MOVABLE. No range of memory is larger than largest.
func genMachine(t *rapid.T, largest uint64) *Machine {
	m := &Machine{
		Arch:        Arch(rapid.IntRange(0, numArchs-1).Draw(t, "arch")),
		CMABuiltIn:  rapid.Bool().Draw(t, "cma"),
		MovableNode: rapid.IntRange(0, 4).Draw(t, "movable_node") == 0,
		THPNever:    rapid.Bool().Draw(t, "thp_never"),
	}
	if m.Arch == ARM64 {
		m.PageShift = rapid.SampledFrom([]int{12, 14, 16}).Draw(t, "page_shift")
		m.DMALimit = rapid.SampledFrom([]uint64{0, gib, 4 * gib}).Draw(t, "dma_limit")
	}
	nodes := rapid.IntRange(1, 4).Draw(t, "nodes")
	at := uint64(0)
	for range rapid.IntRange(1, 8).Draw(t, "ranges") {
		start := at + rapid.Uint64Range(0, 600*mib).Draw(t, "gap")
		node := NodeID(rapid.IntRange(0, nodes-1).Draw(t, "node"))
		if n := len(m.Memory); n > 0 && m.Memory[n-1].Node != node {
			start = alignUp(start, 1<<(m.pageShift()+int(m.PageblockOrder())))
		}
		end := start + rapid.Uint64Range(256<<10, largest).Draw(t, "size")
		m.Memory = append(m.Memory, MemRange{
			PhysRange:    PhysRange{start, end},
			Node:         node,
			Hotpluggable: rapid.Bool().Draw(t, "hotpluggable"),
		})
		at = end
	}
	for range rapid.IntRange(0, 4).Draw(t, "reserved") {
		start := rapid.Uint64Range(0, at).Draw(t, "start")
		r := PhysRange{start, start + rapid.Uint64Range(0, 64*mib).Draw(t, "length")}
		if rapid.Bool().Draw(t, "init") {
			m.InitMemory = append(m.InitMemory, r)
		} else {
			m.Reserved = append(m.Reserved, r)
		}
	}
	core := CoreSize{Bytes: rapid.Uint64Range(0, 4*gib).Draw(t, "core")}
	if rapid.Bool().Draw(t, "percent") {
		core = CoreSize{Percent: rapid.IntRange(0, 100).Draw(t, "core_percent")}
	}
	if rapid.Bool().Draw(t, "kernelcore") {
		m.KernelCore = core
	} else {
		m.MovableCore = core
	}
	for range rapid.IntRange(1, 8).Draw(t, "cpus") {
		m.CPUNode = append(m.CPUNode, NodeID(rapid.IntRange(0, nodes-1).Draw(t, "cpu_node")))
	}
	return m
}

var allPolicies = []BootPolicy{BootPolicy5_4, BootPolicy6_1, BootPolicy6_12, BootPolicy6_18}

// bootProperty boots a drawn machine.
func bootProperty(t *rapid.T) {
	m := genMachine(t, 3*gib)
	policy := rapid.SampledFrom(allPolicies).Draw(t, "policy")
	b, err := m.Boot(policy)
	if err != nil {
		// Only all memory can be unusable: no whole page, or none that a 32-bit
		// kernel reaches.
		var fault *ConfigError
		if !errors.As(err, &fault) || fault.Field != "Memory" && fault.Field != "Zones" {
			t.Fatal(err)
		}
		return
	}
	if err := checkBoot(m, b); err != nil {
		t.Fatal(err)
	}
	again, err := m.Boot(policy)
	if err != nil || fmt.Sprint(again) != fmt.Sprint(b) {
		t.Fatalf("a second boot differs: %v, %v", again, err)
	}
}

func TestBootProperties(t *testing.T) { rapid.Check(t, bootProperty) }

func FuzzBoot(f *testing.F) { f.Fuzz(rapid.MakeFuzz(bootProperty)) }

// TestFreePagesAreMemoryNotReserved compares the free ranges with a map of
// every page, worked out page by page.
func TestFreePagesAreMemoryNotReserved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genSmallMachine(t)
		b, err := m.Boot(BootPolicy6_1)
		if err != nil {
			t.Skip(err)
		}
		got := map[PFN]FreePhase{}
		for _, r := range b.Free {
			for pfn := r.Start; pfn < r.End; pfn++ {
				got[pfn] = r.Phase
			}
		}
		within := func(ranges []PhysRange, pfn PFN, whole bool) bool {
			for _, r := range ranges {
				start, end := uint64(pfn)<<12, uint64(pfn+1)<<12
				if whole && r.Start <= start && end <= r.End || !whole && r.Start < end && start < r.End && r.Start < r.End {
					return true
				}
			}
			return false
		}
		var memory []PhysRange
		for _, r := range mergeMemory(m.Memory) {
			memory = append(memory, r.PhysRange)
		}
		for pfn := PFN(0); pfn < 64; pfn++ {
			phase, free := got[pfn]
			want := within(memory, pfn, true) && !within(m.Reserved, pfn, false)
			isInit := within(union(m.InitMemory), pfn, true)
			switch {
			case want && !within(m.InitMemory, pfn, false) && (!free || phase != FreeMemblock):
				t.Fatalf("page %d is not free", pfn)
			case want && isInit && (!free || phase != FreeInit):
				t.Fatalf("page %d is not freed after boot", pfn)
			case !want && free:
				t.Fatalf("page %d is free", pfn)
			}
		}
	})
}

// genSmallMachine draws up to 64 pages with ranges at any byte.
func genSmallMachine(t *rapid.T) *Machine {
	m := &Machine{}
	at := uint64(0)
	for range rapid.IntRange(1, 4).Draw(t, "ranges") {
		start := at + rapid.Uint64Range(0, 3*4096).Draw(t, "gap")
		end := start + rapid.Uint64Range(1, 12*4096).Draw(t, "size")
		m.Memory = append(m.Memory, MemRange{PhysRange: PhysRange{start, end}})
		at = end
	}
	for range rapid.IntRange(0, 3).Draw(t, "reserved") {
		start := rapid.Uint64Range(0, at).Draw(t, "start")
		m.Reserved = append(m.Reserved, PhysRange{start, start + rapid.Uint64Range(0, 3*4096).Draw(t, "length")})
	}
	start := rapid.Uint64Range(0, at).Draw(t, "init_start")
	end := start + rapid.Uint64Range(0, 9*4096).Draw(t, "init_length")
	for _, r := range m.Reserved { // the kernel's init memory is reserved apart
		if start < r.End && r.Start < end {
			return m
		}
	}
	m.InitMemory = []PhysRange{{start, end}}
	return m
}

func TestBlocksInKernelOrder(t *testing.T) {
	collect := func(r FreeRange) (blocks [][2]int) {
		for pfn, order := range r.Blocks(10, 9) {
			blocks = append(blocks, [2]int{int(pfn), int(order)})
		}
		return blocks
	}
	assert.Equal(t, [][2]int{{1, 0}, {2, 1}, {4, 2}, {8, 2}, {12, 0}}, collect(FreeRange{Start: 1, End: 13}))
	assert.Equal(t, [][2]int{{0, 10}, {1024, 10}, {2048, 0}}, collect(FreeRange{Start: 0, End: 2049}))
	assert.Equal(t, [][2]int{{1024, 9}, {1536, 9}}, collect(FreeRange{Start: 1024, End: 2048, Phase: FreeCMA}))
	assert.Equal(t, [][2]int{{2, 0}, {3, 0}}, collect(FreeRange{Start: 2, End: 4, Phase: FreeInit}))
	for range (FreeRange{Start: 0, End: 4, Phase: FreeHighMem}).Blocks(10, 9) {
		break // a caller may stop
	}
}

// TestBootZones has machines whose zones are known from their kernels' reports
// or follow from the rules by hand.
func TestBootZones(t *testing.T) {
	mem := func(ranges ...uint64) (memory []MemRange) {
		for i := 0; i+1 < len(ranges); i += 2 {
			memory = append(memory, MemRange{PhysRange: PhysRange{ranges[i], ranges[i+1]}})
		}
		return memory
	}
	type zone struct {
		typ                     ZoneType
		start, spanned, present uint64
	}
	tests := []struct {
		name    string
		machine Machine
		want    []zone
	}{
		{"x86_64-6.1-pages-6g", Machine{Memory: mem(0x1000, 0x9f000, mib, 2*gib-0x24000, 4*gib, 8*gib)},
			[]zone{{ZoneDMA, 1, 4095, 3998}, {ZoneDMA32, 4096, 1044480, 520156}, {ZoneNormal, 1048576, 1048576, 1048576}}},
		{"Raspberry Pi 4, 8 GB", Machine{Arch: ARM64, DMALimit: gib, Memory: mem(0, 948*mib, gib, 4032*mib, 4*gib, 8*gib)},
			[]zone{{ZoneDMA, 0, 262144, 970752 / 4}, {ZoneDMA32, 262144, 786432, 3080192 / 4}, {ZoneNormal, 1048576, 4194304 / 4, 4194304 / 4}}},
		{"Raspberry Pi 4, 8 GB, 32 bit", Machine{Arch: ARM, Memory: mem(0, 948*mib, gib, 4032*mib, 4*gib, 8*gib)},
			[]zone{{ZoneDMA, 0, 786432 / 4, 786432 / 4}, {ZoneHighMem, 196608, 1900544, 1864704}}},
		{"Raspberry Pi Zero 2 W", Machine{Arch: ARM64, Memory: mem(0, 448*mib)}, []zone{{ZoneDMA, 0, 114688, 114688}}},
		{"arm64, memory from 2 GiB, DMA 1 GiB", Machine{Arch: ARM64, DMALimit: gib, Memory: mem(2*gib, 6*gib)},
			[]zone{{ZoneDMA, 524288, 524288, 524288}, {ZoneNormal, 1048576, 524288, 524288}}},
		{"arm64, memory from 8 GiB", Machine{Arch: ARM64, DMALimit: gib, Memory: mem(8*gib, 9*gib)},
			[]zone{{ZoneDMA, 2097152, 262144, 262144}}},
		{"arm64, 16 KiB pages", Machine{Arch: ARM64, PageShift: 14, DMALimit: gib, Memory: mem(0, 8*gib)},
			[]zone{{ZoneDMA, 0, 65536, 65536}, {ZoneDMA32, 65536, 196608, 196608}, {ZoneNormal, 262144, 262144, 262144}}},
		{"arm64, 64 KiB pages", Machine{Arch: ARM64, PageShift: 16, Memory: mem(0, 8*gib)},
			[]zone{{ZoneDMA, 0, 65536, 65536}, {ZoneNormal, 65536, 65536, 65536}}},
		{"x86_32, 2 GiB", Machine{Arch: X86_32, Memory: mem(0x1000, 0x9f000, mib, 2*gib)},
			[]zone{{ZoneDMA, 1, 4095, 3998}, {ZoneNormal, 4096, 0x377fe - 4096, 0x377fe - 4096}, {ZoneHighMem, 0x377fe, 524288 - 0x377fe, 524288 - 0x377fe}}},
		{"x86_32, 512 MiB", Machine{Arch: X86_32, Memory: mem(mib, 512*mib)},
			[]zone{{ZoneDMA, 256, 3840, 3840}, {ZoneNormal, 4096, 126976, 126976}}},
		{"arm, DMA 256 MiB", Machine{Arch: ARM, DMALimit: 256 * mib, Memory: mem(0, gib)},
			[]zone{{ZoneDMA, 0, 65536, 65536}, {ZoneNormal, 65536, 131072, 131072}, {ZoneHighMem, 196608, 65536, 65536}}},
		{"arm, odd end", Machine{Arch: ARM, Memory: mem(0, 512*mib+0x5000)},
			[]zone{{ZoneDMA, 0, 131072, 131072}, {ZoneHighMem, 131072, 5, 5}}},
		{"arm without HighMem", Machine{Arch: ARM, ZoneTypes: []ZoneType{ZoneNormal, ZoneMovable}, LowmemLimit: 2 * gib, Memory: mem(0, gib)},
			[]zone{{ZoneNormal, 0, 262144, 262144}}},
		{"movablecore=1G", Machine{MovableCore: CoreSize{Bytes: gib}, Memory: mem(mib, 3*gib, 4*gib, 6*gib)},
			[]zone{{ZoneDMA, 256, 3840, 3840}, {ZoneDMA32, 4096, 1044480, 782336}, {ZoneNormal, 1048576, 262144, 262144}, {ZoneMovable, 1310720, 262144, 262144}}},
		{"movablecore=100%", Machine{MovableCore: CoreSize{Percent: 100}, Memory: mem(0, gib)},
			[]zone{{ZoneDMA, 0, 4096, 4096}, {ZoneDMA32, 4096, 258048, 258048}}},
		{"kernelcore=25%", Machine{KernelCore: CoreSize{Percent: 25}, Memory: mem(0, gib)},
			[]zone{{ZoneDMA, 0, 4096, 4096}, {ZoneDMA32, 4096, 61440, 61440}, {ZoneMovable, 65536, 196608, 196608}}},
		{"32 bit, movable is HighMem", Machine{Arch: ARM, MovableCore: CoreSize{Bytes: 100 * mib}, Memory: mem(0, gib)},
			[]zone{{ZoneDMA, 0, 196608, 196608}, {ZoneHighMem, 196608, 39936, 39936}, {ZoneMovable, 236544, 25600, 25600}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, err := test.machine.Boot(BootPolicy6_1)
			require.NoError(t, err)
			var got []zone
			for _, z := range b.Config.Zones {
				got = append(got, zone{z.Type, uint64(z.StartPFN), z.Spanned, z.Present})
			}
			assert.Equal(t, test.want, got)
			assert.NoError(t, checkBoot(&test.machine, b))
		})
	}
}

func TestMovableOnNodes(t *testing.T) {
	node := func(n NodeID, start, end uint64) MemRange {
		return MemRange{PhysRange: PhysRange{start, end}, Node: n}
	}
	starts := func(m Machine) (starts []PFN) {
		b, err := m.Boot(BootPolicy6_1)
		require.NoError(t, err)
		require.NoError(t, checkBoot(&m, b))
		starts = make([]PFN, b.Config.Nodes())
		for _, z := range b.Config.Zones {
			if z.Type == ZoneMovable {
				starts[z.Node] = z.StartPFN
			}
		}
		return starts
	}
	two := []MemRange{node(0, 0, 8*gib), node(1, 8*gib, 16*gib)}
	// An equal part of 8 GiB each; node 0 has 4 GiB below Normal, which count.
	assert.Equal(t, []PFN{1048576, 3145728}, starts(Machine{Memory: two, KernelCore: CoreSize{Bytes: 8 * gib}}))
	// Node 1 is too small for its part, so node 0 gets the rest.
	small := []MemRange{node(0, 0, 8*gib), node(1, 8*gib, 9*gib)}
	assert.Equal(t, []PFN{1310720, 0}, starts(Machine{Memory: small, KernelCore: CoreSize{Bytes: 6 * gib}}))
	// Hotpluggable memory of node 1 is movable.
	hot := []MemRange{node(0, 0, 8*gib), node(1, 8*gib, 16*gib)}
	hot[1].Hotpluggable = true
	assert.Equal(t, []PFN{0, 2097152}, starts(Machine{Memory: hot, MovableNode: true, KernelCore: CoreSize{Bytes: gib}}))
	assert.Equal(t, []PFN{0, 0}, starts(Machine{Memory: hot}))
}

func TestParseCoreSize(t *testing.T) {
	for text, want := range map[string]CoreSize{
		"0": {}, "4096": {Bytes: 4096}, "1g": {Bytes: gib}, "512M": {Bytes: 512 * mib}, "0x1000": {Bytes: 0x1000},
		"40%": {Percent: 40}, "0%": {}, "1E": {Bytes: 1 << 60},
	} {
		got, err := ParseCoreSize(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
		back, err := ParseCoreSize(got.String())
		require.NoError(t, err, text)
		assert.Equal(t, got, back, text)
	}
	for _, text := range []string{"", "x", "G", "1GB", "101%", "-1", "%", "16E", "1.5G", "99999999999999999999"} {
		_, err := ParseCoreSize(text)
		assert.Error(t, err, text)
	}
}

func TestMachineValidateReportsAllFaults(t *testing.T) {
	m := Machine{
		Arch: 9, PageShift: 13,
		Memory:        []MemRange{{PhysRange: PhysRange{5, 5}}, {PhysRange: PhysRange{0, gib}, Node: -1}, {PhysRange: PhysRange{mib, gib}}},
		Reserved:      []PhysRange{{2, 1}},
		ReservedPages: []ZonePages{{0, ZoneHighMem, 1}},
		InitPages:     []ZonePages{{0, ZoneHighMem, 1}},
		CMA:           []PhysRange{{1, gib}},
		CPUs:          -1, CPUNode: []NodeID{-5},
		Distances:  [][]int{{10, 10}, {20}},
		KernelCore: CoreSize{Bytes: 1, Percent: 101},
		ZoneTypes:  []ZoneType{ZoneDMA, ZoneDMA, 77},
		MaxOrder:   15, HugePageOrder: -2,
		Sysctl: &Sysctl{MinFreeKbytes: -1, PCPHighFraction: 7, LowmemReserveRatio: [NumZoneTypes]int{-1}},
	}
	err := m.Validate()
	fields := faultFields(t, err)
	for _, want := range []string{"Arch", "PageShift", "Memory[0]", "Memory[1].Node", "Memory", "Reserved[0]", "CPUs", "len(CPUNode)",
		"CPUNode[0]", "len(Distances[1])", "Distances[0][1]", "MaxOrder", "HugePageOrder", "KernelCore.Percent", "KernelCore",
		"ZoneTypes[1]", "ZoneTypes[2]", "ZoneTypes", "ReservedPages[0].Type", "InitPages[0].Type", "CMA", "Sysctl.MinFreeKbytes",
		"Sysctl.WatermarkScaleFactor", "Sysctl.PCPHighFraction", "Sysctl.LowmemReserveRatio[DMA]"} {
		assert.Contains(t, fields, want)
	}
	_, err = m.Boot(BootPolicy6_1)
	assert.Error(t, err)
	_, _, err = (&Machine{}).Config(BootPolicy6_1)
	assert.ErrorContains(t, err, "Memory is empty")
	_, err = (&Machine{Memory: []MemRange{{PhysRange: PhysRange{1, 4096}}}}).Boot(BootPolicy6_1)
	assert.ErrorContains(t, err, "less than a page")
	_, err = (&Machine{Memory: []MemRange{{PhysRange: PhysRange{0, mib}}}, ReservedPages: []ZonePages{{0, ZoneDMA, 257}}}).Boot(BootPolicy6_1)
	assert.ErrorContains(t, err, "ReservedPages[0].Pages is 257, want at most the 256 free pages of the zone")
}

func TestBootCMA(t *testing.T) {
	m := Machine{
		Arch:   ARM64,
		Memory: []MemRange{{PhysRange: PhysRange{0, gib}}},
		CMA:    []PhysRange{{192 * mib, 256 * mib}},
	}
	b, err := m.Boot(BootPolicy6_1)
	require.NoError(t, err)
	require.NoError(t, checkBoot(&m, b))
	assert.True(t, b.Config.CMA)
	assert.Equal(t, uint64(64*mib/4096), b.Config.Zones[0].CMAPages)
	assert.Equal(t, []FreeRange{
		{0, 192 * mib / 4096, 0, FreeMemblock}, {256 * mib / 4096, gib / 4096, 0, FreeMemblock},
		{192 * mib / 4096, 256 * mib / 4096, 0, FreeCMA},
	}, b.Free)
	m.CMA[0].Start += 4096
	assert.ErrorContains(t, m.Validate(), "aligned to the pageblock size (0x200000)")
	m.CMA = []PhysRange{{gib, gib + 4*mib}}
	assert.ErrorContains(t, m.Validate(), "all of it memory of one node")
}

func TestMobilityGrouping(t *testing.T) {
	boot := func(size uint64, cma bool) bool {
		m := Machine{Memory: []MemRange{{PhysRange: PhysRange{0, size}}}, CMABuiltIn: cma}
		b, err := m.Boot(BootPolicy6_12)
		require.NoError(t, err)
		return b.MobilityGrouping
	}
	assert.True(t, boot(10*mib, false), "five pageblocks, one for each type")
	assert.False(t, boot(10*mib, true), "five pageblocks, six types")
	assert.False(t, boot(10*mib-4096, false))
}

func TestPageblockOrder(t *testing.T) {
	for _, test := range []struct {
		machine Machine
		want    Order
	}{
		{Machine{}, 9},
		{Machine{Arch: ARM64}, 9},
		{Machine{Arch: ARM64, PageShift: 14}, 11},
		{Machine{Arch: ARM64, PageShift: 16}, 13},
		{Machine{Arch: ARM}, 10},
		{Machine{Arch: ARM, HugePageOrder: 9}, 9},
		{Machine{Arch: X86_32}, 9},
		{Machine{HugePageOrder: NoHugePages}, 10},
		{Machine{HugePageOrder: 18}, 10},
		{Machine{MaxOrder: 9}, 8},
	} {
		assert.Equal(t, test.want, test.machine.PageblockOrder(), "%+v", test.machine)
	}
}

func ExampleMachine_Boot() {
	machine := Machine{
		Arch:     ARM64,
		DMALimit: 1 << 30, // a Raspberry Pi 4
		Memory: []MemRange{
			{PhysRange: PhysRange{0, 0x3b400000}},
			{PhysRange: PhysRange{0x40000000, 0xfc000000}},
			{PhysRange: PhysRange{0x100000000, 0x200000000}},
		},
		CMA:  []PhysRange{{0x37400000, 0x3b400000}},
		CPUs: 4,
	}
	boot, err := machine.Boot(BootPolicy6_1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("min_free_kbytes", boot.MinFreeKbytes)
	for _, z := range boot.Config.Zones {
		fmt.Println(z.Type, z.Managed, z.Watermark, z.LowmemReserve, z.PCP.Batch, z.PCP.High)
	}
	// Output:
	// min_free_kbytes 67584
	// DMA 242688 {1989 2486 2983 3480} [0 3008 7104 7104] 63 621
	// DMA32 770048 {6311 7888 9465 11042} [0 0 4096 4096] 63 1972
	// Normal 1048576 {8594 10742 12890 15038} [0 0 0 0] 63 2685
}
