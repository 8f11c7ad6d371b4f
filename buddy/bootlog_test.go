package buddy

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func readBootLog(t *testing.T, name string) (*BootLog, Machine) {
	t.Helper()
	text, err := os.ReadFile("testdata/bootlog/" + name + ".txt")
	require.NoError(t, err)
	log, err := ReadBootLog(bytes.NewReader(text))
	require.NoError(t, err)
	m, err := log.Machine()
	require.NoError(t, err)
	return log, m
}

// TestBootOfLoggedMachines boots the machines whose boot log and zoneinfo were
// kept: spans and present pages, what the kernel reckoned with, and the final
// managed pages and limits must be those of the real boot.
func TestBootOfLoggedMachines(t *testing.T) {
	low := PhysRange{0, 1 << 20} // x86 reserves the first MiB since 5.13
	tests := []struct {
		name, zoneinfo string
		policy         BootPolicy
		arch           Arch
		// What the log does not say: reserved and late pages (see boottable_test.go
		// for where the latter come from), CPUs.
		reserved      []PhysRange
		reservedPages []ZonePages
		initPages     []ZonePages
	}{
		{name: "pi3-kmem-pages", zoneinfo: "pi3-kmem-pages", policy: BootPolicy6_1, arch: ARM64,
			reservedPages: []ZonePages{{0, ZoneDMA, 65536 - 57514}}, initPages: []ZonePages{{0, ZoneDMA, 2100}}},
		{name: "pi3-kmem-slab", zoneinfo: "pi3-kmem-slab", policy: BootPolicy6_1, arch: ARM64,
			reservedPages: []ZonePages{{0, ZoneDMA, 245760 - 234026}}, initPages: []ZonePages{{0, ZoneDMA, 2100}}},
		{name: "pi3-kmem-smp4", zoneinfo: "pi3-kmem-smp4", policy: BootPolicy6_1, arch: ARM64,
			reservedPages: []ZonePages{{0, ZoneDMA, 245760 - 234026}}, initPages: []ZonePages{{0, ZoneDMA, 2100}}},
		{name: "x86-ubuntu-5.4-sos-kubernetes", zoneinfo: "x86-ubuntu-5.4-sos-kubernetes", policy: BootPolicy5_4, arch: X86_64,
			reservedPages: []ZonePages{{0, ZoneDMA, 21}, {0, ZoneDMA32, 782300 - 758582}, {0, ZoneNormal, 262144 - 243950}},
			initPages:     []ZonePages{{0, ZoneDMA32, 8600}}},
		{name: "x86_64-6.1-lockprobe", policy: BootPolicy6_1, arch: X86_64, reserved: []PhysRange{low}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			log, m := readBootLog(t, test.name)
			assert.Equal(t, test.arch, m.Arch)
			m.Reserved, m.ReservedPages, m.InitPages = test.reserved, test.reservedPages, test.initPages
			b, err := m.Boot(test.policy)
			require.NoError(t, err)
			assert.Equal(t, log.TotalPages, b.VMTotalPages)
			assert.Equal(t, log.MobilityGrouping, b.MobilityGrouping)
			assert.Equal(t, log.Zonelists, len(BuildZonelists(&b.Config, ZonelistOptions{Policy: test.policy})))
			if test.zoneinfo != "" {
				zones, types := parseZoneinfo(t, "testdata/zoneinfo/"+test.zoneinfo+".txt")
				assert.Equal(t, types, b.Config.ZoneTypes)
				compareBoot(t, b, populated(zones))
			}
		})
	}
}

// compareBoot compares booted zones with recorded ones in all but the
// thresholds, which kswapd may have changed.
func compareBoot(t *testing.T, b *Boot, recorded []recordedZone) {
	t.Helper()
	require.Len(t, b.Config.Zones, len(recorded))
	for i := range recorded {
		z, w := &b.Config.Zones[i], &recorded[i]
		name := w.String()
		assert.Equal(t, w.node, z.Node, name)
		assert.Equal(t, w.typ, z.Type, name)
		assert.Equal(t, w.start, int64(z.StartPFN), name)
		assert.Equal(t, w.spanned, int64(z.Spanned), name)
		assert.Equal(t, w.present, int64(z.Present), name)
		assert.Equal(t, w.managed, int64(z.Managed), name)
		assert.Equal(t, w.min, int64(z.Watermark.Min), name)
		assert.Equal(t, w.low, int64(z.Watermark.Low), name)
		assert.Equal(t, w.high, int64(z.Watermark.High), name)
		assert.Equal(t, w.reserve, z.LowmemReserve, name)
		assert.Len(t, w.cpus, b.Config.CPUs, name)
		for _, cpu := range w.cpus {
			assert.Equal(t, cpu.batch, z.PCP.Batch, name)
			assert.Equal(t, cpu.high, z.PCP.High, name)
		}
	}
}

