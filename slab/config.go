package slab

import (
	"errors"
	"fmt"

	"github.com/kernsim/kernsim/buddy"
)

// Arch is a processor architecture as far as it decides about object layouts.
type Arch uint8

// Architectures.
const (
	// X86_64: 8-byte words, kmalloc from 8 bytes on.
	X86_64 Arch = iota
	// ARM64: 8-byte words; kmalloc from 128 bytes on, because DMA needs it
	// (until 6.5; later kernels go down to 8 where devices allow it).
	ARM64
	// ARM: 4-byte words; kmalloc from 64 bytes on.
	ARM
)

var archNames = [...]string{"x86_64", "arm64", "arm"}

// String gives the kernel's name of the architecture.
func (a Arch) String() string {
	if int(a) < len(archNames) {
		return archNames[a]
	}
	return fmt.Sprintf("Arch(%d)", uint8(a))
}

// Config describes a kernel's configuration and machine to the slab allocator.
// [NewConfig] gives an architecture's usual one.
type Config struct {
	// Profile is the kernel version.
	Profile Profile

	// PageShift is the base-2 logarithm of the page size: 12, 14 or 16.
	PageShift int
	// WordSize is sizeof(void *) in bytes, 8 or 4.
	WordSize uint32
	// CacheLine is cache_line_size() in bytes.
	CacheLine uint32
	// SlabMinAlign is arch_slab_minalign() in bytes.
	SlabMinAlign uint32
	// KmallocMinAlign is ARCH_KMALLOC_MINALIGN, KmallocMinSize
	// KMALLOC_MIN_SIZE, the smallest kmalloc cache, in bytes.
	KmallocMinAlign, KmallocMinSize uint32
	// MaxPageOrder is the order of the largest block of pages (10 on x86_64):
	// MAX_ORDER-1 before 6.4, MAX_PAGE_ORDER since 6.8. It bounds slabs and
	// kmalloc.
	MaxPageOrder int
	// PageOffset is the address of page frame 0 in the direct map.
	PageOffset uint64

	// CPUsPossible is nr_cpu_ids: one more than the highest CPU number that
	// could exist. CPUsPresent is how many there are.
	CPUsPossible, CPUsPresent int
	// CPUNode is the NUMA node of each CPU; empty puts all on node 0.
	CPUNode []buddy.NodeID
	// Nodes is the number of NUMA nodes with memory, at least 1.
	Nodes int

	// MinOrder and MaxOrder are the boot options slab_min_order and
	// slab_max_order; MinObjects is slab_min_objects, 0 to compute it.
	MinOrder, MaxOrder, MinObjects uint32
	// NoMerge is the boot option slab_nomerge.
	NoMerge bool
	// Debug is what the boot option slub_debug= says.
	Debug DebugOption

	// CmpxchgDouble says whether the machine has a double-word
	// compare-and-exchange (it only shows as a cache flag).
	CmpxchgDouble bool
	// CPUPartial is CONFIG_SLUB_CPU_PARTIAL.
	CPUPartial bool
	// FreelistRandom is CONFIG_SLAB_FREELIST_RANDOM: new slabs' free lists are
	// shuffled. FreelistHardened is CONFIG_SLAB_FREELIST_HARDENED: free
	// pointers are obfuscated.
	FreelistRandom, FreelistHardened bool
	// ZoneDMA is CONFIG_ZONE_DMA; Memcg CONFIG_MEMCG_KMEM. MemcgDisabled is the
	// boot option cgroup.memory=nokmem.
	ZoneDMA, Memcg, MemcgDisabled bool
	// InitOnAlloc and InitOnFree are the boot options init_on_alloc=1 and
	// init_on_free=1: objects are zeroed.
	InitOnAlloc, InitOnFree bool
	// Contents gives all objects bytes, so that they can be read and written.
	// Without it only objects of debugged caches have them.
	Contents bool

	// Random is where random draws come from; nil is a [SeededRandom] of seed 0.
	Random Random
}

// NewConfig gives the usual configuration of a distribution kernel on an
// architecture with so many CPUs, 4 KiB pages and one node.
func NewConfig(p Profile, a Arch, cpus int) Config {
	c := Config{
		Profile: p, PageShift: 12, WordSize: 8, CacheLine: 64, SlabMinAlign: 8, KmallocMinAlign: 8, KmallocMinSize: 8,
		MaxPageOrder: 10, PageOffset: 0xffff888000000000,
		CPUsPossible: cpus, CPUsPresent: cpus, Nodes: 1, MaxOrder: 3,
		CmpxchgDouble: true, CPUPartial: true, FreelistRandom: true, FreelistHardened: true, ZoneDMA: true,
		Memcg: p.KmallocCgroup,
	}
	switch a {
	case ARM64:
		c.KmallocMinAlign, c.KmallocMinSize, c.PageOffset = 128, 128, 0xffff000000000000
	case ARM:
		c.WordSize, c.SlabMinAlign, c.KmallocMinAlign, c.KmallocMinSize = 4, 8, 64, 64
		c.PageOffset, c.CmpxchgDouble = 0xc0000000, false
	}
	return c
}

// ConfigError is one fault of a Config.
type ConfigError struct {
	// Field is the faulty field; Found its value, Expected what it should be.
	Field, Found, Expected string
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("slab: config: %s is %s, expected %s", e.Field, e.Found, e.Expected)
}

