package layout

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func readLines(t *testing.T, name string) []string {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	require.NoError(t, err)
	defer f.Close()
	var out []string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if line := sc.Text(); !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

func hexOf(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 16, 64)
	require.NoError(t, err, s)
	return n
}

// boot is one kernel of testdata/boots.txt.
type boot struct {
	name             string
	bits, physBits   int
	seed             uint32
	kaslr, pae       bool
	vmalloc          uint64
	ram              []PhysRange
	image, text, end uint64
	ranges           [][3]uint64
}

func readBoots(t *testing.T) []*boot {
	t.Helper()
	var all []*boot
	for _, line := range readLines(t, "boots.txt") {
		f := strings.Fields(line)
		if f[0] == "boot" {
			b := &boot{name: f[1]}
			for _, kv := range f[2:] {
				k, v, _ := strings.Cut(kv, "=")
				switch k {
				case "bits":
					b.bits, _ = strconv.Atoi(v)
				case "physbits":
					b.physBits, _ = strconv.Atoi(v)
				case "pae":
					b.pae = true
				case "vmalloc":
					b.vmalloc = hexOf(t, v)
				case "seed":
					b.seed, b.kaslr = uint32(hexOf(t, v)), true
				}
			}
			all = append(all, b)
			continue
		}
		b := all[len(all)-1]
		n := make([]uint64, 3)
		for i, s := range f[1:] {
			n[i] = hexOf(t, s)
		}
		switch f[0] {
		case "ram":
			b.ram = append(b.ram, PhysRange{n[0], n[1] + 1})
		case "image":
			b.image = n[0]
		case "text":
			b.text = n[0]
		case "end":
			b.end = n[0]
		case "range":
			b.ranges = append(b.ranges, [3]uint64(n))
		}
	}
	require.Len(t, all, 12)
	return all
}

// layoutOf lays out a boot's kernel from what KASLR drew, no base is given.
func (b *boot) layoutOf(t *testing.T) *Layout {
	t.Helper()
	c := Config{VABits: b.bits, PhysBits: b.physBits, Memory: b.ram}
	if b.bits == 32 {
		c = Config{Arch: X86, PAE: b.pae, VmallocReserve: b.vmalloc, Memory: b.ram}
	}
	if b.kaslr {
		size := b.end - b.text
		c.KASLR = &KASLR{Memory: MemoryState(b.seed), ImageSize: size, ImagePhys: b.image, Image: (b.text - 0xffffffff81000000) / (2 << 20)}
	}
	l, err := New(c)
	require.NoError(t, err)
	require.NoError(t, l.Check())
	return l
}

// The ranges of /proc/kcore are the direct map and its vmemmap piece by piece,
// vmalloc, modules and image: every one has to be where the model says.
func TestBootsAreEqual(t *testing.T) {
	checked := 0
	for _, b := range readBoots(t) {
		l := b.layoutOf(t)
		assert.Equal(t, b.text, l.Image(), b.name)
		if b.bits == 32 {
			checked += checkRanges32(t, b, l)
			continue
		}
		for _, r := range b.ranges {
			start, size, phys := r[0], r[1], r[2]
			region, ok := l.Find(start)
			require.True(t, ok)
			last, _ := l.Find(start + size - 1)
			msg := fmt.Sprintf("%s: %x", b.name, start)
			assert.Equal(t, region, last, msg)
			checked++
			switch region.Kind {
			case Vmalloc:
				// VMALLOC_END is the last byte, and the file counts up to it.
				assert.Equal(t, region, Region{Vmalloc, start, start + size}, msg)
			case Modules:
				assert.Equal(t, region, Region{Modules, start, start + size - 1}, msg)
			case KernelImage:
				got, err := l.ImageToPhys(start)
				assert.NoError(t, err, msg)
				assert.Equal(t, phys, got, msg)
			case DirectMap:
				got, err := l.VirtToPhys(start)
				assert.NoError(t, err, msg)
				assert.Equal(t, phys, got, msg)
				back, err := l.PhysToVirt(phys + size - 1)
				assert.NoError(t, err, msg)
				assert.Equal(t, start+size-1, back, msg)
			case Vmemmap:
				pfn, err := l.PageToPFN(start)
				assert.NoError(t, err, msg)
				page, err := l.PFNToPage(pfn)
				assert.NoError(t, err, msg)
				assert.Equal(t, start, page, msg)
			default:
				assert.Fail(t, "unexpected region", "%s %v", msg, region.Kind)
			}
		}
	}
	assert.Equal(t, 63, checked)
}