// TestBootLogOfRhcos has the lines of a 4.18 kernel with a map in pieces. Its
// kernel had 1344 pages below 16 MiB reserved when it counted, and gave 1322 of
// them back later; nothing in the log says which.
func TestBootLogOfRhcos(t *testing.T) {
	log, m := readBootLog(t, "x86-rhcos-4.18-sos")
	assert.Equal(t, "4.18.0-80.11.2.el8_0.x86_64", log.Kernel)
	assert.Len(t, log.E820, 15)
	m.ReservedPages = []ZonePages{{0, ZoneDMA, 1344}}
	b, err := m.Boot(bootPolicies()["4.18"])
	require.NoError(t, err)
	assert.Equal(t, uint64(2062239), b.VMTotalPages)
	zones, _ := parseZoneinfo(t, "testdata/zoneinfo/x86-rhcos-4.18-sos.txt")
	for i, w := range populated(zones) {
		z := &b.Config.Zones[i]
		assert.Equal(t, []int64{w.start, w.spanned, w.present}, []int64{int64(z.StartPFN), int64(z.Spanned), int64(z.Present)})
	}
}

// TestE820GivesTheNodeRanges: the firmware's map alone gives the same memory as
// the kernel's own list.
func TestE820GivesTheNodeRanges(t *testing.T) {
	for _, name := range []string{"x86-ubuntu-5.4-sos-kubernetes", "x86-rhcos-4.18-sos", "x86_64-6.1-lockprobe"} {
		log, m := readBootLog(t, name)
		log.Nodes = nil
		bare, err := log.Machine()
		require.NoError(t, err)
		assert.Equal(t, pagesOf(m.Memory, 12), pagesOf(bare.Memory, 12), name)
	}
}

func TestReadBootLog(t *testing.T) {
	log, err := ReadBootLog(strings.NewReader(`<6>[    0.000000] Linux version 6.1.0-9-amd64 (x@y) gcc
<6>[    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable
<6>[    0.000000] BIOS-e820: [mem 0x0000000000100000-0x000000013fffffff] usable
e820: remove [mem 0x100000000-0x10fffffff] usable
[    0.000000] Zone ranges:
[    0.000000]   DMA      [mem 0x0000000000001000-0x0000000000ffffff]
[    0.000000]   DMA32    [mem 0x0000000001000000-0x00000000ffffffff]
[    0.000000]   Normal   [mem 0x0000000100000000-0x000000013fffffff]
[    0.000000]   Device   empty
[    0.000000] Movable zone start for each node
[    0.000000] Built 2 zonelists, mobility grouping off.  Total pages: 7
[    0.000000] Kernel command line: quiet kernelcore=50% movablecore=1g movable_node transparent_hugepage=never maxcpus=1
[    0.000000] SLUB: HWalign=64, Order=0-3, MinObjects=0, CPUs=4, Nodes=1
`))
	require.NoError(t, err)
	assert.Equal(t, 2, log.Zonelists)
	assert.False(t, log.MobilityGrouping)
	m, err := log.Machine()
	require.NoError(t, err)
	assert.Equal(t, Machine{
		Arch: X86_64,
		Memory: []MemRange{
			{PhysRange: PhysRange{0x1000, 0x9fc00}}, {PhysRange: PhysRange{0x100000, 0x100000000}},
			{PhysRange: PhysRange{0x110000000, 0x140000000}},
		},
		CPUs: 1, KernelCore: CoreSize{Percent: 50}, MovableCore: CoreSize{Bytes: 1 << 30}, MovableNode: true,
		ZoneTypes: []ZoneType{ZoneDMA, ZoneDMA32, ZoneNormal, ZoneMovable, ZoneDevice}, THPNever: true,
	}, m)
}

func TestBootLogArch(t *testing.T) {
	for text, want := range map[string]Machine{
		"  node   0: [mem 0x0-0x3fffffff]\nZone ranges:\n  DMA      [mem 0x0-0x2fffffff]\n  Normal   empty\n  HighMem  [mem 0x30000000-0x3fffffff]\n": {Arch: ARM},
		"  node   0: [mem 0x0-0x3fffffff]\nZone ranges:\n  DMA      [mem 0x0-0x1fffffff]\n  DMA32    [mem 0x20000000-0x3fffffff]\n  Normal   empty\n": {Arch: ARM64, DMALimit: 0x20000000},
		"  node   0: [mem 0x0-0x3fffffff]\n": {Arch: ARM64},
		"BIOS-e820: [mem 0x0-0x3fffffff] usable\nZone ranges:\n  DMA      [mem 0x0-0xffffff]\n  Normal   empty\n  HighMem  empty\n": {Arch: X86_32},
	} {
		log, err := ReadBootLog(strings.NewReader(text))
		require.NoError(t, err)
		m, err := log.Machine()
		require.NoError(t, err)
		assert.Equal(t, want.Arch, m.Arch, text)
		assert.Equal(t, want.DMALimit, m.DMALimit, text)
	}
}

