package layout

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Arch is an architecture.
type Arch uint8

// The architectures.
const (
	X86_64 Arch = iota
	ARM64
	X86 // 32 bits
	ARM // 32 bits, ARMv7
)

var archNames = []string{"x86_64", "arm64", "x86", "arm"}

// String is the name as ParseArch takes it.
func (a Arch) String() string {
	if int(a) < len(archNames) {
		return archNames[a]
	}
	return "arch" + strconv.Itoa(int(a))
}

// ParseArch reads an architecture's name; the names of uname -m are known too.
func ParseArch(s string) (Arch, error) {
	switch strings.ToLower(s) {
	case "x86_64", "amd64", "x86-64":
		return X86_64, nil
	case "arm64", "aarch64":
		return ARM64, nil
	case "x86", "i386", "i686", "x86_32":
		return X86, nil
	case "arm", "arm32", "armv7", "armv7l", "aarch32":
		return ARM, nil
	}
	return 0, &ConfigError{Field: "Arch", Value: strconv.Quote(s), Want: strings.Join(archNames, ", ")}
}

// Is64 says whether kernel addresses have 64 bits.
func (a Arch) Is64() bool { return a == X86_64 || a == ARM64 }

// Version is a kernel release whose layout differs.
type Version uint8

// The versions. Releases between two have the older one's layout, or the
// newer's, by architecture; see the package's tests.
const (
	Linux6_1 Version = iota
	Linux5_4
	Linux6_12
)

var versionNames = []string{"6.1", "5.4", "6.12"}

// String is the release.
func (v Version) String() string {
	if int(v) < len(versionNames) {
		return versionNames[v]
	}
	return "version" + strconv.Itoa(int(v))
}

// ParseVersion reads a release that there is a layout for.
func ParseVersion(s string) (Version, error) {
	for i, name := range versionNames {
		if s == name {
			return Version(i), nil
		}
	}
	return 0, &ConfigError{Field: "Kernel", Value: strconv.Quote(s), Want: "5.4, 6.1, 6.12"}
}

// Split is how a 32-bit address space is divided (CONFIG_VMSPLIT_*).
type Split uint8

// The splits, user to kernel. Optimized ones let the kernel map a whole
// gigabyte directly.
const (
	Split3G    Split = iota // 3 GiB to 1 GiB
	Split3GOpt              // 2.75 to 1.25
	Split2G                 // 2 to 2
	Split2GOpt              // 1.875 to 2.125, x86 only
	Split1G                 // 1 to 3
)

var splits = []struct {
	name       string
	pageOffset uint64
}{
	{"3G", 0xc0000000}, {"3G_OPT", 0xb0000000}, {"2G", 0x80000000}, {"2G_OPT", 0x78000000}, {"1G", 0x40000000},
}

// String is the name as in CONFIG_VMSPLIT_*.
func (s Split) String() string {
	if int(s) < len(splits) {
		return splits[s].name
	}
	return "split" + strconv.Itoa(int(s))
}

// ParseSplit reads a split: "3G", or as "3G/1G".
func ParseSplit(s string) (Split, error) {
	name, kernel, both := strings.Cut(strings.ToUpper(s), "/")
	for i, sp := range splits {
		if name != sp.name {
			continue
		}
		if both && kernel != strconv.Itoa(int(4-sp.pageOffset>>30))+"G" {
			break
		}
		return Split(i), nil
	}
	return 0, &ConfigError{Field: "Split", Value: strconv.Quote(s), Want: "3G, 3G_OPT, 2G, 2G_OPT, 1G, or both parts: 3G/1G"}
}

// PhysRange is physical memory from Start to before End, in bytes.
type PhysRange struct{ Start, End uint64 }