// checkRanges32 compares a 32-bit kernel's two ranges, vmalloc and low memory.
func checkRanges32(t *testing.T, b *boot, l *Layout) int {
	for i, kind := range []Kind{Vmalloc, DirectMap} {
		r, ok := l.Region(kind)
		require.True(t, ok)
		assert.Equal(t, fmt.Sprintf("%x+%x", b.ranges[i][0], b.ranges[i][1]), fmt.Sprintf("%x+%x", r.Start, r.Size()), "%s: %v", b.name, kind)
	}
	require.Len(t, b.ranges, 2)
	return 2
}

// With any other state of the generator no base but by chance is right.
func TestOtherSeedsAreDifferent(t *testing.T) {
	for _, b := range readBoots(t) {
		if !b.kaslr {
			continue
		}
		right := b.layoutOf(t)
		other := *b
		other.seed += 2 // the lowest bit has no effect: the least state is 2
		require.NotEqual(t, right.PageOffset(), other.layoutOf(t).PageOffset(), b.name)
		other.seed = b.seed ^ 1
		require.Equal(t, right.Regions(), other.layoutOf(t).Regions(), b.name)
	}
}

// Tables of the kernel's documents (Documentation/arch): facts of the fixed layouts.
func TestDocumentedRegions(t *testing.T) {
	ram := []PhysRange{{0, 2 << 30}}
	for _, c := range []struct {
		c    Config
		want map[Kind][2]uint64 // first and last
	}{
		{Config{}, map[Kind][2]uint64{
			User: {0, 0x00007fffffffffff}, Guard: {0xffff800000000000, 0xffff87ffffffffff}, LDT: {0xffff880000000000, 0xffff887fffffffff},
			DirectMap: {0xffff888000000000, 0xffffc87fffffffff}, Vmalloc: {0xffffc90000000000, 0xffffe8ffffffffff},
			Vmemmap: {0xffffea0000000000, 0xffffeaffffffffff}, CPUEntry: {0xfffffe0000000000, 0xfffffe7fffffffff},
			ESPFix: {0xffffff0000000000, 0xffffff7fffffffff}, EFI: {0xffffffef00000000, 0xfffffffeffffffff},
		}},
		{Config{NoRelocation: true, KASAN: true}, map[Kind][2]uint64{
			KernelImage: {0xffffffff80000000, 0xffffffff9fffffff}, Modules: {0xffffffffa0000000, 0xfffffffffeffffff},
			KASANShadow: {0xffffec0000000000, 0xfffffbffffffffff},
		}},
		{Config{VABits: 57}, map[Kind][2]uint64{
			User: {0, 0x00ffffffffffffff}, Guard: {0xff00000000000000, 0xff0fffffffffffff}, LDT: {0xff10000000000000, 0xff10ffffffffffff},
			DirectMap: {0xff11000000000000, 0xff90ffffffffffff}, Vmalloc: {0xffa0000000000000, 0xffd1ffffffffffff},
			Vmemmap: {0xffd4000000000000, 0xffd5ffffffffffff},
		}},
		{Config{Arch: ARM64, Memory: ram}, map[Kind][2]uint64{
			User: {0, 0x0000ffffffffffff}, DirectMap: {0xffff000000000000, 0xffff7fffffffffff}, Modules: {0xffff800000000000, 0xffff800007ffffff},
			Vmalloc: {0xffff800008000000, 0xfffffbffefffffff}, Vmemmap: {0xfffffc0000000000, 0xfffffdffffffffff}, PCIIO: {0xfffffbfffe800000, 0xfffffbffff7fffff},
		}},
		{Config{Arch: ARM64, PageSize: 64 << 10, VABits: 52, HardwareVABits: 48}, map[Kind][2]uint64{
			User: {0, 0x0000ffffffffffff}, DirectMap: {0xffff000000000000, 0xffff7fffffffffff}, Modules: {0xffff800000000000, 0xffff800007ffffff},
			Vmalloc: {0xffff800008000000, 0xfffffbffefffffff}, Vmemmap: {0xfffffc0000000000, 0xffffffdfffffffff},
		}},
		{Config{Arch: ARM64, Kernel: Linux6_12}, map[Kind][2]uint64{
			Modules: {0xffff800000000000, 0xffff80007fffffff}, Vmalloc: {0xffff800080000000, 0xfffffdffbf7fffff},
			Vmemmap: {0xfffffdffc0000000, 0xffffffffbfffffff}, PCIIO: {0xffffffffc0800000, 0xffffffffc17fffff},
		}},
		{Config{Arch: ARM64, Kernel: Linux5_4}, map[Kind][2]uint64{
			BPFJIT: {0xffff800000000000, 0xffff800007ffffff}, Modules: {0xffff800008000000, 0xffff80000fffffff}, Vmalloc: {0xffff800010000000, 0xfffffdffbffeffff},
			Vmemmap: {0xfffffdffffe00000, 0xffffffffffdfffff}, PCIIO: {0xfffffdfffec00000, 0xfffffdffffbfffff},
		}},
		{Config{Arch: ARM64, KASAN: true}, map[Kind][2]uint64{
			DirectMap: {0xffff000000000000, 0xffff5fffffffffff}, KASANShadow: {0xffff600000000000, 0xffff7fffffffffff}, Modules: {0xffff800000000000, 0xffff800007ffffff},
		}},
		{Config{Arch: ARM, Memory: []PhysRange{{0, 2 << 30}}}, map[Kind][2]uint64{
			// 760 MiB of low memory with the default 240 MiB of vmalloc.
			User: {0, 0xbeffffff}, DirectMap: {0xc0000000, 0xefffffff}, Vmalloc: {0xf0800000, 0xff7fffff},
			Fixmap: {0xffc80000, 0xffefffff}, FDT: {0xff800000, 0xff9fffff}, Vectors: {0xffff0000, 0xffff0fff},
		}},
	} {
		l, err := New(c.c)
		require.NoError(t, err)
		require.NoError(t, l.Check())
		for kind := range Vectors + 1 {
			want, ok := c.want[kind]
			if !ok {
				continue
			}
			got, found := l.Region(kind)
			assert.True(t, found, kind.String())
			assert.Equal(t, fmt.Sprintf("%x-%x", want[0], want[1]), fmt.Sprintf("%x-%x", got.Start, got.Last), "%s: %v", l.Title(), kind)
		}
	}
}

