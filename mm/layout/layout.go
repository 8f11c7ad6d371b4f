package layout

import (
	"cmp"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Kind is what a region is for.
type Kind uint8

// The kinds.
const (
	Hole Kind = iota // nothing is mapped here
	User
	NonCanonical // no address of the CPU
	Guard        // for a hypervisor
	LDT          // remap for page table isolation
	DirectMap    // all memory (64 bits), low memory (32 bits)
	Vmalloc
	Vmemmap // struct pages
	KASANShadow
	CPUEntry // per-CPU entry area
	ESPFix
	EFI
	KernelImage // text mapping; arm64 has it in the vmalloc area
	Modules
	BPFJIT
	PCIIO
	Fixmap
	FDT
	Pkmap // kmap of high memory
	Vectors
)

var kindNames = []string{
	"hole", "user space", "non-canonical", "guard hole, hypervisor", "LDT remap", "direct map", "vmalloc", "vmemmap", "KASAN shadow",
	"CPU entry area", "espfix stacks", "EFI", "kernel image", "modules", "BPF JIT", "PCI I/O", "fixmap", "device tree", "pkmap", "vectors",
}

// String names the kind as boot logs and documents do.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// MarshalText writes the name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a name.
func (k *Kind) UnmarshalText(text []byte) error {
	i := slices.Index(kindNames, string(text))
	if i < 0 {
		return &ConfigError{Field: "Kind", Value: strconv.Quote(string(text)), Want: strings.Join(kindNames, ", ")}
	}
	*k = Kind(i)
	return nil
}

// Region is a range of virtual addresses.
type Region struct {
	Kind  Kind
	Start uint64
	Last  uint64 // the last address: an end would not fit in 64 bits
}

// Size is the region's size in bytes; 0 is the whole of 64 bits.
func (r Region) Size() uint64 { return r.Last - r.Start + 1 }

// Contains says whether an address is of the region.
func (r Region) Contains(addr uint64) bool { return addr >= r.Start && addr <= r.Last }

// Layout is a kernel's address space. It does not change; its methods may be
// called from anywhere at a time.
type Layout struct {
	c       Config
	regions []Region // rising, without gaps from 0 to the last address

	pageOffset  uint64 // PAGE_OFFSET: where the direct map starts
	highMemory  uint64 // 32 bits: first address after low memory
	memstart    uint64 // the physical address of pageOffset, modulo 2^64
	vmemmap     uint64 // where struct page of PFN 0 would be; 0 is not known
	imageBase   uint64 // virtual address of the kernel's text
	imageOffset uint64 // added to a virtual address of the image gives the physical, modulo 2^64
	imageStart  uint64 // area of image addresses
	imageLast   uint64
	taskSize    uint64
	physmemEnd  uint64 // x86_64: last physical address that the direct map has room for
}

// New lays out the address space. It fails with a *ConfigError.
func New(c Config) (*Layout, error) {
	c.Memory = slices.Clone(c.Memory)
	if c.KASLR != nil {
		k := *c.KASLR
		c.KASLR = &k
	}
	if err := c.complete(); err != nil {
		return nil, err
	}
	l := &Layout{c: c}
	var err error
	switch c.Arch {
	case X86_64:
		err = l.x86_64()
	case ARM64:
		err = l.arm64()
	case X86:
		err = l.x86()
	default:
		err = l.arm()
	}
	if err != nil {
		return nil, err
	}
	l.fillHoles()
	return l, nil
}

// add puts a region of size bytes at start.
func (l *Layout) add(k Kind, start, size uint64) {
	l.regions = append(l.regions, Region{k, start, start + size - 1})
}

// between adds a region from start to before end.
func (l *Layout) between(k Kind, start, end uint64) { l.add(k, start, end-start) }

// fillHoles sorts the regions and puts holes in between.
func (l *Layout) fillHoles() {
	slices.SortFunc(l.regions, func(a, b Region) int { return cmp.Compare(a.Start, b.Start) })
	var all []Region
	next := uint64(0)
	for _, r := range l.regions {
		if r.Start > next {
			all = append(all, Region{Hole, next, r.Start - 1})
		}
		all = append(all, r)
		next = r.Last + 1
	}
	if last := l.lastAddress(); next != 0 && next <= last {
		all = append(all, Region{Hole, next, last})
	}
	l.regions = all
}

func (l *Layout) lastAddress() uint64 {
	if l.c.Arch.Is64() {
		return ^uint64(0)
	}
	return 1<<32 - 1
}

// Config is the configuration with its defaults filled in.
func (l *Layout) Config() Config {
	c := l.c
	c.Memory = slices.Clone(c.Memory)
	return c
}

// Regions gives all regions and holes, rising: together they are the whole
// address space.
func (l *Layout) Regions() []Region { return slices.Clone(l.regions) }

// Find gives the region of an address. For 32 bits, addresses from 4 GiB on
// are of no region: ok is false.
func (l *Layout) Find(addr uint64) (r Region, ok bool) {
	i := sort.Search(len(l.regions), func(i int) bool { return l.regions[i].Last >= addr })
	if i == len(l.regions) {
		return Region{}, false
	}
	return l.regions[i], true
}

// Region gives the first region of a kind.
func (l *Layout) Region(k Kind) (r Region, ok bool) {
	for _, r := range l.regions {
		if r.Kind == k {
			return r, true
		}
	}
	return Region{}, false
}

// PageOffset is PAGE_OFFSET: where the direct map starts.
func (l *Layout) PageOffset() uint64 { return l.pageOffset }

// TaskSize is TASK_SIZE (x86_64: TASK_SIZE_MAX): the first address that no
// process has, in bytes.
func (l *Layout) TaskSize() uint64 { return l.taskSize }

// Image is the virtual address of the kernel's text (_text), where it is
// known: on x86 and arm64.
func (l *Layout) Image() uint64 { return l.imageBase }

// MappedDirect is the part of the direct map that has memory behind it. It is
// empty (ok false) without memory.
func (l *Layout) MappedDirect() (start, last uint64, ok bool) {
	if len(l.c.Memory) == 0 {
		return 0, 0, false
	}
	start = l.c.memStart() - l.memstart + l.pageOffset
	last = l.c.memEnd() - 1 - l.memstart + l.pageOffset
	if !l.c.Arch.Is64() {
		last = l.highMemory - 1
	}
	return start, last, true
}

// Check proves that the regions are in order, without overlaps, and complete.
// It returns the first fault; an error is a bug of the package.
func (l *Layout) Check() error {
	next := uint64(0)
	for i, r := range l.regions {
		if r.Start != next || r.Last < r.Start || (i > 0 && next == 0) {
			return &ConfigError{Field: r.Kind.String(), Value: hex(r.Start), Want: "regions that follow each other"}
		}
		next = r.Last + 1
	}
	if next-1 != l.lastAddress() {
		return &ConfigError{Field: "end", Value: hex(next - 1), Want: hex(l.lastAddress())}
	}
	return nil
}