// Config is a build, a CPU and a machine. The zero value is x86_64, 6.1, 4
// levels, no memory and no KASLR.
type Config struct {
	Arch   Arch
	Kernel Version
	// VABits are the bits of virtual addresses: x86_64 48 (4 levels, default) or 57 (5);
	// arm64 by page size 36, 39, 42, 47, 48 (default), 52. 32 or 0 else.
	VABits int
	// HardwareVABits is what an arm64 CPU can do where the kernel was built for
	// 52 bits; 0 is 52.
	HardwareVABits int
	PageSize       uint64 // arm64: 4, 16 or 64 KiB; 0 is 4 KiB
	Split          Split  // 32 bits only
	PAE            bool   // 32 bits: 64-bit entries (PAE, LPAE)
	NoHighmem      bool   // 32 bits: CONFIG_HIGHMEM is off
	KASAN          bool   // generic KASAN, which turns off the randomization of x86_64's regions; 64 bits only
	NoRelocation   bool   // x86_64: CONFIG_RANDOMIZE_BASE is off: a smaller image area, more modules

	// Memory is the machine's physical memory, rising and apart.
	Memory []PhysRange
	// PhysBits are the CPU's physical address bits, which arm64's KASLR needs
	// and x86_64's conversions check; 0 is 52, 48, 32.
	PhysBits int
	// MemMap is where the array of struct page starts on 32 bits, in low
	// memory; 0 is not known.
	MemMap uint64
	// VmallocReserve is what vmalloc= gives 32-bit kernels, in bytes; 0 is 128 MiB (x86), 240 MiB (arm).
	VmallocReserve uint64
	// FixmapPages is the size of the fixmap in pages, which depends on the build; 0
	// is 646 on x86_64, 1,031 on arm64 with 4 KiB pages, 1,537 on x86 with those of the boot. CPUEntryPages is
	// x86's CPU entry area; 0 is 1,377, for 32 CPUs.
	FixmapPages, CPUEntryPages uint64

	// KASLR are the kernel's random draws; nil is nokaslr.
	KASLR *KASLR
}

// ConfigError is a part of a Config that no kernel can have.
type ConfigError struct {
	Field, Value, Want string
}

// Error names the field, what it is, and what it may be.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("layout: %s is %s: want %s", e.Field, e.Value, e.Want)
}

func (c *Config) bad(field string, value any, want string) error {
	return &ConfigError{Field: field, Value: fmt.Sprint(value), Want: want}
}

// vaBits has the choices of arm64's page sizes; the last one of 4 and 16 KiB is from 6.12 on.
var vaBits = map[uint64][]int{4 << 10: {39, 48, 52}, 16 << 10: {36, 47, 48, 52}, 64 << 10: {42, 48, 52}}

// complete checks a configuration and fills in what was left 0.
func (c *Config) complete() error {
	if int(c.Arch) >= len(archNames) {
		return c.bad("Arch", c.Arch, strings.Join(archNames, ", "))
	}
	if int(c.Kernel) >= len(versionNames) {
		return c.bad("Kernel", c.Kernel, "5.4, 6.1, 6.12")
	}
	if c.PageSize == 0 {
		c.PageSize = 4 << 10
	}
	if c.PageSize != 4<<10 && (c.Arch != ARM64 || vaBits[c.PageSize] == nil) {
		return c.bad("PageSize", c.PageSize, "4096; on arm64 also 16384 and 65536")
	}
	if err := c.completeBits(); err != nil {
		return err
	}
	if c.KASAN && !c.Arch.Is64() {
		return c.bad("KASAN", c.KASAN, "false: 32-bit shadows are not modelled")
	}
	if int(c.Split) >= len(splits) || (c.Arch.Is64() && c.Split != 0) || (c.Arch == ARM && c.Split == Split2GOpt) ||
		(c.Arch == X86 && c.PAE && (c.Split == Split3GOpt || c.Split == Split2GOpt)) {
		return c.bad("Split", c.Split, "one that this 32-bit build offers")
	}
	if c.PAE && c.Arch.Is64() {
		return c.bad("PAE", c.PAE, "false with 64 bits")
	}
	if c.NoHighmem && c.Arch.Is64() {
		return c.bad("NoHighmem", c.NoHighmem, "false with 64 bits")
	}
	if most := uint64(1)<<30 - 256<<20; c.VmallocReserve > most || c.VmallocReserve%c.PageSize != 0 {
		return c.bad("VmallocReserve", c.VmallocReserve, "whole pages, at most 768 MiB")
	}
	return c.completeMemory()
}