// The machines of the book (Linux Kernel Programming), as its tools printed them.
func TestBookMachines(t *testing.T) {
	layouts := map[string]Config{
		// Their kernels gave the direct map room for memory and 10 TiB only. For the
		// seeds the same holds as for those of the boots, but two bases are known and so some are right by chance.
		"1e_2020_kernel_seg_x86_64.png": {FixmapPages: 648, Memory: []PhysRange{{0, 0x442800000}}, KASLR: &KASLR{NoZoneDevice: true, Memory: MemoryState(0xe8c7c510)}},
		"2e_procmap_x86_64":             {Memory: []PhysRange{{0, 33278820352}}, KASLR: &KASLR{NoZoneDevice: true, Memory: MemoryState(0x07e5b92e)}},
		"2e_procmap_aarch64-rpi4":       {Arch: ARM64, VABits: 39, Memory: []PhysRange{{0, 1939042304}}},
		// The second BeagleBone line prints the memory that is free to use; low memory ends, as
		// vmalloc's start tells, in the last 8 MiB below 512 MiB.
		"1e_2020_kernel_seg_bbb_arm32.png": {Arch: ARM, Kernel: Linux5_4, Memory: []PhysRange{{0x80000000, 0x9fe00000}}},
		"2e_procmap_aarch32-bbb":           {Arch: ARM, Kernel: Linux5_4, Memory: []PhysRange{{0x80000000, 0x9fe00000}}},
	}
	kinds := map[string]Kind{"fixmap": Fixmap, "module": Modules, "vmalloc": Vmalloc, "lowmem": DirectMap, "vector": Vectors, "highmem(pkmap)": Pkmap}
	exact := 0
	for _, line := range readLines(t, "regions_transcribed.csv") {
		f := strings.Split(line, ",")
		c, known := layouts[f[0]]
		kind, ok := kinds[f[2]]
		if !known || (!ok && f[2] != "TASK_SIZE" && f[2] != "kernel VAS start") {
			continue
		}
		start, end := hexOf(t, f[3]), hexOf(t, f[4])
		l, err := New(c)
		require.NoError(t, err)
		switch {
		case f[2] == "TASK_SIZE":
			assert.Equal(t, end, l.TaskSize(), line)
		case f[2] == "kernel VAS start":
			r, ok := l.Find(start)
			assert.True(t, ok && r.Start == start && r.Kind == Guard, line)
		case kind == DirectMap && c.Arch == X86_64:
			first, last, _ := l.MappedDirect()
			assert.Equal(t, start, first, line)
			assert.Equal(t, end, last+1, line)
		case kind == Vmalloc && c.Arch == X86_64:
			// The tools print VMALLOC_END, which is the last byte here.
			r, _ := l.Region(kind)
			assert.Equal(t, fmt.Sprintf("%x-%x", start, end), fmt.Sprintf("%x-%x", r.Start, r.Last), line)
		case kind == DirectMap:
			r, _ := l.Region(kind)
			assert.Equal(t, start, r.Start, line)
			if f[0] == "2e_procmap_aarch64-rpi4" {
				_, last, _ := l.MappedDirect()
				assert.Equal(t, end, last+1, line)
			} else {
				assert.LessOrEqual(t, end, r.Last+1, line)
			}
		default:
			r, _ := l.Region(kind)
			assert.Equal(t, fmt.Sprintf("%x-%x", start, end), fmt.Sprintf("%x-%x", r.Start, r.Last+1), line)
		}
		exact++
	}
	assert.Equal(t, 27, exact)
}