func TestReadBootLogErrors(t *testing.T) {
	tests := []struct {
		text     string
		line     int
		expected string
	}{
		{"x\nBIOS-e820: [mem 0x0-0xfff", 2, "[mem 0x<first>-0x<last>]"},
		{"BIOS-e820: [mem 0x1000-0xfff] usable", 1, "[mem 0x<first>-0x<last>]"},
		{"BIOS-e820: [mem 0x0-0xffffffffffffffff] usable", 1, "[mem 0x<first>-0x<last>]"},
		{"  node 1024: [mem 0x0-0xfff]", 1, "node 0 to 1023"},
		{"  node   0: [mem 0x0-0xzz]", 1, "[mem 0x<first>-0x<last>]"},
		{"Zone ranges:\n  DMA33 empty", 2, "a zone name"},
		{"Zone ranges:\n  DMA32 empty\n  DMA empty", 3, "a zone after DMA32"},
		{"Built one zonelists, mobility grouping on.  Total pages: 1", 1, "Built <n> zonelists, mobility grouping on|off.  Total pages: <n>"},
		{"Reserved memory: created CMA memory pool at 0x1000, size 64 GB", 1, "0x<address>, size <n> MiB"},
		{"SLUB: CPUs=0, Nodes=1", 1, "CPUs=1 to 8192"},
		{"\n" + strings.Repeat("x", maxBootLogLine+1), 2, "at most 65536 bytes"},
	}
	for _, test := range tests {
		_, err := ReadBootLog(strings.NewReader(test.text))
		var fault *BootLogError
		if assert.ErrorAs(t, err, &fault, test.text[:min(len(test.text), 60)]) {
			assert.Equal(t, test.line, fault.Line)
			assert.Equal(t, test.expected, fault.Expected)
		}
	}
	log, err := ReadBootLog(strings.NewReader("nothing here\n"))
	require.NoError(t, err)
	_, err = log.Machine()
	assert.ErrorContains(t, err, "no memory")
	log.Nodes = []MemRange{{PhysRange: PhysRange{0, 1 << 30}}}
	log.CommandLine = "kernelcore=many"
	_, err = log.Machine()
	assert.ErrorContains(t, err, "memory size")
}

func FuzzReadBootLog(f *testing.F) {
	for _, name := range []string{"pi3-kmem-pages", "x86-rhcos-4.18-sos"} {
		text, err := os.ReadFile("testdata/bootlog/" + name + ".txt")
		require.NoError(f, err)
		f.Add(string(text))
	}
	f.Add("Zone ranges:\n  DMA32 empty\n  Device empty\nBIOS-e820: [mem 0x0-0xffffff] usable\nKernel command line: kernelcore=1% movablecore=40M")
	f.Fuzz(func(t *testing.T, text string) {
		log, err := ReadBootLog(strings.NewReader(text))
		if err != nil {
			return
		}
		m, err := log.Machine()
		if err != nil {
			return
		}
		b, err := m.Boot(BootPolicy6_1)
		if err != nil {
			return
		}
		if err := checkBoot(&m, b); err != nil {
			t.Fatal(err)
		}
	})
}

func ExampleReadBootLog() {
	log, err := ReadBootLog(strings.NewReader(`
[    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable
[    0.000000] BIOS-e820: [mem 0x0000000000100000-0x000000007ffdbfff] usable
[    0.000000] BIOS-e820: [mem 0x0000000100000000-0x000000017fffffff] usable
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	machine, err := log.Machine()
	if err != nil {
		fmt.Println(err)
		return
	}
	boot, err := machine.Boot(BootPolicy6_1)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, z := range boot.Config.Zones {
		fmt.Printf("%-6v start %7d spanned %7d present %7d min %5d\n", z.Type, z.StartPFN, z.Spanned, z.Present, z.Watermark.Min)
	}
	// Output:
	// DMA    start       1 spanned    4095 present    3998 min    64
	// DMA32  start    4096 spanned 1044480 present  520156 min  8382
	// Normal start 1048576 spanned  524288 present  524288 min  8449
}