// Limits of a Config, which keep indexes and products of sizes in range.
const (
	maxCPUs  = 1 << 13
	maxNodes = 1 << 10
)

// Validate reports all faults at once: the error unwraps to *ConfigErrors.
func (c *Config) Validate() error {
	var faults []error
	check := func(ok bool, field string, found any, expected string) {
		if !ok {
			faults = append(faults, &ConfigError{field, fmt.Sprint(found), expected})
		}
	}
	check(c.PageShift >= 12 && c.PageShift <= 16, "PageShift", c.PageShift, "12 to 16")
	check(c.WordSize == 4 || c.WordSize == 8, "WordSize", c.WordSize, "4 or 8")
	check(powerOfTwo(c.CacheLine) && c.CacheLine <= 4096, "CacheLine", c.CacheLine, "a power of two up to 4096")
	check(powerOfTwo(c.SlabMinAlign) && c.SlabMinAlign <= 4096, "SlabMinAlign", c.SlabMinAlign, "a power of two up to 4096")
	check(powerOfTwo(c.KmallocMinAlign) && c.KmallocMinAlign <= 256, "KmallocMinAlign", c.KmallocMinAlign, "a power of two up to 256")
	check(powerOfTwo(c.KmallocMinSize) && c.KmallocMinSize >= 8 && c.KmallocMinSize <= 256, "KmallocMinSize", c.KmallocMinSize, "a power of two from 8 to 256")
	check(c.MaxPageOrder >= 1 && c.MaxPageOrder < buddy.MaxOrders, "MaxPageOrder", c.MaxPageOrder, fmt.Sprintf("1 to %d", buddy.MaxOrders-1))
	check(c.PageOffset&(1<<max(c.PageShift, 0)-1) == 0, "PageOffset", fmt.Sprintf("%#x", c.PageOffset), "a multiple of the page size")
	check(c.CPUsPossible >= 1 && c.CPUsPossible <= maxCPUs, "CPUsPossible", c.CPUsPossible, fmt.Sprintf("1 to %d", maxCPUs))
	check(c.CPUsPresent >= 1 && c.CPUsPresent <= c.CPUsPossible, "CPUsPresent", c.CPUsPresent, "1 to CPUsPossible")
	check(c.Nodes >= 1 && c.Nodes <= maxNodes, "Nodes", c.Nodes, fmt.Sprintf("1 to %d", maxNodes))
	check(len(c.CPUNode) == 0 || len(c.CPUNode) == c.CPUsPossible, "CPUNode", len(c.CPUNode), "no entry, or one for each possible CPU")
	for i, n := range c.CPUNode {
		check(n >= 0 && int(n) < c.Nodes, fmt.Sprintf("CPUNode[%d]", i), n, "a node")
	}
	check(int(c.MaxOrder) <= c.MaxPageOrder, "MaxOrder", c.MaxOrder, "at most MaxPageOrder")
	check(c.MinOrder <= c.MaxOrder, "MinOrder", c.MinOrder, "at most MaxOrder")
	check(c.MinObjects <= maxObjectsPerSlab, "MinObjects", c.MinObjects, fmt.Sprintf("at most %d", maxObjectsPerSlab))
	return errors.Join(faults...)
}

func powerOfTwo(n uint32) bool { return n != 0 && n&(n-1) == 0 }

// pageSize is in bytes.
func (c *Config) pageSize() uint32 { return 1 << c.PageShift }

// kmallocMaxSize is KMALLOC_MAX_SIZE in bytes: the largest block of pages.
func (c *Config) kmallocMaxSize() uint64 { return 1 << (c.PageShift + c.MaxPageOrder) }

// kmallocMaxCacheSize is KMALLOC_MAX_CACHE_SIZE: the largest size that has a
// cache, two pages.
func (c *Config) kmallocMaxCacheSize() uint32 { return 2 << c.PageShift }

// order is get_order: the smallest order whose block holds size bytes. Size 0
// gives the order of the whole address space less a page.
func (c *Config) order(size uint64) int {
	if size == 0 {
		return int(c.WordSize)*8 - c.PageShift
	}
	pages := (size - 1) >> c.PageShift
	n := 0
	for ; pages > 0; pages >>= 1 {
		n++
	}
	return n
}

// trackBytes is sizeof(struct track): who allocated or freed an object.
func (c *Config) trackBytes() uint32 {
	words := uint32(2) // address and time
	if !c.Profile.TrackStack {
		words += trackAddrs
	}
	bytes := words*c.WordSize + 8 // CPU and process id
	if c.Profile.TrackStack {
		bytes += 4
	}
	return alignUp(bytes, c.WordSize)
}

// trackAddrs is TRACK_ADDRS_COUNT.
const trackAddrs = 16

// origSizeBytes is the room for the size that was asked for.
func (c *Config) origSizeBytes() uint32 {
	if c.Profile.OrigSizeBytes < 0 {
		return c.WordSize
	}
	return uint32(c.Profile.OrigSizeBytes)
}

func alignUp(n, align uint32) uint32   { return (n + align - 1) &^ (align - 1) }
func alignDown(n, align uint32) uint32 { return n &^ (align - 1) }