func TestConfigRefuses(t *testing.T) {
	for _, c := range []Config{
		{Arch: 9}, {Kernel: 9}, {VABits: 47}, {PageSize: 16 << 10}, {Arch: ARM64, PageSize: 8192}, {Arch: ARM64, VABits: 52},
		{Arch: ARM64, VABits: 39, PageSize: 64 << 10}, {Split: Split2G}, {Arch: ARM, Split: Split2GOpt}, {Arch: X86, PAE: true, Split: Split3GOpt},
		{Arch: X86, KASAN: true}, {Arch: ARM, KASLR: &KASLR{}}, {Arch: X86, KASLR: &KASLR{}}, {PAE: true}, {NoHighmem: true}, {Arch: X86, VABits: 48},
		{Memory: []PhysRange{{5, 5}}}, {Memory: []PhysRange{{4096, 8192}, {0, 4096}}}, {Memory: []PhysRange{{0, 1 << 60}}}, {PhysBits: 60},
		{Arch: X86, VmallocReserve: 1 << 30}, {HardwareVABits: 39}, {FixmapPages: 1 << 20}, {Arch: X86, FixmapPages: 1 << 20},
		{NoRelocation: true, KASLR: &KASLR{}}, {KASLR: &KASLR{ImageAlign: 3}}, {KASLR: &KASLR{ImageSize: 1 << 40}},
		{Arch: ARM64, VABits: 36, PageSize: 16 << 10, Memory: []PhysRange{{0, 64 << 30}}}, {Arch: X86, Split: 77},
	} {
		_, err := New(c)
		var bad *ConfigError
		assert.ErrorAs(t, err, &bad, "%+v", c)
	}
}