func (c *Config) completeBits() error {
	switch c.Arch {
	case X86_64:
		if c.VABits == 0 {
			c.VABits = 48
		}
		if c.VABits != 48 && c.VABits != 57 {
			return c.bad("VABits", c.VABits, "48 (4 levels) or 57 (5 levels)")
		}
		if c.PhysBits == 0 {
			c.PhysBits = 46
			if c.VABits == 57 {
				c.PhysBits = 52
			}
		}
		if c.FixmapPages == 0 {
			c.FixmapPages = 646
		}
	case ARM64:
		if c.VABits == 0 {
			c.VABits = 48
		}
		ok := false
		for _, b := range vaBits[c.PageSize] {
			ok = ok || b == c.VABits
		}
		if !ok || (c.VABits == 52 && c.PageSize != 64<<10 && c.Kernel != Linux6_12) {
			return c.bad("VABits", c.VABits, "39, 48 (4 KiB pages), 36, 47, 48 (16 KiB), 42, 48, 52 (64 KiB); 52 with the others from 6.12")
		}
		if c.PhysBits == 0 {
			c.PhysBits = 48
		}
		if c.FixmapPages == 0 {
			c.FixmapPages = 4<<20/c.PageSize + 7
		}
	default:
		if c.VABits == 0 {
			c.VABits = 32
		}
		if c.VABits != 32 {
			return c.bad("VABits", c.VABits, "32")
		}
		if c.PhysBits == 0 {
			c.PhysBits = 32
			if c.PAE {
				c.PhysBits = 36
			}
		}
		if c.Arch == X86 && c.FixmapPages == 0 {
			c.FixmapPages = 1537
		}
		if c.CPUEntryPages == 0 {
			c.CPUEntryPages = 1377
		}
		if c.FixmapPages > 1<<12 || c.CPUEntryPages > 1<<14 {
			return c.bad("FixmapPages, CPUEntryPages", c.FixmapPages, "at most 4096 and 16384")
		}
	}
	if c.FixmapPages > 2048 && c.Arch.Is64() {
		return c.bad("FixmapPages", c.FixmapPages, "at most 2048")
	}
	if c.PhysBits < 30 || c.PhysBits > 52 {
		return c.bad("PhysBits", c.PhysBits, "30 to 52")
	}
	if c.HardwareVABits == 0 {
		c.HardwareVABits = c.VABits
	}
	least := c.VABits
	if c.Arch == ARM64 {
		least = c.vaBitsMin()
	}
	if c.HardwareVABits != c.VABits && c.HardwareVABits != least {
		return c.bad("HardwareVABits", c.HardwareVABits, "the kernel's, or what a kernel with 52 falls back to")
	}
	return nil
}

// vaBitsMin is VA_BITS_MIN: what an arm64 kernel for 52 bits can fall back to.
func (c *Config) vaBitsMin() int {
	switch {
	case c.VABits <= 48:
		return c.VABits
	case c.PageSize == 16<<10:
		return 47
	}
	return 48
}

func (c *Config) completeMemory() error {
	last := uint64(0)
	for i, r := range c.Memory {
		if r.End <= r.Start || (i > 0 && r.Start < last) || bits.Len64(r.End-1) > c.PhysBits {
			return c.bad("Memory", fmt.Sprintf("%#x-%#x", r.Start, r.End), "rising ranges within the CPU's physical addresses")
		}
		last = r.End
	}
	return nil
}

// memStart and memEnd bound the memory.
func (c *Config) memStart() uint64 {
	if len(c.Memory) == 0 {
		return 0
	}
	return c.Memory[0].Start
}

func (c *Config) memEnd() uint64 {
	if len(c.Memory) == 0 {
		return 0
	}
	return c.Memory[len(c.Memory)-1].End
}

// vmallocReserve is what vmalloc has at least, with the hole before it. On x86 a
// size that was asked for is for vmalloc alone, the default one for both.
func (c *Config) vmallocReserve() uint64 {
	const hole = 8 << 20
	switch {
	case c.VmallocReserve != 0:
		return c.VmallocReserve + hole
	case c.Arch == ARM:
		return 240<<20 + hole
	}
	return 128 << 20
}

func (c *Config) pageShift() uint { return uint(bits.TrailingZeros64(c.PageSize)) }