func TestParse(t *testing.T) {
	for _, a := range []Arch{X86_64, ARM64, X86, ARM} {
		got, err := ParseArch(a.String())
		assert.NoError(t, err)
		assert.Equal(t, a, got)
	}
	for _, v := range []Version{Linux5_4, Linux6_1, Linux6_12} {
		got, err := ParseVersion(v.String())
		assert.NoError(t, err)
		assert.Equal(t, v, got)
	}
	for s, want := range map[string]Split{"3g": Split3G, "3G/1G": Split3G, "2G/2G": Split2G, "1G/3G": Split1G, "3G_OPT": Split3GOpt, "2G_OPT": Split2GOpt} {
		got, err := ParseSplit(s)
		assert.NoError(t, err, s)
		assert.Equal(t, want, got, s)
	}
	for _, s := range []string{"", "3G/2G", "4G"} {
		_, err := ParseSplit(s)
		assert.Error(t, err, s)
	}
	for _, p := range []Program{Exec, PIE, StaticPIE} {
		got, err := ParseProgram(p.String())
		assert.NoError(t, err)
		assert.Equal(t, p, got)
	}
	_, err := ParseArch("vax")
	assert.Error(t, err)
}

// arm64's draws and sections, worked out by hand from the rules.
func TestARM64ByHand(t *testing.T) {
	at := func(c Config) *Layout {
		c.Arch = ARM64
		l, err := New(c)
		require.NoError(t, err)
		return l
	}
	virt := func(l *Layout, phys uint64) uint64 {
		v, err := l.PhysToVirt(phys)
		require.NoError(t, err)
		return v - l.PageOffset()
	}
	ram := []PhysRange{{0x60000000, 0x61000000}}
	assert.Equal(t, uint64(0x20000000), virt(at(Config{Memory: ram}), 0x60000000), "the start is rounded to 1 GiB")
	big := at(Config{Memory: ram, PageSize: 64 << 10})
	assert.Equal(t, uint64(0), virt(big, 0x60000000), "or to 512 MiB")
	assert.True(t, big.PFNValid(0x7fff0000>>16), "sections have 512 MiB")
	assert.False(t, big.PFNValid(0x80000000>>16))
	old := at(Config{Memory: ram, Kernel: Linux5_4})
	assert.True(t, old.PFNValid(0x60fff))
	assert.False(t, old.PFNValid(0x61000), "5.4 looks at each page")

	zero := []PhysRange{{0, 1 << 30}}
	l := at(Config{Memory: zero, PhysBits: 40, KASLR: &KASLR{Seed: 0x123456789abc}})
	assert.Equal(t, uint64(0xffffb2345e600000), l.Image())
	assert.Equal(t, uint64(78605)<<30, virt(l, 0), "room for 130048 steps, 0x9abc of 0x10000 of them")
	l = at(Config{Memory: zero, Kernel: Linux6_12, KASLR: &KASLR{Seed: 1 << 63}})
	assert.Equal(t, uint64(0xffffbf001fc00000), l.Image())
	// A CPU with 48 bits under a kernel for 52 has its memory in the upper part.
	l = at(Config{Memory: zero, VABits: 52, PageSize: 64 << 10, HardwareVABits: 48})
	v, err := l.PhysToVirt(0)
	require.NoError(t, err)
	assert.Equal(t, uint64(0xffff000000000000), v)
	page, err := l.PFNToPage(0)
	require.NoError(t, err)
	region, _ := l.Find(page)
	assert.Equal(t, Vmemmap, region.Kind)
}
